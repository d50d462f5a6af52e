"""What a probe that measures instead of classifying is asked, and the groups that its intervals resample.

A probe file with `measure` yields rows of results; `probes.run` finds it by the file's name, as it does those
with `fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from features.card import FeatureCard
from probes.labels import Labeller, Silence
from probes.splits import Fold, Splits, ranked

READ = 1024  # rows whose frames are counted at a time
MOST_GROUPS = 20  # that sums are kept of: width * width numbers each


@dataclass(frozen=True)
class Asked:
    """A table and what is to be measured on it.

    table : Dataset
        Manifest and feature columns.
    columns : dict of str to FeatureCard
        Columns to measure, those of one encoder together, layers in order.
    rows : np.ndarray [shape=(n,), int64]
        Rows that count, ascending.
    splits : Splits
        Of these rows, for what has to be trained.
    tier, silence, phone_set, max_frames, seed
        As in `probes.frames.frame_table`.
    draws : int > 0
        Resampled sets of speakers per interval.
    save : Path, optional
        Folder for what is trained.
    note : str
        What a reader of the results should know about the rows.
    published : bool
        Whether it is measured as published code does, flaws included (`probes.published`); the splits are its halves.
    """

    table: Dataset
    columns: dict[str, FeatureCard]
    rows: np.ndarray
    splits: Splits
    tier: str = "phones"
    silence: Silence = "keep"
    phone_set: str | None = None
    max_frames: int | None = None
    seed: int = 0
    draws: int = 1000
    save: Path | None = None
    note: str = ""
    published: bool = False

    def labeller(self) -> Labeller:
        """Return what gives labels of the tier their classes."""
        return Labeller(self.tier, silence=self.silence, phone_set=self.phone_set)

    def groups(self, most: int | None = None, rows: np.ndarray | None = None) -> Groups:
        """Return the groups of rows that intervals resample: speakers, or utterances where there is one speaker.

        Parameters
        ----------
        most : int > 0, optional
            Speakers are put together, by a hash of their ids, so that there are at most so many groups.
        rows : np.ndarray [shape=(n,), int64], optional
            Some of the rows that count; all where left out.
        """
        rows = self.rows if rows is None else rows
        voices = self.splits.speakers[np.searchsorted(self.rows, rows)]
        unit = "speakers" if len(np.unique(voices)) > 1 else "utterances"
        names = voices if unit == "speakers" else np.char.mod("%d", rows)
        known = ranked(names)
        count = min(len(known), most or len(known))
        place = {name: number % count for number, name in enumerate(known)}
        unit = unit if count == len(known) else f"{count} groups of {unit}"
        table = np.full(len(self.table), -1)
        table[rows] = [place[name] for name in names.tolist()]
        return Groups(table, count, unit)

    def speakers(self, rows: np.ndarray) -> np.ndarray:
        """Return a number for the speaker of each row, (n,) int64."""
        return np.unique(self.splits.speakers[np.searchsorted(self.rows, rows)], return_inverse=True)[1]

    def weights(self, groups: int) -> np.ndarray:
        """Return how often each group is in a sample, (1 + draws, groups) float64; the first has each once.

        With one group there is no other sample.
        """
        once = np.ones((1, groups))
        if groups < 2:
            return once
        draw = np.random.default_rng(self.seed)
        drawn = draw.multinomial(groups, np.full(groups, 1 / groups), size=self.draws)
        return np.concatenate([once, drawn.astype(np.float64)])


@dataclass(frozen=True)
class Groups:
    """Rows that are resampled together.

    of : np.ndarray [shape=(rows of the table,), int64]
        Group of each row, -1 for rows that don't count.
    count : int
    unit : str
        What a group is.
    """

    of: np.ndarray
    count: int
    unit: str


def with_frames(asked: Asked) -> Asked:
    """Return what is asked without the utterances that are too short for a frame of one of the columns; `note` counts.

    They are left out for all columns alike, so that all are measured on the same utterances.
    """
    there = np.ones(len(asked.table), dtype=bool)
    for start in range(0, len(there), READ):
        part = slice(start, min(start + READ, len(there)))
        for column in asked.columns:
            there[part] &= frame_counts(asked.table, column, part) > 0
    kept = there[asked.rows]
    if kept.all():
        return asked
    folds = (Fold(*(rows[there[rows]] for rows in (f.train, f.validation, f.test))) for f in asked.splits.folds)
    splits = replace(asked.splits, folds=tuple(folds), speakers=asked.splits.speakers[kept])
    note = joined(asked.note, f"{(~kept).sum()} utterances without frames left out")
    return replace(asked, rows=asked.rows[kept], splits=splits, note=note)


def frame_counts(dataset: Dataset, column: str, rows: slice) -> np.ndarray:
    """Return the frames of each row, (rows,) int64, without looking at their values."""
    found = dataset.select_columns([column]).with_format("arrow")[rows].column(0)
    return np.concatenate([np.diff(chunk.storage.offsets.to_numpy()) for chunk in found.chunks]).astype(np.int64)


def value_and_interval(values: np.ndarray, level: float = 0.95) -> dict[str, float | None]:
    """Return ``value, ci_low, ci_high`` out of what `Asked.weights` gave, null where it is not a number."""
    low, high = np.nan, np.nan
    if np.isfinite(values[1:]).any():
        low, high = np.nanquantile(values[1:], [(1 - level) / 2, (1 + level) / 2])
    named = {"value": values[0], "ci_low": low, "ci_high": high}
    return {name: None if np.isnan(one) else float(one) for name, one in named.items()}


def about(card: FeatureCard) -> dict[str, Any]:
    """Return the columns of the results that a card tells."""
    clock = f"{card.clock.hop}+{card.clock.offset}" if card.clock else None
    row = {"encoder": card.encoder, "init": card.init, "layer": card.layer}
    return row | {"layer_index": card.index, "clock": clock}


def joined(*notes: str) -> str:
    """Return the notes that say something as one."""
    return "; ".join(filter(None, notes))
