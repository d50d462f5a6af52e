"""A sample of labelled frames, the same moments of the same utterances in several columns.

Columns of different clocks are read at the moments of the coarsest one, each by its frame whose centre is nearest.
What is in memory are the numbers of the sampled frames and the features of a few utterances.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import pyarrow as pa
from datasets import Dataset

from features.card import FeatureCard
from features.clock import FrameClock
from features.columns import matrices
from probes.errors import ProbeError
from probes.finite import check_finite
from probes.frames import drawn as drawn_per_utterance
from probes.frames import mixed
from probes.labels import Labeller
from probes.measuring import Asked, frame_counts
from probes.segments import tier_segments

ROWS = 16  # utterances whose features are in memory at a time
COLUMNS = ("id", "corpus", "segments")


@dataclass(frozen=True)
class FrameSample:
    """Frames of a clock, in the order of rows and time.

    clock : FrameClock
    rows, numbers : np.ndarray [shape=(frames,), int64]
        Row of the table, and number of the frame in it.
    labels : np.ndarray [shape=(frames,), int64]
        Index into `classes`.
    classes : tuple of str
    """

    clock: FrameClock
    rows: np.ndarray
    numbers: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    def batches(
        self, dataset: Dataset, columns: dict[str, FeatureCard]
    ) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """Yield parts of the sample and their features, (frames of the part, width) float32 of each column.

        Raises
        ------
        ProbeError
            If features are not finite.
        """
        for start in range(0, len(dataset), ROWS):
            part = slice(*np.searchsorted(self.rows, [start, start + ROWS]).tolist())
            if part.start == part.stop:
                continue
            rows = slice(start, min(start + ROWS, len(dataset)))
            yield part, {name: self._values(dataset, name, card, rows, part) for name, card in columns.items()}

    def _values(self, dataset: Dataset, column: str, card: FeatureCard, rows: slice, part: slice) -> np.ndarray:
        values, lengths = matrices(dataset, column, rows)
        first = (np.cumsum(lengths) - lengths)[self.rows[part] - rows.start]
        found = values[first + nearest(self.clock, card.clock, self.numbers[part])].astype(np.float32)
        check_finite(column, found)
        return found


def nearest(clock: FrameClock, other: FrameClock, numbers: np.ndarray) -> np.ndarray:
    """Return the frames of another clock whose centres are nearest, the earlier of two; may be negative."""
    moments = numbers * clock.hop + clock.offset - other.offset
    return -((other.hop - 2 * moments) // (2 * other.hop))  # ceil(moments / hop - 1/2)


def draw_sample(asked: Asked, columns: Collection[str], most: int) -> FrameSample:
    """Draw labelled frames that all the columns have.

    A column has a moment where the centre of one of its frames is at most half a hop away. The frames drawn depend
    on the seed, the ids of the utterances, and the clock: not on the order of rows or the columns.

    Parameters
    ----------
    asked : Asked
    columns : collection of str
    most : int
        So many at most; 0 for all, which takes 32 bytes of memory per frame.

    Raises
    ------
    ProbeError
        If no frame has a label.
    """
    known = {name: asked.columns[name] for name in columns}
    clock = max((card.clock for card in known.values()), key=lambda clock: clock.hop)
    labeller, best = asked.labeller(), np.zeros((4, 0), dtype=np.int64)
    wanted = np.isin(np.arange(len(asked.table)), asked.rows)
    for start in range(0, len(wanted), ROWS):
        rows = slice(start, min(start + ROWS, len(wanted)))
        if wanted[rows].any():
            found = _labelled(asked, known, clock, rows, labeller, wanted[rows])
            best = np.concatenate([best, found], axis=1)
        if most and best.shape[1] > 2 * most:
            best = best[:, np.argpartition(best[0], most)[:most]]
    if most and best.shape[1] > most:
        best = best[:, np.argpartition(best[0], most)[:most]]
    if not best.shape[1]:
        raise ProbeError(f"no frame that the columns share lies in a labelled segment of tier {asked.tier!r}")
    _, rows, numbers, labels = best[:, np.lexsort((best[2], best[1]))]
    order = np.argsort(labeller.classes) if asked.tier != "phones" else np.arange(len(labeller.classes))
    names = tuple(labeller.classes[code] for code in order)
    return FrameSample(clock, rows, numbers, np.argsort(order)[labels], names)


def _labelled(
    asked: Asked,
    columns: dict[str, FeatureCard],
    clock: FrameClock,
    rows: slice,
    labeller: Labeller,
    wanted: np.ndarray,
) -> np.ndarray:
    """Return key, row, number and label of the frames that count, (4, n) int64."""
    lengths = {name: frame_counts(asked.table, name, rows) for name in columns}
    count = next(lengths[name] for name, card in columns.items() if card.clock == clock)
    utterance = np.repeat(np.arange(len(count)), count)
    number = np.arange(len(utterance)) - np.repeat(np.cumsum(count) - count, count)
    manifest = asked.table.select_columns(list(COLUMNS)).with_format("arrow")[rows]
    keep = wanted[utterance]
    for name, card in columns.items():
        there = nearest(clock, card.clock, number)
        away = there * card.clock.hop + card.clock.offset - number * clock.hop - clock.offset
        keep &= (there >= 0) & (there < lengths[name][utterance]) & (2 * np.abs(away) <= card.clock.hop)
    labels = _labels(manifest, asked.tier, clock, utterance, number, labeller)
    keep &= labels >= 0
    ids = manifest["id"].to_pylist()
    if asked.max_frames is not None:
        keep &= drawn_per_utterance(ids, utterance, keep, asked.max_frames, asked.seed)
    keep = np.flatnonzero(keep)
    keys = [int.from_bytes(sha256(f"{asked.seed}:{name}".encode()).digest()[:8], "little") for name in ids]
    key = mixed(np.asarray(keys, dtype=np.uint64)[utterance[keep]] + number[keep].astype(np.uint64))
    return np.stack([(key >> np.uint64(1)).astype(np.int64), utterance[keep] + rows.start, number[keep], labels[keep]])


def _labels(
    manifest: pa.Table, tier: str, clock: FrameClock, utterance: np.ndarray, number: np.ndarray, labeller: Labeller
) -> np.ndarray:
    segments = tier_segments(manifest["segments"], tier)
    codes = labeller.codes(segments, [name or "" for name in manifest["corpus"].to_pylist()])
    found = segments.at(utterance, clock.times(int(number.max(initial=-1)) + 1)[number])
    return np.where(found >= 0, np.append(codes, -1)[found], -1)
