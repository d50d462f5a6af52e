"""What a probe learns from: frames, segments of a tier, or whole utterances, each with a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from datasets import Dataset

from features.card import FeatureCard
from features.columns import matrices
from features.pooling import frame_ranges, segment_centres, segment_means
from probes.errors import ProbeError
from probes.finite import check_finite
from probes.frames import (
    BATCH_ROWS,
    Chosen,
    FrameTable,
    Part,
    assembled,
    batches,
    check,
    corpora,
    frame_tables,
    triphones,
)
from probes.labels import Labeller, Silence
from probes.segments import NANOSECONDS, TierSegments, tier_segments
from probes.tables import label_column

Kind = Literal["frames", "segments", "centres", "utterances"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MOST_LABELS = 10_000  # of utterances: speakers are many


@dataclass(frozen=True)
class Examples:
    """The examples that are asked for.

    kind : "frames", "segments", "centres" or "utterances"
        Frames as they are; of each segment of the tier the mean of its frames, or the frame nearest to its
        middle; of each utterance the mean of its frames.
    target : str
        A tier of `segments`; for utterances a column of labels.
    silence : "keep" or "drop"
        Whether frames and segments of silence count.
    phone_set : str, optional
        Phone set of the tier; by default the one of each row's corpus.
    inventory : str
        Classes of the tier ``phones``: 39, 48, 61 or broad.
    max_frames : int > 0, optional
        At most so many frames per utterance, drawn by `seed`.
    """

    kind: Kind = "frames"
    target: str = "phones"
    silence: Silence = "keep"
    phone_set: str | None = None
    inventory: str = "39"
    max_frames: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ProbeError(f"unknown examples={self.kind!r}: expected one of {list(KINDS)}")
        if self.max_frames is not None and self.kind != "frames":
            raise ProbeError(f"max_frames is for frames, not for {self.kind}")
        if self.kind == "utterances" and (self.silence, self.inventory, self.phone_set) != ("keep", "39", None):
            raise ProbeError("silence, phone classes and phone sets are for frames and segments, not for utterances")
        if self.kind != "utterances":
            self.labeller()  # says what is wrong with the rest

    def labeller(self) -> Labeller:
        """Return what gives labels of the tier their classes."""
        return Labeller(self.target, silence=self.silence, phone_set=self.phone_set, inventory=self.inventory)

    def table(self, dataset: Dataset, column: str, rows: np.ndarray, *, context: bool = False) -> FrameTable:
        """Gather the examples of a feature column out of some rows: `tables` of one column."""
        return self.tables(dataset, [column], rows, context=context)[0]

    def tables(
        self, dataset: Dataset, columns: Sequence[str], rows: np.ndarray, *, context: bool = False
    ) -> list[FrameTable]:
        """Gather the examples of feature columns of one clock out of some rows, in one pass over the table.

        Parameters
        ----------
        dataset : Dataset
            Manifest and feature columns.
        columns : sequence of str
        rows : np.ndarray [shape=(n,), int64]
        context : bool
            Whether the frames around the labelled ones are kept; frames only.

        Returns
        -------
        list of FrameTable
            One a column; labels and the like are the same arrays where the examples are the same.

        Raises
        ------
        ProbeError
            If a column has no such examples, or none has a label.
        """
        if self.kind == "frames":
            return frame_tables(
                dataset, columns, rows=rows, tier=self.target, silence=self.silence, phone_set=self.phone_set,
                max_frames=self.max_frames, seed=self.seed, inventory=self.inventory, context=context,
            )  # fmt: skip
        if context:
            raise ProbeError(f"a probe of frames in their context needs examples='frames', not {self.kind!r}")
        cards = [check(dataset, column, kind=self.kind, tier=self.target) for column in columns]
        gather = self._utterances if self.kind == "utterances" else self._segments
        return gather(dataset, columns, cards, rows)

    def _segments(
        self, dataset: Dataset, columns: Sequence[str], cards: list[FeatureCard], rows: np.ndarray
    ) -> list[FrameTable]:
        labeller, parts = self.labeller(), [[] for _ in columns]
        every = cards[0].axis == "segment"
        for batch, manifest, wanted in batches(dataset, rows):
            segments = tier_segments(manifest["segments"], self.target, every=every)
            codes = labeller.codes(segments, corpora(manifest))
            types, chosen = triphones(codes, segments.rows), None
            for own, column, card in zip(parts, columns, cards, strict=True):
                values, lengths = matrices(dataset, column, batch)
                if not every:
                    check_finite(column, values, lengths, wanted)  # pooled they would look like segments without frames
                    values = pooled_segments(values, lengths, segments, card, self.kind)
                elif len(values) != len(codes):
                    raise ProbeError(
                        f"column {column!r} has other segments than the tier {self.target!r}: encode it again"
                    )
                there = ~np.isnan(values).all(axis=1)
                keep = np.flatnonzero((codes >= 0) & there & wanted[segments.rows])
                if chosen is None or not np.array_equal(keep, chosen.keep):
                    chosen = Chosen(keep, codes[keep], segments.rows[keep], types[keep])
                own.append(chosen.part(values, batch.start))
        ordered = self.target == "phones"
        return assembled(dataset, columns, self.target, parts, labeller.classes, ordered=ordered)

    def _utterances(
        self, dataset: Dataset, columns: Sequence[str], cards: list[FeatureCard], rows: np.ndarray
    ) -> list[FrameTable]:
        names = label_column(dataset, self.target)
        classes, codes = np.unique([names[row] for row in rows], return_inverse=True)
        code = np.full(len(dataset), -1)
        code[rows] = codes
        # what a control task gives one label: a speaker, or where speakers are the task an utterance
        told = label_column(dataset, "id" if self.target == "speaker_id" else "speaker_id")
        types = np.unique([str(name) for name in told], return_inverse=True)[1]
        parts: list[list[Part]] = [[] for _ in columns]
        for start in range(0, len(dataset), BATCH_ROWS):
            batch, chosen = slice(start, min(start + BATCH_ROWS, len(dataset))), None
            for own, column in zip(parts, columns, strict=True):
                values, lengths = matrices(dataset, column, batch)
                keep = np.flatnonzero((code[batch] >= 0) & (lengths > 0))
                if chosen is None or not np.array_equal(keep, chosen.keep):
                    chosen = Chosen(keep, code[batch][keep], keep, types[batch][keep])
                ends = np.cumsum(lengths)
                own.append(chosen.part(segment_means(values, ends - lengths, ends), start))
        named = [str(name) for name in classes]
        return assembled(dataset, columns, self.target, parts, named, ordered=True, most=MOST_LABELS)


def pooled_segments(
    values: np.ndarray, lengths: np.ndarray, segments: TierSegments, card: FeatureCard, kind: str
) -> np.ndarray:
    """Return one row per segment [shape=(segments, width), float32], NaN where it holds no frame."""
    assert card.clock is not None, "frames have a clock"
    times = np.stack([segments.starts, segments.ends], axis=1) / NANOSECONDS
    offsets = np.cumsum(lengths) - lengths
    if kind == "segments":
        first, last = frame_ranges(times, card.clock, lengths[segments.rows][:, None])
        begin = offsets[segments.rows]
        return segment_means(values, first + begin, last + begin)
    bounds = np.searchsorted(segments.rows, np.arange(len(lengths) + 1))
    out = [
        segment_centres(values[o : o + n], times[a:b], card.clock)
        for o, n, a, b in zip(offsets, lengths, bounds[:-1], bounds[1:], strict=True)
        if b > a and n
    ]
    centres = np.full((len(times), values.shape[1]), np.nan, np.float32)
    centres[lengths[segments.rows] > 0] = np.concatenate(out) if out else centres[:0]
    return centres
