"""Attention and GELU that are fast on every device.

Metal and CUDA have good kernels in MLX. On a Linux CPU, MLX computes exp and erf one value at a time
on one thread, two thirds of a Whisper encoder's time; there both run in numpy instead, in blocks
that stay in the cache, on memory that numpy and MLX share. More threads gain nothing: those of the
BLAS keep the other cores busy between two products.
"""

from __future__ import annotations

import sys

import numpy as np

from features.blas import import_mlx

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.nn as nn  # noqa: E402

SLOW_CPU = sys.platform == "linux" and mx.default_device() == mx.Device(mx.cpu)
BATCH = 1 if SLOW_CPU else 8  # windows computed together: a CPU gains nothing from more, and memory grows

SOFTMAX_ROWS = 64  # 375 kB of scores in a window of 1500 frames
GELU_VALUES = 1 << 15  # 128 kB, and three more such buffers
# Abramowitz and Stegun 7.1.26, error 1.5e-7, for z >= 0:
# erfc(z) = (a1 t + a2 t^2 + ... + a5 t^5) exp(-z^2) with t = 1 / (1 + p z); here z = |x| / sqrt(2)
ERFC_P = np.float32(0.3275911 / np.sqrt(2))
HALF_ERFC_A = [np.float32(a / 2) for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)]


def attention(q: mx.array, k: mx.array, v: mx.array, *, scale: float) -> mx.array:
    """Return ``softmax(scale * q k^T) v``.

    On a Linux CPU the result is evaluated, and the scores of one head are in memory at a time.

    Parameters
    ----------
    q, k, v : mx.array [shape=(batch, heads, frames, width), float32]
    scale : float

    Returns
    -------
    mx.array [shape=(batch, heads, frames, width), float32]
    """
    if not SLOW_CPU:
        return mx.fast.scaled_dot_product_attention(q, k, v, scale=scale)
    batch, heads = q.shape[:2]
    q, k = q * scale, k.swapaxes(2, 3)
    mx.eval(q, k, v)
    return mx.stack([mx.stack([_attend(q[b, h], k[b, h], v[b, h]) for h in range(heads)]) for b in range(batch)])


def gelu(x: mx.array) -> mx.array:
    """Return ``x * Phi(x)``, Phi the exact normal distribution function, within 1e-6.

    On a Linux CPU the result is evaluated.
    """
    if not SLOW_CPU:
        return nn.gelu(x)
    flat = np.asarray(x).reshape(-1)
    out = np.empty_like(flat)
    scratch = np.empty((3, min(GELU_VALUES, flat.size)), np.float32)
    for start in range(0, flat.size, GELU_VALUES):
        block = flat[start : start + GELU_VALUES]
        _gelu(block, out[start : start + GELU_VALUES], scratch[:, : block.size])
    return mx.array(out.reshape(x.shape))


def _attend(q: mx.array, k: mx.array, v: mx.array) -> mx.array:
    """Return one head's output (frames, width), given scaled queries and transposed keys."""
    product = q @ k  # ours alone, so that it may be overwritten
    mx.eval(product)
    scores = np.asarray(product)
    assert scores.flags.c_contiguous and scores.flags.writeable, "numpy must see MLX's own memory"
    sums = np.empty((len(scores), 1), np.float32)
    for start in range(0, len(scores), SOFTMAX_ROWS):
        block = scores[start : start + SOFTMAX_ROWS]
        block -= block.max(axis=1, keepdims=True)
        np.exp(block, out=block)
        block.sum(axis=1, keepdims=True, out=sums[start : start + SOFTMAX_ROWS])
    out = product @ v / mx.array(sums)  # the division after the product: 64 wide instead of 1500
    mx.eval(out)
    return out


def _gelu(x: np.ndarray, out: np.ndarray, scratch: np.ndarray) -> None:
    """Write ``max(x, 0) - |x| erfc(|x| / sqrt(2)) / 2``, which is ``x * Phi(x)`` for either sign."""
    size, t, tail = scratch
    np.abs(x, out=size)
    np.multiply(size, ERFC_P, out=t)
    t += 1
    np.reciprocal(t, out=t)
    np.multiply(t, HALF_ERFC_A[0], out=tail)
    for a in HALF_ERFC_A[1:]:
        tail += a
        tail *= t
    tail *= size
    np.multiply(x, x, out=t)
    t *= -0.5
    np.exp(t, out=t)
    tail *= t
    np.maximum(x, 0, out=out)
    out -= tail
