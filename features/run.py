"""Encoding a table on disk in a run that may be interrupted and go on: the job of `builders.runner`.

The feature table has the form of its manifest table: Arrow beside what `save_to_disk` wrote, so that it is read
without a copy; Parquet beside Parquet, on an object store as well.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset, load_from_disk

from builders.cache import digest
from builders.ledger import Ledger
from builders.output import filesystem
from builders.runner import Made, Task
from builders.shard_files import shard_name, write_parquet
from features.columns import matrices
from features.encoder import Read
from features.manifests import ONE_SPLIT, Piece, pieces
from features.moments import Moments
from features.pipeline import overlapped
from features.step import Encode

FEW = 16  # rows that a shard has at least where the table has them
WORKERS = 8  # so that several share a small table


@dataclass(frozen=True)
class Shard:
    """Rows of the manifest table that one shard of features is made of."""

    split: str
    piece: Piece
    first: int
    last: int


@dataclass(frozen=True)
class EncodeJob:
    """The job of encoding a manifest table.

    table : str
        Folder of the manifest table.
    form : "arrow" or "parquet"
        Of the manifest table and of the feature table.
    step : Encode
    shards : mapping of str to sequence of (Shard, seconds)
        Per split.
    made_from : mapping
        What decides the bytes.
    """

    table: str
    form: str
    step: Encode
    shards: Mapping[str, Sequence[tuple[Shard, float]]]
    made_from: Mapping[str, Any]

    @property
    def gpus(self) -> int:
        """GPUs that a worker gets on a cluster that has any; an encoder without weights needs none."""
        return 0 if all(card.init == "none" for card in self.step.cards.values()) else 1

    def identity(self) -> Mapping[str, Any]:
        """Return what decides the bytes."""
        return self.made_from

    def tasks(self) -> list[Task]:
        """Return the shards of all splits."""
        return [
            Task(shard_name(split, number, len(parts), self.form), seconds, shard)
            for split, parts in self.shards.items()
            for number, (shard, seconds) in enumerate(parts)
        ]

    def ready(self, ledger: Ledger) -> None:
        """Do nothing: the workers read the manifest table."""

    def make(self, task: Task, path: Path) -> Made:
        """Write one shard of features."""
        columns = self.step.features({"id": self.features["id"]})
        sums: dict[str, list[Moments]] = {card.column: [] for card in self.step.cards.values()}
        seconds: list[float] = []
        tables = self._encoded(task.shard, columns, sums, seconds)
        rows = write_parquet(tables, path, columns) if self.form == "parquet" else _write_arrow(tables, path, columns)
        widths = {card.column: card.width for card in self.step.cards.values()}
        moments = {column: Moments.sum(parts, widths[column]).to_json() for column, parts in sums.items()}
        return Made(rows, sum(seconds), extra={"moments": moments})

    @property
    def features(self) -> Any:
        """Columns of the manifest table."""
        return next(_rows(self.table, next(iter(self.shards.values()))[0][0], [])).features

    def _encoded(
        self, shard: Shard, columns: Any, sums: dict[str, list[Moments]], seconds: list[float]
    ) -> Iterator[pa.Table]:
        def finish(made: tuple[pa.Table, Read, dict[str, list[np.ndarray]]]) -> pa.Table:
            batch, read, found = made
            table = self.step.put(batch.select(["id"]), read.tokens, found)
            table = table.select(list(columns)).cast(columns.arrow_schema)
            held = Dataset(table, fingerprint="of one batch")  # to compute one takes half as long as to encode
            for column, parts in sums.items():
                parts.append(Moments.of(matrices(held, column, slice(None))[0]))
            if "duration" in batch.column_names:
                seconds.append(float(np.nansum(batch.column("duration").to_numpy())))
            return table

        # Audio is decoded ahead and features are written behind, while the encoder computes.
        return overlapped(
            self._batches(shard),
            before=lambda batch: (batch, self.step.read(batch)),
            work=lambda pair: (*pair, self.step.encode(pair[1].waves, pair[1].segments)),
            after=finish,
        )

    def _batches(self, shard: Shard) -> Iterator[pa.Table]:
        for part in _rows(self.table, shard, ["id", "duration", *self.step.inputs]):
            yield from part.with_format("arrow").iter(self.step.batch_size(part))


def encode_job(table: str | Path, step: Encode, *, max_shard_size: int) -> EncodeJob:
    """Plan the encoding of a manifest table: ranges of rows with at most `max_shard_size` bytes of features."""
    found = pieces(table)
    shards = {split: [] for split in found.splits}
    for split, parts in found.splits.items():
        for piece in parts:
            seconds = found.durations(piece)
            count = _count(seconds, step, max_shard_size, len(parts))
            bounds = np.linspace(0, len(seconds), count + 1).round().astype(int).tolist()
            shards[split] += [
                (Shard(split, piece, first, last), float(seconds[first:last].sum()))
                for first, last in itertools.pairwise(bounds)
            ]
    card = next(iter(step.cards.values()))
    made_from = {
        "table": found.identity,
        "encoder": card.encoder,
        "init": card.init,
        "revision": card.revision,
        "version": card.version,
        "layers": list(step.cards),
        "dtype": card.dtype,
        "pool": card.pool,
        "output": digest(step.key),
        "max_shard_size": max_shard_size,
    }
    return EncodeJob(str(table), found.form, step, shards, made_from)


def every_row(table: str | Path, columns: Sequence[str]) -> Iterator[Dataset]:
    """Yield the rows of a manifest table, with those of the columns that it has; of a Parquet file by row groups."""
    for split, parts in pieces(table).splits.items():
        for piece in parts:
            yield from _rows(str(table), Shard(split, piece, 0, piece.rows), columns)


def _count(seconds: np.ndarray, step: Encode, size: int, files: int) -> int:
    """Return into how many shards the rows of a piece are cut."""
    rows = len(seconds)
    needed = int(np.ceil(seconds.sum() * step.byte_rate / size))
    shared = int(np.ceil(min(WORKERS / files, rows / FEW)))
    return max(1, min(rows, max(needed, shared)))


def _rows(table: str, shard: Shard, columns: Sequence[str]) -> Iterator[Dataset]:
    """Yield the rows of a shard; of a Parquet file a row group at a time."""
    if shard.piece.file is None:
        part = _table(table, shard.split).select(range(shard.first, shard.last))
        yield part.select_columns([name for name in columns if name in part.column_names]) if columns else part
        return
    fs, path = filesystem(shard.piece.file)
    with fs.open(path, "rb") as source, pq.ParquetFile(source) as file:
        wanted = [name for name in columns if name in file.schema_arrow.names] or None
        begin = 0
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            first, last = max(begin, shard.first), min(end, shard.last)
            if first < last:
                rows = file.read_row_group(group, columns=wanted).slice(first - begin, last - first)
                yield Dataset(rows, fingerprint=f"{path}:{group}")
            begin = end


@functools.lru_cache(maxsize=2)
def _table(path: str, split: str) -> Dataset:
    held = load_from_disk(path)
    return held if isinstance(held, Dataset) and split == ONE_SPLIT else held[split]


def _write_arrow(tables: Iterator[pa.Table], path: Path, columns: Any) -> int:
    rows = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, columns.arrow_schema) as writer:
        for table in tables:
            writer.write_table(table)
            rows += table.num_rows
    return rows
