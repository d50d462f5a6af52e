"""An encoder whose values are known by hand, and utterances of lengths around its window and its receptive field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from features.clock import FrameClock
from features.step import PIECES
from tests.corpora.sound import noise

LAYERS = {"low": 3, "high": 2}


def reference(wave: np.ndarray, clock: FrameClock) -> dict[str, np.ndarray]:
    """Return what the fake encoder's layers are for one whole utterance, frame by frame."""
    half = clock.field // 2
    padded = np.concatenate([np.zeros(half, np.float32), wave, np.zeros(half, np.float32)])
    rows = []
    for frame in range(clock.frames(len(wave))):
        centre = frame * clock.hop + clock.offset
        seen = padded[centre : centre + clock.field]
        rows.append([seen.sum(), (seen**2).sum(), seen[half] * 100])
    low = np.array(rows, np.float32).reshape(-1, 3)
    return {"low": low, "high": low[:, :2] * 2 + 1}


class FakeEncoder:
    """Sums over the receptive field: what a frame holds does not depend on the window it was seen in."""

    name = "fake-1.5"
    init = "none"
    revision = "r1"
    version = 1
    axis = "frame"
    calls: ClassVar[list[tuple[int, int]]] = []

    def __init__(self, *, padded: bool = True, window: int | None = 48_000, version: int = 1) -> None:
        self.layers = dict(LAYERS)
        self.clock = FrameClock(hop=320, offset=0 if padded else 200, field=400, padded=padded)
        self.window = window
        self.version = version

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        self.calls.append(inputs.shape)
        assert inputs.dtype == np.float32 and lengths.dtype == np.int64
        assert len(inputs) <= PIECES and inputs.shape[1] == lengths.max()
        assert self.window is None or inputs.shape[1] <= self.window
        for row, length in zip(inputs, lengths, strict=True):
            assert not row[length:].any()
        frames = self.clock.frames(inputs.shape[1]) + 3  # encoders may give more than asked for
        states = np.full((len(inputs), frames, 3), 1e4, np.float32)
        for row, (wave, length) in enumerate(zip(inputs, lengths, strict=True)):
            own = reference(wave[:length], self.clock)["low"]
            states[row, : len(own)] = own
        made = {"low": states, "high": states[..., :2] * 2 + 1}
        return {layer: made[layer] for layer in layers}


LENGTHS = {
    "a": 16_000,
    "b": 1,
    "c": 399,
    "d": 640,
    "e": 47_999,
    "f": 48_001,
    "g": 160_123,
    "h": 5_000,
    "i": 8_000,
    "j": 7,
}


def waves() -> dict[str, np.ndarray]:
    return {name: noise(length, seed=number) for number, (name, length) in enumerate(LENGTHS.items())}
