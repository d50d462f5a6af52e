"""Names of files in folders and archives: which may be read, and how those that are not UTF-8 are written."""

from __future__ import annotations

import logging
import re
from pathlib import Path, PurePosixPath

logger = logging.getLogger(__name__)

# Only bytes that UTF-8 may lack, and the backslash: no name becomes a path by it.
ESCAPED = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def printable(name: str) -> str:
    r"""Return the name in UTF-8, so that it can be stored: the byte 0xE9 of a name in Latin-1 becomes ``\xe9``.

    No two names give the same one: what a name has of itself that looks like this, ``\xe9``, becomes ``\x5cxe9``.
    """
    if "\\" in name:
        name = ESCAPED.sub(lambda found: f"\\x5cx{found[1]}", name)
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def original(name: str) -> str:
    """Return the file name that `printable` was given, with which the file system knows it."""
    if "\\" not in name:
        return name
    data = re.sub(ESCAPED.pattern.encode(), lambda found: bytes([int(found[1], 16)]), name.encode())
    return data.decode("utf-8", "surrogateescape")


def admitted(name: str, where: Path) -> bool:
    """Tell whether a member may be read: no way out of the archive, no litter of a file manager."""
    parts = PurePosixPath(name).parts
    if name.startswith(("/", "\\")) or ".." in parts or (parts and parts[0].endswith(":")):
        logger.warning("%s: member %r points out of the archive: left out", where.name, printable(name)[:200])
        return False
    return bool(parts) and not _litter(parts)


def litter(name: str) -> bool:
    """Tell whether a file manager left the file, or it has no name at all: nothing is lost with it."""
    parts = PurePosixPath(name).parts
    return not parts or _litter(parts)


def _litter(parts: tuple[str, ...]) -> bool:
    return parts[-1].startswith("._") or parts[-1] == ".DS_Store" or "__MACOSX" in parts
