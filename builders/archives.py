"""One source of a corpus: a folder, a tar, a tar.gz, a tar.bz2 or a zip, scanned once and then read at random.

Each source says of its members (name, path, size, position): `path` is what opens it again, as
bytes, and `position` sorts the members into the order in which reading them is cheapest. An archive
may lie there in parts.
"""

from __future__ import annotations

import atexit
import ctypes
import io
import logging
import lzma
import os
import stat
import struct
import tarfile
import weakref
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

from builders.cache import cache_dir, digest, writing
from builders.compression import Bzip2, Gzip
from builders.damage import DAMAGE, Guarded, unreadable
from builders.errors import CorpusError
from builders.member_names import admitted, litter, printable
from builders.parts import Joined, first_part, parts_of
from builders.split_zip import place_members
from builders.tar_members import KINDS, tar_members
from builders.tar_parts import Window
from builders.walk import walk

logger = logging.getLogger(__name__)

TAR = (".tar",)
TAR_GZ = (".tar.gz", ".tgz")
TAR_BZ2 = (".tar.bz2", ".tbz2")
ZIP = (".zip",)
ARCHIVES = (*TAR, *TAR_GZ, *TAR_BZ2, *ZIP)
MAGIC = {b"PK": ZIP[0], b"\x1f\x8b": TAR_GZ[0], b"BZh": TAR_BZ2[0]}
CHUNK = 1 << 20
IN_MEMORY = 256 << 20  # bytes; a larger member, e.g. the texts of ten million utterances, is read where it lies
SMALL = 64 << 20  # bytes of a packed archive that one thread reads
BOMB_BYTES, BOMB_RATIO = 1_000_000_000, 200  # no corpus unpacks to so much out of so little


class Member(NamedTuple):
    """A file of a corpus: `name` as corpora see it, `path` as the source knows it."""

    name: str
    path: bytes
    size: int
    position: int


class Source(Protocol):
    """What a folder and each kind of archive can do."""

    path: Path
    left_out: Counter[str]  # how many members `scan` left out, by their kind, but for litter

    def fingerprint(self) -> str:
        """Return what changes when the source's content does."""
        ...

    def scan(self) -> Iterator[Member]:
        """Yield all regular files; hostile or useless names are left out with a warning."""
        ...

    def open(self, member: Member) -> BinaryIO:
        """Open a member for reading and seeking."""
        ...

    def stream(self, member: Member) -> BinaryIO:
        """Open a member for reading it once, from begin to end, whatever its size; see `chunks`."""
        ...

    def close(self) -> None:
        """Give handles back; the next `open` takes them again."""
        ...


def open_source(path: Path) -> Source:
    """Return the reader for a folder or an archive.

    Raises
    ------
    CorpusError
        If the path is missing or is a file that is not one of the known archives.
    """
    if path.is_dir():
        return Folder(path)
    if not path.exists():
        raise CorpusError(f"{path} does not exist: pass the corpus' folder or archive")
    suffix = archive_suffix(path)
    if suffix in TAR + TAR_GZ + TAR_BZ2:
        return Tar(path)
    if suffix in ZIP:
        return Zip(path)
    raise CorpusError(f"{path} is neither a folder nor an archive: expected one of {list(ARCHIVES)}")


def archive_suffix(path: Path) -> str | None:
    """Return which of `ARCHIVES` a file is, by its name, or for the first of several parts by its first bytes."""
    if first_part(path):  # x.tar.gz.partaa, but also vox1_dev_wav_partaa, which is a zip
        with path.open("rb") as file:
            head = file.read(4)
        return next((suffix for magic, suffix in MAGIC.items() if head.startswith(magic)), TAR[0])
    name = path.name.lower()
    return next((suffix for suffix in ARCHIVES if name.endswith(suffix)), None)


def chunks(source: Source, member: Member) -> Iterator[bytes]:
    """Yield a member's bytes in parts, so that memory does not depend on its size.

    Raises
    ------
    MemberError
        If it cannot be read or does not have the size that the index knows.
    """
    count = 0
    try:
        with source.stream(member) as file:
            while data := file.read(CHUNK):
                count += len(data)
                yield data
    except DAMAGE as error:
        raise unreadable(f"{source.path.name}: {member.name}", error) from None
    if count != member.size:
        raise unreadable(f"{source.path.name}: {member.name}", EOFError(f"{count} of {member.size} bytes"))


class Folder:
    """A folder; symbolic links are followed, except into a folder that holds them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()

    def fingerprint(self) -> str:
        """Return a hash of every file's name, size and modification time."""
        found = walk(self.path)
        return digest((relative, status.st_size, status.st_mtime_ns) for relative, status in found)

    def scan(self) -> Iterator[Member]:
        """Yield the files in the order of their names."""
        for position, (relative, status) in enumerate(walk(self.path, logging.DEBUG)):  # `fingerprint` warns
            if admitted(relative, self.path):
                yield Member(printable(relative), os.fsencode(relative), status.st_size, position)

    def open(self, member: Member) -> BinaryIO:
        """Open the file."""
        try:
            return (self.path / os.fsdecode(member.path)).open("rb")
        except OSError as error:
            raise unreadable(member.name, error) from None

    stream = open

    def close(self) -> None:
        """Do nothing: a folder holds no handle."""


class _Archive:
    """What all archives share: identity by name, size and time, and handles that survive pickling."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        self._handle: Any = None

    def fingerprint(self) -> str:
        """Return a hash of the archive's name, size and modification time, of all its parts."""
        states = [(path.name, path.stat()) for path in parts_of(self.path)]
        return digest(value for name, status in states for value in (name, status.st_size, status.st_mtime_ns))

    def close(self) -> None:
        """Close the archive; an open rapidgzip reader aborts the interpreter at its exit."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

    def _opened(self) -> Any:
        if self._handle is None:
            self._handle = self._open_handle()
            _OPEN.add(self)
        return self._handle

    def _forget(self) -> None:
        if self._handle is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._handle))  # so that it is never destroyed here
            self._handle = None

    def _whole(self) -> BinaryIO | None:
        """Return the parts as one file, or None where the archive is one file."""
        parts = parts_of(self.path)
        return Joined.open(parts) if len(parts) > 1 else None

    def _open_handle(self) -> Any:
        raise NotImplementedError

    def _bounded(self, members: Iterator[Member]) -> Iterator[Member]:
        """Pass the members on until they unpack to more than any corpus does."""
        limit = max(BOMB_BYTES, BOMB_RATIO * sum(path.stat().st_size for path in parts_of(self.path)))
        total = 0
        for member in members:
            total += member.size
            if total > limit:
                raise CorpusError(
                    f"{self.path} unpacks to more than {limit / 1e9:.1f} GB, {BOMB_RATIO} times its size: it is no "
                    "corpus, leave it alone"
                )
            yield member

    def _damaged(self, error: Exception) -> CorpusError:
        return CorpusError(f"{self.path} is damaged or truncated ({error}): fetch it again")


class Tar(_Archive):
    """A tar, compressed with gzip or bzip2 or not; both are read at random through rapidgzip's seek points."""

    def scan(self) -> Iterator[Member]:
        """Read the whole archive and yield its files in their order in the archive, hard links after all others."""
        handle = self._opened()
        try:
            yield from self._bounded(self._members(handle))
        except (tarfile.TarError, EOFError, OSError, RuntimeError, ValueError) as error:
            raise self._damaged(error) from None
        if self._compression is not None:
            with writing(self._seek_points) as path:
                self._compression.store(handle, path)

    def open(self, member: Member) -> BinaryIO:
        """Read the member into memory: members are utterances or texts; a larger one is read where it lies."""
        if member.size > IN_MEMORY:
            return io.BufferedReader(Window(self._opened(), member.position, member.size), CHUNK)
        handle = self._opened()
        try:
            handle.seek(member.position)
            data = handle.read(member.size)
        except (OSError, RuntimeError, ValueError) as error:
            raise unreadable(f"{self.path.name}: {member.name}", error) from None
        if len(data) < member.size:
            error = EOFError(f"it ends after {len(data)} of {member.size} bytes")
            raise unreadable(f"{self.path.name}: {member.name}", error)
        return io.BytesIO(data)

    def stream(self, member: Member) -> BinaryIO:
        """Open the member where it lies."""
        return Window(self._opened(), member.position, member.size)

    def _members(self, handle: Any) -> Iterator[Member]:
        for name, size, offset in tar_members(handle, self.path, self.left_out):
            yield Member(name, b"", size, offset)

    @property
    def _compression(self) -> type[Gzip] | type[Bzip2] | None:
        suffix = archive_suffix(self.path)
        return Gzip if suffix in TAR_GZ else Bzip2 if suffix in TAR_BZ2 else None

    @property
    def _seek_points(self) -> Path:
        return cache_dir("seekpoints") / f"{self.path.name}-{self.fingerprint()}"

    def _open_handle(self) -> Any:
        whole = self._whole()
        if self._compression is None:
            return whole or self.path.open("rb")
        # What it reads ahead in threads is gigabytes where everything is zeros; a small archive gains little by it.
        small = sum(path.stat().st_size for path in parts_of(self.path)) < SMALL
        handle = self._compression.open(whole or str(self.path), 1 if small else os.cpu_count() or 1)
        if self._seek_points.exists():
            self._compression.restore(handle, self._seek_points)
        return handle


class Zip(_Archive):
    """A zip, read through its central directory."""

    def scan(self) -> Iterator[Member]:
        """Yield the files in their order in the archive."""
        yield from self._bounded(self._members())

    def _members(self) -> Iterator[Member]:
        for info in sorted(self._opened().infolist(), key=lambda info: info.header_offset):
            if info.is_dir():
                continue
            if not admitted(info.filename, self.path):
                if not litter(info.filename):
                    self.left_out[KINDS["name"]] += 1
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                logger.warning("%s: member %r is a link: left out", self.path.name, info.filename)
                self.left_out[KINDS["link"]] += 1
                continue
            yield Member(printable(info.filename), info.filename.encode(), info.file_size, info.header_offset)

    def open(self, member: Member) -> BinaryIO:
        """Read the member into memory, with its checksum checked; a larger one is unpacked as it is read."""
        name = f"{self.path.name}: {member.name}"
        try:
            if member.size > IN_MEMORY:
                return io.BufferedReader(Guarded(self.stream(member), name), CHUNK)
            return io.BytesIO(self._opened().read(member.path.decode()))
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError) as error:
            raise unreadable(name, error) from None
        except RuntimeError as error:  # encrypted, or compressed by a method of its own
            raise CorpusError(f"{self.path} can't be read ({error}): unpack it and pass the folder") from None

    def stream(self, member: Member) -> BinaryIO:
        """Open the member; its checksum is checked where it ends."""
        return self._opened().open(member.path.decode())

    def _open_handle(self) -> zipfile.ZipFile:
        try:
            handle = zipfile.ZipFile(self._whole() or self.path)
            if not first_part(self.path):
                place_members(handle, [part.stat().st_size for part in parts_of(self.path)])
        except (zipfile.BadZipFile, ValueError, struct.error) as error:  # ValueError: a name that is not UTF-8
            raise self._damaged(error) from None
        except NotImplementedError as error:
            raise CorpusError(f"{self.path} can't be read ({error}): unpack it and pass the folder") from None
        return handle


_OPEN: weakref.WeakSet[_Archive] = weakref.WeakSet()


@atexit.register
def close_all() -> None:
    """Close what is still open before the interpreter ends."""
    for archive in list(_OPEN):
        archive.close()


def _forget_all() -> None:
    # In a forked child: file offsets are shared with the parent, and the threads of its rapidgzip readers don't
    # exist, so that even closing one would abort. Everything is opened anew.
    for archive in list(_OPEN):
        archive._forget()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_all)
