"""Linear layers, attention, GELU, layer norm and convolutions that are fast on every device.

Metal and CUDA have good kernels in MLX. On a Linux CPU, MLX computes exp and erf one value at a time
on one thread, two thirds of a Whisper encoder's time; there `features.cpu` works on memory that
numpy and MLX share, and the result is evaluated when a function returns.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft

from features import cpu
from features.blas import import_mlx

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.nn as nn  # noqa: E402

SLOW_CPU = sys.platform == "linux" and mx.default_device() == mx.Device(mx.cpu)
BATCH = 1 if SLOW_CPU else 8  # windows computed together: a CPU gains nothing from more, and memory grows
FEW = 256  # rows of a product, below which MLX takes less: numpy's BLAS copies all weights for every piece
SHORT = 64  # frames, up to which one call of MLX takes less than head by head
FFT = 256  # samples of one transform of `grouped_conv1d`


class Bias(NamedTuple):
    """What attention adds to its scores: ``gate[b, h, i] * values[h, frames - 1 - i + j]``.

    gate : mx.array [shape=(batch, heads, frames), float32]
    values : mx.array [shape=(heads, 2 * frames - 1), float32]
        By distance from query to key, ``1 - frames`` first.
    """

    gate: mx.array
    values: mx.array


def linear(x: mx.array, layer: nn.Linear) -> mx.array:
    """Return what the module `layer` gives for x (..., width)."""
    if not _loops(x) or _few(x):
        return layer(x)
    y = mx.zeros((*x.shape[:-1], len(layer.weight)))
    cpu.linear(_rows(_values(x)), *_weights(layer), _rows(_memory(y)))
    return y


def feed_forward(x: mx.array, first: nn.Linear, second: nn.Linear) -> mx.array:
    """Return ``second(gelu(first(x)))`` for x (..., width)."""
    if not _loops(x) or _few(x):
        return second(gelu(first(x), overwrite=True))
    y = mx.zeros((*x.shape[:-1], len(second.weight)))
    cpu.feed_forward(_rows(_values(x)), _weights(first), _weights(second), _rows(_memory(y)))
    return y


def split_heads(x: mx.array, heads: int) -> mx.array:
    """Return x (batch, frames, width) as (batch, heads, frames, width / heads)."""
    return x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2)


def join_heads(x: mx.array) -> mx.array:
    """Return x (batch, heads, frames, width) as (batch, frames, heads * width)."""
    return x.swapaxes(1, 2).flatten(2)


def attention(
    q: mx.array, k: mx.array, v: mx.array, *, scale: float, lengths: Sequence[int] | None = None,
    bias: Bias | None = None,
) -> mx.array:  # fmt: skip
    """Return ``softmax(scale * q k^T + bias) v``.

    On a Linux CPU the scores of some rows of one head are in memory at a time, for each thread.

    Parameters
    ----------
    q, k, v : mx.array [shape=(batch, heads, frames, width), float32]
    scale : float
    lengths : sequence of int or None
        Frames of each row of the batch that may be attended to, at least 1; all if None.
    bias : Bias or None
        Relative positions.

    Returns
    -------
    mx.array [shape=(batch, heads, frames, width), float32]
        What stands behind a row's length means nothing.
    """
    if not _loops(q) or q.shape[2] <= SHORT:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=_mask(q, lengths, bias))
    batch, heads, frames, width = q.shape
    mx.eval(q, k, v, *(bias or ()))
    queries, keys, values = (np.asarray(x) for x in (q, k, v))
    out = mx.zeros((batch, frames, heads, width))  # as who puts heads beside each other wants it
    cpu.attention(
        queries, keys, values, scale, [frames] * batch if lengths is None else [int(n) for n in lengths],
        None if bias is None else (np.asarray(bias.gate), np.asarray(bias.values)), _memory(out).swapaxes(1, 2),
    )  # fmt: skip
    return out.swapaxes(1, 2)


def gelu(x: mx.array, *, overwrite: bool = False) -> mx.array:
    """Return ``x * Phi(x)``, Phi the exact normal distribution function, within 1e-6.

    Parameters
    ----------
    x : mx.array [float32]
    overwrite : bool
        `x` is a fresh result that nobody else holds: its memory may become that of the result.
    """
    if not _loops(x):
        return nn.gelu(x)
    y = x if overwrite else x + 0
    cpu.gelu(_rows(_memory(y)))
    return y


def layer_norm(x: mx.array, norm: nn.LayerNorm) -> mx.array:
    """Return what the module `norm` gives for x (..., width)."""
    if not _loops(x):
        return norm(x)
    width = x.shape[-1]
    y = x + 0  # ours to write to
    weight, bias = (norm.weight, norm.bias) if "weight" in norm else (mx.ones(width), mx.zeros(width))
    cpu.layer_norm(_rows(_memory(y)), np.asarray(weight), np.asarray(bias), norm.eps)
    return y


def conv1d(x: mx.array, conv: nn.Conv1d) -> mx.array:
    """Return what a module `conv` without groups gives for x (batch, samples, in): (batch, frames, out).

    On a Linux CPU overlapping windows are copied for a piece at a time; MLX copies all of them.
    """
    if not _loops(x) or x.shape[1] + 2 * conv.padding < conv.weight.shape[1]:
        return conv(x)
    given = _values(x)
    if conv.padding:
        given = np.pad(given, ((0, 0), (conv.padding, conv.padding), (0, 0)))
    weight, bias = _weights(conv)
    y = mx.zeros((len(given), (given.shape[1] - weight.shape[1]) // conv.stride + 1, len(weight)))
    cpu.conv1d(given, weight, bias, conv.stride, _memory(y))
    return y


class GroupedConv1d(nn.Conv1d):
    """A convolution in groups over time, padded to as many frames as it is given.

    On a Linux CPU by overlapping Fourier transforms: for a kernel of 128 a tenth of the time.
    """

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__(width, width, kernel, padding=kernel // 2, groups=groups)
        self._spectrum: np.ndarray | None = None

    def __call__(self, x: mx.array) -> mx.array:
        """Map (batch, frames, width) to the same shape."""
        if _loops(x) and self.weight.shape[1] <= FFT // 2:
            return mx.array(np.stack([self._by_fft(row) for row in np.asarray(x)])) + self.bias
        return super().__call__(x)[:, : x.shape[1]]  # an even kernel gives one frame more

    def _by_fft(self, x: np.ndarray) -> np.ndarray:
        if self._spectrum is None:
            self._spectrum = _spectrum(np.asarray(self.weight), self.groups)
        (frames, width), kernel = x.shape, self.weight.shape[1]
        step = FFT - kernel + 1  # outputs of one transform that wrap nothing around
        count = -(-frames // step)
        padded = np.zeros((width, (count - 1) * step + FFT), np.float32)
        padded[:, kernel // 2 : kernel // 2 + frames] = x.T
        blocks = np.lib.stride_tricks.sliding_window_view(padded, FFT, axis=1)[:, ::step]
        spectra = scipy.fft.rfft(blocks, axis=2).reshape(self.groups, -1, count, FFT // 2 + 1)
        product = np.ascontiguousarray(spectra.transpose(3, 0, 2, 1)) @ self._spectrum  # (bins, groups, count, out)
        out = scipy.fft.irfft(product.transpose(1, 3, 2, 0).reshape(width, count, -1), FFT, axis=2)
        return out[:, :, :step].reshape(width, -1)[:, :frames].T


def _spectrum(weight: np.ndarray, groups: int) -> np.ndarray:
    """Return the conjugate transform (bins, groups, in, out) of a kernel (groups * out, taps, in)."""
    transform = scipy.fft.rfft(weight.reshape(groups, -1, *weight.shape[1:]), FFT, axis=2)  # (groups, out, bins, in)
    return np.ascontiguousarray(transform.conj().transpose(2, 0, 3, 1))


def to_numpy(x: mx.array) -> np.ndarray:
    """Return an array in float32; numpy has no bfloat16."""
    return np.asarray(x.astype(mx.float32))


def _loops(x: mx.array) -> bool:
    """Return whether compiled loops compute on an array: they take float32."""
    return SLOW_CPU and x.dtype == mx.float32


def _few(x: mx.array) -> bool:
    return x.size < FEW * x.shape[-1]


def _mask(q: mx.array, lengths: Sequence[int] | None, bias: Bias | None) -> mx.array | None:
    frames = q.shape[2]
    place = mx.arange(frames)
    mask = None
    if bias is not None:
        mask = bias.gate[..., None] * bias.values[:, frames - 1 - place[:, None] + place]
    if lengths is not None and min(lengths) < frames:
        real = place < mx.array(list(lengths))[:, None, None, None]
        mask = real if mask is None else mx.where(real, mask, -mx.inf)
    return mask


def _values(x: mx.array) -> np.ndarray:
    """Return an array's values in C order, in its own memory where they are."""
    mx.eval(x)
    return np.ascontiguousarray(np.asarray(x))


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def _weights(layer: nn.Linear | nn.Conv1d) -> tuple[np.ndarray, np.ndarray | None]:
    return np.asarray(layer.weight), np.asarray(layer.bias) if "bias" in layer else None


def _memory(x: mx.array) -> np.ndarray:
    """Return an array's own memory to write to; only for fresh results that nothing else holds."""
    mx.eval(x)
    values = np.asarray(x)
    assert values.flags.c_contiguous and values.flags.writeable, "numpy must see MLX's own memory"
    return values
