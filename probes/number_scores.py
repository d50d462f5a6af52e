"""Scores of predicted numbers: Pearson's r, squared error, explained variance, and their intervals.

All follow from sums per speaker, so that resampling speakers a thousand times is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from probes.splits import Splits

DRAWS = 1000


class NumberScorer:
    """Scores answers on the test rows of all folds, with intervals over speakers.

    Parameters
    ----------
    truth : np.ndarray [shape=(n,), float64]
    splits : Splits
    guessed : np.ndarray [shape=(n,), float64]
        What the baseline answers.
    seed : int
        Of the resampling.
    """

    def __init__(self, truth: np.ndarray, splits: Splits, guessed: np.ndarray, seed: int) -> None:
        self.tested = np.concatenate([fold.test for fold in splits.folds])
        self._truth, self._guessed, self._seed = truth, guessed, seed
        speakers = splits.speakers[self.tested]
        units = speakers if len(np.unique(speakers)) > 1 else self.tested.astype(str)
        self._groups = np.unique(units, return_inverse=True)[1]
        self.speakers = len(np.unique(speakers))

    def rows(self, answers: np.ndarray) -> Iterator[dict[str, Any]]:
        """Yield one result per metric of the answers (n,)."""
        sums = moments(self._truth[self.tested], answers[self.tested], self._guessed[self.tested], self._groups)
        groups = len(sums)
        draw = np.random.default_rng(self._seed)
        drawn = draw.multinomial(groups, np.full(groups, 1 / groups), size=DRAWS) @ sums
        total, ranges = measures(sums.sum(axis=0)), measures(drawn)
        for metric, value in total.items():
            low, high = np.nanquantile(ranges[metric], [0.025, 0.975]) if np.isfinite(value) else (np.nan, np.nan)
            bounds = {"value": value, "ci_low": low, "ci_high": high}
            numbers = {name: float(one) if np.isfinite(one) else None for name, one in bounds.items()}
            yield {"metric": metric, **numbers, "n_test": len(self.tested), "test_speakers": self.speakers}


def moments(truth: np.ndarray, answers: np.ndarray, guessed: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the sums that all measures follow from, per group: n, y, p, y², p², yp, (y-p)², (y-guess)²."""
    columns = [np.ones_like(truth), truth, answers, truth**2, answers**2, truth * answers,
               (truth - answers) ** 2, (truth - guessed) ** 2]  # fmt: skip
    return np.stack([np.bincount(groups, weights=column) for column in columns], axis=1)


def measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return Pearson's r, mean squared error, and the share of the baseline's squared error that is gone.

    Parameters
    ----------
    sums : np.ndarray [shape=(..., 8)]
        As `moments` gives them, summed over groups. r is not a number where answers do not vary.
    """
    n, y, p, yy, pp, yp, squared, baseline = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    spread = (yy - y**2 / n) * np.maximum(pp - p**2 / n, 0)
    flat = pp - p**2 / n <= 1e-12 * np.maximum(pp, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.where(flat, np.nan, (yp - y * p / n) / np.sqrt(np.where(flat, 1, spread)))
        return {"pearson_r": r, "mse": squared / n, "r2": 1 - squared / baseline}
