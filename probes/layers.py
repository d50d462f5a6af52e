"""What is probed at a time: one column, or all layers of an encoder together; and what is read at a time.

Columns of one clock are gathered in one pass over the table, as many as fit into a share of the free memory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from datasets import Dataset

from features.card import FeatureCard
from probes.errors import ProbeError
from probes.examples import Examples
from probes.frames import FrameTable

ALL = "all"  # the layer that results of all layers together stand under
SHARE = 1 / 4  # of the free memory, for the columns of one pass: a probe copies the column that it learns from


@dataclass(frozen=True)
class Job:
    """Columns that one probe gets, under a name and a card.

    name : str
    card : FeatureCard
        Of the column; of several the first one's, layer `ALL`.
    columns : mapping of str to FeatureCard
    """

    name: str
    card: FeatureCard
    columns: Mapping[str, FeatureCard]


def jobs(columns: Mapping[str, FeatureCard], together: bool) -> list[Job]:
    """Return one job a column, or one for each encoder and kind of weights.

    Raises
    ------
    ProbeError
        If layers that should go together are of different widths or clocks.
    """
    if not together:
        return [Job(name, card, {name: card}) for name, card in columns.items()]
    groups: dict[tuple[str, str], dict[str, FeatureCard]] = {}
    for name, card in columns.items():
        groups.setdefault((card.encoder, card.init), {})[name] = card
    made = []
    for own in groups.values():
        first = replace(next(iter(own.values())), layer=ALL, index=1 + max(card.index for card in own.values()))
        if len({(card.width, card.clock, card.axis) for card in own.values()}) > 1:
            widths = {card.layer: card.width for card in own.values()}
            raise ProbeError(f"{first.encoder}: layers of different widths or clocks, {widths}: pass --layers")
        made.append(Job(first.column, first, own))
    return made


def frame_tables(
    dataset: Dataset, work: list[Job], examples: Examples, rows: np.ndarray, *, context: bool
) -> Iterator[tuple[Job, FrameTable]]:
    """Yield each job with its examples; the columns of several jobs come from one pass over the table.

    Of a job of several layers `values` has the shape (examples, layers, width), layers in the order of the job.

    Raises
    ------
    ProbeError
        If a column has no such examples.
    """
    single = {job.name: job for job in work if job.card.layer != ALL}
    for names in portions(dataset, {name: job.card for name, job in single.items()}, examples):
        with naming(*names):
            tables = examples.tables(dataset, names, rows, context=context)[::-1]
        for name in names:
            yield single[name], tables.pop()  # no longer held here
    for job in work:
        if job.card.layer == ALL:
            with naming(job.name):
                table = _together(dataset, job, examples, rows, context)
            yield job, table


def portions(dataset: Dataset, columns: Mapping[str, FeatureCard], examples: Examples) -> list[list[str]]:
    """Cut columns into lists that are gathered in one pass: of one clock, within the budget, one column at least."""
    made: list[list[str]] = []
    most, held, before = budget(), 0.0, None
    for name, card in columns.items():
        size, kind = _bytes(dataset, name, card, examples), (card.clock, card.axis, card.pool)
        if before != kind or held + size > most:
            made.append([])
            held = 0.0
        made[-1].append(name)
        held, before = held + size, kind
    return made


def budget() -> float:
    """Return the bytes that columns of one pass may take: `SHARE` of what the kernel says is free.

    Where it does not say (macOS), of half of the machine's memory.
    """
    try:
        free = re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))
    except OSError:
        free = None
    bytes_free = int(free[1]) << 10 if free else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    return SHARE * bytes_free


@contextmanager
def naming(*names: str) -> Iterator[None]:
    """Put the first of some columns' names before an error that has none of them."""
    try:
        yield
    except ProbeError as error:
        known = any(name in str(error) for name in names)
        raise ProbeError(str(error) if known else f"{names[0]}: {error}") from None


def _bytes(dataset: Dataset, name: str, card: FeatureCard, examples: Examples) -> float:
    """Return the most that the examples of a column can take in memory; no value is read for it."""
    stored = dataset.data.column(name).nbytes * len(dataset) / max(1, len(dataset.data))  # fewer rows after a selection
    as_stored = examples.kind == "frames" and card.dtype != "int8"  # means and what was int8 are float32
    return stored if as_stored else stored * 4 / np.dtype(card.dtype).itemsize


def _together(dataset: Dataset, job: Job, examples: Examples, rows: np.ndarray, context: bool) -> FrameTable:
    values, first = None, None
    places = {name: place for place, name in enumerate(job.columns)}
    for names in portions(dataset, job.columns, examples):
        tables = examples.tables(dataset, names, rows, context=context)[::-1]
        for name in names:
            table = tables.pop()
            if values is None:
                values = np.empty((len(table.values), len(places), table.values.shape[1]), table.values.dtype)
                first = table
            if len(table.values) != len(values):
                raise ProbeError("layers of one encoder have different numbers of frames: encode them again")
            values[:, places[name]] = table.values
    return replace(first, values=values)
