"""The files that were unpacked from an archive, looked at one by one: what verifying and deleting rest on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import soundfile
from tqdm.auto import tqdm

from builders.archives import Member, Source, chunks
from builders.errors import MemberError
from builders.files import Files
from builders.member_names import original, printable
from builders.members import Comparison, Place, below, compare, compared_by

HEADERS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph")


def by_sizes(files: Files, top: Path, place: Place) -> Comparison:
    """Compare presence and sizes with the files themselves."""

    def size_of(path: str) -> int | None:
        try:
            return (top / original(path)).stat().st_size
        except OSError:
            return None

    found = compare(_shown(files, "Comparing"), size_of, place)
    found.how = "sizes"
    return found


def by_bytes(files: Files, top: Path, place: Place) -> Comparison:
    """Compare every byte, and read the headers of the recordings."""
    headless = []

    def same(member: Member, path: str) -> bool | None:
        file = top / original(path)
        result = _same(files.sources[0], member, file)
        if result and path.lower().endswith(HEADERS) and not _header(file):
            headless.append(member.name)
        return result

    found = compared_by(_shown(files, "Comparing"), same, place)
    found.how, found.headless = "bytes", len(headless)
    found.first_headless = headless[0] if headless else ""
    return found


def changed_since(files: Files, top: Path, place: Place, at: int) -> str:
    """Return the first file that is gone or was touched at `at` (ns) or later, empty where there is none."""
    for member in files.members():
        path = top / original(below(place, member.name))
        try:
            status = path.stat()
        except OSError:
            return printable(str(path))
        # The time of the last change of content may be set by anyone; that of the last change of anything may not.
        if max(status.st_mtime_ns, status.st_ctime_ns) >= at or status.st_size != member.size:
            return printable(str(path))
    return ""


def _same(source: Source, member: Member, path: Path) -> bool | None:
    try:
        with path.open("rb") as file:
            if path.stat().st_size != member.size:
                return False
            return all(file.read(len(data)) == data for data in chunks(source, member))
    except FileNotFoundError:
        return None
    except (MemberError, OSError):  # what cannot be compared is not the same
        return False


def _header(path: Path) -> bool:
    try:
        with path.open("rb") as file:  # libsndfile takes no name that is not UTF-8
            return soundfile.info(file).frames >= 0
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        return False


def _shown(files: Files, what: str) -> Iterator[Member]:
    members, _ = files.count()
    return iter(tqdm(files.members(), desc=f"{what} {files.path.name}", total=members, unit=" files", delay=2))


def now() -> int:
    """Return the time in ns, later than any change that was made before."""
    time.sleep(0.02)  # the clock that file systems use lags behind by up to a tick
    return time.time_ns()
