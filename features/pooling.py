"""Frames to vectors: the mean of an utterance, the mean or the centre frame of each segment of a tier.

A segment has the frames whose centre it holds, ``start <= centre < end``, as the labels of a probe
do. Boundaries are compared in whole nanoseconds: one that a subtraction moved by a rounding error
(4.3 - 4.0 is not 0.3) must not move a frame. Sample times at 16 kHz are exact multiples of 62,500 ns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from features.clock import SAMPLING_RATE, FrameClock

Kind = Literal["none", "mean", "segments", "centre"]
SAMPLE = 1_000_000_000 // SAMPLING_RATE  # nanoseconds
EXPECTED = "expected none, mean, segments:TIER or centre:TIER"


@dataclass(frozen=True)
class Pool:
    """How the rows of an utterance's matrix are pooled, before it is rounded to the stored type.

    kind : str
        ``none``; ``mean``, over the utterance; ``segments``, the mean of each segment; ``centre``,
        of each segment the frame that is nearest to its middle.
    tier : str or None
        Whose segments.
    """

    kind: Kind = "none"
    tier: str | None = None

    @classmethod
    def read(cls, text: str) -> Pool:
        """Read ``none``, ``mean``, ``segments:TIER`` or ``centre:TIER``.

        Raises
        ------
        ValueError
            If it is none of these.
        """
        kind, colon, tier = text.partition(":")
        by_segment = kind in ("segments", "centre")
        if kind not in get_args(Kind) or by_segment != bool(tier) or bool(colon) != bool(tier):
            raise ValueError(f"features can't be pooled by {text!r}: {EXPECTED}")
        return cls(kind, tier or None)

    def __str__(self) -> str:
        return f"{self.kind}:{self.tier}" if self.tier else self.kind

    @property
    def axis(self) -> Literal["utterance", "segment"] | None:
        """What a row of a pooled matrix is; None where nothing is pooled."""
        return {"none": None, "mean": "utterance"}.get(self.kind, "segment")

    def __call__(
        self, states: np.ndarray, clock: FrameClock | None, segments: Iterable[Mapping[str, Any]] = ()
    ) -> np.ndarray:
        """Pool one utterance.

        Parameters
        ----------
        states : np.ndarray [shape=(frames, width), float32]
        clock : FrameClock or None
            When each frame is; only segments need it.
        segments : iterable of mapping
            The utterance's cell of the column `segments`; those of `tier` count.

        Returns
        -------
        np.ndarray [shape=(rows, width), float32]
            One row, or none where there is no frame, for ``mean``; a row per segment of the tier, in
            the order of the column, for the others: NaN where a segment holds the centre of no frame.
        """
        if self.kind == "none":
            return states
        if self.kind == "mean":
            return utterance_mean(states)
        assert clock is not None, "segments are pooled by the clock"
        bounds = [(segment["start"], segment["end"]) for segment in segments if segment["tier"] == self.tier]
        times = np.array(bounds, np.float64).reshape(-1, 2)
        if self.kind == "segments":
            return segment_means(states, *frame_ranges(times, clock, len(states)))
        return segment_centres(states, times, clock)


def utterance_mean(states: np.ndarray) -> np.ndarray:
    """Return the mean over frames [shape=(1, width)], or (0, width) where there is none."""
    if not len(states):
        return states
    return states.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)


def frame_ranges(times: np.ndarray, clock: FrameClock, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first frame of each segment and the one after its last; equal where it holds none.

    Parameters
    ----------
    times : np.ndarray [shape=(segments, 2), float64]
        Starts and ends in seconds.
    frames : int
        Frames that the utterance has.
    """
    # the first frame with centre >= t is number ceil((t - offset) / hop)
    numbers = -((clock.offset * SAMPLE - _nanoseconds(times)) // (clock.hop * SAMPLE))
    first, last = np.clip(numbers, 0, frames).T
    return first, np.maximum(first, last)


def segment_means(states: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the mean of the frames ``first <= t < last`` of each segment [shape=(segments, width)], NaN for none."""
    count = last - first
    out = np.full((len(count), states.shape[1]), np.nan, np.float32)
    full = count > 0
    if full.any():
        # Sums from each index to the next; every second one, from an end to the next start, is not
        # wanted. The row of zeros lets a segment end with the utterance.
        bounds = np.stack([first[full], last[full]], axis=1).ravel()
        sums = np.add.reduceat(np.pad(states, ((0, 1), (0, 0))), bounds, axis=0, dtype=np.float64)[::2]
        out[full] = sums / count[full, None]
    return out


def segment_centres(states: np.ndarray, times: np.ndarray, clock: FrameClock) -> np.ndarray:
    """Return the frame nearest to the middle of each segment, the earlier of two; NaN where it holds no frame."""
    first, last = frame_ranges(times, clock, len(states))
    # twice the middle, so that it stays whole; ceil(t - 1/2) rounds a tie down
    hop = 2 * clock.hop * SAMPLE
    middle = _nanoseconds(times).sum(axis=1) - (2 * clock.offset + clock.hop) * SAMPLE
    nearest = np.clip(-(-middle // hop), first, np.maximum(first, last - 1))
    out = np.full((len(times), states.shape[1]), np.nan, np.float32)
    full = last > first
    out[full] = states[nearest[full]]
    return out


def _nanoseconds(seconds: np.ndarray) -> np.ndarray:
    return np.rint(seconds * 1e9).astype(np.int64)
