"""Archives of a folder, and archives with members that no honest tool writes."""

from __future__ import annotations

import io
import itertools
import struct
import tarfile
import zipfile
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

CONTENT = {
    "a/one.txt": b"one",
    "a/b/two.bin": bytes(range(256)) * 40,
    "empty": b"",
    "dr1/SA1.WAV": b"RIFF",
    "ü.txt": b"u",
}
SUFFIXES = (".tar", ".tar.gz", ".tar.bz2", ".zip")
MODES = {"gz": "w:gz", "bz2": "w:bz2", "tbz2": "w:bz2", "tgz": "w:gz"}


def pack(folder: Path, archive: Path) -> Path:
    """Write a folder, itself included as the top folder, to a ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.zip``."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*")):
                packed.write(path, path.relative_to(folder.parent))
        return archive
    with tarfile.open(archive, MODES.get(archive.suffix[1:], "w")) as packed:
        packed.add(folder, folder.name)
    return archive


def tar_of(archive: Path, members: dict[str, bytes], *, special: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    """Write a tar of the named members, and of links or devices, with whatever names they have."""
    with tarfile.open(archive, MODES.get(archive.suffix[1:], "w")) as packed:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        for info in special:
            packed.addfile(info)
    return archive


def zip_of(archive: Path, members: dict[str, bytes]) -> Path:
    """Write a zip of the named members, with whatever names they have."""
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return archive


def split_zip(archive: Path, cuts: Sequence[int]) -> Path:
    """Cut a zip into ``x.z01``, ``x.z02``, ..., ``x.zip`` at byte positions, in place, as `zip -s` does; return it.

    The first part begins with the marker of a split zip. The directory says of each member on which disk it begins
    and where on that disk.
    """
    whole = b"PK\x07\x08" + archive.read_bytes()
    starts = [0, *cuts]
    end = whole.rindex(b"PK\x05\x06")
    first = struct.unpack_from("<I", whole, end + 16)[0] + 4  # of the directory
    made = bytearray(whole)

    def disk(place: int) -> tuple[int, int]:
        number = bisect_right(starts, place) - 1
        return number, place - starts[number]

    place = first
    while made[place : place + 4] == b"PK\x01\x02":
        number, offset = disk(struct.unpack_from("<I", made, place + 42)[0] + 4)
        struct.pack_into("<H", made, place + 34, number)
        struct.pack_into("<I", made, place + 42, offset)
        place += 46 + sum(struct.unpack_from("<HHH", made, place + 28))
    number, offset = disk(first)
    struct.pack_into("<HH", made, end + 4, len(cuts), number)
    struct.pack_into("<I", made, end + 16, offset)
    for index, (start, stop) in enumerate(itertools.pairwise([*starts, len(made)])):
        name = f"{archive.stem}.z{index + 1:02d}" if index < len(cuts) else archive.name
        archive.with_name(name).write_bytes(made[start:stop])
    return archive
