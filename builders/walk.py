"""The files below a folder, links followed."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger(__name__)

# Of one entry: closed to us (lost+found), gone meanwhile, a link to itself. A disk that fails ends the look.
PASSED_OVER = (errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP)


def walk(folder: Path, level: int = logging.WARNING) -> Iterator[tuple[str, os.stat_result]]:
    """Yield path below the folder and status of each file, in the order of their names.

    level : int
        At which it is logged that an entry cannot be looked at; it is left out.

    Raises
    ------
    OSError
        If the folder itself cannot be read, or the disk fails.
    """
    yield from _walk(folder, "", (), level)


def _walk(
    folder: Path, prefix: str, above: tuple[tuple[int, int], ...], level: int
) -> Iterator[tuple[str, os.stat_result]]:
    here = folder.stat()
    if (here.st_dev, here.st_ino) in above:  # a link back to where we came from
        return
    above = (*above, (here.st_dev, here.st_ino))
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        try:
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", above, level)
            elif entry.is_file():  # a broken link is neither
                yield f"{prefix}{entry.name}", entry.stat()
        except OSError as error:
            pass_over(entry, error, level)


def pass_over(entry: os.DirEntry[str], error: OSError, level: int = logging.WARNING) -> None:
    """Log that an entry is left out, or raise the error if it is none of the entry's own."""
    if error.errno not in PASSED_OVER:
        raise error
    logger.log(level, "%r cannot be looked at (%s): left out", entry.path, error.strerror)
