"""A corpus' files, in a folder, in archives or in both, behind one interface."""

from __future__ import annotations

import codecs
import fnmatch
import io
import logging
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tqdm.auto import tqdm

from builders.archives import Member, Source, archive_suffix, open_source
from builders.cache import cache_dir, digest, writing
from builders.damage import DAMAGE, unreadable
from builders.errors import CorpusError
from builders.nested import Nested
from builders.parquet import Shards

logger = logging.getLogger(__name__)

INDEX_VERSION = 2
PARQUET = ".parquet"
LARGEST = 4_000_000_000  # bytes of a recording: reading one is holding it in memory
ARCHIVE_DEPTH = 2  # archives lie in the folder that the user names, or in a folder of it
SCHEMA = """
CREATE TABLE members (name TEXT PRIMARY KEY, source INTEGER, path BLOB, size INTEGER, position INTEGER) WITHOUT ROWID;
CREATE TABLE left_out (source INTEGER, kind TEXT, members INTEGER);
"""
# An archive may hold a name twice (`tar -r`): the last one counts, as it does when it is unpacked. What is unpacked
# already has a path of its own and goes before what lies in a tar.
ENTER = """
INSERT INTO members VALUES (?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
    size = excluded.size, position = excluded.position WHERE source = excluded.source AND path = excluded.path
"""


class Files:
    """The members of a corpus, by name, wherever they lie.

    Members are indexed once in SQLite, on disk: nothing here grows with the corpus. Where the
    folder and an archive hold the same name, the folder's file is taken.

    path : path of a folder or of one archive
    archives : sequence of str
        Patterns of the archives' file names, any case. One archive given as `path` may have any name.
        A pattern with a slash, e.g. ``wav/S*.tar.gz``, is one of tars inside the corpus, which count as unpacked,
        or of Parquet shards, e.g. ``eval/*.parquet``, which count as the files and the rows in them.
    placed : sequence of str
        Patterns of paths below `path` of archives, e.g. ``*/audio/train.tar.gz``, whose members count as unpacked in
        the folder that the archive lies in.
    root : str
        Regular expression of what comes before the corpus' own paths, cut off each name, so that
        a member has the same name whether the user points at the top folder or at the one above.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        archives: Sequence[str] = (),
        placed: Sequence[str] = (),
        root: str = "",
    ) -> None:
        self.path = Path(path).absolute()
        self.root = root
        self.sources: list[Source] = [open_source(self.path)]
        self._above: dict[Path, str] = {}  # folders that placed archives lie in, with their slash
        if self.path.is_dir():
            there = {found for pattern in placed for found in self.path.glob(f"**/{pattern}")}
            self._above = {path: f"{path.parent.relative_to(self.path).as_posix()}/" for path in there}
            found = {*find_archives(self.path, archives), *there}
            self.sources += [open_source(archive) for archive in sorted(found)]
        inside = sorted(pattern for pattern in archives if "/" in pattern)
        if tars := [pattern for pattern in inside if not pattern.endswith(PARQUET)]:
            self.sources = [Nested(source, tars) for source in self.sources]
        if tables := [pattern for pattern in inside if pattern.endswith(PARQUET)]:
            self.sources = [Shards(source, tables) for source in self.sources]
        self.fingerprint = digest([INDEX_VERSION, root, *inside, *(source.fingerprint() for source in self.sources)])
        self._connection: sqlite3.Connection | None = None
        self._process = 0

    def names(self, pattern: str = "*", *, fold_case: bool = False) -> Iterator[str]:
        """Yield the members' names that match a glob pattern (``*`` crosses slashes), sorted.

        `fold_case` sorts ``sa1.wav`` beside ``SA1.PHN``; the pattern keeps its case.
        """
        order = "name COLLATE NOCASE, name" if fold_case else "name"
        rows = self._index().execute(f"SELECT name FROM members WHERE name GLOB ? ORDER BY {order}", (pattern,))
        return (name for (name,) in rows)

    def match(self, pattern: str, *, fold_case: bool = False) -> Iterator[re.Match[str]]:
        """Yield a match for each member whose whole name matches a regular expression, sorted by name."""
        compiled = re.compile(pattern)
        return (found for name in self.names(fold_case=fold_case) if (found := compiled.fullmatch(name)))

    def members(self) -> Iterator[Member]:
        """Yield all members in the order in which reading them is cheapest."""
        rows = self._index().execute("SELECT name, path, size, position FROM members ORDER BY source, position")
        return (Member(*row) for row in rows)

    def count(self) -> tuple[int, int]:
        """Return the number of members and the sum of their bytes."""
        members, size = self._index().execute("SELECT COUNT(*), SUM(size) FROM members").fetchone()
        return members, size or 0

    def left_out(self) -> dict[str, int]:
        """Return how many members are not in the index although the archives hold them, by their kind."""
        query = "SELECT kind, SUM(members) FROM left_out GROUP BY kind ORDER BY kind"
        return dict(self._index().execute(query).fetchall())

    @property
    def indexed(self) -> bool:
        """Tell whether the members are known from an earlier look: without it the next call reads all archives."""
        return self._database().exists()

    def place(self, name: str) -> tuple[int, int, int] | None:
        """Return (source, position, size in bytes) of a member, or None: what sorts and weighs a listing."""
        row = self._row(name)
        return None if row is None else (row[0], row[3], row[2])

    def __contains__(self, name: str) -> bool:
        return self._row(name) is not None

    def open(self, name: str) -> BinaryIO:
        """Open a member for reading.

        Raises
        ------
        CorpusError
            If there is no such member, or the archive that holds it is damaged.
        """
        row = self._row(name)
        if row is None:
            raise CorpusError(f"{name} is not in {self.path}")
        return self.sources[row[0]].open(Member(name, *row[1:]))

    def read(self, name: str) -> bytes:
        """Return a member's bytes.

        Raises
        ------
        MemberError
            If it cannot be read, does not have its size, or is larger than any recording.
        """
        place = self.place(name)
        if place is not None and place[2] > LARGEST:
            error = ValueError(f"{place[2] / 1e9:.1f} GB, more than a recording can have")
            raise unreadable(name, error)
        with self.open(name) as file:
            try:
                data = file.read()
            except DAMAGE as error:  # a bad block, a network disk that went away, a packed archive that is damaged
                raise unreadable(name, error) from None
        # What lies in Parquet shards is listed with the average of its rows.
        if place is not None and len(data) != place[2] and not isinstance(self.sources[place[0]], Shards):
            raise unreadable(name, EOFError(f"{len(data)} of {place[2]} bytes"))
        return data

    def on_disk(self, name: str) -> Path | None:
        """Return where a member is a file of its own, None if it lies in an archive."""
        with self.open(name) as file:
            return Path(file.name) if isinstance(getattr(file, "raw", None), io.FileIO) else None

    def read_text(self, name: str, encoding: str = "utf-8-sig") -> str:
        """Return a member's text; a byte order mark is dropped, or says that it is UTF-16; bad bytes are replaced."""
        data = self.read(name)
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as Praat writes what is not ASCII
        return data.decode("utf-16" if wide else encoding, "replace")

    def lines(self, name: str, encoding: str = "utf-8-sig") -> Iterator[str]:
        """Yield a member's lines without their ends and without empty ones."""
        with io.TextIOWrapper(self.open(name), encoding=encoding, errors="replace") as text:
            try:
                yield from (stripped for line in text if (stripped := line.rstrip("\r\n")))
            except DAMAGE as error:
                raise unreadable(name, error) from None

    def summary(self) -> str:
        """Say in a few words what is there, for messages."""
        count = self._index().execute("SELECT COUNT(*) FROM members").fetchone()[0]
        names = [name for (name,) in self._index().execute("SELECT name FROM members ORDER BY name LIMIT 3")]
        return f"{count} files ({', '.join(names)}{', ...' if count > 3 else ''})" if count else "no files"

    def close(self) -> None:
        """Give all handles back."""
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()
        self._connection = None
        for source in self.sources:
            source.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_connection": None}

    def _row(self, name: str) -> tuple[int, bytes, int, int] | None:
        query = "SELECT source, path, size, position FROM members WHERE name = ?"
        return self._index().execute(query, (name,)).fetchone()

    def _index(self) -> sqlite3.Connection:
        if self._connection is None or self._process != os.getpid():
            database = self._database()
            if not database.exists():
                self._build(database)
            # immutable: no locks, so any number of processes reads it, on network disks as well
            self._connection = sqlite3.connect(f"{database.as_uri()}?immutable=1", uri=True, check_same_thread=False)
            self._process = os.getpid()
        return self._connection

    def _database(self) -> Path:
        return cache_dir("indices") / f"{self.path.name}-{self.fingerprint}.sqlite"

    def _build(self, database: Path) -> None:
        with writing(database) as path:
            connection = sqlite3.connect(path)
            try:
                connection.execute("PRAGMA journal_mode=OFF")
                connection.execute("PRAGMA synchronous=OFF")
                connection.executescript(SCHEMA)
                for number, source in enumerate(self.sources):
                    source.left_out.clear()
                    connection.executemany(ENTER, self._rows(number, source))
                    kinds = ((number, *kind) for kind in source.left_out.items())
                    connection.executemany("INSERT INTO left_out VALUES (?, ?, ?)", kinds)
                connection.commit()
            finally:
                connection.close()
                self._close_sources()

    def _rows(self, number: int, source: Source) -> Iterator[tuple[str, int, bytes, int, int]]:
        label = f"Indexing {source.path.name}"
        # A short scan shows no bar.
        for member in tqdm(source.scan(), desc=label, unit=" members", delay=2, mininterval=1):
            above = self._above.get(source.path, "").removeprefix("./")
            name = self._name(f"{above}{member.name}", source.path)
            yield name, number, member.path, member.size, member.position

    def _name(self, name: str, source: Path) -> str:
        # The user may point into the corpus: the folder's own name can be the part that tells the split.
        within = f"{self.path.name}/{name}" if source.is_dir() or source in self._above else name
        found = re.match(self.root, within) if self.root else None
        return within[found.end() :] if found else name

    def _close_sources(self) -> None:
        for source in self.sources:
            source.close()


def find_archives(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Yield the archives in a folder, and one folder below it, whose names match one of the patterns."""
    levels = ["/".join(["*"] * depth) for depth in range(1, ARCHIVE_DEPTH + 1)]
    for path in (path for level in levels for path in folder.glob(level)):
        name = path.name.lower()
        known = any(fnmatch.fnmatch(name, pattern.lower()) for pattern in patterns)
        if known and path.is_file() and archive_suffix(path):
            yield path
