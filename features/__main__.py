"""The command ``python -m features``: encode a table, align one that has no phones, export features as files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tabulate import tabulate

from builders.__main__ import size
from builders.errors import AudioError, CorpusError
from features.deviation import deviation
from features.export import export
from features.precision import COMPUTE
from features.step import DTYPES, Encode
from features.store import SHARD_BYTES, TableError, open_table, read_card, write_features
from features.variants import exact

EXAMPLE = "example: python -m features tables/timit --encoder openai/whisper-tiny.en --layers all"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 for bad input."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    command = {"align": align, "export": export, "plan": plan, "train": train}.get(
        arguments[0] if arguments else "", encode
    )
    try:
        command(arguments if command is encode else arguments[1:])
    except (TableError, CorpusError, AudioError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing half-written is left, the same command starts again", file=sys.stderr)
        return 130
    return 0


def encode(arguments: Sequence[str]) -> None:
    """Write the feature table of one encoder and print what it is."""
    options = encode_parser().parse_args(arguments)
    step = step_of(options)
    if exact(step.encoder) is not step.encoder:
        print(f"{step.name} is not exact:\n{deviation(options.table, step) or 'the table has no utterance'}\n")
    folder = write_features(options.table, step, out=options.out, workers=options.workers, engine=options.engine,
                            max_shard_size=options.max_shard_size)  # fmt: skip
    print(describe(folder))
    print(f"\nfeatures: {folder}")
    if any(card.axis == "frame" for card in step.cards.values()):  # what a frame probe can take
        print(f"next: python -m probes {options.table} --tier phones --out results")


def step_of(options: argparse.Namespace) -> Encode:
    """Return the step that the options of `encode_parser` ask for."""
    layers = options.layers[0] if options.layers[0] in ("all", "last") else options.layers
    return Encode(
        options.encoder,
        layers=layers,
        init=options.init,
        seed=options.seed,
        revision=options.revision,
        dtype=options.dtype,
        pool=options.pool,
        trim_context=options.trim_context,
        compute=options.compute,
    )


def encode_parser() -> argparse.ArgumentParser:
    """Return the parser of the encoding command."""
    parser = argparse.ArgumentParser(
        prog="python -m features",
        description="Add an encoder's hidden states, layer by layer, to a table. `python -m features align --help` "
        "tells how to add phones and words to a table that has texts only, `python -m features export --help` how to "
        "write features as files, `plan --help` what an encoding costs, `train --help` how to train a small encoder.",
        epilog=EXAMPLE,
    )
    parser.add_argument("table", help="table written by `python -m builders load --out` or `prepare`")
    parser.add_argument(
        "--encoder", required=True, help="Hub id, checkpoint folder, or log_mel, mfcc, whisper-tiny, ..."
    )
    parser.add_argument("--layers", nargs="+", default=["all"], help="all, last, names or numbers (default: all)")
    parser.add_argument("--init", choices=("trained", "random"), default="trained", help="weights (default: trained)")
    parser.add_argument("--seed", type=int, default=0, help="of random weights (default: 0)")
    parser.add_argument("--revision", help="commit or branch of a Hub checkpoint")
    parser.add_argument("--dtype", choices=DTYPES, default="float16", help="of the stored features (default: float16)")
    parser.add_argument("--pool", default="none", help="none, mean, segments:TIER or centre:TIER (default: none)")
    parser.add_argument(
        "--trim-context", action="store_true", help="do not compute all of the silence behind a short utterance in a "
        "fixed window (Whisper): faster, not exact, columns <encoder>.trimmed; prints how far each layer is off"
    )  # fmt: skip
    parser.add_argument(
        "--compute", choices=COMPUTE, default="float32", help="type of weights and activations (default: float32); "
        "half precision is for GPUs, gives columns <encoder>.compute-float16 and prints how far each layer is off"
    )  # fmt: skip
    parser.add_argument("--workers", type=int, help="processes (default: 1; with Ray, the whole cluster)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where they run (default: local)")
    parser.add_argument("--max-shard-size", type=size, default=SHARD_BYTES, help="of features (default: 500MB)")
    parser.add_argument("--out", help="folder or address to write to (default: TABLE/features/<encoder>)")
    return parser


def align(arguments: Sequence[str]) -> None:
    """Write a copy of a table with phones and words tiers."""
    from builders.__main__ import save
    from features.align import align as align_table

    parser = argparse.ArgumentParser(
        prog="python -m features align",
        description="Force-align an English table that has texts: adds the tiers `phones` (ARPAbet) and `words`.",
        epilog="example: python -m features align tables/librispeech --out tables/librispeech.aligned",
    )
    parser.add_argument("table", type=Path, help="table written by `python -m builders load --out`")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the new table to")
    parser.add_argument("--num-proc", type=int, help="processes (default: 1)")
    options = parser.parse_args(arguments)
    if options.out.exists():
        raise TableError(f"{options.out} exists already: remove it or choose another --out")
    save(align_table(open_table(options.table, []), num_proc=options.num_proc), options.out)
    print(f"table: {options.out}\nnext: python -m features {options.out} --encoder log_mel --layers all")


def plan(arguments: Sequence[str]) -> None:
    """Print what an encoding costs."""
    from features.plan import tell

    tell(arguments)


def train(arguments: Sequence[str]) -> None:
    """Train a small encoder on a table."""
    from features.train import train as train_on  # MLX is not waited for by who only encodes log_mel

    train_on(arguments)


def describe(folder: str) -> str:
    """Return a table of a feature table's layers."""
    rows = [
        [
            layer["column"],
            layer["width"],
            frames,
            f"{frames * layer['width'] * np.dtype(layer['dtype']).itemsize / 1e6:,.1f}",
        ]
        for layer in read_card(folder)["layers"]
        for frames in [sum(moments["frames"] for moments in layer["statistics"].values())]
    ]
    return tabulate(rows, headers=["column", "width", "frames", "MB"])


if __name__ == "__main__":
    sys.exit(main())
