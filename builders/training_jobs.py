"""Training jobs: twelve tasks, the corpora that they are trained on, and one label column for each of them.

`load_job("ctc_asr", root, streaming=True)` mixes what lies below `root`: rows with the core columns and `label`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, IterableDataset, concatenate_datasets, interleave_datasets

from builders import job_labels
from builders.cache import absolute
from builders.errors import CorpusError
from builders.job_list import JOBS, Job
from builders.job_places import Place, Source, find, missing
from builders.schema import CORE

logger = logging.getLogger(__name__)

BATCH_ROWS = 16  # that are labelled at a time
PEEK_ROWS = 1_000  # of which one at least must have a label


@dataclass(frozen=True)
class Labels:
    """The label column of a table of a corpus; what it holds is what `datasets` caches the result by."""

    source: Source
    features: Features
    version: int = job_labels.VERSION

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the column alone, null where a row has no label."""
        rows = table.select(list(self.source.needs)).to_pylist() if self.source.needs else [{}] * table.num_rows
        made = pa.array([self.source.label(row) for row in rows], self.features.arrow_schema.field("label").type)
        return pa.table({"label": made})


class Labelled:
    """Turns tables of a corpus into those of a job, counting the rows that have no label, which are left out."""

    def __init__(self, make: Labels, name: str, left_out: Counter[str]) -> None:
        self.make, self.name, self.left_out = make, name, left_out

    def __deepcopy__(self, memo: dict[int, Any]) -> Labelled:
        return self  # `datasets` copies what it maps; the count is one

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows with a label."""
        label = self.make(table).column("label")
        self.left_out[self.name] += label.null_count
        whole = table.select(list(CORE)).append_column("label", label)
        return whole.filter(label.is_valid()).cast(self.make.features.arrow_schema.remove_metadata())


def load_job(
    job: str,
    root: str | Path,
    split: str = "train",
    *,
    streaming: bool = True,
    weights: str | Mapping[str, float] | None = None,
    seed: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    left_out: Counter[str] | None = None,
) -> Dataset | IterableDataset:
    """Mix the corpora of a job that lie below a folder; say in a warning which ones do not.

    The mixture ends when each corpus was read to its end at least once; until then the smaller ones begin anew
    (`all_exhausted` of `datasets.interleave_datasets`). A stream is resumed by its `state_dict`.

    Parameters
    ----------
    job : str
        One of `JOBS`.
    root : str or Path
        Holds a folder or archive for each corpus: see `builders.job_places`.
    split : str
        ``train``, ``validation`` or ``test``.
    streaming : bool
        Label the rows as they are read. Otherwise all are labelled before this function returns.
    weights : {"hours"} or mapping of str to float, optional
        How often a row is of which corpus: as the corpora's hours of audio are to each other, or as given for all that
        is found. By default the corpora take turns.
    seed : int
        Decides which corpus is next, given weights.
    options : mapping of str to mapping, optional
        Arguments of `load_dataset` for raw corpora: ``{"meld": {"max_bad": 0.1}}``.
    left_out : Counter, optional
        Counts the rows without a label by folder, as far as this process has read.

    Raises
    ------
    CorpusError
        If there is no such job, nothing of it is there, a weight is missing, or a label is in no inventory.
    """
    if job not in JOBS:
        raise CorpusError(f"there is no job {job!r}: expected one of {list(JOBS)}")
    left_out = Counter() if left_out is None else left_out
    parts, absent = {}, []
    for source in JOBS[job].sources:
        found, reasons = _parts(JOBS[job], source, absolute(root), split, streaming, options or {}, left_out)
        parts |= found
        absent += reasons
    if not parts:
        raise CorpusError(f"{job}: nothing to read below {root} for {split}: {'; '.join(absent)}")
    if absent:
        logger.warning("%s: without %s", job, "; ".join(absent))
    tables = [table for _, _, table in parts.values()]
    chances = None if weights is None else probabilities({name: parts[name][:2] for name in parts}, weights)
    if len(tables) == 1:
        return tables[0]
    return interleave_datasets(tables, probabilities=chances, seed=seed, stopping_strategy="all_exhausted")


def probabilities(parts: Mapping[str, tuple[Place, Sequence[str]]], weights: str | Mapping[str, float]) -> list[float]:
    """Return the chance of each part, given its place and splits."""
    if weights == "hours":
        found = [place.hours(splits) for place, splits in parts.values()]
    elif isinstance(weights, str) or set(weights) != set(parts):
        raise CorpusError(f"weights={weights!r}: expected 'hours', or a weight for each of {list(parts)}")
    else:
        found = [float(weights[name]) for name in parts]
    if min(found) <= 0:
        raise CorpusError(f"weights must be positive, not {dict(zip(parts, found, strict=True))}")
    return (np.array(found) / sum(found)).tolist()


def inventory(root: str | Path | None) -> list[list[str]]:
    """Return a row for each job: name, label, the corpora that are there and those that are not."""
    rows = []
    for name, job in JOBS.items():
        found = {source.corpus: find(absolute(root), source) if root else [] for source in job.sources}
        there = [f"{place.name} ({place.form})" for places in found.values() for place in places]
        rows.append([name, job.label, ", ".join(there), ", ".join(name for name in found if not found[name])])
    return rows


def _parts(
    job: Job, source: Source, root: Path, split: str, streaming: bool,
    options: Mapping[str, Mapping[str, Any]], left_out: Counter[str],
) -> tuple[dict[str, tuple[Place, list[str], Any]], list[str]]:  # fmt: skip
    """Return the labelled tables of a corpus by their folders' names, and why there are not more."""
    places = find(root, source, options.get(source.corpus))
    if not places:
        return {}, [" ".join([source.corpus, *(f"({reason})" for reason in missing(root, source))])]
    parts, absent = {}, []
    for place in places:
        splits = place.splits(split)
        loaded = [place.load(name, streaming) for name in splits]
        if not loaded:
            absent.append(f"{place.name} (no split {split})")
        elif not any(_has_label(job, place, table) for table in loaded):
            absent.append(f"{place.name} (none of the first {PEEK_ROWS} rows has a label)")
        else:
            tables = [_labelled(job, place, table, left_out) for table in loaded]
            parts[place.name] = (place, splits, concatenate_datasets(tables) if len(tables) > 1 else tables[0])
    return parts, absent


def _has_label(job: Job, place: Place, table: Dataset | IterableDataset) -> bool:
    """Return whether a split's first rows have any label: a mixture would look for one in vain, time after time."""
    label = Labelled(Labels(place.source, job.features), place.name, Counter())
    seen = 0
    for rows in _rows(place.source, table).with_format("arrow").iter(BATCH_ROWS):
        seen += rows.num_rows
        if label(rows).num_rows:
            return True
        if seen >= PEEK_ROWS:
            break
    return False


def _rows(source: Source, table: Dataset | IterableDataset) -> Dataset | IterableDataset:
    """Return the rows that are labelled, where these are not those of the corpus."""
    if source.rows is None:
        return table
    kinds = Features({**CORE, **source.extra})
    return table.with_format("arrow").map(source.rows, batched=True, batch_size=1, features=kinds)


def _labelled(job: Job, place: Place, table: Any, left_out: Counter[str]) -> Dataset | IterableDataset:
    source = place.source
    make = Labels(source, job.features)
    table = _rows(source, table)
    if isinstance(table, IterableDataset):
        return table.with_format("arrow").map(
            Labelled(make, place.name, left_out), batched=True, batch_size=BATCH_ROWS, features=job.features
        ).with_format(None)  # fmt: skip
    # Only labels are written to the cache: the audio stays where it is.
    needed = table.select_columns(list(source.needs) or ["id"]).with_format("arrow")
    found = needed.map(make, batched=True, batch_size=BATCH_ROWS, features=Features({"label": job.kind}),
                       remove_columns=needed.column_names)  # fmt: skip
    there = np.flatnonzero(found.data.column("label").is_valid())
    left_out[place.name] += len(table) - len(there)
    whole = concatenate_datasets([table.with_format(None).select_columns(list(CORE)), found.with_format(None)], axis=1)
    return whole.select(there)
