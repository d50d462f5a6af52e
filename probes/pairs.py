"""Correlations over pairs, from sums over groups of speakers: every draw of speakers is a quadratic form.

A pair is of two different items (frames, utterances). Where a draw takes a group twice, the pairs within it count
twice, and those with another group that it takes three times six times. Pairs of a group with its own double are none:
with them every draw would have more pairs of one voice than the table has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairSums:
    """Sums over the ordered pairs of two items, the first of one group and the second of another or the same.

    names : tuple of str
        What each pair has a value of; the first two are correlated, the others held constant on demand.
    count : np.ndarray [shape=(groups, groups), float64]
        Pairs.
    first : np.ndarray [shape=(variables, groups, groups), float64]
        Sums of the values.
    second : np.ndarray [shape=(variables, variables, groups, groups), float64]
        Sums of the products of two values.
    """

    names: tuple[str, ...]
    count: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, values: dict[str, np.ndarray], groups: np.ndarray, number: int) -> PairSums:
        """Sum over matrices of all pairs of items.

        Parameters
        ----------
        values : dict of str to np.ndarray [shape=(items, items), symmetric]
            The diagonals don't count.
        groups : np.ndarray [shape=(items,), int64, 0 <= group < number]
        number : int > 0
        """
        order = np.argsort(groups, kind="stable")
        present, starts = np.unique(groups[order], return_index=True)
        others = 1 - np.eye(len(groups))

        def summed(matrix: np.ndarray) -> np.ndarray:
            part = np.add.reduceat(matrix[np.ix_(order, order)], starts, axis=0)
            out = np.zeros((number, number))
            out[np.ix_(present, present)] = np.add.reduceat(part, starts, axis=1)
            return out

        known = [np.asarray(matrix, dtype=np.float64) * others for matrix in values.values()]
        second = np.stack([np.stack([summed(a * b) for b in known]) for a in known])
        return cls(tuple(values), summed(others), np.stack([summed(matrix) for matrix in known]), second)

    def correlations(self, weights: np.ndarray) -> np.ndarray:
        """Return the Pearson correlations of all variables, each group taken as often as the weights say.

        Parameters
        ----------
        weights : np.ndarray [shape=(draws, groups), float64]

        Returns
        -------
        np.ndarray [shape=(draws, variables, variables), float64]
            Not a number where a variable has one value only.
        """
        n = _form(self.count, weights)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):  # a draw may have no pair
            mean = np.stack([_form(one, weights) for one in self.first], axis=1) / n
            second = np.stack([[_form(one, weights) for one in row] for row in self.second]).transpose(2, 0, 1)
            covariance = second / n[:, :, None] - mean[:, :, None] * mean[:, None, :]
            variance = np.diagonal(covariance, axis1=1, axis2=2)
            # what is left of a constant after the subtraction is rounding
            square = np.diagonal(second, axis1=1, axis2=2) / n
            deviation = np.sqrt(np.where(variance > 1e-12 * square, variance, np.nan))
            return covariance / (deviation[:, :, None] * deviation[:, None, :])

    def pearson(self, weights: np.ndarray) -> np.ndarray:
        """Return r of the first two variables, (draws,)."""
        return self.correlations(weights)[:, 0, 1]

    def partial(self, weights: np.ndarray) -> np.ndarray:
        """Return r of the first two variables with the others held constant, (draws,); constant ones don't count."""
        found = self.correlations(weights)
        varying = [k for k in range(len(self.names)) if k < 2 or not np.isnan(found[0, k, k])]
        found = found[:, varying][:, :, varying]
        out = np.full(len(found), np.nan)
        good = np.isfinite(found).all(axis=(1, 2))
        inverse = np.linalg.pinv(found[good], hermitian=True)
        out[good] = -inverse[:, 0, 1] / np.sqrt(inverse[:, 0, 0] * inverse[:, 1, 1])
        return out


def _form(matrix: np.ndarray, weights: np.ndarray) -> np.ndarray:
    within = np.diagonal(matrix)
    return ((weights @ (matrix - np.diag(within))) * weights).sum(axis=1) + weights @ within
