"""How a compressed tar is read at random: rapidgzip, and where its blocks begin kept beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import rapidgzip


class Gzip:
    """How rapidgzip reads gzip, and keeps where its blocks begin."""

    @staticmethod
    def open(source: str | BinaryIO, threads: int) -> Any:
        """Open a path or a file."""
        return rapidgzip.open(source, parallelization=threads)

    @staticmethod
    def store(handle: Any, path: Path) -> None:
        """Write the seek points of what was read to its end."""
        handle.export_index(str(path))

    @staticmethod
    def restore(handle: Any, path: Path) -> None:
        """Give the reader the seek points that `store` wrote."""
        handle.import_index(str(path))


class Bzip2:
    """The same for bzip2."""

    @staticmethod
    def open(source: str | BinaryIO, threads: int) -> Any:
        """Open a path or a file."""
        return rapidgzip.IndexedBzip2File(source, parallelization=threads)

    @staticmethod
    def store(handle: Any, path: Path) -> None:
        """Write where each block begins: bits in the file, bytes in what it holds."""
        path.write_text(json.dumps(list(handle.block_offsets().items())))

    @staticmethod
    def restore(handle: Any, path: Path) -> None:
        """Give the reader the seek points that `store` wrote."""
        handle.set_block_offsets(dict(json.loads(path.read_text())))
