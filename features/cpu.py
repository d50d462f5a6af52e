"""The parts of a network on a Linux CPU: numpy's products and compiled loops, pieces shared among threads.

Each piece is some rows of one utterance or some queries of one head, few enough that what one step
leaves in the cache of a core the next one finds there. numpy's BLAS computes a piece on one thread;
a pool of threads takes piece after piece, so that one that is held up delays the others little.
`features.kernels` brings MLX to these; arrays are float32, and results are written to memory that is
there already: fresh pages cost as much as the exponentials of an attention.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from threadpoolctl import ThreadpoolController

ROWS = 384  # of a piece at the most: with 1,500 columns they stay in the cache
LEAST_ROWS = 128  # fewer are not worth a thread

_turn = threading.RLock()  # who holds it limits the BLAS; two at once would each restore the other's limit


@functools.cache
def blas_pools() -> ThreadpoolController:
    """Return what knows the BLAS libraries of this process: to look for them takes milliseconds."""
    return ThreadpoolController()


@functools.cache
def threads() -> int:
    """Return how many threads share the pieces: as many as the BLAS has (``OMP_NUM_THREADS``, or the cores)."""
    with _turn:
        return max((pool["num_threads"] for pool in blas_pools().select(user_api="blas").info()), default=1)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads())


def _forget() -> None:
    global _turn
    _turn = threading.RLock()  # whoever held it stays with the parent,
    _pool.cache_clear()  # and so do its threads
    threads.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextmanager
def shared_by(processes: int) -> Iterator[None]:
    """Give each of so many processes that are forked in here its part of the threads."""
    with blas_pools().limit(limits=max(1, threads() // processes), user_api="blas"):
        yield


def share(work: Callable[..., None], pieces: Iterable[tuple]) -> None:
    """Call ``work(*piece)`` for each piece, on all threads.

    Who calls from another thread meanwhile waits; `work` itself must not call it, it would wait for ever.
    """
    pieces = list(pieces)
    alone = len(pieces) == 1 or threads() == 1  # asked before the limit, which it would count
    with _turn, blas_pools().limit(limits=1, user_api="blas"):
        if alone:
            for piece in pieces:
                work(*piece)
        else:
            list(_pool().map(work, *zip(*pieces, strict=True)))


def parts(rows: int) -> list[tuple[slice]]:
    """Return slices of about as many rows each, a multiple of the threads where there are enough."""
    count = min(-(-max(rows, 1) // ROWS // threads()) * threads(), max(rows // LEAST_ROWS, 1))
    edges = np.linspace(0, rows, count + 1).astype(int).tolist()
    return [(slice(first, last),) for first, last in itertools.pairwise(edges)]


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, out: np.ndarray) -> None:
    """Write ``x weight^T + bias`` (rows, out), given x (rows, in) and weight (out, in)."""

    def work(rows: slice) -> None:
        np.matmul(x[rows], weight.T, out=out[rows])
        if bias is not None:
            out[rows] += bias

    share(work, parts(len(x)))


def feed_forward(
    x: np.ndarray, first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], out: np.ndarray
) -> None:
    """Write what two layers (weight, bias) with a GELU between them make of x (rows, in)."""
    from features import loops

    def work(rows: slice) -> None:
        hidden = x[rows] @ first[0].T
        hidden += first[1]
        loops.gelu(hidden.reshape(-1))
        np.matmul(hidden, second[0].T, out=out[rows])
        out[rows] += second[1]

    share(work, parts(len(x)))


def conv1d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None, stride: int, out: np.ndarray) -> None:
    """Write a convolution (batch, frames, out) without padding.

    Parameters
    ----------
    x : np.ndarray [shape=(batch, samples, in), float32]
    weight : np.ndarray [shape=(out, taps, in), float32]
    bias : np.ndarray [shape=(out,), float32] or None
    stride : int
    out : np.ndarray [shape=(batch, frames, out), float32]
    """
    taps = weight.reshape(len(weight), -1).T
    views = [np.lib.stride_tricks.sliding_window_view(row.reshape(-1), len(taps))[:: stride * x.shape[2]] for row in x]

    def work(row: int, frames: slice) -> None:
        np.matmul(np.ascontiguousarray(views[row][frames]), taps, out=out[row, frames])
        if bias is not None:
            out[row, frames] += bias

    share(work, [(row, *part) for row in range(len(x)) for part in parts(out.shape[1])])


def gelu(x: np.ndarray) -> None:
    """Replace x (rows, width) by ``x * Phi(x)``."""
    from features import loops  # numba takes half a second to import, on these paths only

    share(lambda rows: loops.gelu(x[rows].reshape(-1)), parts(len(x)))


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> None:
    """Bring each row of x (rows, width) to mean 0 and variance 1, times `weight`, plus `bias`."""
    from features import loops

    share(lambda rows: loops.layer_norm(x[rows], weight, bias, eps), parts(len(x)))


def attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, lengths: Sequence[int],
    bias: tuple[np.ndarray, np.ndarray] | None, out: np.ndarray,
) -> None:  # fmt: skip
    """Write ``softmax(scale * q k^T + bias) v`` for the frames within each length.

    Parameters
    ----------
    q, k, v, out : np.ndarray [shape=(batch, heads, frames, width), float32]
    scale : float
    lengths : sequence of int
        Frames of each row of the batch.
    bias : (np.ndarray [shape=(batch, heads, frames)], np.ndarray [shape=(heads, 2 * frames - 1)]) or None
        Gates, and values by distance from query to key: see `features.kernels.Bias`.
    """
    from features import loops

    memory = threading.local()

    def work(b: int, h: int, rows: slice) -> None:
        n = lengths[b]
        if not hasattr(memory, "scores"):
            memory.scores = np.empty(ROWS * max(lengths), np.float32)
        scores = memory.scores[: (rows.stop - rows.start) * n].reshape(-1, n)
        np.matmul(q[b, h, rows] * np.float32(scale), k[b, h, :n].T, out=scores)
        if bias is not None:
            gates, values = bias
            loops.add_bias(scores, gates[b, h, rows], values[h], values.shape[1] // 2 - rows.start)
        sums = np.empty(len(scores), np.float32)
        loops.exp_rows(scores, sums)
        np.matmul(scores, v[b, h, :n], out=out[b, h, rows])
        out[b, h, rows] /= sums[:, None]  # after the product: 64 wide instead of 1500

    share(work, [(b, h, *part) for b, h in np.ndindex(q.shape[:2]) for part in parts(lengths[b])])
