"""Ridge regression in closed form: all strengths of a decay for the price of one decomposition.

Minimises ``|y - Xw - b|² + alpha |w|²`` over standardised columns X; the bias is not shrunk
(Hoerl and Kennard 1970, Technometrics 12(1)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ridge:
    """A fitted regression: ``predict(x) = (x - mean) / scale @ weights + bias``.

    weights, mean, scale : np.ndarray [shape=(width,), float64]
    bias : float
    alpha : float
    """

    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    bias: float
    alpha: float

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Return predictions (n,) for features (n, width)."""
        return (values - self.mean) / self.scale @ self.weights + self.bias


class RidgePath:
    """The regressions of one set of examples for any alpha.

    Parameters
    ----------
    values : np.ndarray [shape=(n, width)]
    targets : np.ndarray [shape=(n,), float64]
    """

    def __init__(self, values: np.ndarray, targets: np.ndarray) -> None:
        values = np.asarray(values, dtype=np.float64)
        self.mean, deviation = values.mean(axis=0), values.std(axis=0)
        self.scale = np.where(deviation > 0, deviation, 1.0)
        self.bias = float(targets.mean())
        left, self._sizes, self._right = np.linalg.svd((values - self.mean) / self.scale, full_matrices=False)
        self._shares = left.T @ (targets - self.bias)

    def __call__(self, alpha: float) -> Ridge:
        """Return the regression with one alpha > 0."""
        shrunk = self._sizes / (self._sizes**2 + alpha) * self._shares
        return Ridge(shrunk @ self._right, self.mean, self.scale, self.bias, alpha)
