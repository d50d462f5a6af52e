"""MFCC with their first and second differences: the classical acoustic baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from builders.compiled import librosa
from features.checkpoint import Spec, without_weights
from features.clock import SAMPLING_RATE, FrameClock
from features.encoder import Axis

HOP = 160  # samples, 10 ms
WIN = 400  # samples, 25 ms
N_FFT = 512  # the window filled up with zeros to a power of two, as HTK and Kaldi do
N_MELS = 40
N_MFCC = 13
WIDTH = 3 * N_MFCC

CONFIGS = {"mfcc": {"model_type": "mfcc"}}


class Mfcc:
    """13 MFCC, their deltas and the deltas' deltas as an encoder with one layer, ``mfcc``."""

    init = "none"
    version = 1
    axis: Axis = "frame"
    clock = FrameClock(hop=HOP, offset=0, field=WIN, padded=True)
    window: int | None = None
    layers: Mapping[str, int] = {"mfcc": WIDTH}

    def __init__(self, spec: Spec) -> None:
        without_weights(spec)
        self.name = spec.name
        self.revision = spec.revision

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return ``{"mfcc": (batch, frames, 39)}``; see `features.encoder.Encoder`."""
        out = np.zeros((len(inputs), self.clock.frames(max(lengths, default=0)), WIDTH), np.float32)
        for row, wave, length in zip(out, inputs, lengths, strict=True):
            row[: self.clock.frames(length)] = mfcc(wave[:length])
        return dict.fromkeys(layers, out)


def mfcc(wave: np.ndarray) -> np.ndarray:
    """Return MFCC, deltas and delta-deltas of one utterance, side by side.

    Parameters
    ----------
    wave : np.ndarray [shape=(samples,), float32]
        At 16 kHz.

    Returns
    -------
    np.ndarray [shape=(ceil(samples / 160), 39), float32]
        Frame ``t`` is centred at sample ``160 * t``; the utterance counts as silent outside itself.
    """
    frames = -(-len(wave) // HOP)
    if not frames:
        return np.empty((0, WIDTH), np.float32)
    static = librosa().feature.mfcc(
        # librosa surrounds the utterance with zeros; more of them only quiet its warning for short ones
        y=np.pad(wave, (0, max(0, N_FFT - len(wave)))), sr=SAMPLING_RATE, n_mfcc=N_MFCC, n_mels=N_MELS,
        n_fft=N_FFT, win_length=WIN, hop_length=HOP,
    )[:, :frames]  # fmt: skip
    # "nearest" repeats the edge frames, so that one frame is enough; the default wants nine.
    deltas = [librosa().feature.delta(static, order=order, mode="nearest") for order in (1, 2)]
    return np.concatenate([static, *deltas]).T


Model = Mfcc
