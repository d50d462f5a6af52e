"""A table of keys and values on disk: for joins that are too large for a dict."""

from __future__ import annotations

import itertools
import operator
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from builders.cache import cache_dir


class Lookup:
    """Values by key, in a temporary file that goes when the table is closed.

    pairs : iterable of (key, value)
        In any order; of two pairs with one key the first counts. Read as they come, never held.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=cache_dir("lookups"))
        self._connection = sqlite3.connect(Path(self._folder.name, "pairs.sqlite"))
        self._connection.execute("PRAGMA journal_mode=OFF")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute("CREATE TABLE pairs (key TEXT, value TEXT)")
        self._connection.executemany("INSERT INTO pairs VALUES (?, ?)", pairs)
        # Sorted once the table is full: a key that is inserted out of order costs a page each time.
        self._connection.execute("CREATE INDEX by_key ON pairs (key)")
        self._connection.commit()

    def get(self, key: str) -> str | None:
        """Return the value of a key, None if there is none."""
        query = "SELECT value FROM pairs WHERE key = ? ORDER BY rowid LIMIT 1"
        row = self._connection.execute(query, (key,)).fetchone()
        return None if row is None else row[0]

    def values(self, key: str) -> list[str]:
        """Return all values of a key in the order in which they came."""
        query = "SELECT value FROM pairs WHERE key = ? ORDER BY rowid"
        return [value for (value,) in self._connection.execute(query, (key,))]

    def groups(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each key, sorted, with its values in the order in which they came."""
        rows = self._connection.execute("SELECT key, value FROM pairs ORDER BY key, rowid")
        for key, group in itertools.groupby(rows, key=operator.itemgetter(0)):
            yield key, [value for _, value in group]

    def close(self) -> None:
        """Remove the table."""
        self._connection.close()
        self._folder.cleanup()

    def __enter__(self) -> Lookup:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
