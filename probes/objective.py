"""The loss of a multinomial logistic regression and its gradient, over any number of frames.

On MLX; on a Linux CPU on numpy, whose BLAS is faster at products as narrow as the number of classes, and whose
exponential is: together 1.5 times.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from features.blas import import_mlx

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check, and after the BLAS that `features` brings

from features.kernels import SLOW_CPU  # noqa: E402

# Float32 inputs per step: bounds the memory of one product. A CPU reads them again out of its cache for the gradient.
CHUNK_BYTES = (8 if SLOW_CPU else 64) << 20
CACHE_BYTES = 1 << 30  # standardised inputs that stay in memory; above it each pass converts anew


class Objective:
    """Mean cross entropy of standardised frames plus ``decay / 2 * sum(weights ** 2)``.

    The bias is free. With ``C = 1 / (decay * frames)`` this is scikit-learn's
    `LogisticRegression` up to the factor ``C * frames``: the same minimum.

    Parameters
    ----------
    values : np.ndarray [shape=(n, width), float16 or float32]
    labels : np.ndarray [shape=(frames,), int, 0 <= label < classes]
    mean, scale : np.ndarray [shape=(width,), float32]
        The inputs are ``(values - mean) / scale``.
    classes : int > 1
    which : np.ndarray [shape=(frames,), int64], optional
        The rows of `values` that count, in the order of `labels`; all where left out.
    """

    def __init__(
        self, values: np.ndarray, labels: np.ndarray, mean: np.ndarray, scale: np.ndarray, classes: int,
        which: np.ndarray | None = None,
    ) -> None:  # fmt: skip
        self.frames, self.width = len(labels), values.shape[1]
        self.classes = classes
        self._values, self._labels, self._which = values, labels, which
        self._mean, self._scale = mean, scale
        fits = self.frames * self.width * 4 <= CACHE_BYTES
        self._cache = list(self._convert()) if fits else None

    def __call__(self, theta: np.ndarray, decay: float) -> tuple[float, np.ndarray]:
        """Return loss and gradient at flat parameters, as `scipy.optimize.minimize` wants them.

        Parameters
        ----------
        theta : np.ndarray [shape=((width + 1) * classes,), float64]
            Rows of the weights (width, classes), then the bias.

        Returns
        -------
        loss : float
        gradient : np.ndarray [shape=((width + 1) * classes,), float64]
        """
        weights, bias = unpack(theta, self.classes)
        w, b = weights.astype(np.float32), bias.astype(np.float32)
        loss, gradient = 0.0, np.zeros((self.width + 1, self.classes))
        for inputs, labels in self._chunks():
            losses, dw, db = cross_entropy(inputs, labels, w, b)
            loss += np.asarray(losses).sum(dtype=np.float64)  # float32 sums end the line search early
            gradient[:-1] += np.asarray(dw)
            gradient[-1] += np.asarray(db)
        gradient /= self.frames
        gradient[:-1] += decay * weights
        return loss / self.frames + decay / 2 * float((weights**2).sum()), gradient.ravel()

    def accuracy(self, theta: np.ndarray) -> float:
        """Return the share of frames whose most likely class is theirs."""
        weights, bias = (part.astype(np.float32) for part in unpack(theta, self.classes))
        hits = sum(
            int((best_class(inputs, weights, bias) == np.asarray(labels)).sum()) for inputs, labels in self._chunks()
        )
        return hits / max(1, self.frames)

    def class_shares(self) -> np.ndarray:
        """Return the share of the frames that each class has, (classes,) float64."""
        return np.bincount(self._labels, minlength=self.classes) / self.frames

    def second_moments(self, most: int) -> np.ndarray:
        """Return ``X.T @ X / frames`` of the standardised inputs, estimated on at most `most` frames."""
        inputs = to_device(self._inputs(slice(None, None, -(-self.frames // most))))
        return np.asarray(inputs.T @ inputs).astype(np.float64) / len(inputs)

    def _chunks(self) -> Iterator[tuple[Any, Any]]:
        yield from self._convert() if self._cache is None else self._cache

    def _convert(self) -> Iterator[tuple[Any, Any]]:
        for part in chunks(self.frames, self.width):
            yield to_device(self._inputs(part)), to_device(self._labels[part].astype(np.int32))

    def _inputs(self, part: slice) -> np.ndarray:
        rows = part if self._which is None else self._which[part]
        return standardised(self._values[rows], self._mean, self._scale)


def chunks(frames: int, width: int) -> Iterator[slice]:
    """Cut frames into slices of at most `CHUNK_BYTES` of float32 values."""
    step = max(1, CHUNK_BYTES // (4 * width))
    for start in range(0, frames, step):
        yield slice(start, min(start + step, frames))


def unpack(theta: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (width, classes) and bias (classes,) as views of flat parameters."""
    matrix = theta.reshape(-1, classes)
    return matrix[:-1], matrix[-1]


def standardisation(values: np.ndarray, which: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, float32; 1 for a column that never changes.

    Parameters
    ----------
    values : np.ndarray [shape=(frames, width)]
    which : np.ndarray [shape=(n,), int64], optional
        The rows that count; all where left out.
    """
    frames, width = len(values) if which is None else len(which), values.shape[1]
    total, square, shift = np.zeros(width), np.zeros(width), None
    with np.errstate(invalid="ignore", over="ignore"):  # the caller looks at what comes out
        for part in chunks(frames, width):
            some = values[part if which is None else which[part]].astype(np.float32)
            shift = some.mean(axis=0) if shift is None else shift  # near the mean: else squares lose their digits
            some -= shift
            total += some.sum(axis=0)
            square += np.square(some, out=some).sum(axis=0)
        offset = total / frames
        mean, scale = shift + offset, np.sqrt(np.maximum(square / frames - offset**2, 0))
    constant = scale <= 1e-6 * np.maximum(1, np.abs(mean))
    return mean.astype(np.float32), np.where(constant, 1, scale).astype(np.float32)


def standardised(values: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return ``(values - mean) / scale``, float32, in one new array."""
    inputs = values.astype(np.float32)
    inputs -= mean
    inputs *= 1 / scale
    return inputs


def best_class(inputs: Any, weights: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the most likely class of each frame, (frames,) int64, of standardised inputs."""
    logits = inputs @ to_device(weights) + to_device(bias)
    return np.asarray(logits.argmax(axis=1)).astype(np.int64)


def to_device(array: np.ndarray) -> Any:
    """Return it where the products are made: in MLX, on a Linux CPU as it is."""
    return array if SLOW_CPU else mx.array(array)


def mlx_cross_entropy(
    inputs: Any, labels: Any, weights: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the loss of each frame and the summed gradients of weights and bias.

    By hand instead of `mx.value_and_grad`, which takes the exponential twice.
    """
    inputs, labels, weights, bias = (mx.array(array) for array in (inputs, labels, weights, bias))
    logits = mx.addmm(bias, inputs, weights)  # (frames, classes)
    top = logits.max(axis=1, keepdims=True)
    powers = mx.exp(logits - top)
    total = powers.sum(axis=1, keepdims=True)
    index = labels[:, None]
    losses = mx.log(total) + top - mx.take_along_axis(logits, index, axis=1)
    chances = powers / total
    excess = mx.put_along_axis(chances, index, mx.take_along_axis(chances, index, axis=1) - 1, axis=1)
    results = losses[:, 0], inputs.T @ excess, excess.sum(axis=0)
    mx.eval(*results)
    return tuple(np.asarray(result) for result in results)


def cpu_cross_entropy(
    inputs: np.ndarray, labels: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the same by numpy."""
    excess = inputs @ weights  # (frames, classes), logits first
    excess += bias
    own = np.arange(len(excess)), labels
    excess -= excess.max(axis=1, keepdims=True)
    losses = -excess[own]
    np.exp(excess, out=excess)
    total = excess @ np.ones(excess.shape[1], np.float32)  # a sixth of the time of a sum along the short axis
    excess /= total[:, None]
    excess[own] -= 1
    gradient = (excess.T @ inputs).T  # in this order the product is faster
    return losses + np.log(total), gradient, excess.sum(axis=0)


cross_entropy = cpu_cross_entropy if SLOW_CPU else mlx_cross_entropy
