"""The command ``python -m probes``: what the layers of a table's encoders know, as table and figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from probes.options import check_folder

EXAMPLE = "example: python -m probes tables/timit --tier phones --out results/timit"
# modules with parser and run
COMMANDS = {name: name for name in ("apply", "report", "regression", "suite")} | {"words": "words_command"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 for bad input."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = import_module(f"probes.{COMMANDS[arguments.pop(0)]}") if arguments and arguments[0] in COMMANDS else None
    options = (command.parser if command else parser)().parse_args(arguments)
    try:
        if options.out is not None:
            page = command is not None and command.__name__ == "probes.report"
            check_folder(options.out.parent if page else options.out)
        (command.run if command else _run)(options)
    except (ValueError, ImportError) as error:  # ProbeError and TableError are ValueErrors
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing half-written is left, the same command starts again", file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    from builders.phones import INVENTORIES
    from probes.examples import KINDS
    from probes.labels import SILENCES
    from probes.registry import probe_names
    from probes.run import PROTOCOLS

    top = argparse.ArgumentParser(
        prog="python -m probes",
        description="Train a probe on every layer of a table's features and score it on unheard speakers.",
        epilog=f"{EXAMPLE}   Further commands: {', '.join(COMMANDS)}, each with --help",
    )
    top.add_argument("table", type=Path, help="table written by `python -m builders load --out`")
    top.add_argument("--out", type=Path, required=True, help="folder for results.parquet, results.csv and the figure")
    top.add_argument(
        "--examples",
        choices=KINDS,
        default="frames",
        help="what is classified: each frame, the mean "
        "or the centre frame of each segment, the mean of each utterance (default: frames)",
    )
    top.add_argument(
        "--target",
        "--tier",
        dest="target",
        metavar="NAME",
        default="phones",
        help="tier of `segments`, or for utterances the column, that has the labels (default: phones)",
    )
    top.add_argument("--classes", choices=list(INVENTORIES), default="39", help="of phones (default: 39)")
    top.add_argument("--probe", choices=probe_names(), default="linear", help="default: linear")
    top.add_argument(
        "--option",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="options of the probe, e.g. context=10 hidden=512,512",
    )
    top.add_argument("--control", action="store_true", help="a control task beside it, for selectivity")
    top.add_argument("--seeds", type=int, default=1, metavar="N", help="train with N seeds: mean and spread")
    top.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="standard",
        help="published: with the flaws of published code, to get its numbers (default: standard)",
    )
    top.add_argument("--features", nargs="+", type=Path, help="feature tables (default: all in TABLE/features)")
    top.add_argument("--encoders", nargs="+", metavar="NAME", help="only these encoders")
    top.add_argument("--layers", nargs="+", metavar="NAME", help="only these layers")
    top.add_argument("--silence", choices=SILENCES, default="keep", help="frames of silence (default: keep)")
    top.add_argument("--phone-set", help="phone set of the tier (default: the one of each row's corpus)")
    top.add_argument("--max-frames", type=int, metavar="N", help="at most N frames per utterance")
    top.add_argument("--keep-sa", action="store_true", help="keep TIMIT's SA sentences, which all speakers share")
    top.add_argument("--folds", type=int, metavar="K", help="cross-validate over K groups of speakers")
    top.add_argument("--seed", type=int, default=0, help="the first seed (default: 0)")
    top.add_argument("--save-probes", action="store_true", help="keep the trained probes in OUT/probes")
    top.add_argument("--no-plot", action="store_true", help="no figure")
    return top


def _run(options: argparse.Namespace) -> None:
    from features.store import open_table
    from probes.options import read
    from probes.run import probe

    results = probe(
        open_table(options.table, options.features, audio=False),
        target=options.target,
        examples=options.examples,
        classes=options.classes,
        probe=options.probe,
        option=read(options.option),
        control=options.control,
        seeds=options.seeds,
        protocol=options.protocol,
        encoders=options.encoders,
        layers=options.layers,
        silence=options.silence,
        phone_set=options.phone_set,
        max_frames=options.max_frames,
        keep_sa=options.keep_sa,
        folds=options.folds,
        seed=options.seed,
        save_probes=options.out / "probes" if options.save_probes else None,
    )
    written = results.save(options.out)
    print(f"\n{results}\n\ntables: {' '.join(map(str, written))}")
    if not options.no_plot:
        _plot(results, options.out)
    print(_next(results, options))


def _plot(results: object, folder: Path) -> None:
    from probes.figures import plot

    try:
        print(f"figure: {' '.join(map(str, plot(results, folder, metric=results.metric)))}")
    except ImportError as error:  # the tables are what counts
        print(error)


def _next(results: object, options: argparse.Namespace) -> str:
    """Return what is worth trying after these results: a control that they lack, else an option."""
    frame = results.to_pandas()
    prefix = f"next: python -m features {options.table} --encoder"
    if not frame.init.str.startswith("random").any():
        return f"{prefix} whisper-tiny --init random   (the control: what untrained weights give)"
    if "trained" not in set(frame.init):
        return f"{prefix} openai/whisper-tiny   (trained weights beside the random ones)"
    if "accuracy" in set(frame.metric) and not options.control:
        return f"next: python -m probes {options.table} --control --out {options.out}.control   (the control task)"
    if options.silence == "keep":
        return f"next: python -m probes {options.table} --silence drop --out {options.out}.nosilence"
    return f"next: python -m features {options.table} --encoder openai/whisper-base   (a larger encoder)"


if __name__ == "__main__":
    sys.exit(main())
