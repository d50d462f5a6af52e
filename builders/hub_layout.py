"""Copies on the Hugging Face Hub: a folder a language, with its audio in shards of which the metadata say nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from builders.cache import absolute
from builders.files import Files


def packed_language(data_dir: str, language: str) -> Path:
    """Return the folder of one language where its audio is packed there, else `data_dir` itself.

    The archives of all languages have members of the same names (``train/1.wav``), so that they can't be opened
    together: ``data/<language>/audio/train.tar.gz``, ``data/<language>/train/train_part_0.tar.gz``.
    """
    folders = [absolute(data_dir) / below for below in (f"data/{language}", language)]
    return next((folder for folder in folders if any(folder.glob("*/*.tar.gz"))), absolute(data_dir))


class Shards:
    """The folders over which the audio of a split is spread.

    A file is looked for where the last one was found first: metadata mostly have the order of the shards.
    """

    def __init__(self, files: Files, folders: Iterable[str]) -> None:
        self.files = files
        self.folders = list(folders)

    def find(self, name: str) -> str | None:
        """Return the member of that base name, None if no folder has it."""
        for number, folder in enumerate(self.folders):
            if f"{folder}{name}" in self.files:
                self.folders.insert(0, self.folders.pop(number))
                return f"{folder}{name}"
        return None
