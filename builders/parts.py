"""Archives in parts, read as one file.

``x.tar.gz.partaa``, ``x.tar.gz.partab``, ... as `split` names them; ``x.z01``, ``x.z02``, ..., ``x.zip``, a split zip.
"""

from __future__ import annotations

import io
import itertools
import re
import string
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from builders.errors import CorpusError

FIRST = re.compile(r"(?P<stem>.+[._-]part)(?P<number>aa+|00+)")
END = b"PK\x05\x06"  # of a zip: 22 bytes and a comment, the number of the last disk among them
END_BYTES = 22
COMMENT_BYTES = 0xFFFF  # at most


def first_part(path: Path) -> bool:
    """Tell whether a file is the first part of an archive; the others are found by it."""
    return FIRST.fullmatch(path.name) is not None


def parts_of(path: Path) -> list[Path]:
    """Return the parts of an archive in order; the archive itself where it is whole.

    Raises
    ------
    CorpusError
        If one is missing between others, or a disk of a split zip is. A missing last part of `split` shows as a
        truncated archive.
    """
    first = FIRST.fullmatch(path.name)
    if first is None:
        return _disks(path) if path.name.lower().endswith(".zip") else [path]
    digits = string.ascii_lowercase if first["number"].startswith("a") else string.digits
    pattern = re.compile(re.escape(first["stem"]) + f"[{digits}]{{{len(first['number'])}}}")
    found = sorted(other for other in path.parent.iterdir() if pattern.fullmatch(other.name))
    numbers = ("".join(number) for number in itertools.product(digits, repeat=len(first["number"])))
    for part, number in zip(found, numbers, strict=False):
        if part.name != first["stem"] + number:
            raise CorpusError(f"{path.parent / (first['stem'] + number)} is missing, {part.name} is there: fetch it")
    return found


def _disks(path: Path) -> list[Path]:
    count = _last_disk(path)
    if not count:
        return [path]
    there = {other.name.lower(): other for other in path.parent.iterdir()}
    names = [f"{path.name[:-4]}.z{number:02d}" for number in range(1, count + 1)]
    if missing := [name for name in names if name.lower() not in there]:
        raise CorpusError(
            f"{path} is the last of {count + 1} parts, and {missing[0]} is not beside it: fetch all of them into one "
            f"folder, or make one archive of them with `zip -s 0 {path.name} --out whole.zip`"
        )
    return [*(there[name.lower()] for name in names), path]


def _last_disk(path: Path) -> int:
    """Return the number of a zip's last disk, counted from 0: of one that is not split, 0."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES - COMMENT_BYTES))
        tail = file.read()
    end = tail.rfind(END)
    record = tail[end : end + END_BYTES]
    whole = end >= 0 and len(tail) - end == END_BYTES + int.from_bytes(record[20:22], "little")
    number = int.from_bytes(record[4:6], "little") if whole else 0
    return 0 if number == 0xFFFF else number  # a placeholder


class Joined(io.RawIOBase):
    """Several files as one, for reading and seeking; nothing is copied."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        self._ends = list(itertools.accumulate(path.stat().st_size for path in paths))
        self._position = 0

    @classmethod
    def open(cls, paths: Sequence[Path]) -> BinaryIO:
        """Return the files as one buffered file."""
        return cast(BinaryIO, io.BufferedReader(cls(paths), 1 << 20))

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place in the whole."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._ends[-1]}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Return the place in the whole."""
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill the buffer out of the part that holds the place, to its end at most."""
        number = bisect_right(self._ends, self._position)
        if number == len(self._files):
            return 0
        before = self._ends[number - 1] if number else 0
        self._files[number].seek(self._position - before)
        count = self._files[number].readinto(buffer)
        self._position += count
        return count

    def close(self) -> None:
        """Close all parts."""
        for file in self._files:
            file.close()
        super().close()
