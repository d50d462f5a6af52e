"""Manifest tables on disk: what `save_to_disk` wrote, or the Parquet folder of `python -m builders prepare`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Audio, Dataset, DatasetDict, Features, concatenate_datasets, load_dataset, load_from_disk

from builders.cache import digest
from builders.output import filesystem

ONE_SPLIT = "train"  # the name that a table without splits gets
BLOCK, BLOCKS = 4096, 16  # bytes of a file that tell it from another of its size, and in how many places
SAVED = ("dataset_dict.json", "state.json")
SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d+)-of-(?P<count>\d+)\.(parquet|arrow)")


class TableError(ValueError):
    """A table on disk cannot be used; the message says which and what to do."""


@dataclass(frozen=True)
class Piece:
    """A part of a split that is read by itself: a Parquet file, or with no file the split of a saved table."""

    split: str
    file: str | None
    rows: int


@dataclass(frozen=True)
class Pieces:
    """What a manifest table is made of.

    form : "arrow" or "parquet"
    splits : mapping of str to sequence of Piece
    identity : mapping of str to str
        Per split, what changes when its rows do.
    """

    path: str
    form: str
    splits: Mapping[str, Sequence[Piece]]
    identity: Mapping[str, str]

    def durations(self, piece: Piece) -> np.ndarray:
        """Return the seconds of each row of a piece, (rows,) float64.

        Ones where the table does not tell, zero for a row that does not.
        """
        if piece.file is None:
            table = open_manifest(self.path)[piece.split]
            known = "duration" in table.column_names
            return _seconds(table.with_format("arrow")["duration"][:]) if known else np.ones(piece.rows)
        fs, path = filesystem(piece.file)
        with fs.open(path, "rb") as source, pq.ParquetFile(source) as file:
            if "duration" not in file.schema_arrow.names:
                return np.ones(piece.rows)
            return _seconds(file.read(columns=["duration"]).column("duration"))


def open_manifest(path: str | Path, *, audio: bool = True) -> DatasetDict:
    """Open a manifest table: what `load --out` or `save_to_disk` wrote, or what `prepare` wrote.

    Parameters
    ----------
    audio : bool
        Whether audio columns are needed. `datasets` copies Parquet into its cache: without them that is little.

    Raises
    ------
    TableError
        If there is no table.
    """
    if is_saved(path):
        table = load_from_disk(str(path))
        return table if isinstance(table, DatasetDict) else DatasetDict({ONE_SPLIT: table})
    return open_shards(parquet_files(path), audio=audio)


def heads(path: str | Path) -> Iterator[Dataset]:
    """Yield the first rows of each split, enough to see its columns: a Parquet table is not copied for that.

    Raises
    ------
    TableError
        If there is no table.
    """
    if is_saved(path):
        yield from open_manifest(path).values()
        return
    for names in parquet_files(path).values():
        fs, first = filesystem(names[0])
        with fs.open(first, "rb") as source, pq.ParquetFile(source) as file:
            yield Dataset(file.read_row_group(0) if file.num_row_groups else file.schema_arrow.empty_table())


def pieces(path: str | Path) -> Pieces:
    """Return what a manifest table is made of.

    Raises
    ------
    TableError
        If there is no table.
    """
    if is_saved(path):
        table = open_manifest(path)
        splits = {split: [Piece(split, None, len(part))] for split, part in table.items()}
        return Pieces(str(path), "arrow", splits, {split: _state(Path(path), split) for split in table})
    files = parquet_files(path)
    splits = {split: [Piece(split, name, _length(name)) for name in names] for split, names in files.items()}
    return Pieces(str(path), "parquet", splits, {split: digest(map(_sample, names)) for split, names in files.items()})


def is_saved(path: str | Path) -> bool:
    """Return whether `save_to_disk` wrote a table here."""
    return any(Path(path, name).is_file() for name in SAVED)


def parquet_files(path: str | Path) -> dict[str, list[str]]:
    """Return the Parquet shards of each split, in order.

    Raises
    ------
    TableError
        If there are none, or some of a split are missing.
    """
    fs, root = filesystem(path)
    names = sorted(fs.glob(f"{root}/data/*.parquet"))
    if not names:
        raise TableError(
            f"{path} holds no table: write one with `python -m builders load CORPUS --data-dir DIR --out {path}`, "
            "or with `python -m builders prepare`"
        )
    return by_split([fs.unstrip_protocol(name) for name in names], path)


def by_split(names: Sequence[str], path: str | Path) -> dict[str, list[str]]:
    """Sort shards by split.

    Raises
    ------
    TableError
        If some of a split are missing.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        match = SHARD.fullmatch(name.rsplit("/", 1)[-1])
        if match is None:
            raise TableError(f"{name} is no shard of a table: expected data/<split>-00000-of-00001.parquet")
        found.setdefault(match["split"], []).append(name)
    for split, held in found.items():
        count = int(SHARD.fullmatch(held[0].rsplit("/", 1)[-1])["count"])
        if len(held) != count:
            raise TableError(f"{path}: {len(held)} of {count} shards of split {split!r} are there: finish its run")
    return found


def open_shards(files: Mapping[str, Sequence[str]], *, audio: bool = True) -> DatasetDict:
    """Open Parquet shards; `datasets` keeps them as Arrow in its cache."""
    local = {split: [name.removeprefix("file://") for name in names] for split, names in files.items()}
    fs, first = filesystem(next(iter(files.values()))[0])
    with fs.open(first, "rb") as source:
        schema = pq.read_schema(source)
    # Parquet holds plain lists: the columns' own types are told beside them.
    held = (schema.metadata or {}).get(b"huggingface")
    kinds = Features.from_dict(json.loads(held)["info"]["features"]) if held else Features.from_arrow_schema(schema)
    kept = Features({name: kind for name, kind in kinds.items() if audio or not isinstance(kind, Audio)})
    return load_dataset("parquet", data_files=local, features=kept, columns=list(kept))


def open_arrow(files: Sequence[Path]) -> Dataset:
    """Open Arrow shards of one split where they lie, mapped from disk."""
    parts = [Dataset.from_file(str(file)) for file in files]
    return concatenate_datasets([part for part in parts if len(part)] or parts[:1])


def _seconds(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, 0.0).to_numpy()


def _length(name: str) -> int:
    fs, path = filesystem(name)
    with fs.open(path, "rb") as source:
        return pq.read_metadata(source).num_rows


def _sample(name: str) -> tuple[str, int, str]:
    """Return a file's name, its size and a digest of blocks from begin to end: nobody reads terabytes to know a table.

    At the end Parquet keeps where each column lies and between which values.
    """
    fs, path = filesystem(name)
    size = fs.info(path)["size"]
    starts = np.linspace(0, max(size - BLOCK, 0), BLOCKS).astype(int).tolist()
    held = fs.cat_ranges([path] * BLOCKS, starts, [start + BLOCK for start in starts], on_error="raise")
    return Path(name).name, size, hashlib.sha256(b"".join(held)).hexdigest()


def _state(path: Path, split: str) -> str:
    # state.json holds the fingerprint that `datasets` gave the rows
    files = [path / split / "state.json", path / "state.json"]
    return digest([next(file.read_text(encoding="utf-8") for file in files if file.exists())])
