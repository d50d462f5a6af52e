"""Sources whose members of some names are taken for what is in them: tars of speakers, shards of Parquet."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from builders.archives import Member, Source


class Inner:
    """What `Nested` and `Shards` share; one opened member is held in memory at a time.

    Parameters
    ----------
    source : Source
        What holds them.
    patterns : sequence of str
        Of their names, below any folder.
    """

    def __init__(self, source: Source, patterns: Sequence[str]) -> None:
        self.source = source
        self.path: Path = source.path
        self.left_out = source.left_out  # what is left out of the inner ones is counted with it
        self.patterns = [f"*/{pattern}" for pattern in patterns]
        self._held: Any = None

    def scan(self) -> Iterator[Member]:
        """Yield the plain members, then what is inside the others, so that what is unpacked already comes first."""
        position = 0
        holders = {}  # of those of one name the last
        for member in self.source.scan():
            position = max(position, member.position)
            if self._holds(member):
                holders[member.name] = member
            else:
                yield member
        for holder in holders.values():
            for found in self._members(holder):
                position += 1
                yield found._replace(position=position)

    def open(self, member: Member) -> BinaryIO:
        """Open a member."""
        raise NotImplementedError

    def stream(self, member: Member) -> BinaryIO:
        """Open a member to be read from its beginning; what is inside another is in memory already."""
        return self.open(member) if self._inside(member) else self.source.stream(member)

    def close(self) -> None:
        """Give handles and memory back."""
        self._held = None
        self.source.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": None}

    def _members(self, holder: Member) -> Iterator[Member]:
        """Yield what is inside a member, in its order; positions are given by `scan`."""
        raise NotImplementedError

    def _inside(self, member: Member) -> bool:
        raise NotImplementedError

    def _holds(self, member: Member) -> bool:
        # The user may point at the folder that holds them: its name counts.
        name = f"/{self.path.name}/{member.name}"
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.patterns)
