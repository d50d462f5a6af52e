"""The loss of a multinomial logistic regression and its gradient, on MLX, over any number of frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from features.blas import import_mlx

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check, and after the BLAS that `features` brings

from features.kernels import SLOW_CPU  # noqa: E402

CHUNK_BYTES = 64 << 20  # float32 inputs per step: bounds the memory of one product
CACHE_BYTES = 1 << 30  # standardised inputs that stay in memory; above it each pass converts anew


class Objective:
    """Mean cross entropy of standardised frames plus ``decay / 2 * sum(weights ** 2)``.

    The bias is free. With ``C = 1 / (decay * frames)`` this is scikit-learn's
    `LogisticRegression` up to the factor ``C * frames``: the same minimum.

    Parameters
    ----------
    values : np.ndarray [shape=(frames, width), float16 or float32]
    labels : np.ndarray [shape=(frames,), int, 0 <= label < classes]
    mean, scale : np.ndarray [shape=(width,), float32]
        The inputs are ``(values - mean) / scale``.
    classes : int > 1
    """

    def __init__(
        self, values: np.ndarray, labels: np.ndarray, mean: np.ndarray, scale: np.ndarray, classes: int
    ) -> None:
        self.frames, self.width = values.shape
        self.classes = classes
        self._values, self._labels = values, labels
        self._mean, self._scale = mean, scale
        fits = values.size * 4 <= CACHE_BYTES
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
        w, b = mx.array(weights.astype(np.float32)), mx.array(bias.astype(np.float32))
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
        weights, bias = (mx.array(part.astype(np.float32)) for part in unpack(theta, self.classes))
        hits = 0
        for inputs, labels in self._chunks():
            hits += int((mx.argmax(mx.addmm(bias, inputs, weights), axis=1) == labels).sum().item())
        return hits / max(1, self.frames)

    def class_shares(self) -> np.ndarray:
        """Return the share of the frames that each class has, (classes,) float64."""
        return np.bincount(self._labels, minlength=self.classes) / self.frames

    def second_moments(self, most: int) -> np.ndarray:
        """Return ``X.T @ X / frames`` of the standardised inputs, estimated on at most `most` frames."""
        sample = self._values[:: -(-self.frames // most)].astype(np.float32)
        inputs = mx.array((sample - self._mean) / self._scale)
        return np.asarray(inputs.T @ inputs).astype(np.float64) / len(sample)

    def _chunks(self) -> Iterator[tuple[mx.array, mx.array]]:
        yield from self._convert() if self._cache is None else self._cache

    def _convert(self) -> Iterator[tuple[mx.array, mx.array]]:
        for part in chunks(self.frames, self.width):
            inputs = (self._values[part].astype(np.float32) - self._mean) / self._scale
            yield mx.array(inputs), mx.array(self._labels[part].astype(np.int32))


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
    mean, square = np.zeros(width), np.zeros(width)

    def parts() -> Iterator[np.ndarray]:
        for part in chunks(frames, width):
            yield values[part if which is None else which[part]]

    with np.errstate(invalid="ignore", over="ignore"):  # the caller looks at what comes out
        for part in parts():
            mean += part.sum(axis=0, dtype=np.float64) / frames
        for part in parts():
            centred = part.astype(np.float32) - mean.astype(np.float32)
            square += (centred**2).sum(axis=0, dtype=np.float64)
    scale = np.sqrt(square / frames)
    constant = scale <= 1e-6 * np.maximum(1, np.abs(mean))
    return mean.astype(np.float32), np.where(constant, 1, scale).astype(np.float32)


def mlx_cross_entropy(
    inputs: mx.array, labels: mx.array, weights: mx.array, bias: mx.array
) -> tuple[mx.array, mx.array, mx.array]:
    """Return the loss of each frame and the summed gradients of weights and bias.

    By hand instead of `mx.value_and_grad`, which takes the exponential twice.
    """
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
    return results


def cpu_cross_entropy(
    inputs: mx.array, labels: mx.array, weights: mx.array, bias: mx.array
) -> tuple[np.ndarray, mx.array, np.ndarray]:
    """Return the same, with the products in MLX and the softmax in numpy: 1.6 times faster on a Linux CPU."""
    logits = mx.addmm(bias, inputs, weights)  # ours alone, so that it may be overwritten
    mx.eval(logits)
    excess = np.asarray(logits)
    assert excess.flags.c_contiguous and excess.flags.writeable, "numpy must see MLX's own memory"
    own = np.arange(len(excess)), np.asarray(labels)
    excess -= excess.max(axis=1, keepdims=True)
    losses = -excess[own]
    np.exp(excess, out=excess)
    total = excess.sum(axis=1, keepdims=True)
    excess /= total
    excess[own] -= 1
    gradient = inputs.T @ logits
    mx.eval(gradient)
    return losses + np.log(total[:, 0]), gradient, excess.sum(axis=0)


cross_entropy = cpu_cross_entropy if SLOW_CPU else mlx_cross_entropy
