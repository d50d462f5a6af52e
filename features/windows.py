"""Audio longer than an encoder's window: overlapping windows, stitched by the frame clock."""

from __future__ import annotations

from typing import NamedTuple

from features.clock import SAMPLING_RATE, FrameClock

OVERLAP = 32_000  # samples, 2 s: half of it is the context that a frame beside a seam has at least


class Window(NamedTuple):
    """A piece of an utterance and the frames that are taken from it.

    first, last : int
        Samples of the piece, `last` exclusive.
    skip, frames : int
        Of the piece's own frames, `skip` are left out at its begin and the next `frames` are kept.
    """

    first: int
    last: int
    skip: int
    frames: int


def windows(samples: int, *, window: int | None, clock: FrameClock, overlap: int = OVERLAP) -> list[Window]:
    """Cut an utterance into windows whose kept frames, put together, are all its frames.

    Neighbouring windows overlap by `overlap` samples, half of it rounded up to whole hops; each side
    gives the half that is nearer to its own middle. An utterance that fits the window is one piece.

    Raises
    ------
    ValueError
        If the window is not longer than the overlap.
    """
    total = clock.frames(samples)
    if window is None or samples <= window:
        return [Window(0, samples, 0, total)] if total else []
    half = -(-overlap // 2 // clock.hop)  # frames
    step = (window // clock.hop - 2 * half) * clock.hop  # samples
    if step <= 0:
        raise ValueError(f"a window of {window} samples is no longer than the overlap of {overlap / SAMPLING_RATE:g} s")
    pieces: list[Window] = []
    begin, done = 0, 0
    while done < total:
        last = min(begin + window, samples)
        until = total if last == samples else begin // clock.hop + window // clock.hop - half
        pieces.append(Window(begin, last, done - begin // clock.hop, until - done))
        begin, done = begin + step, until
    return pieces
