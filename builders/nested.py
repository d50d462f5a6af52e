"""Archives that lie inside a folder or another archive: their members are listed where unpacking would put them."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

from builders.archives import Member, unreadable
from builders.errors import CorpusError
from builders.inner import Inner
from builders.tar_members import tar_members

LIMIT = 4_000_000_000  # bytes of a tar inside a corpus: it is held in memory


class Nested(Inner):
    """A source whose tars of some names are taken for what is in them.

    One of them is held in memory at a time, unpacked: they hold a speaker or a chapter, not a corpus.
    """

    def fingerprint(self) -> str:
        """Return the fingerprint of what holds the tars."""
        return self.source.fingerprint()

    def open(self, member: Member) -> BinaryIO:
        """Open a member; the tar that it lies in is unpacked into memory unless it was the last one read."""
        packed = _unpack(member)
        if packed is None:
            return self.source.open(member)
        tar, offset = packed
        try:
            data = self._unpacked(tar).getbuffer()[offset : offset + member.size]
        except CorpusError as error:  # it was whole when it was listed
            raise unreadable(member.name, error) from None
        return io.BytesIO(data)

    def _members(self, tar: Member) -> Iterator[Member]:
        found: dict[str, tuple[int, int]] = {}  # of a name that comes twice the last
        try:
            for name, size, offset in tar_members(self._unpacked(tar), self.path / tar.name, self.left_out):
                found[name] = (size, offset)
        except (tarfile.TarError, EOFError) as error:
            raise self._damaged(tar, error) from None
        for name, (size, offset) in found.items():
            yield Member(f"{_folder(tar.name)}{name}", _pack(tar, offset), size, 0)

    def _inside(self, member: Member) -> bool:
        return _unpack(member) is not None

    def _unpacked(self, tar: Member) -> io.BytesIO:
        if self._held is None or self._held[0] != tar.name:
            self._held = None  # not two of them in memory
            try:
                with self.source.open(tar) as file:
                    data = file.read()
            except OSError as error:
                raise unreadable(f"{self.path.name}: {tar.name}", error) from None
            self._held = (tar.name, io.BytesIO(self._inflate(tar, data)))
        return self._held[1]

    def _inflate(self, tar: Member, data: bytes) -> bytes:
        if data[:2] != b"\x1f\x8b":
            return data
        parts: list[bytes] = []
        try:
            while data:  # gzip files may be put one after the other
                stream = zlib.decompressobj(wbits=31)
                parts.append(stream.decompress(data, LIMIT + 1 - sum(map(len, parts))))
                if sum(map(len, parts)) > LIMIT:
                    raise CorpusError(
                        f"{self.path}: {tar.name} unpacks to more than {LIMIT / 1e9:.0f} GB: it is no speaker's or "
                        "chapter's archive, leave it alone"
                    )
                if not stream.eof:
                    raise self._damaged(tar, EOFError("it ends too early"))
                data = stream.unused_data.lstrip(b"\0")
        except zlib.error as error:
            raise self._damaged(tar, error) from None
        return b"".join(parts)

    def _damaged(self, tar: Member, error: Exception) -> CorpusError:
        return CorpusError(f"{self.path}: {tar.name} is damaged or truncated ({error}): fetch it again")


def _folder(name: str) -> str:
    folder = str(PurePosixPath(name).parent)
    return "" if folder == "." else f"{folder}/"


def _pack(tar: Member, offset: int) -> bytes:
    # A name or a path never holds a zero byte.
    fields = (tar.name.encode(), tar.path, *(b"%d" % number for number in (tar.size, tar.position, offset)))
    return b"\0" + b"\0".join(fields)


def _unpack(member: Member) -> tuple[Member, int] | None:
    if not member.path.startswith(b"\0"):
        return None
    name, path, size, position, offset = member.path[1:].split(b"\0")
    return Member(name.decode(), path, int(size), int(position)), int(offset)
