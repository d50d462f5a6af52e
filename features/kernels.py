"""Attention, GELU, layer norm and convolutions that are fast on every device.

Metal and CUDA have good kernels in MLX. On a Linux CPU, MLX computes exp and erf one value at a time
on one thread, two thirds of a Whisper encoder's time; there compiled loops (`features.loops`) work
on memory that numpy and MLX share. More threads gain little: those of the BLAS keep the other cores
busy between two products.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft
from threadpoolctl import ThreadpoolController

from features.blas import import_mlx

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.nn as nn  # noqa: E402

SLOW_CPU = sys.platform == "linux" and mx.default_device() == mx.Device(mx.cpu)
BATCH = 1 if SLOW_CPU else 8  # windows computed together: a CPU gains nothing from more, and memory grows
FFT = 256  # samples of one transform of `grouped_conv1d`
ROWS = 512  # of scores at a time: with 1,500 columns they stay in the cache of a processor


class Bias(NamedTuple):
    """What attention adds to its scores: ``gate[b, h, i] * values[h, frames - 1 - i + j]``.

    gate : mx.array [shape=(batch, heads, frames), float32]
    values : mx.array [shape=(heads, 2 * frames - 1), float32]
        By distance from query to key, ``1 - frames`` first.
    """

    gate: mx.array
    values: mx.array


def attention(
    q: mx.array, k: mx.array, v: mx.array, *, scale: float, lengths: Sequence[int] | None = None,
    bias: Bias | None = None,
) -> mx.array:  # fmt: skip
    """Return ``softmax(scale * q k^T + bias) v``.

    On a Linux CPU the result is evaluated, and the scores of some rows of one head are in memory at a time.

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
    if not _loops(q):
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale, mask=_mask(q, lengths, bias))
    # numpy takes memory that is there already for its products: fresh pages cost as much as the exponentials
    mx.eval(q, k, v, *(bias or ()))
    queries, keys, values = (np.asarray(x) for x in (q, k, v))
    batch, heads, frames = q.shape[:3]
    out = np.zeros((batch, frames, heads, q.shape[3]), np.float32)  # as who puts heads beside each other wants it
    scores = np.empty((frames if bias else min(frames, ROWS)) * frames, np.float32)
    with (
        blas_pools().select(internal_api="openblas").limit(limits=1)
    ):  # the threads of MLX's BLAS keep the other cores busy for a while
        for b, h in np.ndindex(batch, heads):
            n = frames if lengths is None else int(lengths[b])
            head = (queries[b, h, :n] * np.float32(scale), keys[b, h, :n].T, values[b, h, :n])
            _attend(*head, _head(bias, b, h, n), scores, out[b, :n, h])
    return mx.array(out).swapaxes(1, 2)


def gelu(x: mx.array, *, overwrite: bool = False) -> mx.array:
    """Return ``x * Phi(x)``, Phi the exact normal distribution function, within 1e-6.

    On a Linux CPU the result is evaluated.

    Parameters
    ----------
    x : mx.array [float32]
    overwrite : bool
        `x` is a fresh result that nobody else holds: its memory may become that of the result.
    """
    if not _loops(x):
        return nn.gelu(x)
    from features import loops  # numba takes half a second to import, on this path only

    y = x if overwrite else x + 0
    loops.gelu(_memory(y).reshape(-1))
    return y


def layer_norm(x: mx.array, norm: nn.LayerNorm) -> mx.array:
    """Return what the module `norm` gives for x (..., width); on a Linux CPU it is evaluated."""
    if not _loops(x):
        return norm(x)
    from features import loops

    width = x.shape[-1]
    y = x + 0  # ours to write to
    weight, bias = (norm.weight, norm.bias) if "weight" in norm else (mx.ones(width), mx.zeros(width))
    loops.layer_norm(_memory(y).reshape(-1, width), np.asarray(weight), np.asarray(bias), norm.eps)
    return y


def conv1d(x: mx.array, conv: nn.Conv1d) -> mx.array:
    """Return what an unpadded module `conv` gives for x (batch, samples, in): (batch, frames, out).

    On a Linux CPU, where the kernel is between one and two strides wide, as two products without
    the copy of all overlapping windows that MLX makes.
    """
    width, stride = conv.weight.shape[1], conv.stride
    if not SLOW_CPU or not stride <= width <= 2 * stride or x.shape[1] < width:
        return conv(x)
    (batch, samples, channels), out = x.shape, conv.weight.shape[0]
    frames = (samples - width) // stride + 1
    taps = conv.weight.transpose(1, 2, 0).reshape(-1, out)
    first = x[:, : frames * stride].reshape(batch, frames, stride * channels)
    y = first @ taps[: stride * channels]
    for tap in range(stride, width):  # those that lie in the next stride
        y = y + x[:, tap : tap + (frames - 1) * stride + 1 : stride] @ taps[tap * channels : (tap + 1) * channels]
    return y + conv.bias if "bias" in conv else y


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


def _head(bias: Bias | None, b: int, h: int, n: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return one head's gate (n,) and biases by distance (2 n - 1,)."""
    if bias is None:
        return None
    middle = (bias.values.shape[1] - 1) // 2
    return np.asarray(bias.gate[b, h])[:n], np.asarray(bias.values[h])[middle - n + 1 : middle + n]


def _attend(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, bias: tuple[np.ndarray, np.ndarray] | None, memory: np.ndarray,
    out: np.ndarray,
) -> None:  # fmt: skip
    """Write one head's output (frames, width), given scaled queries, transposed keys, and memory for scores."""
    from features import loops

    frames = k.shape[1]
    rows = len(memory) // frames
    for first in range(0, len(q), rows):
        part = out[first : first + rows]
        scores = np.matmul(q[first : first + rows], k, out=memory[: len(part) * frames].reshape(-1, frames))
        if bias is not None:
            loops.add_bias(scores, *bias)
        sums = np.empty(len(scores), np.float32)
        loops.exp_rows(scores, sums)
        np.matmul(scores, v, out=part)
        part /= sums[:, None]  # after the product: 64 wide instead of 1500


@functools.cache
def blas_pools() -> ThreadpoolController:
    """Return what knows the BLAS libraries of this process: to look for them takes milliseconds."""
    return ThreadpoolController()


def _memory(x: mx.array) -> np.ndarray:
    """Return an array's own memory to write to; only for fresh results that nothing else holds."""
    mx.eval(x)
    values = np.asarray(x)
    assert values.flags.c_contiguous and values.flags.writeable, "numpy must see MLX's own memory"
    return values
