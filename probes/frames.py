"""The frame table: the labelled frames of one feature column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from datasets import Dataset

from features.card import FeatureCard, cards
from features.clock import FrameClock
from features.columns import matrices
from probes.errors import ProbeError
from probes.finite import check_finite
from probes.labels import Labeller, Silence
from probes.segments import tier_segments
from probes.splits import UNKNOWN
from probes.tables import plain, usable

BATCH_ROWS = 64  # utterances whose features are looked at at a time
MOST_CLASSES = 200  # more is not a tier that a frame probe can learn (words, free text)
COLUMNS = ("id", "speaker_id", "corpus", "segments")


@dataclass(frozen=True)
class FrameTable:
    """Labelled examples of one layer, in the order of the table's rows and of time: frames, if nothing else is said.

    values : np.ndarray [shape=(examples, width), float16 or float32]
        Of a table with context: all frames of the utterances, see `place`.
    labels : np.ndarray [shape=(examples,), int64]
        Index into `classes`.
    utterance : np.ndarray [shape=(examples,), int64]
        Row of the table that an example comes from.
    speaker : np.ndarray [shape=(examples,), int64]
        Index into `speakers`.
    classes, speakers : tuple of str
        Names, also of classes without an example.
    types : np.ndarray [shape=(examples,), int64] or None
        What a control task gives one label: see `probes.control`.
    place : np.ndarray [shape=(examples,), int64] or None
        Row of `values` of each example in a table with context; else example and row are one.
    spans : np.ndarray [shape=(rows of the table, 2), int64] or None
        First frame of each utterance in `values`, and the one after its last; with `place` only.
    """

    values: np.ndarray
    labels: np.ndarray
    utterance: np.ndarray
    speaker: np.ndarray
    classes: tuple[str, ...]
    speakers: tuple[str, ...]
    types: np.ndarray | None = None
    place: np.ndarray | None = None
    spans: np.ndarray | None = None

    def take(self, which: np.ndarray) -> np.ndarray:
        """Return the values of some examples."""
        return self.values[which if self.place is None else self.place[which]]


def frame_table(
    dataset: Dataset,
    column: str,
    *,
    tier: str = "phones",
    silence: Silence = "keep",
    phone_set: str | None = None,
    max_frames: int | None = None,
    rows: np.ndarray | None = None,
    seed: int = 0,
    inventory: str = "39",
    context: bool = False,
) -> FrameTable:
    """Gather the frames of a feature column that a segment of the tier labels.

    A frame has the label of the segment that holds its centre (``start <= centre < end``); frames
    in gaps, and frames whose label has no class, are left out.

    Parameters
    ----------
    dataset : Dataset
        Manifest and feature columns.
    column : str
        Feature column, ``<encoder>.<layer>``.
    tier : str
        Tier of `segments`. ``phones`` is folded to the 39 classes, others are taken as they are.
    silence : "keep" or "drop"
        Whether frames of the class ``sil`` stay.
    phone_set : str, optional
        Phone set of the tier; by default the one of each row's corpus.
    max_frames : int > 0, optional
        At most so many labelled frames per utterance, drawn by `seed` and the utterance's id:
        the same frames for all columns of one clock.
    rows : np.ndarray [shape=(n,), int64], optional
        Rows to read; all where left out.
    inventory : str
        Classes of the tier ``phones``: 39, 48, 61 or broad.
    context : bool
        Whether the frames around the labelled ones are kept, for probes that look at them.

    Raises
    ------
    ProbeError
        If the table lacks a column or the tier, or a label is unknown to the corpus' phone set.
    """
    return frame_tables(
        dataset, [column], tier=tier, silence=silence, phone_set=phone_set, max_frames=max_frames, rows=rows, seed=seed,
        inventory=inventory, context=context,
    )[0]  # fmt: skip


def frame_tables(
    dataset: Dataset, columns: Sequence[str], *, tier: str = "phones", silence: Silence = "keep",
    phone_set: str | None = None, max_frames: int | None = None, rows: np.ndarray | None = None, seed: int = 0,
    inventory: str = "39", context: bool = False,
) -> list[FrameTable]:  # fmt: skip
    """Gather the same frames of several columns of one clock, in one pass: arguments and errors of `frame_table`.

    Labels are found once for all columns whose utterances have equally many frames.
    """
    clocks = [check(dataset, column, max_frames).clock for column in columns]
    if len(set(clocks)) > 1:
        raise ProbeError(f"columns {list(columns)} have different clocks: gather each clock by itself")
    labeller = Labeller(tier, silence=silence, phone_set=phone_set, inventory=inventory)

    def choose(manifest: pa.Table, lengths: np.ndarray) -> Chosen:
        labels, utterance, types = _labels(manifest, tier, clocks[0], lengths, labeller)
        keep = labels >= 0
        if max_frames is not None:
            keep &= drawn(manifest["id"].to_pylist(), utterance, keep, max_frames, seed)
        keep = np.flatnonzero(keep)
        return Chosen(keep, labels[keep], utterance[keep], types[keep])

    parts: list[list[Part]] = [[] for _ in columns]
    for batch, manifest, wanted in batches(dataset, rows):
        chosen, counted = None, None
        for own, column in zip(parts, columns, strict=True):
            values, lengths = matrices(dataset, column, batch)
            if chosen is None or not np.array_equal(lengths, counted):
                chosen, counted = choose(manifest, lengths).of(wanted), lengths
            own.append(chosen.part(values, batch.start, lengths if context else None))
    return assembled(dataset, columns, tier, parts, labeller.classes, ordered=tier == "phones")


def batches(dataset: Dataset, rows: np.ndarray | None) -> Iterator[tuple[slice, pa.Table, np.ndarray]]:
    """Yield the slice, the manifest and, for each row, whether it is wanted, of batches with a wanted row."""
    wanted = np.ones(len(dataset), dtype=bool) if rows is None else np.isin(np.arange(len(dataset)), rows)
    manifest = dataset.select_columns(list(COLUMNS)).with_format("arrow")
    for start in range(0, len(dataset), BATCH_ROWS):
        batch = slice(start, min(start + BATCH_ROWS, len(dataset)))
        if wanted[batch].any():
            yield batch, manifest[batch], wanted[batch]


class Part(NamedTuple):
    """The examples of some rows, as in `FrameTable`.

    lengths : np.ndarray [shape=(rows,), int64] or None
        Frames of each of the rows from `start` on, with context: `place` counts within `values` then.
    """

    values: np.ndarray
    labels: np.ndarray
    utterance: np.ndarray
    types: np.ndarray
    place: np.ndarray | None = None
    start: int = 0
    lengths: np.ndarray | None = None

    def check(self, column: str) -> None:
        """Raise an error if values are not finite; with context those of all frames around an example count."""
        wanted = None
        if self.lengths is not None:
            wanted = np.isin(np.arange(len(self.lengths)) + self.start, self.utterance)
        check_finite(column, self.values, self.lengths, wanted)


class Chosen(NamedTuple):
    """Rows of a batch's values that are examples; of each its label, its row of the table in the batch, its type."""

    keep: np.ndarray
    labels: np.ndarray
    utterance: np.ndarray
    types: np.ndarray

    def of(self, wanted: np.ndarray) -> Chosen:
        """Return those whose row of the table is wanted."""
        own = wanted[self.utterance]
        return self if own.all() else Chosen(*(array[own] for array in self))

    def part(self, values: np.ndarray, start: int, lengths: np.ndarray | None = None) -> Part:
        """Take them out of the values of a column; with `lengths` all values stay."""
        told = (self.labels, self.utterance + start, self.types)
        if lengths is None:
            return Part(values[self.keep], *told)
        return Part(values, *told, self.keep, start, lengths)


def check(
    dataset: Dataset, column: str, max_frames: int | None = None, kind: str = "frames", tier: str = "phones"
) -> FeatureCard:
    """Return the card of a feature column, or say what the table or the request lacks."""
    missing = [name for name in COLUMNS if name not in dataset.column_names]
    if missing:
        raise ProbeError(f"the table has no columns {missing}: expected a manifest table with features beside it")
    if max_frames is not None and max_frames < 1:
        raise ProbeError(f"max_frames={max_frames}: expected at least 1")
    known = cards(dataset)
    if column not in known:
        raise ProbeError(f"no feature column {column!r}: expected one of {list(known)}")
    if not usable(known[column], kind, tier):
        has = f"axis {known[column].axis}, pool {known[column].pool}"
        raise ProbeError(f"column {column!r} has no {kind} ({has})")
    return known[column]


def _labels(
    manifest: pa.Table, tier: str, clock: FrameClock, lengths: np.ndarray, labeller: Labeller
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the class (-1: none), the row within the batch, and the type of each frame."""
    segments = tier_segments(manifest["segments"], tier)
    codes = labeller.codes(segments, corpora(manifest))
    utterance = np.repeat(np.arange(len(lengths)), lengths)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)  # first frame of each frame's utterance
    times = clock.times(int(lengths.max(initial=0)))[np.arange(len(utterance)) - first]
    found = segments.at(utterance, times)
    types = triphones(codes, segments.rows)
    return np.where(found >= 0, np.append(codes, -1)[found], -1), utterance, np.append(types, -1)[found]


def corpora(manifest: pa.Table) -> list[str]:
    """Return the corpus of each row, empty where it is null."""
    return [name or "" for name in manifest["corpus"].to_pylist()]


def triphones(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return one number per segment, the same for segments of one class between the same two classes.

    Parameters
    ----------
    codes : np.ndarray [shape=(segments,), int64, -1 <= code]
        Classes in order of time.
    rows : np.ndarray [shape=(segments,), int64]
        Utterance of each; the neighbours of its first and last segment are of a class of their own.
    """
    base = 1 << 20
    same = rows[1:] == rows[:-1]
    before = np.append(-2, np.where(same, codes[:-1], -2))[: len(codes)]
    after = np.append(np.where(same, codes[1:], -2), -2)[: len(codes)]
    return ((before + 2) * base + codes + 2) * base + after + 2


def drawn(ids: list[str], utterance: np.ndarray, keep: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Draw `most` of the kept frames of each utterance, by a hash of seed, id and frame number."""
    keys = [int.from_bytes(sha256(f"{seed}:{name}".encode()).digest()[:8], "little") for name in ids]
    chosen = np.flatnonzero(keep)
    rows = utterance[chosen]
    number = chosen - np.searchsorted(utterance, rows)  # frame number within the utterance
    noise = mixed(np.asarray(keys, dtype=np.uint64)[rows] + number.astype(np.uint64))
    order = np.lexsort((noise, rows))
    rank = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])
    drawn = np.zeros(len(keep), dtype=bool)
    drawn[chosen[order[rank < most]]] = True
    return drawn


def mixed(values: np.ndarray) -> np.ndarray:
    """Return splitmix64 of unsigned integers: neighbours in, unrelated numbers out."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def assembled(
    dataset: Dataset, columns: Sequence[str], target: str, parts: list[list[Part]], classes: Sequence[str],
    *, ordered: bool, most: int = MOST_CLASSES,
) -> list[FrameTable]:  # fmt: skip
    """Join the parts of each column; columns with the same examples share all arrays but the values.

    The parts are taken out of their lists, so that at most one column is in memory twice.

    Raises
    ------
    ProbeError
        If there is no example, there are too many classes, or values are not finite.
    """
    made: list[FrameTable] = []
    first = [part.labels for part in parts[0]]
    for column, own in zip(columns, parts, strict=True):
        for part in own:
            part.check(column)
        if made and all(part.labels is labels for part, labels in zip(own, first, strict=True)):
            made.append(replace(made[0], values=np.concatenate([part.values for part in own])))
        else:
            made.append(_assembled(dataset, column, target, own, classes, ordered=ordered, most=most))
        own.clear()
    return made


def _assembled(
    dataset: Dataset, column: str, target: str, parts: list[Part], classes: Sequence[str], *, ordered: bool, most: int
) -> FrameTable:
    """Join the parts of one table; classes that have no order of their own are sorted."""
    if len(classes) > most:
        raise ProbeError(f"{target!r} has {len(classes)} labels: a probe takes at most {most}")
    if not sum(len(part.labels) for part in parts):
        raise ProbeError(f"column {column!r}: no frame lies in a labelled segment of tier {target!r}")
    values, labels, utterance, types = (np.concatenate(arrays) for arrays in list(zip(*parts, strict=True))[:4])
    order = np.arange(len(classes)) if ordered else np.argsort(classes)
    names = plain(dataset, "speaker_id")
    voices = [UNKNOWN if name is None else name for name in names]
    speakers, speaker = np.unique(np.asarray(voices, dtype=str), return_inverse=True)
    place, spans = _places(parts, len(dataset)) if parts[0].place is not None else (None, None)
    return FrameTable(
        values=values,
        labels=np.argsort(order)[labels],
        utterance=utterance,
        speaker=speaker[utterance],
        classes=tuple(classes[code] for code in order),
        speakers=tuple(speakers.tolist()),
        types=types,
        place=place,
        spans=spans,
    )


def _places(parts: list[Part], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return `place` and `spans` of a table with context."""
    spans, places, before = np.zeros((rows, 2), dtype=np.int64), [], 0
    for part in parts:
        ends = before + np.cumsum(part.lengths)
        spans[part.start : part.start + len(ends)] = np.stack([ends - part.lengths, ends], axis=1)
        places.append(part.place + before)
        before += len(part.values)
    return np.concatenate(places), spans
