"""Pooling of an utterance's frames by attention, trained in MLX; what pads a batch takes no part.

After Chrupala, Higy and Alishahi (2020), Analyzing analytical methods: the case of phonology in neural models of spoken
language, ACL. ``linear``: the softmax over time of one linear score per frame weighs the frames. ``scalar``: the score
comes from a layer of tanh. The published code pads with zeros that take part in the softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from datasets import Dataset

from features.blas import import_mlx
from features.columns import matrices

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.optimizers as optim  # noqa: E402

from probes.errors import ProbeError  # noqa: E402
from probes.finite import check_finite  # noqa: E402

KINDS = ("linear", "scalar")
HIDDEN = 128  # of scalar attention
BATCH = 64  # utterances
READ = 64  # rows that are looked at at a time
Parameters = dict[str, mx.array]


@dataclass(frozen=True)
class Utterances:
    """The frames of some utterances: views of the table, copied when a batch is made.

    frames : list of np.ndarray [shape=(frames, width)]
    mean, scale : np.ndarray [shape=(width,), float32]
        A batch holds ``(frames - mean) / scale``.
    """

    frames: list[np.ndarray]
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def read(cls, dataset: Dataset, column: str, rows: np.ndarray, train: np.ndarray) -> Utterances:
        """Read rows of a feature column; `train` are the places in `rows` that mean and scale are taken of."""
        found = frames_of(dataset, column, rows)
        total, square, count = 0.0, 0.0, 0
        for place in train:
            part = found[place].astype(np.float64)
            total, square, count = total + part.sum(axis=0), square + (part**2).sum(axis=0), count + len(part)
        mean = np.asarray(total / count)
        scale = np.sqrt(np.maximum(square / count - mean**2, 0))
        if not np.isfinite(scale).all():
            raise ProbeError("the features hold values that are not finite: encode them again with dtype float32")
        constant = scale <= 1e-6 * np.maximum(1, np.abs(mean))
        return cls(found, mean.astype(np.float32), np.where(constant, 1, scale).astype(np.float32))

    def batch(self, places: np.ndarray) -> tuple[mx.array, mx.array]:
        """Return standardised frames (batch, longest, width) and which of them exist (batch, longest)."""
        longest = max(len(self.frames[place]) for place in places)
        values = np.zeros((len(places), longest, len(self.mean)), dtype=np.float32)
        mask = np.zeros((len(places), longest), dtype=bool)
        for row, place in enumerate(places):
            frames = self.frames[place]
            values[row, : len(frames)] = (frames.astype(np.float32) - self.mean) / self.scale
            mask[row, : len(frames)] = True
        return mx.array(values), mx.array(mask)

    def means(self) -> np.ndarray:
        """Return the mean of each utterance's frames, not standardised, (utterances, width) float32."""
        return np.stack([part.mean(axis=0, dtype=np.float64) for part in self.frames]).astype(np.float32)


def frames_of(dataset: Dataset, column: str, rows: np.ndarray) -> list[np.ndarray]:
    """Return the matrix of each row, a view of the table.

    Raises
    ------
    ProbeError
        If an utterance has no frame, or its values are not finite.
    """
    found: list[np.ndarray] = []
    for start in range(0, len(dataset), READ):
        wanted = rows[(rows >= start) & (rows < start + READ)] - start
        if len(wanted):
            values, lengths = matrices(dataset, column, slice(start, min(start + READ, len(dataset))))
            check_finite(column, values, lengths, np.isin(np.arange(len(lengths)), wanted))
            parts = np.split(values, np.cumsum(lengths)[:-1])
            found += [parts[row] for row in wanted]
    if not all(len(part) for part in found):
        raise ProbeError(f"{column}: an utterance has no frame to pool")
    return found


def initial(kind: str, width: int, seed: int) -> Parameters:
    """Return parameters of a pooling that have not learnt yet: linear attention starts as the mean.

    Raises
    ------
    ProbeError
        If there is no such pooling.
    """
    if kind not in KINDS:
        raise ProbeError(f"unknown pool={kind!r}: expected one of {['mean', *KINDS]}")
    size = width if kind == "linear" else HIDDEN
    made = {"out": mx.zeros((size, 1))}
    if kind == "scalar":
        draw = np.random.default_rng(seed).normal(size=(width, HIDDEN)) / np.sqrt(width)
        made |= {"hidden": mx.array(draw.astype(np.float32)), "hidden_bias": mx.zeros(HIDDEN)}
    return made


def pooled(parameters: Parameters, values: mx.array, mask: mx.array) -> mx.array:
    """Return the weighted mean of the frames of each utterance, (batch, width)."""
    inner = values
    if "hidden" in parameters:
        inner = mx.tanh(values @ parameters["hidden"] + parameters["hidden_bias"])
    scores = mx.where(mask, (inner @ parameters["out"])[..., 0], -mx.inf)
    return (mx.softmax(scores, axis=1)[:, None, :] @ values)[:, 0]


Loss = Callable[[Parameters, mx.array, mx.array, np.ndarray], mx.array]


def train(
    parameters: Parameters, loss: Loss, score: Callable[[Parameters], float], utterances: Utterances,
    places: np.ndarray, *, epochs: int, rate: float, patience: int, seed: int, batch: int = BATCH,
    bias_correction: bool = False,
) -> tuple[Parameters, int]:  # fmt: skip
    """Train by Adam until the score on validation has not risen for some epochs; return the best and its epoch.

    Parameters
    ----------
    loss : callable
        Of parameters, frames, mask, and the places of the batch.
    score : callable
        Of parameters; higher is better.
    places : np.ndarray [shape=(n,), int64]
        Utterances to learn from.
    batch : int > 0
        How many of them are in a step, about.
    bias_correction : bool
        Of Adam's moments.
    """
    best, chosen, when = score(parameters), dict(parameters), 0
    optimizer, step = optim.Adam(learning_rate=rate, bias_correction=bias_correction), mx.value_and_grad(loss)
    draw = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        for part in _batches(places, draw, batch):
            _, gradient = step(parameters, *utterances.batch(part), part)
            parameters = optimizer.apply_gradients(gradient, parameters)
            mx.eval(parameters, optimizer.state)
        if (found := score(parameters)) > best:
            best, chosen, when = found, dict(parameters), epoch
        if epoch - when >= patience:
            break
    return chosen, when


def vectors(parameters: Parameters, utterances: Utterances, places: np.ndarray) -> np.ndarray:
    """Return the pooled utterances, (places, width) float32."""
    parts = [places[start : start + BATCH] for start in range(0, len(places), BATCH)]
    return np.concatenate([np.asarray(pooled(parameters, *utterances.batch(part))) for part in parts])


def _batches(places: np.ndarray, draw: np.random.Generator, batch: int) -> Iterator[np.ndarray]:
    """Yield batches of about one size; none is small, which a loss over pairs could not use."""
    count = max(1, round(len(places) / batch))
    yield from np.array_split(draw.permutation(places), count)
