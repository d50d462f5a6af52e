"""Copies on the Hugging Face Hub: a folder a language, with its audio in shards of which the metadata say nothing."""

from __future__ import annotations

from collections.abc import Iterable

from builders.files import Files


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
