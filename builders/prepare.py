"""Preparing a corpus for good: Parquet shards with a card, in a run that may be interrupted and go on.

The shards are row ranges of the corpus' listing. The listing travels with the run, so that every
worker, on whichever machine, cuts the same rows.
"""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from datasets import load_dataset_builder
from fsspec.implementations.local import LocalFileSystem

from builders import runner
from builders.cache import cache_dir, writing
from builders.corpus import MACHINERY_VERSION, CorpusBuilder
from builders.dataset_card import card
from builders.errors import CorpusError
from builders.ledger import FOLDER, Ledger
from builders.listing import SHARD_BYTES, Shard, read_listing, shards, weights
from builders.output import absolute_address, filesystem, put, reached, size, upload
from builders.push import PRIVATE_ONLY
from builders.quarantine import check_all
from builders.register import HOME
from builders.shard_files import shard_name, write_parquet

QUARANTINE = "quarantine.jsonl"
CARD_FIELDS = ("language", "license", "license_name", "license_link", "task_categories", "tags", "extra_gated_prompt")


@dataclass(frozen=True)
class Prepare:
    """The job of normalising one configuration of a corpus.

    call : mapping
        Arguments of `load_dataset`: path, name, data_dir, options.
    out : str
        Where the data set is written.
    listings : mapping of str to (str, sequence of Shard, sequence of float)
        Per split: the checksum of its listing, the ranges of its shards, and their bytes of source.
    files : mapping of str to str
        Where this machine keeps the listings.
    made_from : mapping
        What decides the bytes.
    """

    call: Mapping[str, Any]
    out: str
    listings: Mapping[str, tuple[str, Sequence[Shard], Sequence[float]]]
    files: Mapping[str, str]
    made_from: Mapping[str, Any]

    def identity(self) -> Mapping[str, Any]:
        """Return what decides the bytes."""
        return self.made_from

    def tasks(self) -> list[runner.Task]:
        """Return the shards of all splits."""
        return [
            runner.Task(shard_name(split, shard.number, len(ranges)), weight, (split, shard))
            for split, (_, ranges, sizes) in self.listings.items()
            for shard, weight in zip(ranges, sizes, strict=True)
        ]

    def ready(self, ledger: Ledger) -> None:
        """Put the listings into the output."""
        for split, (checksum, _, _) in self.listings.items():
            target = f"{ledger.root}/{_listing_name(split, checksum)}"
            if size(ledger.fs, target) is None:
                upload(ledger.fs, Path(self.files[split]), target)

    def make(self, task: runner.Task, path: Path) -> runner.Made:
        """Write one shard."""
        split, shard = task.shard
        reader = _reader(json.dumps(dict(self.call), sort_keys=True), self.made_from["files"])
        if reader.config.identity != self.made_from["files"]:
            raise CorpusError(
                f"{platform.node()} has other files in {self.call['data_dir']}, or another phonelayers, than the "
                "machine that began the run: all workers must read the same corpus with the same release"
            )
        listing = _listing(self.out, split, self.listings[split][0])
        bad: list[tuple[str, str]] = []
        seconds: list[float] = []
        rows = write_parquet(_counted(reader.normalised(listing, shard, bad), seconds), path, reader.info.features)
        return runner.Made(rows, sum(seconds), bad)


def prepare(
    call: Mapping[str, Any],
    out: str | Path,
    *,
    workers: int | None = None,
    engine: str = "local",
    max_shard_size: int = SHARD_BYTES,
) -> Ledger:
    """Write a corpus as Parquet shards with a card, or go on with it where an earlier run stopped.

    Parameters
    ----------
    call : mapping
        Arguments of `load_dataset`.
    out : str or Path
        Folder of the data set, or an address that fsspec knows.
    workers, engine
        See `builders.runner.run`.
    max_shard_size : int
        Bytes of source audio in a shard.

    Returns
    -------
    Ledger
        Of the finished run.

    Raises
    ------
    CorpusError
        If the output belongs to another run; see `builders.runner.run` for what stops one.
    TooManyBadFilesError
        If more recordings were quarantined than `max_bad` allows; their list is in the output, the card is not.
    """
    builder = load_dataset_builder(**call)
    job = _job(builder, call, str(out), max_shard_size)
    ledger = runner.run(job, out, workers=workers, engine=engine)
    _finish(builder, job, ledger)
    return ledger


def output(out: str, builder: CorpusBuilder) -> str:
    """Return where a corpus goes below `out`: its name, and its configuration's where that is not the default."""
    default = builder.DEFAULT_CONFIG_NAME or builder.BUILDER_CONFIGS[0].name
    name, config = _corpus(builder), builder.config.name
    return f"{out.rstrip('/')}/{name if config == default else f'{name}-{config}'}"


def _corpus(builder: CorpusBuilder) -> str:
    return type(builder).__module__.rsplit(".", 1)[-1]


def _job(builder: CorpusBuilder, call: Mapping[str, Any], out: str, limit: int) -> Prepare:
    found = builder.listings()
    files = {split: builder.listing_file(split) for split in found}
    checksums = {split: _checksum(path) for split, path in files.items()}
    made_from = {
        "corpus": _corpus(builder),
        "configuration": builder.config.name,
        "files": builder.config.identity,
        "machinery": MACHINERY_VERSION,
        "version": builder.FACTS.version,
        "max_shard_size": limit,
        "listings": checksums,
    }
    listings = {split: (checksums[split], *_ranges(listing, limit)) for split, listing in found.items()}
    return Prepare(
        dict(call), absolute_address(out), listings, {split: str(path) for split, path in files.items()}, made_from
    )


def _ranges(listing: pa.Table, limit: int) -> tuple[list[Shard], list[float]]:
    ranges = shards(listing, limit)
    sums = np.concatenate([[0.0], np.cumsum(weights(listing))])
    return ranges, [float(sums[shard.last] - sums[shard.first]) for shard in ranges]


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _listing_name(split: str, checksum: str) -> str:
    return f"{FOLDER}/listings/{split}-{checksum}.arrow"


@functools.lru_cache(maxsize=1)
def _reader(call: str, _identity: str) -> CorpusBuilder:
    """Return a worker's builder, its files open: an archive's index is read once a process, until the files change."""
    builder = load_dataset_builder(**json.loads(call))
    builder.fetch()
    return builder


def _listing(out: str, split: str, checksum: str) -> pa.Table:
    """Return the run's listing of a split; from an object store it comes once to each machine."""
    fs, root = filesystem(out)
    name = _listing_name(split, checksum)
    if isinstance(fs, LocalFileSystem):
        return read_listing(Path(root, name))
    here = cache_dir("listings", "runs") / Path(name).name
    if not here.exists():
        with writing(here) as temporary, reached(f"{root}/{name}", fs, missing=True):
            fs.get_file(f"{root}/{name}", str(temporary))
    return read_listing(here)


def _counted(tables: Iterator[pa.Table], seconds: list[float]) -> Iterator[pa.Table]:
    for table in tables:
        seconds.append(pc.sum(table.column("duration")).as_py() or 0.0)
        yield table


def _finish(builder: CorpusBuilder, job: Prepare, ledger: Ledger) -> None:
    """Write the list of quarantined recordings, then the card, which marks the data set as whole."""
    entries = ledger.entries.values()
    lines = [
        json.dumps({"split": task.shard[0], "member": member, "reason": why})
        for task in job.tasks()
        for member, why in ledger.entries[task.name].bad
    ]
    if lines:
        put(ledger.fs, f"{ledger.root}/{QUARANTINE}", ("\n".join(lines) + "\n").encode())
    listed = sum(shard.last - shard.first for _, ranges, _ in job.listings.values() for shard in ranges)
    written = sum(entry.rows for entry in entries)
    absent = sum(builder.absent(builder.listing(split)) for split in job.listings)
    check_all(f"{ledger.out}/{QUARANTINE}", listed, written, len(lines), builder.config.max_bad, absent=absent)
    put(ledger.fs, f"{ledger.root}/README.md", _card(builder, job, ledger).encode())


def _card(builder: CorpusBuilder, job: Prepare, ledger: Ledger) -> str:
    facts, corpus = builder.FACTS, _corpus(builder)
    splits = {}
    for split, (_, ranges, _) in job.listings.items():
        entries = [ledger.entries[shard_name(split, shard.number, len(ranges))] for shard in ranges]
        splits[split] = (sum(entry.rows for entry in entries), sum(entry.bytes for entry in entries))
    own, text = _own_card(corpus)
    note = (
        f"Normalised to 16 kHz mono 16-bit FLAC by phonelayers, `builders/{corpus}`, configuration "
        f"`{builder.config.name}`, output version {facts.version}: {ledger.hours:.2f} hours, "
        f"{ledger.quarantined} recordings quarantined.\n\n{text}"
    )
    more = {name: own[name] for name in CARD_FIELDS if name in own}
    if facts.private_only:
        more[PRIVATE_ONLY] = facts.private_only
    return card(
        own.get("pretty_name", facts.title), builder.info.features, splits, note, more=more, run=ledger.checksum
    )


def _own_card(corpus: str) -> tuple[dict[str, Any], str]:
    """Return the YAML and the text of a corpus' own card."""
    _, head, text = (HOME / corpus / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), text
