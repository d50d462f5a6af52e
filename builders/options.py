"""Options that several commands share."""

from __future__ import annotations

import argparse
from typing import Any

QUARANTINED = 3  # exit status: the result is there, some recordings are not in it


def corpus_options(command: argparse.ArgumentParser) -> None:
    """Let a command take a corpus: which, of which configuration, and where it lies."""
    command.add_argument("corpus")
    command.add_argument("config", nargs="?", help="configuration, see `show`")
    command.add_argument("--data-dir", help="folder or archive of the corpus")
    command.add_argument("--option", action="append", default=[], metavar="NAME=VALUE",
                         help="option of the configuration, e.g. alignments=/data/TextGrids")  # fmt: skip


def call(options: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `load_dataset` that the options stand for."""
    keywords = dict(option.partition("=")[::2] for option in options.option)
    keywords = {name: int(value) if value.isdigit() else value for name, value in keywords.items()}
    return {"path": f"builders/{options.corpus}", "name": options.config, "data_dir": options.data_dir, **keywords}
