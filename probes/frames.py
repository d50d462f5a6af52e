"""The frame table: the labelled frames of one feature column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from datasets import Dataset

from features.card import FeatureCard, cards
from features.clock import FrameClock
from features.columns import matrices
from probes.errors import ProbeError
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
    card = check(dataset, column, max_frames)
    labeller = Labeller(tier, silence=silence, phone_set=phone_set, inventory=inventory)
    wanted = np.ones(len(dataset), dtype=bool) if rows is None else np.isin(np.arange(len(dataset)), rows)
    manifest = dataset.select_columns(list(COLUMNS)).with_format("arrow")
    parts: list[Part] = []
    spans = np.zeros((len(dataset), 2), dtype=np.int64)
    for start in range(0, len(dataset), BATCH_ROWS):
        batch = slice(start, min(start + BATCH_ROWS, len(dataset)))
        if not wanted[batch].any():
            continue
        values, lengths = matrices(dataset, column, batch)
        labels, utterance, types = _labels(manifest[batch], tier, card.clock, lengths, labeller)
        keep = (labels >= 0) & wanted[batch][utterance]
        if max_frames is not None:
            keep &= drawn(manifest[batch]["id"].to_pylist(), utterance, keep, max_frames, seed)
        keep = np.flatnonzero(keep)
        place = None
        if context:
            ends = spans[:start].max(initial=0) + np.cumsum(lengths)
            spans[batch] = np.stack([ends - lengths, ends], axis=1)
            place = keep + ends[0] - lengths[0]
        parts.append(
            Part(values if context else values[keep], labels[keep], utterance[keep] + start, types[keep], place)
        )
    return assemble(dataset, column, tier, parts, labeller.classes, ordered=tier == "phones", spans=spans)


class Part(NamedTuple):
    """The examples of some rows, as in `FrameTable`."""

    values: np.ndarray
    labels: np.ndarray
    utterance: np.ndarray
    types: np.ndarray
    place: np.ndarray | None = None


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


def assemble(
    dataset: Dataset, column: str, target: str, parts: list[Part], classes: Sequence[str],
    *, ordered: bool, most: int = MOST_CLASSES, spans: np.ndarray | None = None,
) -> FrameTable:  # fmt: skip
    """Join the parts of a table; classes that have no order of their own are sorted.

    Raises
    ------
    ProbeError
        If there is no example, or too many classes.
    """
    if len(classes) > most:
        raise ProbeError(f"{target!r} has {len(classes)} labels: a probe takes at most {most}")
    if not sum(len(part.labels) for part in parts):
        raise ProbeError(f"column {column!r}: no frame lies in a labelled segment of tier {target!r}")
    values, labels, utterance, types = (np.concatenate(arrays) for arrays in list(zip(*parts, strict=True))[:4])
    order = np.arange(len(classes)) if ordered else np.argsort(classes)
    names = plain(dataset, "speaker_id")
    voices = [UNKNOWN if name is None else name for name in names]
    speakers, speaker = np.unique(np.asarray(voices, dtype=str), return_inverse=True)
    context = parts[0].place is not None
    return FrameTable(
        values=values,
        labels=np.argsort(order)[labels],
        utterance=utterance,
        speaker=speaker[utterance],
        classes=tuple(classes[code] for code in order),
        speakers=tuple(speakers.tolist()),
        types=types,
        place=np.concatenate([part.place for part in parts]) if context else None,
        spans=spans if context else None,
    )
