"""The command ``python -m features train``: a small encoder, trained on the utterances and texts of a table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from features.store import TableError, open_table
from features.training.run import Options, Run
from features.vgs_network import Config

ARCHITECTURES = ("vgs",)
# A twentieth of the paper's units: minutes on two cores.
SMALL = Config(hidden_size=64, num_hidden_layers=3, attention_size=64, normalize=True)
EXAMPLE = "example: python -m features train vgs tables/espeak --out checkpoints/vgs-espeak --max-seconds 60"


def train(arguments: Sequence[str]) -> None:
    """Train, or go on training, and print a line per epoch."""
    options = train_parser().parse_args(arguments)
    config = Config(
        hidden_size=options.hidden_size, num_hidden_layers=options.layers,
        attention_size=SMALL.attention_size, normalize=SMALL.normalize,
    )  # fmt: skip
    chosen = Options(options.epochs, options.batch_size, options.learning_rate, options.seed)
    run = Run(open_table(options.table, []), options.out, config, chosen, texts_of(options.without))
    print(f"{len(run.train)} utterances to train on, {len(run.held)} held out")
    if run.position.seconds:
        print(f"going on after {run.position.epoch} epochs, {run.position.seconds:.0f} s")
    run.train_on(max_seconds=options.max_seconds, told=lambda text: print(text, flush=True))
    print(f"\ncheckpoint: {options.out}\nnext: python -m features {options.table} --encoder {options.out}")


def texts_of(tables: Sequence[Path]) -> set[str]:
    """Return the texts of some tables.

    Raises
    ------
    TableError
        If a table has no column `text`.
    """
    parts = [(table, part) for table in tables for part in open_table(table, [], audio=False).values()]
    for table, part in parts:
        if "text" not in part.column_names:
            raise TableError(f"{table} has no column 'text', only {part.column_names}: texts to leave out are needed")
    return {text for _, part in parts for text in part["text"] if text}


def train_parser() -> argparse.ArgumentParser:
    """Return the parser of the training command."""
    parser = argparse.ArgumentParser(
        prog="python -m features train",
        description="Train the speech side of the visually grounded model so that an utterance finds its own text, "
        "and its frames their characters, among others. A run that was interrupted, or that is given more epochs or "
        "seconds, goes on where it was.",
        epilog=EXAMPLE,
    )
    parser.add_argument("architecture", choices=ARCHITECTURES)
    parser.add_argument("table", type=Path, help="table written by `python -m builders load --out` or `prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--without", type=Path, nargs="+", default=[], metavar="TABLE",
                        help="leave out texts of these tables: those to try the encoder on")  # fmt: skip
    parser.add_argument("--epochs", type=int, default=Options.epochs, help=f"default: {Options.epochs}")
    parser.add_argument("--max-seconds", type=float, help="of training, earlier runs included (default: no limit)")
    parser.add_argument("--batch-size", type=_two_or_more, default=Options.batch_size,
                        help=f"utterances compared with each other (default: {Options.batch_size})")  # fmt: skip
    parser.add_argument("--learning-rate", type=float, default=Options.learning_rate,
                        help=f"default: {Options.learning_rate}")  # fmt: skip
    parser.add_argument("--hidden-size", type=int, default=SMALL.hidden_size,
                        help=f"units per direction (default: {SMALL.hidden_size}; the paper: 1024)")  # fmt: skip
    parser.add_argument("--layers", type=int, default=SMALL.num_hidden_layers,
                        help=f"recurrent layers (default: {SMALL.num_hidden_layers}; the paper: 4)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of first weights and order (default: 0)")
    return parser


def _two_or_more(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{value} utterances compare nothing: expected 2 or more")
    return value
