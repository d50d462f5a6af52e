"""Scores from counts: accuracy, macro F1, error reduction, and their intervals.

Everything here is a function of confusion counts, so that resampling speakers a thousand times
is one matrix product instead of a thousand passes over the frames.
"""

from __future__ import annotations

import numpy as np

METRICS = ("accuracy", "macro_f1", "error_reduction")


def confusions(truth: np.ndarray, predicted: np.ndarray, classes: int, groups: np.ndarray | None = None) -> np.ndarray:
    """Count how often each class was taken for each, per group.

    Parameters
    ----------
    truth, predicted : np.ndarray [shape=(n,), int, 0 <= value < classes]
    classes : int > 0
    groups : np.ndarray [shape=(n,), int >= 0], optional
        Speaker of each frame; one group where left out.

    Returns
    -------
    np.ndarray [shape=(groups, classes, classes), int64]
        ``counts[g, t, p]``: frames of group g and class t for which p was predicted.
    """
    groups = np.zeros(len(truth), dtype=np.int64) if groups is None else groups
    size = int(groups.max(initial=0)) + 1
    flat = (groups.astype(np.int64) * classes + truth) * classes + predicted
    return np.bincount(flat, minlength=size * classes**2).reshape(size, classes, classes)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the share of the diagonal, over the last two axes."""
    return _ratio(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean over classes of ``2 tp / (2 tp + fp + fn)``.

    Classes that neither occur nor are predicted don't count, as in scikit-learn.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    both = counts.sum(axis=-1) + counts.sum(axis=-2)
    return _ratio(_ratio(2 * hits, both, empty=0.0).sum(axis=-1), (both > 0).sum(axis=-1))


def error_reduction(counts: np.ndarray, majority: np.ndarray) -> np.ndarray:
    """Return the share of the majority baseline's errors that are gone.

    ``(errors(majority) - errors) / errors(majority)``; `majority` holds the confusion counts of
    the baseline on the same frames. Not a number where the baseline makes no error.
    """
    errors = 1 - accuracy(majority)
    return _ratio(errors - (1 - accuracy(counts)), errors)


def scores(counts: np.ndarray, majority: np.ndarray) -> dict[str, np.ndarray]:
    """Return all metrics of confusion counts (..., classes, classes), each of shape (...)."""
    return {
        "accuracy": accuracy(counts),
        "macro_f1": macro_f1(counts),
        "error_reduction": error_reduction(counts, majority),
    }


def intervals(
    counts: np.ndarray, majority: np.ndarray, *, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return percentile intervals of all metrics from resampling groups with replacement.

    Parameters
    ----------
    counts, majority : np.ndarray [shape=(groups, classes, classes)]
        Confusion counts per group (speaker) of the probe and of the majority baseline.
    draws : int > 0
        How many samples of `groups` groups are drawn.
    level : float, 0 < level < 1
        Share of the draws inside the interval.

    Returns
    -------
    dict of str to (low, high)
        Not a number with a single group, which says nothing about others.
    """
    groups = len(counts)
    if groups < 2:
        return {name: (float("nan"), float("nan")) for name in METRICS}
    sampled = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws)
    drawn = scores(_resampled(sampled, counts), _resampled(sampled, majority))
    tails = [(1 - level) / 2, (1 + level) / 2]
    return {name: tuple(np.nanquantile(values, tails).tolist()) for name, values in drawn.items()}


def _resampled(weights: np.ndarray, counts: np.ndarray) -> np.ndarray:
    groups, classes, _ = counts.shape
    flat = counts.reshape(groups, -1).astype(np.float64)
    return (weights.astype(np.float64) @ flat).reshape(len(weights), classes, classes)


def _ratio(above: np.ndarray, below: np.ndarray, *, empty: float = float("nan")) -> np.ndarray:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, empty), where=below != 0)
