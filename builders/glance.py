"""A glance at an archive: its first members, and whether it ends as a whole one does, without reading it."""

from __future__ import annotations

import bz2
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from builders.archives import TAR, ZIP, archive_suffix
from builders.errors import CorpusError
from builders.member_names import printable
from builders.parts import Joined, parts_of
from builders.tar_parts import Header

HEAD_BYTES = 32 << 20  # of what is packed
HEAD_MEMBERS = 64
GZIP, BZIP2 = b"\x1f\x8b", b"BZh"
ZIP_END = (b"PK\x05\x06", 22 + 0xFFFF)  # signature of the end record, and how far from the end it may begin
BLOCK = 512  # a tar is a whole number of these


class Glance(NamedTuple):
    """What was seen.

    head : list of (name, bytes)
        First members; empty where they cannot be read.
    broken : str
        Why it is no whole archive, empty where nothing speaks against it.
    remark : str
        What else is odd.
    """

    head: list[tuple[str, int]]
    broken: str
    remark: str


def glance(path: Path) -> Glance:
    """Look at the begin and the end of an archive."""
    try:
        with Joined.open(parts_of(path)) as file:
            start = file.read(4)
            suffix = archive_suffix(path)
            if suffix in ZIP:
                return _zip(file, start)
            if suffix in TAR:
                return _plain(file) if start.strip(b"\0") else Glance([], "", "begins with nothing")
            return _packed(file, start)
    except CorpusError as error:  # a part is missing
        return Glance([], str(error), "")
    except OSError as error:
        return Glance([], f"cannot be read ({error})", "")


def _plain(file: BinaryIO) -> Glance:
    file.seek(0)
    members = _members(file)
    file.seek(-min(2 * BLOCK, file.seek(0, io.SEEK_END)), io.SEEK_END)
    return Glance(members, "its end is not that of a tar" if file.read().strip(b"\0") else "", "")


def _packed(file: BinaryIO, start: bytes) -> Glance:
    if start[:3] == BZIP2:
        file.seek(0)
        return Glance(_members(io.BufferedReader(bz2.BZ2File(file))), "", "")
    if start[:2] != GZIP:
        return Glance([], "", "does not begin as a gzip file does")
    file.seek(-8, io.SEEK_END)
    last = int.from_bytes(file.read()[4:], "little")
    # The last four bytes are the unpacked size modulo 2 ** 32. Of a file that was cut they are anything.
    broken = f"its end is not that of a packed tar ({last} is no multiple of {BLOCK})" if last % BLOCK else ""
    file.seek(0)
    return Glance(_members(io.BufferedReader(_Inflated(file))), broken, "")


def _zip(file: BinaryIO, start: bytes) -> Glance:
    if start[:2] != b"PK":
        return Glance([], "", "does not begin as a zip file does")
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - ZIP_END[1]))
    if ZIP_END[0] not in file.read():
        return Glance([], "its end is not that of a zip: the directory is missing", "")
    try:
        with zipfile.ZipFile(file) as packed:
            members = sorted(packed.infolist(), key=lambda info: info.header_offset)
            head = [(info.filename, info.file_size) for info in members if not info.is_dir()]
            return Glance(head[:HEAD_MEMBERS], "", "")
    except (zipfile.BadZipFile, ValueError) as error:
        return Glance([], f"its directory cannot be read ({error})", "")


def _members(file: BinaryIO) -> list[tuple[str, int]]:
    return list(_tar_members(file))


def _tar_members(file: BinaryIO) -> Iterator[tuple[str, int]]:
    try:
        with tarfile.open(fileobj=file, mode="r:" if not isinstance(file, io.BufferedReader) else "r|",
                          tarinfo=Header) as tar:  # fmt: skip
            for number, info in enumerate(tar):
                tar.members = []
                if info.isreg():
                    yield printable(info.name).removeprefix("./"), info.size
                if number >= HEAD_MEMBERS or info.offset > HEAD_BYTES:
                    return
    except (tarfile.TarError, EOFError, OSError, ValueError):
        return


class _Inflated(io.RawIOBase):
    """The first `HEAD_BYTES` of a gzip file, unpacked; then it ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = zlib.decompressobj(wbits=31)
        self._left = HEAD_BYTES

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Unpack into the buffer."""
        wanted = min(len(buffer), self._left)
        try:
            data = self._unpack(wanted) if wanted else b""
        except zlib.error as error:
            raise OSError(str(error)) from None
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)

    def _unpack(self, wanted: int) -> bytes:
        data = b""
        while not data and not self._stream.eof:
            packed = self._stream.unconsumed_tail or self._file.read(1 << 16)
            if not packed:
                break
            data = self._stream.decompress(packed, wanted)
        return data
