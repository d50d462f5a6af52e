"""The frame table: the labelled frames of one feature column."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

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
from probes.tables import plain

BATCH_ROWS = 64  # utterances whose features are looked at at a time
MOST_CLASSES = 200  # more is not a tier that a frame probe can learn (words, free text)
COLUMNS = ("id", "speaker_id", "corpus", "segments")


@dataclass(frozen=True)
class FrameTable:
    """Labelled frames of one layer, in the order of the table's rows and of time.

    values : np.ndarray [shape=(frames, width), float16 or float32]
    labels : np.ndarray [shape=(frames,), int64]
        Index into `classes`.
    utterance : np.ndarray [shape=(frames,), int64]
        Row of the table that a frame comes from.
    speaker : np.ndarray [shape=(frames,), int64]
        Index into `speakers`.
    classes, speakers : tuple of str
        Names, also of classes without a frame.
    """

    values: np.ndarray
    labels: np.ndarray
    utterance: np.ndarray
    speaker: np.ndarray
    classes: tuple[str, ...]
    speakers: tuple[str, ...]


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

    Raises
    ------
    ProbeError
        If the table lacks a column or the tier, or a label is unknown to the corpus' phone set.
    """
    card = check(dataset, column, max_frames)
    labeller = Labeller(tier, silence=silence, phone_set=phone_set)
    wanted = np.ones(len(dataset), dtype=bool) if rows is None else np.isin(np.arange(len(dataset)), rows)
    manifest = dataset.select_columns(list(COLUMNS)).with_format("arrow")
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start in range(0, len(dataset), BATCH_ROWS):
        batch = slice(start, min(start + BATCH_ROWS, len(dataset)))
        if not wanted[batch].any():
            continue
        values, lengths = matrices(dataset, column, batch)
        labels, utterance = _labels(manifest[batch], tier, card.clock, lengths, labeller)
        keep = (labels >= 0) & wanted[batch][utterance]
        if max_frames is not None:
            keep &= _drawn(manifest[batch]["id"].to_pylist(), utterance, keep, max_frames, seed)
        keep = np.flatnonzero(keep)
        parts.append((values[keep], labels[keep], utterance[keep] + start))
    return _assemble(dataset, column, tier, parts, labeller)


def check(dataset: Dataset, column: str, max_frames: int | None = None) -> FeatureCard:
    """Return the card of a feature column, or say what the table or the request lacks."""
    missing = [name for name in COLUMNS if name not in dataset.column_names]
    if missing:
        raise ProbeError(f"the table has no columns {missing}: expected a manifest table with features beside it")
    if max_frames is not None and max_frames < 1:
        raise ProbeError(f"max_frames={max_frames}: expected at least 1")
    known = cards(dataset)
    if column not in known:
        raise ProbeError(f"no feature column {column!r}: expected one of {list(known)}")
    if known[column].axis != "frame" or known[column].pool != "none":
        raise ProbeError(f"column {column!r} has no frames (axis {known[column].axis}, pool {known[column].pool})")
    return known[column]


def _labels(
    manifest: pa.Table, tier: str, clock: FrameClock, lengths: np.ndarray, labeller: Labeller
) -> tuple[np.ndarray, np.ndarray]:
    """Return the class (-1: none) and the row within the batch of each frame."""
    segments = tier_segments(manifest["segments"], tier)
    codes = labeller.codes(segments, [name or "" for name in manifest["corpus"].to_pylist()])
    utterance = np.repeat(np.arange(len(lengths)), lengths)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)  # first frame of each frame's utterance
    times = clock.times(int(lengths.max(initial=0)))[np.arange(len(utterance)) - first]
    found = segments.at(utterance, times)
    return np.where(found >= 0, np.append(codes, -1)[found], -1), utterance


def _drawn(ids: list[str], utterance: np.ndarray, keep: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Draw `most` of the kept frames of each utterance, by a hash of seed, id and frame number."""
    keys = [int.from_bytes(sha256(f"{seed}:{name}".encode()).digest()[:8], "little") for name in ids]
    chosen = np.flatnonzero(keep)
    rows = utterance[chosen]
    number = chosen - np.searchsorted(utterance, rows)  # frame number within the utterance
    noise = _mix(np.asarray(keys, dtype=np.uint64)[rows] + number.astype(np.uint64))
    order = np.lexsort((noise, rows))
    rank = np.arange(len(order)) - np.searchsorted(rows[order], rows[order])
    drawn = np.zeros(len(keep), dtype=bool)
    drawn[chosen[order[rank < most]]] = True
    return drawn


def _mix(values: np.ndarray) -> np.ndarray:
    """Return splitmix64 of unsigned integers: neighbours in, unrelated numbers out."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _assemble(
    dataset: Dataset, column: str, tier: str, parts: list[tuple[np.ndarray, ...]], labeller: Labeller
) -> FrameTable:
    classes = labeller.classes
    if len(classes) > MOST_CLASSES:
        raise ProbeError(f"tier {tier!r} has {len(classes)} labels: a frame probe takes at most {MOST_CLASSES}")
    if not sum(len(part[1]) for part in parts):
        raise ProbeError(f"column {column!r}: no frame lies in a labelled segment of tier {tier!r}")
    values, labels, utterance = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(classes) if tier != "phones" else np.arange(len(classes))
    names = plain(dataset, "speaker_id")
    voices = [UNKNOWN if name is None else name for name in names]
    speakers, speaker = np.unique(np.asarray(voices, dtype=str), return_inverse=True)
    return FrameTable(
        values=values,
        labels=np.argsort(order)[labels],
        utterance=utterance,
        speaker=speaker[utterance],
        classes=tuple(classes[code] for code in order),
        speakers=tuple(speakers.tolist()),
    )
