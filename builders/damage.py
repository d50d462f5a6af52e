"""Damaged bytes: the errors with which the libraries that read them say so, and the one that users see."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from typing import BinaryIO

from builders.errors import MemberError

DAMAGE = (OSError, RuntimeError, ValueError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)


def unreadable(name: str, error: Exception) -> MemberError:
    """Return the error of a file that can't be read while the others can."""
    return MemberError(f"{name} cannot be read ({error}): fetch or extract it again")


class Guarded(io.RawIOBase):
    """A member of an archive that is unpacked as it is read; damage is a `MemberError` wherever it is met.

    Parameters
    ----------
    file : binary file
        Seekable; closed with this one.
    name : str
        For the message.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True; a seek back unpacks from the begin again."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place in the member."""
        try:
            return self._file.seek(offset, whence)
        except DAMAGE as error:
            raise unreadable(self._name, error) from None

    def tell(self) -> int:
        """Return the place in the member."""
        return self._file.tell()

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill the buffer as far as the member goes."""
        try:
            data = self._file.read(len(buffer))
        except DAMAGE as error:
            raise unreadable(self._name, error) from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the member."""
        self._file.close()
        super().close()
