"""What is probed at a time: one column, or all layers of an encoder together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset

from features.card import FeatureCard
from probes.errors import ProbeError
from probes.examples import Examples
from probes.frames import FrameTable

ALL = "all"  # the layer that results of all layers together stand under


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


def gathered(dataset: Dataset, job: Job, examples: Examples, rows: np.ndarray, *, context: bool) -> FrameTable:
    """Return the examples of a job.

    Of several layers `values` has the shape (examples, layers, width), layers in the order of the job.

    Raises
    ------
    ProbeError
        If a column has no such examples.
    """
    tables = (examples.table(dataset, column, rows, context=context) for column in job.columns)
    first = next(tables)
    if job.card.layer != ALL:
        return first
    values = np.empty((len(first.values), len(job.columns), first.values.shape[1]), first.values.dtype)
    values[:, 0] = first.values
    for place, table in enumerate(tables, start=1):
        if len(table.values) != len(values):
            raise ProbeError("layers of one encoder have different numbers of frames: encode them again")
        values[:, place] = table.values
    return replace(first, values=values)
