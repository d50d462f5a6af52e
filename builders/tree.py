"""A cached look at a folder of any size: who looks a second time pays for the folders, not for their files.

A folder's modification time tells whether files were added to it, removed or renamed since the last look; it does not
tell of a file that was changed in place. What deletes anything looks at the files themselves.
"""

from __future__ import annotations

import bisect
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from builders.cache import absolute, cache_dir, digest
from builders.member_names import printable
from builders.recognise import AUDIO
from builders.walk import pass_over

VERSION = 3
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".zip", "partaa", "part00")
UNFINISHED = (".part", ".incomplete", ".crdownload", ".aria2")  # what programs call a file that they still fetch
SEEN = (".run", ".cache")  # of the folders whose names begin with a dot: runs, and the Hub's cache
RACY = 2_000_000_000  # ns: a folder changed so shortly before the look may change again within the same tick
# What is asked of millions of files is summed up in each folder: files, bytes, recordings, unfinished ones, newest.
SCHEMA = """
CREATE TABLE IF NOT EXISTS folders
    (id INTEGER PRIMARY KEY, path TEXT UNIQUE, parent INTEGER, changed INTEGER, inode TEXT,
     sums TEXT DEFAULT '0 0 0 0 0');
CREATE TABLE IF NOT EXISTS files
    (folder INTEGER, name TEXT, size INTEGER, changed INTEGER, PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS archives (folder INTEGER, name TEXT, size INTEGER, changed INTEGER);
CREATE INDEX IF NOT EXISTS by_name ON files (name);
CREATE INDEX IF NOT EXISTS by_parent ON folders (parent);
CREATE INDEX IF NOT EXISTS by_folder ON archives (folder);
"""


class File(NamedTuple):
    """A file as the last look found it: its path below the top, bytes, and time of its last change in ns."""

    path: str
    size: int
    changed: int


class Total(NamedTuple):
    """Numbers of files, and the bytes of all of them."""

    files: int
    bytes: int
    recordings: int
    unfinished: int


class Tree:
    """The files below a folder, links followed, hidden folders left out but for `SEEN`.

    Parameters
    ----------
    top : path
        What was found there at the last look is kept beside the datasets cache.
    """

    def __init__(self, top: str | os.PathLike[str]) -> None:
        self.top = absolute(top)
        name = f"{self.top.name}-{digest([VERSION, str(self.top)])}.sqlite"
        self._db = sqlite3.connect(cache_dir("trees") / name, timeout=60)  # seconds: another look may go on
        self._db.execute("PRAGMA synchronous=OFF")  # what is lost is looked up again
        self._db.executescript(SCHEMA)
        self.read = 0
        self._ids: dict[str, int] = {}
        self._times: dict[str, int] = {}
        with self._db:
            self._look()
        self._order = sorted(self._ids)
        rows = self._db.execute("SELECT path, sums FROM folders")
        self._sums = {path: [int(number) for number in sums.split()] for path, sums in rows}

    def close(self) -> None:
        """Close the cache."""
        self._db.close()

    def folders(self, below: str = "") -> Sequence[str]:
        """Return the folders at and below a path, sorted; the top is the empty string."""
        if not below:
            return self._order
        first, last = bisect.bisect_left(self._order, f"{below}/"), bisect.bisect_left(self._order, f"{below}0")
        return [below, *self._order[first:last]] if below in self._ids else []

    def files(self, folder: str, limit: int = -1) -> list[File]:
        """Return the files of one folder, sorted by name, `limit` at most."""
        query = "SELECT name, size, changed FROM files WHERE folder = ? ORDER BY name LIMIT ?"
        rows = self._db.execute(query, (self._ids[folder], limit))
        return [File(f"{folder}/{name}" if folder else name, size, changed) for name, size, changed in rows]

    def named(self, name: str, limit: int = 50) -> list[File]:
        """Return the files of a base name, wherever they lie."""
        query = "SELECT path, size, files.changed FROM files JOIN folders ON folder = id WHERE name = ? LIMIT ?"
        rows = self._db.execute(query, (name, limit)).fetchall()
        return [File(f"{folder}/{name}" if folder else name, size, changed) for folder, size, changed in rows]

    def archives(self) -> list[File]:
        """Return the files that are archives by their names, or are still being fetched, sorted by path."""
        rows = self._db.execute("SELECT path, name, size, archives.changed FROM archives JOIN folders ON folder = id")
        return sorted(File(f"{folder}/{name}" if folder else name, *rest) for folder, name, *rest in rows)

    def size(self, path: str) -> int | None:
        """Return a file's bytes, None where there is no such file."""
        folder, _, name = path.rpartition("/")
        if (number := self._ids.get(folder)) is None:
            return None
        row = self._db.execute("SELECT size FROM files WHERE folder = ? AND name = ?", (number, name)).fetchone()
        return row and row[0]

    def total(self, below: str = "") -> Total:
        """Return what the files at and below a folder are together."""
        return Total(*np.sum([self._sums[path][:4] for path in self.folders(below)] or [[0] * 4], axis=0).tolist())

    def signature(self, folders: Sequence[str]) -> str:
        """Return what changes when a file at or below one of the folders appears, goes or gets another name."""
        return digest((str(self.top / path), self._times[path]) for folder in folders for path in self.folders(folder))

    def newest(self, folders: Sequence[str]) -> int:
        """Return when the last file at or below the folders was changed, in ns."""
        return max((self._sums[path][4] for folder in folders for path in self.folders(folder)), default=0)

    def _look(self) -> None:
        self._db.execute("INSERT OR IGNORE INTO folders (path, changed) VALUES ('', -1)")
        stack: list[tuple[str, tuple[tuple[int, int], ...]]] = [("", ())]
        while stack:
            path, above = stack.pop()
            try:
                status = (self.top / path).stat()
            except OSError:
                continue
            here = (status.st_dev, status.st_ino)
            if here in above:  # a link back to where we came from
                continue
            row = "SELECT id, changed, inode FROM folders WHERE path = ?"
            number, changed, inode = self._db.execute(row, (path,)).fetchone()
            if (changed, inode) != (status.st_mtime_ns, repr(here)):
                self._read(path, number, status.st_mtime_ns, repr(here))
            self._ids[path], self._times[path] = number, status.st_mtime_ns
            below = self._db.execute("SELECT path FROM folders WHERE parent = ?", (number,))
            stack += [(child, (*above, here)) for (child,) in below]
        self._forget()

    def _read(self, path: str, number: int, changed: int, inode: str) -> None:
        """Read one folder anew."""
        self.read += 1
        kept = changed if time.time_ns() - changed > RACY else -1
        folders, files = _entries(self.top / path)
        self._db.execute("DELETE FROM files WHERE folder = ?", (number,))
        self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", ((number, *file) for file in files))
        self._db.execute("UPDATE folders SET parent = NULL WHERE parent = ?", (number,))
        children = [(f"{path}/{name}" if path else name, number) for name in folders]
        enter = (
            "INSERT INTO folders (path, parent, changed) VALUES (?, ?, -1) "
            "ON CONFLICT (path) DO UPDATE SET parent = excluded.parent"
        )
        self._db.executemany(enter, children)
        marked = [(number, *file) for file in files if file[0].lower().endswith((*ARCHIVES, *UNFINISHED))]
        self._db.execute("DELETE FROM archives WHERE folder = ?", (number,))
        self._db.executemany("INSERT INTO archives VALUES (?, ?, ?, ?)", marked)
        update = "UPDATE folders SET changed = ?, inode = ?, sums = ? WHERE id = ?"
        self._db.execute(update, (kept, inode, _summed(files), number))

    def _forget(self) -> None:
        """Let go of the folders that are not there any more."""
        known = self._db.execute("SELECT id, path FROM folders").fetchall()
        gone = [(number,) for number, path in known if path not in self._ids]
        self._db.executemany("DELETE FROM files WHERE folder = ?", gone)
        self._db.executemany("DELETE FROM archives WHERE folder = ?", gone)
        self._db.executemany("DELETE FROM folders WHERE id = ?", gone)


def _summed(files: Sequence[tuple[str, int, int]]) -> str:
    names = [name.lower() for name, _, _ in files]
    numbers = (
        len(files),
        sum(size for _, size, _ in files),
        sum(name.endswith(AUDIO) for name in names),
        sum(name.endswith(UNFINISHED) for name in names),
        max((changed for _, _, changed in files), default=0),
    )
    return " ".join(map(str, numbers))


def _entries(folder: Path) -> tuple[list[str], list[tuple[str, int, int]]]:
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = printable(entry.name)
                try:
                    if entry.is_dir():
                        folders += [name] if name == entry.name and (name in SEEN or not name.startswith(".")) else []
                    elif entry.is_file():  # a broken link is neither
                        status = entry.stat()
                        files.append((name, status.st_size, status.st_mtime_ns))
                except OSError as error:
                    pass_over(entry, error)
    except PermissionError:
        pass
    return folders, files
