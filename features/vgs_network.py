"""The network of the visually grounded model's speech side: MFCC to the vector of an utterance.

Chrupała, Higy and Alishahi, "Analyzing analytical methods: The case of phonology in neural models of spoken language",
ACL 2020, after ``platalea/encoders.py`` and ``platalea/attention.py`` of https://github.com/spokenlanguage/platalea,
but for the attention, which there sees the padding of a batch as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.clock import FrameClock
from features.errors import CheckpointError
from features.recurrent import GRU
from features.vgs_mfcc import HOP, WIDTH, vgs_mfcc

# isort: split
import mlx.core as mx
import mlx.nn as nn


@dataclass(frozen=True)
class Config:
    """Sizes of the network; the defaults are those of the paper.

    normalize : bool
        Each coefficient to mean 0 and variance 1 over the utterance. The original takes MFCC as they are.
    """

    conv_width: int = 64
    conv_kernel: int = 6
    conv_stride: int = 2
    conv_bias: bool = False
    hidden_size: int = 1024
    num_hidden_layers: int = 4
    bidirectional: bool = True
    attention_size: int = 128
    normalize: bool = False

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], name: str) -> Config:
        """Read the contents of ``config.json``.

        Raises
        ------
        CheckpointError
            If a field is not of its type.
        """
        found = cls(**{field: value for field, value in config.items() if field in cls.__dataclass_fields__})
        for field, value in vars(found).items():
            expected = type(getattr(cls, field))
            if type(value) is not expected or (expected is int and value < 1):
                what = "true or false" if expected is bool else "a whole number above 0"
                raise CheckpointError(f"{name}: config.json has {field} {value!r}, expected {what}")
        return found

    @property
    def width(self) -> int:
        """Width of a recurrent layer and of the vector of an utterance."""
        return self.hidden_size * (1 + self.bidirectional)

    def clock(self) -> FrameClock:
        """Return the clock of all layers with frames: the recurrent ones keep that of the convolution."""
        field = self.conv_kernel * HOP
        return FrameClock(hop=self.conv_stride * HOP, offset=field // 2, field=field, padded=False)


class Attention(nn.Module):
    """A weighted mean over time, with weights of its own for each dimension."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, width)

    def __call__(self, x: mx.array, lengths: np.ndarray) -> mx.array:
        """Map (batch, frames, width) to (batch, width); what is behind an utterance has no weight."""
        real = mx.arange(x.shape[1]) < mx.array(lengths)[:, None]
        scores = mx.where(real[..., None], self.out(mx.tanh(self.hidden(x))), -mx.inf)
        return mx.sum(mx.softmax(scores, axis=1) * mx.where(real[..., None], x, 0), axis=1)


class Network(nn.Module):
    """Convolution, recurrent layers and attention."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.conv = nn.Conv1d(WIDTH, config.conv_width, config.conv_kernel, config.conv_stride, bias=config.conv_bias)
        self.rnn = GRU(config.conv_width, config.hidden_size, config.num_hidden_layers,
                       bidirectional=config.bidirectional)  # fmt: skip
        self.att = Attention(config.width, config.attention_size)

    def __call__(
        self, mfcc: mx.array, frames: np.ndarray, *, traced: bool = False
    ) -> Iterator[tuple[str, mx.array]]:  # fmt: skip
        """Yield each layer's name and its output (batch, frames, width), of ``att`` (batch, 1, width).

        Parameters
        ----------
        mfcc : mx.array [shape=(batch, steps, 39), float32]
        frames : np.ndarray [shape=(batch,), int64]
            Of the convolution's output, at least 1.
        traced : bool
            So that there is a gradient.
        """
        x = self.conv(mfcc)
        yield "conv", x
        top = x
        for number, top in enumerate(self.rnn(x, frames, traced=traced)):
            yield f"rnn{number}", top
        yield "att", unit(self.att(top, frames))[:, None]


def unit(x: mx.array) -> mx.array:
    """Return vectors (..., width) of length 1."""
    return x / mx.maximum(mx.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def inputs_of(wave: np.ndarray, config: Config) -> np.ndarray:
    """Return what the network sees of samples at 16 kHz: MFCC [shape=(samples // 160, 39), float32]."""
    mfcc = vgs_mfcc(wave)
    if config.normalize and len(mfcc):
        mfcc = (mfcc - mfcc.mean(axis=0)) / np.maximum(mfcc.std(axis=0), 1e-5)
    return mfcc.astype(np.float32)


def stacked(matrices: Sequence[np.ndarray]) -> np.ndarray:
    """Return matrices (frames, width) in one array (batch, most frames, width), zeros behind each."""
    out = np.zeros((len(matrices), max(map(len, matrices)), matrices[0].shape[1]), matrices[0].dtype)
    for row, matrix in zip(out, matrices, strict=True):
        row[: len(matrix)] = matrix
    return out
