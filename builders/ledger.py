"""The ledger of a run: what it makes, and which of its shards are finished.

It lies in the output, on a local disk or an object store, so that the run goes on from any machine:

    OUT/.run/run.json             what decides the bytes, and how many shards there are
    OUT/.run/session.json         since when, and with how many workers, it runs now
    OUT/.run/shards/<name>.json   one finished shard: rows, seconds, bytes, checksum, quarantined recordings

Each file is written whole or not at all; an entry is written after its shard has its final name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from builders.cache import digest
from builders.errors import CorpusError
from builders.output import absolute_address, filesystem, get, put, size, sizes

FOLDER = ".run"
READERS = 16  # requests at once: an object store takes its time for each
WAITS = (1, 2, 4, 8, 16)  # seconds: a disk that machines share may show late what another one wrote


@dataclass(frozen=True)
class Entry:
    """A finished shard.

    name : str
        Of its file, below the output.
    rows, bytes : int
    seconds : float
        Of audio.
    sha256 : str
        Of the file.
    weight : float
        Its share of the work, as its task told.
    took, finished : float
        Seconds of work, and when it ended (Unix time).
    bad : list of (member, reason)
        Quarantined recordings.
    extra : dict
        What the job wants to keep of it, JSON.
    """

    name: str
    rows: int
    seconds: float
    bytes: int
    sha256: str
    weight: float
    took: float
    finished: float
    bad: list[tuple[str, str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """The state of a run in its output.

    Parameters
    ----------
    out : str
        Folder or address that fsspec knows (``s3://bucket/folder``).
    """

    def __init__(self, out: str | Path) -> None:
        self.out = absolute_address(out)
        self.fs, self.root = filesystem(out)
        self.entries: dict[str, Entry] = {}

    @property
    def hours(self) -> float:
        """Hours of audio in the finished shards."""
        return sum(entry.seconds for entry in self.entries.values()) / 3600

    @property
    def quarantined(self) -> int:
        """Number of recordings that were quarantined."""
        return sum(len(entry.bad) for entry in self.entries.values())

    @property
    def checksum(self) -> str:
        """Digest of all finished shards."""
        return digest(entry.sha256 for _, entry in sorted(self.entries.items()))

    def begin(self, identity: Mapping[str, Any], *, shards: int, weight: float, workers: int) -> None:
        """Begin a run or go on with it.

        Raises
        ------
        CorpusError
            If the output holds something else, or the same run begun with another configuration.
        """
        known = self._json("run.json")
        if known is None:
            self._check_empty()
            self._write("run.json", {"identity": dict(identity), "shards": shards, "weight": weight})
        else:
            self._check_same(known["identity"], json.loads(json.dumps(dict(identity))))
        self._write("session.json", {"begun": time.time(), "workers": workers})
        self.read()

    def read(self) -> None:
        """Read the entries; one whose file is gone or has another size does not count."""
        names = [name for name in sizes(self.fs, self._path("shards")) if name.endswith(".json")]
        with ThreadPoolExecutor(READERS) as readers:
            found = [values for values in readers.map(self._json, [f"shards/{name}" for name in names]) if values]
        entries = [Entry(**{**values, "bad": [tuple(pair) for pair in values["bad"]]}) for values in found]
        held = {folder: sizes(self.fs, f"{self.root}/{folder}") for folder in {_split(e.name)[0] for e in entries}}
        whole = [entry for entry in entries if held[_split(entry.name)[0]].get(_split(entry.name)[1]) == entry.bytes]
        self.entries = {entry.name: entry for entry in sorted(whole, key=lambda entry: entry.name)}

    def add(self, entry: Entry) -> None:
        """Enter a finished shard.

        Raises
        ------
        CorpusError
            If it is not in the output: it was made on a machine that has another disk there.
        """
        if not self._arrived(entry):
            raise CorpusError(
                f"{entry.name} was made, but is not in {self.out}: all workers must write to one place, "
                "a disk that their machines share or an object store"
            )
        self._write(f"shards/{entry.name.replace('/', '-')}.json", asdict(entry))
        self.entries[entry.name] = entry

    def status(self) -> dict[str, Any]:
        """Return how far the run is: shards, hours of audio, hours of audio per hour, seconds left, quarantined.

        Raises
        ------
        CorpusError
            If there is no run.
        """
        run, session = self._json("run.json"), self._json("session.json")
        if run is None or session is None:
            raise CorpusError(f"{self.out} is not the output of a run: expected {FOLDER}/run.json in it")
        self.read()
        done = list(self.entries.values())
        recent = [entry for entry in done if entry.finished >= session["begun"]]
        elapsed = max([entry.finished for entry in recent], default=session["begun"]) - session["begun"]
        speed = sum(entry.weight for entry in recent) / elapsed if elapsed > 0 else 0.0
        left = run["weight"] - sum(entry.weight for entry in done)
        seconds_left = 0.0 if len(done) == run["shards"] else left / speed if speed else None
        return {
            "shards": len(done),
            "of": run["shards"],
            "rows": sum(entry.rows for entry in done),
            "hours": self.hours,
            "bytes": sum(entry.bytes for entry in done),
            "rate": sum(entry.seconds for entry in recent) / elapsed if elapsed > 0 else None,
            "seconds_left": seconds_left,
            "quarantined": self.quarantined,
            "workers": session["workers"],
        }

    def _arrived(self, entry: Entry) -> bool:
        if size(self.fs, f"{self.root}/{entry.name}") == entry.bytes:
            return True
        folder, name = _split(entry.name)
        for wait in WAITS:  # listing a folder makes a network's disk look again
            time.sleep(wait)
            if sizes(self.fs, f"{self.root}/{folder}").get(name) == entry.bytes:
                return True
        return False

    def _check_empty(self) -> None:
        held = [name for name in sizes(self.fs, self.root) if name not in ("", FOLDER)]
        if held:
            raise CorpusError(f"{self.out} holds {held[0]} and is not the output of a run: choose another --out")

    def _check_same(self, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        other = sorted(name for name in {*begun, *now} if begun.get(name) != now.get(name))
        if other:
            told = "; ".join(f"{name} was {begun.get(name)!r}, is {now.get(name)!r} now" for name in other)
            raise CorpusError(f"{self.out} was begun otherwise: {told}. Go on as it was begun, or choose another --out")

    def _path(self, name: str) -> str:
        return f"{self.root}/{FOLDER}/{name}"

    def _json(self, name: str) -> Any:
        held = get(self.fs, self._path(name))
        return None if held is None else json.loads(held)

    def _write(self, name: str, value: Any) -> None:
        put(self.fs, self._path(name), json.dumps(value, indent=1).encode())


def _split(name: str) -> tuple[str, str]:
    """Return the folder and the name in it."""
    folder, _, last = name.rpartition("/")
    return folder, last
