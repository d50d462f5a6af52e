"""Feature tables on disk, one per encoder beside the manifest table.

    tables/timit/                      what Dataset.save_to_disk or `python -m builders prepare` wrote
    tables/timit/features/log_mel/     data/train-00000-of-00002.arrow ...  card.json  README.md

A feature table is `id` and the layers' columns, in shards; it is joined to the manifest by row when the table is
opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from builders import runner
from builders.dataset_card import card as dataset_card
from builders.ledger import Ledger
from builders.output import put
from builders.push import PRIVATE_ONLY, card_fields
from features.budget import check_space, columns_counted, count
from features.card import FeatureCard, cards
from features.columns import matrices
from features.encode import check, join
from features.manifests import TableError, by_split, heads, is_saved, open_arrow, open_manifest, open_shards
from features.moments import Moments
from features.run import EncodeJob, encode_job, every_row
from features.step import Encode

FOLDER = "features"
CARD = "card.json"
ROWS = 64
SHARD_BYTES = 500_000_000  # of features in a shard


def open_table(path: str | Path, features: Iterable[str | Path] | None = None, *, audio: bool = True) -> DatasetDict:
    """Open a manifest table with the columns of its feature tables.

    Parameters
    ----------
    path : path
        Of the manifest table.
    features : iterable of path, optional
        Feature tables; without it, all that lie in ``<path>/features``.
    audio : bool
        Whether audio columns are needed: see `open_manifest`.

    Raises
    ------
    TableError
        If a table is missing, unfinished, or made of another manifest.
    """
    table = open_manifest(path, audio=audio)
    folders = sorted(f for f in Path(path, FOLDER).glob("*") if f.is_dir()) if features is None else map(Path, features)
    for folder in folders:
        held = _open_features(folder, list(table))
        table = DatasetDict({split: _joined(folder, split, part, held[split]) for split, part in table.items()})
    return table


def write_features(
    path: str | Path,
    step: Encode,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    engine: str = "local",
    max_shard_size: int = SHARD_BYTES,
) -> str:
    """Encode a manifest table on disk and write the feature table, or go on where an earlier run stopped.

    Parameters
    ----------
    workers, engine
        As in `builders.runner.run`.
    max_shard_size : int
        Bytes of features in a shard.

    Returns
    -------
    str
        The folder of the feature table: `out`, or ``<path>/features/<encoder>``.

    Raises
    ------
    CorpusError
        If the run was begun otherwise: of another table, with other layers or another version of the encoder.
    SpaceError
        If the disk cannot hold the features.
    """
    folder = str(out) if out else f"{str(path).rstrip('/')}/{FOLDER}/{step.name}"
    for part in heads(path):
        check(part, step, tier=is_saved(path))  # the first rows of a Parquet table may have no segment of it
    _check_space(path, step, folder)
    job = encode_job(path, step, max_shard_size=max_shard_size)
    ledger = runner.run(job, folder, workers=workers, engine=engine, unit="s")
    _finish(path, job, ledger)
    return folder


def statistics(table: Dataset, column: str) -> dict[str, Any]:
    """Return the mean and standard deviation of each of a column's dimensions, one batch in memory at a time."""
    width = table.features[column].shape[1]
    parts = (matrices(table, column, slice(first, first + ROWS))[0] for first in range(0, len(table), ROWS))
    return Moments.sum(map(Moments.of, parts), width).summary()


def read_card(folder: str | Path) -> dict[str, Any]:
    """Return the feature card of a feature table.

    Raises
    ------
    TableError
        If the table is not finished: the card is written last.
    """
    card = Path(folder, CARD)
    if not card.exists():
        raise TableError(f"{folder} holds no finished features: run `python -m features` again")
    return json.loads(card.read_text(encoding="utf-8"))


def _open_features(folder: Path, splits: list[str]) -> DatasetDict:
    read_card(folder)
    shards = sorted(path for path in folder.glob("data/*") if not path.name.startswith("."))
    found = by_split([str(path) for path in shards], folder)
    missing = [split for split in splits if split not in found]
    if missing:
        raise TableError(f"{folder} has no features of split {missing[0]!r}: it was made of another table")
    if shards[0].suffix == ".parquet":
        return open_shards(found)
    return DatasetDict({split: open_arrow([Path(name) for name in names]) for split, names in found.items()})


def _joined(folder: Path, split: str, part: Dataset, features: Dataset) -> Dataset:
    try:
        return join(part, features)
    except ValueError as error:
        raise TableError(f"{folder}, split {split!r}: {error}") from None


def _finish(path: str | Path, job: EncodeJob, ledger: Ledger) -> None:
    """Write the feature card and the card of the data set, which mark the table as whole."""
    tasks = job.tasks()
    layers = []
    for card in job.step.cards.values():
        moments = {
            split: Moments.sum(
                (
                    Moments.from_json(ledger.entries[task.name].extra["moments"][card.column])
                    for task in tasks
                    if task.shard.split == split
                ),
                card.width,
            ).summary()
            for split in job.shards
        }
        layers.append({**json.loads(card.to_json()), "column": card.column, "statistics": moments})
    put(ledger.fs, f"{ledger.root}/{CARD}", json.dumps({"layers": layers}, indent=1).encode())
    put(ledger.fs, f"{ledger.root}/README.md", _readme(path, job, ledger).encode())


def _check_space(path: str | Path, step: Encode, folder: str) -> None:
    columns = next(heads(path)).column_names
    if step.inputs[0] == "text" or "duration" in columns:  # else there is nothing to reckon with
        check_space(step, count(every_row(path, columns_counted(step)), step), folder)


def _readme(path: str | Path, job: EncodeJob, ledger: Ledger) -> str:
    splits = {}
    for split in job.shards:
        entries = [ledger.entries[task.name] for task in job.tasks() if task.shard.split == split]
        splits[split] = (sum(entry.rows for entry in entries), sum(entry.bytes for entry in entries))
    columns = job.step.features({"id": job.features["id"]})
    text = (
        f"Hidden states of `{job.step.name}`, one row per utterance, joined by `id` and order to the table "
        f"`{Path(path).name}`. `{CARD}` tells the layers, their frame clock, their means and deviations."
    )
    held = card_fields(Path(path)) if Path(path).is_dir() else {}
    more = {name: held[name] for name in ("license", "license_name", "language", PRIVATE_ONLY) if name in held}
    return dataset_card(
        f"{job.step.name} features", columns, splits, text, more=more, suffix=job.form, run=ledger.checksum
    )


__all__ = ["FeatureCard", "TableError", "cards", "open_manifest", "open_table", "statistics", "write_features"]
