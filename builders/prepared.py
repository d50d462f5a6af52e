"""Data sets that `prepare` wrote: whether they are finished, and which files went into them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from builders.ledger import FOLDER, Ledger
from builders.listing import ABSENT, read_listing
from builders.recognise import AUDIO, known
from builders.tree import Tree


@dataclass
class Prepared:
    """A data set.

    path : Path
    folder : str
        The same as `status` prints it.
    corpus, configuration : str
    shards, of : int
        How many are finished of how many.
    """

    path: Path
    folder: str
    corpus: str
    configuration: str
    shards: int
    of: int

    @property
    def finished(self) -> bool:
        """Tell whether all shards are there and the card, which is written last."""
        return self.of > 0 and self.shards == self.of and (self.path / "README.md").exists()

    def covers(self, corpora: Sequence[str], head: Sequence[tuple[str, int]]) -> bool:
        """Tell whether it is made from an archive, by the first recordings of that."""
        if self.corpus not in corpora or not self.finished:
            return False
        names = [(canonical(self.corpus, name), size) for name, size in head if name.lower().endswith(AUDIO)][:8]
        known_sizes = self.sizes([name for name, _ in names])
        return bool(names) and all(known_sizes.get(name) == size for name, size in names)

    def sizes(self, names: Sequence[str]) -> dict[str, int]:
        """Return the bytes of those of the files that the listings hold."""
        found: dict[str, int] = {}
        wanted = pa.array(names, pa.string())
        for listing in self._listings:
            rows = listing.filter(pc.is_in(listing.column("member"), wanted))
            found |= dict(zip(rows.column("member").to_pylist(), rows.column("bytes").to_pylist(), strict=True))
        return found

    def members(self, *, quarantined: bool) -> Iterator[tuple[str, int]]:
        """Yield (name, bytes) of every recording that went in, or of those that did not; further audio with -1 bytes.

        The recordings of a row are in the quarantine together. Where one of the rows that a recording was cut into
        is, all of them count as being there: the quarantine tells the recording, not the row.
        """
        bad = {member for entry in self._ledger.entries.values() for member, _ in entry.bad}
        for listing in self._listings:
            for batch in listing.select(["member", "bytes", "audios", "source_number"]).to_batches():
                for row in batch.to_pylist():
                    if (row["member"] in bad) != quarantined:
                        continue
                    if row["source_number"] != ABSENT[0]:
                        yield row["member"], row["bytes"]
                    yield from ((name, -1) for _, name in row["audios"])

    @cached_property
    def verdict(self) -> str:
        """Why the data set cannot stand for its source, empty where it can; reads all shards, once."""
        if not self.finished:
            return f"{self.folder} is not finished: {self.shards} of {self.of} shards"
        entries = self._ledger.entries
        if len(entries) != self.of:
            return f"{self.folder}: {self.of - len(entries)} shards are gone or have another size"
        listed = sum(listing.num_rows for listing in self._listings)
        made = sum(entry.rows + len(entry.bad) for entry in entries.values())
        if listed != made:
            return f"{self.folder}: {listed} rows listed, {made} written or quarantined"
        for entry in entries.values():
            with (self.path / entry.name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                    return f"{self.path / entry.name} is not what its ledger says (other checksum)"
        return ""

    @cached_property
    def hashes(self) -> np.ndarray:
        """Name and bytes of every recording that went in, hashed, sorted."""
        return hashes(f"{name} {size}" for name, size in self.members(quarantined=False))

    @cached_property
    def quarantined(self) -> set[str]:
        """Names of the recordings of quarantined rows."""
        return {name for name, _ in self.members(quarantined=True)}

    def begun(self) -> float:
        """Return when the run was begun, Unix time: what it read is older."""
        return (self.path / FOLDER / "run.json").stat().st_mtime

    @cached_property
    def _ledger(self) -> Ledger:
        ledger = Ledger(self.path)
        ledger.read()
        return ledger

    @cached_property
    def _listings(self) -> list[pa.Table]:
        names = json.loads((self.path / FOLDER / "run.json").read_text())["identity"]["listings"]
        paths = [self.path / FOLDER / "listings" / f"{split}-{checksum}.arrow" for split, checksum in names.items()]
        return [read_listing(path) for path in paths]


def prepared(tree: Tree) -> list[Prepared]:
    """Return the data sets of `prepare` below a folder."""
    return [found for folder in _runs(tree.folders()) if (found := read(tree.top / folder, folder or "."))]


def read(path: Path, folder: str) -> Prepared | None:
    """Return the data set in a folder, None if it is another kind of run."""
    file = path / FOLDER / "run.json"
    if not file.exists():
        return None
    run = json.loads(file.read_text())
    identity = run["identity"]
    if not {"corpus", "listings"} <= set(identity):
        return None
    shards = len(list((path / FOLDER / "shards").glob("*.json")))
    return Prepared(path, folder, identity["corpus"], identity.get("configuration", ""), shards, run["shards"])


def canonical(corpus: str, name: str) -> str:
    """Return the name that a corpus' builder has for a member."""
    root = known()[corpus].facts.root if corpus in known() else ""
    found = re.match(root, name) if root else None
    return name[found.end() :] if found else name


def _runs(folders: Iterable[str]) -> list[str]:
    return [folder.removesuffix(FOLDER).rstrip("/") for folder in folders if folder.split("/")[-1] == FOLDER]


def hashes(names: Iterable[str]) -> np.ndarray:
    """Return 8 bytes for each name, sorted: what tens of millions of names need to be looked up in."""
    digests = (int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") for name in names)
    return np.unique(np.fromiter(digests, np.uint64))
