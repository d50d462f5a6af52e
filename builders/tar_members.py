"""The files of a tar, hard links among them, and proof that it was read to its end."""

from __future__ import annotations

import logging
import tarfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from builders.member_names import admitted, litter, printable
from builders.tar_parts import Header

logger = logging.getLogger(__name__)

BLOCK = 512  # bytes: headers, and what data are filled up to
FILLED = 10_240 + 2 * BLOCK  # bytes of zeros that tar ends with: two blocks, filled up to a multiple of 10 KiB
RECORD = 1 << 20  # bytes of zeros that it may end with if it was made for a tape
KINDS = {
    "sparse": "sparse files",
    "link": "links or devices",
    "name": "names that point out of it",
    "zeros": "stretches of zeros at an end, in which members may be missing",
}


def tar_members(file: BinaryIO, where: Path, left_out: Counter[str]) -> Iterator[tuple[str, int, int]]:
    """Yield (name, bytes, offset of the data) of the files of a tar in their order, hard links after all others.

    A name may come more than once: what comes last is what unpacking leaves there.

    Parameters
    ----------
    file : file
        Not compressed, and as large as memory need not be.
    where : Path
        What messages call it.
    left_out : Counter
        Counts the members that are not yielded, by `KINDS`.

    Raises
    ------
    tarfile.TarError, EOFError
        If it is damaged, or does not end as a whole one does.
    """
    linked: dict[str, tuple[int, int] | None] = {}
    for info in _headers(file, where, left_out):
        if _stored(info):
            if admitted(info.name, where):
                yield printable(info.name).removeprefix("./"), info.size, info.offset_data
            elif not litter(info.name):
                left_out[KINDS["name"]] += 1
        elif info.islnk():
            linked[info.linkname.removeprefix("./")] = None
        elif not info.isdir():
            _leave_out(info, where, left_out)
    if linked:
        yield from _links(file, where, linked, left_out)


def _links(
    file: BinaryIO, where: Path, linked: dict[str, tuple[int, int] | None], left_out: Counter[str]
) -> Iterator[tuple[str, int, int]]:
    """Yield the hard links, each with the place of what its name stood for when it was packed.

    That is another look at all headers: so only what is linked need be held in memory.
    """
    found: dict[str, tuple[int, int]] = {}
    for info in _headers(file, where, left_out):
        name = info.name.removeprefix("./")
        place = (info.size, info.offset_data) if _stored(info) else None
        if info.islnk():
            place = linked[info.linkname.removeprefix("./")]
            if place is None:
                _leave_out(info, where, left_out)
            elif admitted(info.name, where):
                found[name] = place
            elif not litter(info.name):
                left_out[KINDS["name"]] += 1
        else:
            found.pop(name, None)  # packed again, as a file of its own
        if name in linked:
            linked[name] = place
    yield from ((printable(name), *place) for name, place in found.items())


def _headers(file: BinaryIO, where: Path, left_out: Counter[str]) -> Iterator[tarfile.TarInfo]:
    """Yield all headers, one at a time."""
    file.seek(0)
    with tarfile.open(fileobj=file, mode="r:", errorlevel=1, tarinfo=Header) as tar:
        for info in tar:
            tar.members = []  # tarfile keeps every header: ten million are gigabytes
            yield info
        end = tar.offset
    if (zeros := _zeros(file, end)) > FILLED:
        logger.warning("%s ends with %d bytes of zeros: members may be missing there", where.name, zeros)
        left_out[KINDS["zeros"]] = 1


def _zeros(file: BinaryIO, end: int) -> int:
    """Return with how many bytes of zeros a tar ends; if it does not end there, or otherwise, raise."""
    # To tarfile any block that is no header is the end: one with a wrong bit, zeros where data are missing.
    file.seek(end)
    rest = file.read(RECORD + 1)
    if len(rest) < BLOCK:
        raise EOFError("no end-of-archive marker")
    if rest[:BLOCK].strip(b"\0"):
        raise tarfile.ReadError(f"byte {end} should begin a member or the end, and does neither")
    if rest.strip(b"\0"):
        raise tarfile.ReadError(f"more follows its end at byte {end}: a hole, or one tar put behind another")
    if len(rest) > RECORD:
        raise tarfile.ReadError(f"only zeros from byte {end} on, more than end an archive")
    return len(rest)


def _stored(info: tarfile.TarInfo) -> bool:
    return info.isreg() and not info.issparse()  # what a sparse file holds does not lie there as it is


def _leave_out(info: tarfile.TarInfo, where: Path, left_out: Counter[str]) -> None:
    sparse = info.isreg()
    kind = "a sparse file" if sparse else "a link or a device"
    logger.warning("%s: member %r is %s: left out", where.name, printable(info.name)[:200], kind)
    left_out[KINDS["sparse" if sparse else "link"]] += 1
