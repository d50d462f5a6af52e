"""Gated recurrent units, equal to torch's, that are fast on every device and can be trained.

Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", EMNLP 2014, with the reset gate
behind the product with the state, as cuDNN and torch have it. All that does not depend on the state is
one product over all frames. What is left goes frame by frame: as a graph of MLX, or for inference on a
Linux CPU as a product and one compiled loop per frame over memory that numpy and MLX share.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from features import kernels
from features.recurrent_scan import both, run_frames, scan

# isort: split
import mlx.core as mx
import mlx.nn as nn

PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class GRU(nn.Module):
    """Layers of gated recurrent units, one- or bidirectional, with torch's names and shapes of parameters.

    Parameters
    ----------
    width : int
        Of the input.
    hidden : int
        Units per direction; a layer is ``hidden`` or ``2 * hidden`` wide.
    depth : int
        Layers.
    bidirectional : bool
    """

    def __init__(self, width: int, hidden: int, depth: int, *, bidirectional: bool = True) -> None:
        super().__init__()
        self.hidden, self.depth = hidden, depth
        self.suffixes = ["", "_reverse"][: 1 + bidirectional]
        for layer in range(depth):
            inputs = len(self.suffixes) * hidden if layer else width
            shapes = ((3 * hidden, inputs), (3 * hidden, hidden), (3 * hidden,), (3 * hidden,))
            for suffix in self.suffixes:
                for part, shape in zip(PARTS, shapes, strict=True):
                    self[f"{part}_l{layer}{suffix}"] = mx.zeros(shape)

    def __call__(self, x: mx.array, lengths: np.ndarray, *, traced: bool = False) -> Iterator[mx.array]:
        """Yield the output (batch, frames, directions * hidden) of each layer.

        Parameters
        ----------
        x : mx.array [shape=(batch, frames, width), float32]
        lengths : np.ndarray [shape=(batch,), int64]
            Real frames of each utterance, at least 1: an utterance's output doesn't depend on what is
            behind it, and behind it the output means nothing.
        traced : bool
            So that there is a gradient.
        """
        run = self._traced if traced or not kernels.SLOW_CPU else self._compiled
        for layer in range(self.depth):
            x = run(x, layer, np.asarray(lengths, np.int64))
            yield x

    def _parameters(self, layer: int, suffix: str) -> tuple[mx.array, mx.array, mx.array, mx.array]:
        """Return input and recurrent weights, the biases that add up, and the one that the reset gate scales."""
        w_ih, w_hh, b_ih, b_hh = (self[f"{part}_l{layer}{suffix}"] for part in PARTS)
        summed = mx.concatenate([b_ih[: 2 * self.hidden] + b_hh[: 2 * self.hidden], b_ih[2 * self.hidden :]])
        return w_ih, w_hh, summed, b_hh[2 * self.hidden :]

    def _traced(self, x: mx.array, layer: int, lengths: np.ndarray) -> mx.array:
        """Both directions at once: an utterance turned round begins with its own last frame."""
        frames = x.shape[1]
        place = np.arange(frames)
        turned = mx.array(np.where(place < lengths[:, None], lengths[:, None] - 1 - place, place))[..., None]
        gates, recurrent, biases = [], [], []
        for suffix in self.suffixes:
            w_ih, w_hh, summed, bias = self._parameters(layer, suffix)
            values = x @ w_ih.T + summed
            gates.append(mx.take_along_axis(values, turned, axis=1) if suffix else values)
            recurrent.append(w_hh.T)
            biases.append(bias)
        states = scan(mx.stack(gates), mx.stack(recurrent), mx.stack(biases)[:, None])
        forward = states[0]
        if len(self.suffixes) == 1:
            return forward
        return mx.concatenate([forward, mx.take_along_axis(states[1], turned, axis=1)], axis=-1)

    def _compiled(self, x: mx.array, layer: int, lengths: np.ndarray) -> mx.array:
        order = np.argsort(-lengths, kind="stable")  # long ones first: those still going on lie together
        x = x[mx.array(order)]
        sides = []
        for suffix in self.suffixes:
            w_ih, w_hh, summed, bias = self._parameters(layer, suffix)
            gates, weight = x @ w_ih.T + summed, mx.contiguous(w_hh.T)
            mx.eval(gates, weight, bias)
            sides.append((*map(np.asarray, (gates, weight, bias)), lengths[order], bool(suffix)))
        found = both(lambda side: run_frames(*side), sides)
        return mx.array(np.concatenate(found, axis=-1)[np.argsort(order)])
