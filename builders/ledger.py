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
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from builders.cache import writing
from builders.errors import CorpusError

FOLDER = ".run"


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
        self.out = str(out)
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
        folder = self._path("shards")
        names = self.fs.ls(folder, detail=False) if self.fs.exists(folder) else []
        found = [json.loads(self.fs.cat_file(name)) for name in names if str(name).endswith(".json")]
        entries = [Entry(**{**values, "bad": [tuple(pair) for pair in values["bad"]]}) for values in found]
        self.entries = {entry.name: entry for entry in sorted(entries, key=lambda e: e.name) if self._whole(entry)}

    def add(self, entry: Entry) -> None:
        """Enter a finished shard."""
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

    def _whole(self, entry: Entry) -> bool:
        path = f"{self.root}/{entry.name}"
        return self.fs.exists(path) and self.fs.info(path)["size"] == entry.bytes

    def _check_empty(self) -> None:
        held = [name for name in self._listed() if Path(name).name != FOLDER]
        if held:
            raise CorpusError(
                f"{self.out} holds {Path(held[0]).name} and is not the output of a run: choose another --out"
            )

    def _listed(self) -> Iterable[str]:
        return self.fs.ls(self.root, detail=False) if self.fs.exists(self.root) else []

    def _check_same(self, begun: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        other = sorted(name for name in {*begun, *now} if begun.get(name) != now.get(name))
        if other:
            told = "; ".join(f"{name} was {begun.get(name)!r}, is {now.get(name)!r} now" for name in other)
            raise CorpusError(f"{self.out} was begun otherwise: {told}. Go on as it was begun, or choose another --out")

    def _path(self, name: str) -> str:
        return f"{self.root}/{FOLDER}/{name}"

    def _json(self, name: str) -> Any:
        path = self._path(name)
        return json.loads(self.fs.cat_file(path)) if self.fs.exists(path) else None

    def _write(self, name: str, value: Any) -> None:
        put(self.fs, self._path(name), json.dumps(value, indent=1).encode())


def filesystem(out: str | Path) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an output and its path in there."""
    fs, root = url_to_fs(str(out), use_listings_cache=False)
    return fs, root.rstrip("/")


def put(fs: AbstractFileSystem, path: str, data: bytes) -> None:
    """Write a small file whole or not at all."""
    if isinstance(fs, LocalFileSystem):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with writing(Path(path)) as temporary:
            temporary.write_bytes(data)
    else:
        fs.pipe_file(path, data)
