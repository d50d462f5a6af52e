"""Scores of predicted numbers: Pearson's r, squared error, explained variance, and their intervals.

All follow from sums per speaker, so that resampling speakers a thousand times is one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from probes.splits import Splits

DRAWS = 1000
FLAT = 1e-12  # a variance below this share of the mean square is what rounding leaves of a constant


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
    """Return the sums that all measures follow from, per group: n, y, p, y², p², yp, (y-p)², (y-guess)².

    y and p are truth and answers less their means, without which a large offset leaves no digits for what varies.
    """
    y, p = _centred(truth), _centred(answers)
    columns = [np.ones_like(y), y, p, y**2, p**2, y * p, (truth - answers) ** 2, (truth - guessed) ** 2]
    return np.stack([np.bincount(groups, weights=column) for column in columns], axis=1)


def measures(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Return Pearson's r, mean squared error, and the share of the baseline's squared error that is gone.

    Parameters
    ----------
    sums : np.ndarray [shape=(..., 8)]
        As `moments` gives them, summed over groups. r is not a number where truth or answers do not vary, as in a
        draw of one speaker whose age is asked for; the share is none where the baseline makes no error.
    """
    n, y, p, yy, pp, yp, squared, baseline = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    of_truth, of_answers = yy - y**2 / n, pp - p**2 / n
    flat = (of_truth <= FLAT * yy) | (of_answers <= FLAT * pp)
    r = (yp - y * p / n) / np.sqrt(np.where(flat, 1, of_truth * of_answers))
    gone = 1 - squared / np.where(baseline > 0, baseline, np.nan)
    return {"pearson_r": np.where(flat, np.nan, np.clip(r, -1, 1)), "mse": squared / n, "r2": gone}


def _centred(values: np.ndarray) -> np.ndarray:
    """Return values less their mean, 0 where what is left is rounding."""
    left = values - values.mean()
    return np.where(np.abs(left) > 16 * np.finfo(np.float64).eps * np.abs(values).max(), left, 0.0)
