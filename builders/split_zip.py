"""Zips in several parts (``.z01``, ``.z02``, ..., ``.zip``), read as one file."""

from __future__ import annotations

import itertools
import zipfile
from collections.abc import Sequence


def place_members(handle: zipfile.ZipFile, sizes: Sequence[int]) -> None:
    """Count the places of a split zip's members from its first disk on; `sizes` are those of the disks in bytes.

    The directory counts them from the disk that they begin on, and zipfile from the disk that the directory begins on.
    """
    if len(sizes) < 2:
        return
    starts = [0, *itertools.accumulate(sizes[:-1])]
    assumed = max(start for start in starts if start <= handle.start_dir)
    members = handle.infolist()
    if max((info.volume for info in members), default=0) >= len(starts):
        raise zipfile.BadZipFile("its directory names a part that there is not")
    for info in members:
        info.header_offset += starts[info.volume] - assumed
    end = handle.start_dir
    for info in sorted(members, key=lambda info: info.header_offset, reverse=True):
        if hasattr(info, "_end_offset"):  # by which later releases of Python tell members that overlap
            info._end_offset = end
        end = info.header_offset
