"""Tables on disk: a manifest table and, beside it, one feature table per encoder.

    tables/timit/                      what Dataset.save_to_disk writes
    tables/timit/features/log_mel/     train.arrow  test.arrow  card.json

A feature table is `id` and the layers' columns as one Arrow file a split, which `Dataset.from_file`
opens; it is joined to the manifest by row when the table is opened.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, load_from_disk

from builders.cache import digest, writing
from features.card import FeatureCard, cards
from features.columns import matrices
from features.encode import Encode, check, feature_table, join

FOLDER = "features"
CARD = "card.json"
ONE_SPLIT = "train"  # the name that a table without splits gets
ROWS = 64


class TableError(ValueError):
    """A table on disk cannot be used; the message says which and what to do."""


def open_manifest(path: str | Path) -> DatasetDict:
    """Open a manifest table written by ``python -m builders load --out`` or `save_to_disk`.

    Raises
    ------
    TableError
        If there is no table.
    """
    path = Path(path)
    if not any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        raise TableError(
            f"{path} holds no table: write one with `python -m builders load CORPUS --data-dir DIR --out {path}`"
        )
    table = load_from_disk(str(path))
    return table if isinstance(table, DatasetDict) else DatasetDict({ONE_SPLIT: table})


def open_table(path: str | Path, features: Iterable[str | Path] | None = None) -> DatasetDict:
    """Open a manifest table with the columns of its feature tables.

    Parameters
    ----------
    path : path
        Of the manifest table.
    features : iterable of path, optional
        Feature tables; without it, all that lie in ``<path>/features``.

    Raises
    ------
    TableError
        If a table is missing, unfinished, or made of another manifest.
    """
    table = open_manifest(path)
    folders = sorted(Path(path).glob(f"{FOLDER}/*/{CARD}")) if features is None else [Path(f, CARD) for f in features]
    for card in folders:
        table = DatasetDict({split: _joined(split, part, card.parent) for split, part in table.items()})
    return table


def write_features(
    path: str | Path, step: Encode, *, out: str | Path | None = None, num_proc: int | None = None
) -> Path:
    """Encode a manifest table on disk and write the feature table; one that is finished stays as it is.

    Each split takes its final name when it is whole, so an interrupted run goes on at the next split.

    Returns
    -------
    Path
        The folder of the feature table: `out`, or ``<path>/features/<encoder>``.
    """
    table = open_manifest(path)
    folder = Path(out) if out else Path(path, FOLDER, step.name)
    folder.mkdir(parents=True, exist_ok=True)
    keys = {split: digest([step.key, _identity(Path(path), split)]) for split in table}
    # What was made with other layers or of another manifest is no part of this table.
    known = {
        split: key
        for split, key in read_card(folder).get("keys", {}).items()
        if keys.get(split) == key and (folder / f"{split}.arrow").exists()
    }
    for split in [split for split in table if split not in known]:
        check(table[split], step)
        _write_card(folder, known, step)  # what the card said of the split is no longer true
        _encode(table[split], step, folder / f"{split}.arrow", num_proc)
        _write_card(folder, known := {**known, split: keys[split]}, step)
    return folder


def statistics(table: Dataset, column: str) -> dict[str, list[float]]:
    """Return the mean and standard deviation of each of a column's dimensions, one batch in memory at a time."""
    width = table.features[column].shape[1]
    count, total, squares = 0, np.zeros(width), np.zeros(width)
    for first in range(0, len(table), ROWS):
        values, _ = matrices(table, column, slice(first, first + ROWS))
        wide = values[~np.isnan(values[:, 0])].astype(np.float64)  # without segments that hold no frame
        count, total, squares = count + len(wide), total + wide.sum(0), squares + (wide**2).sum(0)
    mean = total / max(count, 1)
    deviation = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    return {"frames": count, "mean": mean.round(6).tolist(), "std": deviation.round(6).tolist()}


def _encode(part: Dataset, step: Encode, final: Path, num_proc: int | None) -> None:
    working = final.with_name(f".{final.name}.parts")
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir()
    try:
        made = feature_table(part, step, num_proc=num_proc, file=str(working / "table.arrow"))
        if num_proc and len(made.cache_files) > 1:  # each process wrote a file: make them one
            file = str(working / "one.arrow")
            made = made.with_format("arrow").map(_same, batched=True, batch_size=ROWS, cache_file_name=file)
        Path(made.cache_files[0]["filename"]).replace(final)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _same(batch: pa.Table) -> pa.Table:
    return batch


def _joined(split: str, part: Dataset, folder: Path) -> Dataset:
    file = folder / f"{split}.arrow"
    if not file.exists() or split not in read_card(folder).get("keys", {}):
        raise TableError(f"{folder} has no finished features of split {split!r}: run `python -m features` again")
    try:
        return join(part, Dataset.from_file(str(file)))
    except ValueError as error:
        raise TableError(f"{file}: {error}") from None


def _identity(path: Path, split: str) -> str:
    # state.json holds the fingerprint that `datasets` gave the rows
    files: Sequence[Path] = [path / split / "state.json", path / "state.json"]
    return next(file.read_text(encoding="utf-8") for file in files if file.exists())


def read_card(folder: Path) -> dict[str, Any]:
    """Return the feature card of a feature table, empty where there is none yet."""
    card = folder / CARD
    return json.loads(card.read_text(encoding="utf-8")) if card.exists() else {}


def _write_card(folder: Path, keys: dict[str, str], step: Encode) -> None:
    layers: list[dict[str, Any]] = []
    tables = {split: Dataset.from_file(str(folder / f"{split}.arrow")) for split in keys}
    for card in step.cards.values():
        moments = {split: statistics(table, card.column) for split, table in tables.items()}
        layers.append({**json.loads(card.to_json()), "column": card.column, "statistics": moments})
    with writing(folder / CARD) as path:
        path.write_text(json.dumps({"keys": keys, "layers": layers}, indent=1), encoding="utf-8")


__all__ = ["FeatureCard", "TableError", "cards", "open_manifest", "open_table", "statistics", "write_features"]
