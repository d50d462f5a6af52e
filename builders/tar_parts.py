"""What our reading of tars adds to `tarfile`: headers that stay small, and members that stay where they lie."""

from __future__ import annotations

import io
import tarfile
from typing import Any

HEADER_BYTES = 1 << 20  # of a name or of attributes; tarfile would read gigabytes of them into memory


class Header(tarfile.TarInfo):
    """A header of a tar that refuses names and attributes of a size that only an attack has."""

    def _proc_gnulong(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        return super()._proc_gnulong(self._checked(tar))

    def _proc_pax(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        return super()._proc_pax(self._checked(tar))

    def _checked(self, tar: tarfile.TarFile) -> tarfile.TarFile:
        if self.size > HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return tar


class Window(io.RawIOBase):
    """A part of a file as a file; the file may be moved between two reads.

    Parameters
    ----------
    handle
        The file.
    start, size : int
        Bytes.
    """

    def __init__(self, handle: Any, start: int, size: int) -> None:
        self._handle, self._start, self._size = handle, start, size
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place in the part."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """Return the place in the part."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Return up to `size` bytes, fewer only at the end."""
        left = max(0, self._size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if self._handle.tell() != self._start + self._position:
            self._handle.seek(self._start + self._position)
        data = self._handle.read(wanted) if wanted else b""
        self._position += len(data)
        return data

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill the buffer; fewer bytes only at the end."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
