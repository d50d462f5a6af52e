"""What of recurrent units goes frame by frame, with its gradient.

Metal and CUDA take a graph of MLX. On a Linux CPU, where each operation of such a graph costs more than it computes
and tanh takes one value at a time, a frame is one product and one compiled loop (`features.loops`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from features import cpu, kernels

# isort: split
import mlx.core as mx


def graph_scan(gates: mx.array, recurrent: mx.array, bias: mx.array) -> mx.array:
    """Do what `scan` does as a graph of MLX."""
    directions, batch, frames, _ = gates.shape
    hidden = recurrent.shape[1]
    state = mx.zeros((directions, batch, hidden))
    states = []
    for frame in range(frames):
        given, own = gates[:, :, frame], state @ recurrent
        both = mx.sigmoid(given[..., : 2 * hidden] + own[..., : 2 * hidden])
        reset, update = both[..., :hidden], both[..., hidden:]
        new = mx.tanh(given[..., 2 * hidden :] + reset * (own[..., 2 * hidden :] + bias))
        state = new + update * (state - new)
        states.append(state)
    return mx.stack(states, axis=2)


def run_frames(
    gates: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, lengths: np.ndarray, backward: bool
) -> np.ndarray:
    """Return the states (batch, frames, hidden) of one direction, from states of zero.

    Parameters
    ----------
    gates : np.ndarray [shape=(batch, frames, 3 * hidden), float32]
    recurrent : np.ndarray [shape=(hidden, 3 * hidden), float32]
    bias : np.ndarray [shape=(hidden,), float32]
    lengths : np.ndarray [shape=(batch,), int64]
        Falling.
    backward : bool
        From each utterance's last frame to its first.
    """
    from features import loops

    (batch, frames, _), hidden = gates.shape, len(bias)
    states = np.zeros((batch, hidden), np.float32)
    products = np.empty((batch, 3 * hidden), np.float32)
    out = np.zeros((batch, frames, hidden), np.float32)
    for step in range(int(lengths.max(initial=0))):
        active = int(np.searchsorted(-lengths, -step))  # those with more frames than are done
        np.matmul(states[:active], recurrent, out=products[:active])
        loops.gru_step(gates, products[:active], bias, states, out, lengths, step, backward)
    return out


def back_frames(
    gates: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, states: np.ndarray, changes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how a value changes with gates, recurrent weights and bias, given how it does with the states.

    Back-propagation through time of one direction, forwards. The gates' values are computed again, which is one
    product over all frames.

    Parameters
    ----------
    gates, recurrent, bias
        As in `run_frames`.
    states, changes : np.ndarray [shape=(batch, frames, hidden), float32]
    """
    from features import loops

    (batch, frames, _), hidden = gates.shape, len(bias)
    previous = np.concatenate([np.zeros((batch, 1, hidden), np.float32), states[:, :-1]], axis=1)
    own = previous @ recurrent
    of_gates, of_own = np.empty_like(gates), np.empty_like(gates)
    change = np.zeros((batch, hidden), np.float32)
    back = np.ascontiguousarray(recurrent.T)
    for step in reversed(range(frames)):
        change += changes[:, step]
        loops.gru_back(gates, own, bias, previous, change, of_gates, of_own, step)
        change += of_own[:, step] @ back
    of_recurrent = previous.reshape(-1, hidden).T @ of_own.reshape(-1, 3 * hidden)
    return of_gates, of_recurrent, of_own[..., 2 * hidden :].sum(axis=(0, 1))


@mx.custom_function
def compiled_scan(gates: mx.array, recurrent: mx.array, bias: mx.array) -> mx.array:
    """Do what `scan` does in compiled loops; the result is evaluated."""
    mx.eval(gates, recurrent, bias)
    lengths = np.full(gates.shape[1], gates.shape[2], np.int64)
    sides = list(zip(*map(np.asarray, (gates, recurrent, bias)), strict=True))
    return mx.array(np.stack(both(lambda side: run_frames(side[0], side[1], side[2][0], lengths, False), sides)))


@compiled_scan.vjp
def _compiled_gradient(primals: Sequence[mx.array], change: mx.array, output: mx.array) -> tuple[mx.array, ...]:
    arrays = (*primals, output, change)
    mx.eval(*arrays)
    sides = list(zip(*(np.ascontiguousarray(np.asarray(values)) for values in arrays), strict=True))
    found = both(lambda side: back_frames(side[0], side[1], side[2][0], side[3], side[4]), sides)
    of_gates, of_recurrent, of_bias = (mx.array(np.stack(parts)) for parts in zip(*found, strict=True))
    return of_gates, of_recurrent, of_bias[:, None]


def scan(gates: mx.array, recurrent: mx.array, bias: mx.array) -> mx.array:
    """Return the states (directions, batch, frames, hidden) of each frame, from states of zero, with a gradient.

    Parameters
    ----------
    gates : mx.array [shape=(directions, batch, frames, 3 * hidden), float32]
        From the input: reset, update, new.
    recurrent : mx.array [shape=(directions, hidden, 3 * hidden), float32]
    bias : mx.array [shape=(directions, 1, hidden), float32]
        Of what the reset gate scales.
    """
    return (compiled_scan if kernels.SLOW_CPU else graph_scan)(gates, recurrent, bias)


def both(function: Callable[[Any], Any], sides: Sequence[Any]) -> list[Any]:
    """Return what a function gives for each direction; they know nothing of each other and share the cores.

    A product of a few rows is too short to be shared: the threads of a BLAS would mostly wait for each other.
    """
    found: list[Any] = [None] * len(sides)

    def work(place: int, side: Any) -> None:
        found[place] = function(side)

    cpu.share(work, enumerate(sides))
    return found
