"""The published protocol of the probes that look at whole utterances, flaws included, to get its numbers.

Chrupala, Higy and Alishahi (2020), Analyzing analytical methods, ACL; https://github.com/gchrupala/analyzing-analytical-methods,
``analyze.py``. Its flaws: random halves of the utterances, so that every speaker is on both sides; no validation, the
best epoch is chosen on the half that is scored; in the diagnostic, zeros that pad a batch take part in pooling.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from probes.attention import Parameters, Utterances, pooled
from probes.errors import ProbeError
from probes.splits import Fold, Splits

import mlx.core as mx  # isort: skip  after features, which brings it a fast BLAS
import mlx.optimizers as optim  # isort: skip

NOTE = "published protocol: random halves of the utterances, speakers in both, best epoch of the scored half"
RATE, EPOCHS, BATCH = 1e-3, 500, 64  # of Adam in the diagnostic
FACTOR, PLATEAU, PATIENCE = 0.1, 10, 50  # of the rate; epochs without a gain before it falls, and before the end


def halves(splits: Splits, rows: np.ndarray, seed: int) -> Splits:
    """Return the utterances in random halves: one trains, the other one both tunes and tests.

    Parameters
    ----------
    splits : Splits
        Whose speakers are kept.
    rows : np.ndarray [shape=(n,), int64]
        Rows that count.

    Raises
    ------
    ProbeError
        If there are fewer than 6 utterances.
    """
    if len(rows) < 6:
        raise ProbeError(f"{len(rows)} utterances to halve: at least 6 are needed")
    order = np.random.default_rng(seed).permutation(rows)
    train, test = np.sort(order[: len(rows) // 2]), np.sort(order[len(rows) // 2 :])
    return Splits((Fold(train, test, test),), "published", splits.speakers, False, NOTE)


def unit_start(width: int, seed: int) -> Parameters:
    """Return attention that scores frames in a random direction of length 1, as the published code starts."""
    out = np.random.default_rng(seed).normal(size=(width, 1))
    return {"out": mx.array((out / np.linalg.norm(out)).astype(np.float32))}


def padded(parameters: Parameters, values: mx.array) -> mx.array:
    """Return pooled utterances (batch, width) of padded frames (batch, longest, width), padding included.

    Means (batch, width) are taken as they are, see `_inputs`.
    """
    return values if values.ndim == 2 else pooled(parameters, values, mx.ones(values.shape[:2], dtype=mx.bool_))


def _inputs(utterances: Utterances, pool: str) -> Callable[[np.ndarray], mx.array]:
    """Return what gives the inputs of a batch: standardised frames, or means over the longest utterance's length."""
    if pool != "mean":
        return lambda part: utterances.batch(part)[0]
    sums = np.stack([frames.sum(axis=0, dtype=np.float64) for frames in utterances.frames])
    lengths = np.array([len(frames) for frames in utterances.frames])
    return lambda part: mx.array((sums[part] / lengths[part].max()).astype(np.float32))


def start(width: int, questions: int, pool: str, seed: int) -> Parameters:
    """Return the first parameters of the diagnostic: uniform within ``1 / sqrt(width)``, as PyTorch's linear layers."""
    draw, bound = np.random.default_rng(seed), 1 / math.sqrt(width)
    shapes = {"weights": (width, questions), "bias": (questions,)}
    made = {name: mx.array(draw.uniform(-bound, bound, size).astype(np.float32)) for name, size in shapes.items()}
    return made | (unit_start(width, seed) if pool == "linear" else {})


def best_answers(
    utterances: Utterances, truth: np.ndarray, learn: np.ndarray, test: np.ndarray, pool: str, *,
    epochs: int = EPOCHS, seed: int = 0,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Train on one half; return the answers (test, questions) bool of the epoch that is best on the other half, and it.

    Parameters
    ----------
    utterances : Utterances
        Means are taken of frames that are not standardised, attention has them standardised.
    truth : np.ndarray [shape=(utterances, questions), bool]
    learn, test : np.ndarray [shape=(n,), int64]
        Places of the two halves.
    pool : "mean" or "linear"
    """
    read, draw, told = _inputs(utterances, pool), np.random.default_rng(seed), truth.astype(np.float32)
    parameters = start(len(utterances.mean), truth.shape[1], pool, seed)
    optimizer, rate = optim.Adam(learning_rate=RATE, bias_correction=True), _Plateau()

    def loss(parameters: Parameters, values: mx.array, wanted: mx.array) -> mx.array:
        scores = _scores(parameters, values)
        return (mx.logaddexp(scores, 0.0) - wanted * scores).mean()

    step, best, chosen = mx.value_and_grad(loss), -1.0, (np.zeros(0, dtype=bool), 0)
    for epoch in range(1, epochs + 1):
        for part in _parts(draw.permutation(learn)):
            _, slope = step(parameters, read(part), mx.array(told[part]))
            parameters = optimizer.apply_gradients(slope, parameters)
            mx.eval(parameters, optimizer.state)
        answers = np.concatenate([np.asarray(_scores(parameters, read(part))) for part in _parts(test)]) >= 0
        accuracy = float((answers == truth[test]).mean())
        if accuracy > best:
            best, chosen = accuracy, (answers, epoch)
        if rate.falls(1 - accuracy):
            optimizer.learning_rate = optimizer.learning_rate * FACTOR
        if epoch - chosen[1] >= PATIENCE:
            break
    return chosen


class _Plateau:
    """Whether the rate falls after an epoch, as PyTorch's ``ReduceLROnPlateau`` with patience 10 decides."""

    def __init__(self) -> None:
        self.least, self.waited = math.inf, 0

    def falls(self, error: float) -> bool:
        if error < self.least * (1 - 1e-4):
            self.least, self.waited = error, 0
        else:
            self.waited += 1
        over = self.waited > PLATEAU
        self.waited = 0 if over else self.waited
        return over


def _scores(parameters: Parameters, values: mx.array) -> mx.array:
    return mx.addmm(parameters["bias"], padded(parameters, values), parameters["weights"])


def _parts(places: np.ndarray) -> list[np.ndarray]:
    return [places[begin : begin + BATCH] for begin in range(0, len(places), BATCH)]
