"""Forced alignment of English: phones and words for a table that has texts and no phones.

The aligner is pocketsphinx, whose package carries an American English model and dictionary. What it
cannot align (words outside the dictionary, figures, other languages) is left as it is and counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, Value, concatenate_datasets

from builders.audio import decode
from builders.errors import AudioError
from features import aligner
from features.aligner import CannotAlignError, align_one

logger = logging.getLogger(__name__)

ALIGN_VERSION = 1  # raised when the same input begins to give other segments
BATCH_ROWS = 16
SHOWN = 5  # ids in the summary
NEEDS = ("id", "audio", "text", "segments")

Tables = Dataset | DatasetDict | IterableDataset | IterableDatasetDict


def align(dataset: Tables, *, num_proc: int | None = None) -> Tables:
    """Return the table with `phones` and `words` tiers in `segments`.

    Rows that have phones already stay as they are, and so do rows that cannot be aligned: the log
    says how many and which. Labels are ARPAbet in upper case without stress, `SIL` for silence.

    Parameters
    ----------
    dataset : Dataset, DatasetDict or their streaming counterparts
        A manifest table: it has the columns `id`, `audio`, `text` and `segments`.
    num_proc : int or None
        Processes of a map-style dataset.

    Raises
    ------
    ImportError
        If pocketsphinx is not installed.
    ValueError
        If the table has no texts.
    """
    if isinstance(dataset, dict):
        return type(dataset)({split: align(part, num_proc=num_proc) for split, part in dataset.items()})
    _check(dataset)
    if isinstance(dataset, IterableDataset):
        return dataset.with_format(None).map(Align(), batched=True, batch_size=BATCH_ROWS, features=dataset.features)
    if not len(dataset):
        return dataset
    made = alignments(dataset, num_proc=num_proc)
    _report(made)
    joined = concatenate_datasets([dataset.remove_columns("segments"), made.select_columns("segments")], axis=1)
    return joined.select_columns(dataset.column_names)


def alignments(dataset: Dataset, *, num_proc: int | None = None) -> Dataset:
    """Return a table `id`, `segments`, `skipped`: the new segments, and why a row has no new ones (else null)."""
    _check(dataset)
    columns = [name for name in (*NEEDS, "language") if name in dataset.column_names]
    kept = {name: dataset.features[name] for name in ("id", "segments")}
    found = Features({**kept, "skipped": Value("string")})
    if not len(dataset):  # `map` gives an empty table back as it is
        return Dataset.from_dict({name: [] for name in found}, features=found)
    rows = dataset.select_columns(columns).with_format(None)
    return rows.map(
        Align(reasons=True),
        batched=True,
        batch_size=BATCH_ROWS,
        remove_columns=[name for name in columns if name not in kept],
        features=found,
        num_proc=num_proc,
        desc="Aligning",
    )


class Align:
    """The function that `datasets` maps: batches in, their new `segments` out, with `reasons` also `skipped`."""

    def __init__(self, *, reasons: bool = False) -> None:
        aligner.load()
        self.reasons = reasons
        self.versions = [ALIGN_VERSION, version("pocketsphinx")]  # part of the fingerprint

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        """Align a batch."""
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        made = [self._row(row) for row in rows]
        columns = {"segments": [segments for segments, _ in made]}
        return {**columns, "skipped": [reason for _, reason in made]} if self.reasons else columns

    def _row(self, row: Mapping[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
        present = list(row["segments"] or [])
        if any(segment["tier"] == "phones" for segment in present):
            return present, "has phones"
        try:
            if not (row.get("language") or "en").lower().startswith("en"):
                raise CannotAlignError(f"language {row['language']}")
            segments = align_one(decode(row["audio"]), row["text"])
        except (CannotAlignError, AudioError) as error:
            logger.info("%s: not aligned: %s", row["id"], error)
            return present, str(error)
        own = {segment.tier for segment in segments}
        return [s for s in present if s["tier"] not in own] + [s._asdict() for s in segments], None


def _check(dataset: Dataset | IterableDataset) -> None:
    columns = dataset.column_names or []
    missing = [name for name in NEEDS if name not in columns]
    if missing:
        raise ValueError(f"the table has no column {missing[0]!r}, only {columns}: load it with a corpus builder")


def _report(made: Dataset) -> None:
    bad = made.data.table.select(["id", "skipped"]).filter(pc.field("skipped").is_valid())
    line = f"aligned {len(made) - bad.num_rows} of {len(made)} utterances"
    if bad.num_rows:
        counts = Counter(reason.split(":")[0] for reason in bad.column("skipped").to_pylist())
        ids = bad.column("id").slice(0, SHOWN).to_pylist()
        more = ", ..." if bad.num_rows > SHOWN else ""
        line += f"; not: {', '.join(f'{count} {reason}' for reason, count in counts.most_common())}"
        line += f" ({', '.join(ids)}{more}); features.align.alignments(table) lists all"
    logger.warning(line)
