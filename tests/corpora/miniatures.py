"""A miniature of every corpus, by the corpus' name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

# Corpora whose miniature is written by another module, or needs options.
OTHERWISE: dict[str, tuple[str, dict[str, Any]]] = {
    "libritts_r": ("libritts", {"corpus": "libritts_r"}),
    "mls_english": ("mls", {"language": "english"}),
    "mls": ("mls", {"language": "german"}),
}
# Options that the call needs beside data_dir.
OPTIONS: dict[str, dict[str, Any]] = {
    "espeak": {"utterances": 14},
    "meld": {"max_bad": 1.0},  # holds one that is bad in the published corpus
}


def write(name: str, folder: Path) -> dict[str, Any]:
    """Write the miniature of a corpus and return the arguments of `load_dataset` beside its name."""
    options = OPTIONS.get(name, {})
    if name == "espeak":
        return options
    module, keywords = OTHERWISE.get(name, (name, {}))
    writers = importlib.import_module(f"tests.corpora.{module}")
    write_it = writers.write_raw if name == "voxpopuli" else writers.write
    return {**options, "data_dir": str(write_it(folder / "corpus", **keywords))}
