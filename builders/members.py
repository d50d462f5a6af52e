"""An archive's members beside the files that were unpacked from it."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from builders.archives import Member
from builders.cache import cache_dir, digest, writing
from builders.files import INDEX_VERSION
from builders.tree import File, Tree

PROBES = 8  # members by which the folder is found
GROUP_DEPTH = 2  # folders above the members whose state is remembered, e.g. LibriSpeech/dev-clean


class Place(NamedTuple):
    """Where an archive was unpacked: a folder below the top, and how many of the names' folders are left out."""

    folder: str
    strip: int


@dataclass
class Comparison:
    """How many members are there as the archive has them, and the first that is not.

    how : str
        ``look`` (the cached tree), ``sizes`` or ``bytes`` (the files themselves).
    at : int
        When it began, ns.
    groups : list of str
        Folders that hold the members, below the top.
    headless : int
        Recordings whose header cannot be read, in the archive as on the disk; looked for with ``bytes`` only.
    """

    members: int = 0
    bytes: int = 0
    missing: int = 0
    differing: int = 0
    first_missing: str = ""
    first_differing: str = ""
    headless: int = 0
    first_headless: str = ""
    how: str = "look"
    at: int = 0
    groups: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Tell whether every member is there."""
        return self.members > 0 and not self.missing and not self.differing

    def what(self) -> str:
        """Say in a few words what was found."""
        parts = [f"{self.members - self.missing - self.differing:,} of {self.members:,} files"]
        parts += [f"{self.missing:,} missing, e.g. {self.first_missing}"] if self.missing else []
        parts += [f"{self.differing:,} differ, e.g. {self.first_differing}"] if self.differing else []
        parts += [f"{self.headless:,} have no readable header, e.g. {self.first_headless}"] if self.headless else []
        return "; ".join(parts)


def stripped(name: str, strip: int) -> str:
    """Return a member's name without its first folders; a file that lies in fewer keeps its base name."""
    parts = name.split("/")
    return "/".join(parts[min(strip, len(parts) - 1) :])


def below(place: Place, name: str) -> str:
    """Return where a member lies, below the top."""
    within = stripped(name, place.strip)
    return f"{place.folder}/{within}" if place.folder else within


def locate(head: Sequence[tuple[str, int]], named: Callable[[str], Iterable[File]]) -> Place | None:
    """Find where an archive was unpacked, by some of its first members, None where it was not.

    Parameters
    ----------
    head : sequence of (name, bytes)
    named : callable
        Gives the files of a base name.
    """
    deepest = sorted(head, key=lambda member: -member[0].count("/"))[:PROBES]
    votes: Counter[Place] = Counter()
    for name, size in deepest:
        parts = name.split("/")
        for file in named(parts[-1]):
            common = _common(parts, file.path.split("/"))
            if common == len(parts) or common > 1 or file.size == size:
                folder = "/".join(file.path.split("/")[:-common])
                votes[Place(folder, len(parts) - common)] += 2 + (file.size == size)
    return max(votes, key=lambda place: (votes[place], -place.strip, place.folder), default=None)


def compare(members: Iterable[Member], size_of: Callable[[str], int | None], place: Place) -> Comparison:
    """Compare presence and sizes; `size_of` gives the bytes of a path below the top, None where there is no file."""

    def same(member: Member, path: str) -> bool | None:
        size = size_of(path)
        return None if size is None else size == member.size

    return compared_by(members, same, place)


def compared_by(members: Iterable[Member], same: Callable[[Member, str], bool | None], place: Place) -> Comparison:
    """Compare by a function that tells of a member and a path whether they are the same, None where no file is."""
    found = Comparison(at=time.time_ns())
    groups = set()
    for member in members:
        groups.add("/".join(stripped(member.name, place.strip).split("/")[:-1][:GROUP_DEPTH]))
        found.members += 1
        found.bytes += member.size
        note(found, member.name, same(member, below(place, member.name)))
    found.groups = _grouped(groups, place.folder)
    return found


def note(found: Comparison, name: str, same: bool | None) -> None:
    """Enter a member that is the same, another, or (None) not there."""
    if same is None:
        found.missing += 1
        found.first_missing = found.first_missing or name
    elif not same:
        found.differing += 1
        found.first_differing = found.first_differing or name


def remember(archive: Path, fingerprint: str, place: Place, tree: Tree, found: Comparison) -> None:
    """Keep a comparison for the next `status`, of whatever folder above."""
    groups = [str(tree.top / group) for group in found.groups]
    record = {**asdict(found), "groups": groups, "state": [fingerprint, tree.signature(found.groups)]}
    with writing(_record(archive, place, tree)) as path:
        path.write_text(json.dumps(record))


def recall(archive: Path, fingerprint: str, place: Place, tree: Tree) -> Comparison | None:
    """Return what was found at the last look, None if archive or folders have changed since."""
    path = _record(archive, place, tree)
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    state = record.pop("state")
    groups = [os.path.relpath(group, tree.top) for group in record["groups"]]
    found = Comparison(**{**record, "groups": ["" if group == "." else group for group in groups]})
    return found if state == [fingerprint, tree.signature(found.groups)] else None


def _record(archive: Path, place: Place, tree: Tree) -> Path:
    compared = [INDEX_VERSION, str(archive), str(tree.top / place.folder), place.strip]
    return cache_dir("comparisons") / f"{digest(compared)}.json"


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many parts two paths have in common at their ends."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def _grouped(groups: set[str], folder: str) -> list[str]:
    # LibriSpeech itself changes whenever another part is unpacked into it: LibriSpeech/dev-clean is what counts.
    deeper = {"/".join(group.split("/")[:-1]) for group in groups if "/" in group}
    kept = sorted(group for group in groups if group not in deeper and group)
    return [f"{folder}/{group}" if folder else group for group in kept] or [folder]
