"""Scores from counts: accuracy, macro F1, error reduction, and their intervals.

Everything here is a function of tallies, three numbers per class and speaker, so that resampling speakers a
thousand times is one matrix product instead of a thousand passes over the frames.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

METRICS = ("accuracy", "macro_f1", "error_reduction")
LEVEL = 0.95


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


def tally(counts: np.ndarray) -> np.ndarray:
    """Return hits, occurrences and answers of each class, (..., 3, classes), of counts (..., classes, classes)."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.stack([hits, counts.sum(axis=-1), counts.sum(axis=-2)], axis=-2)


def tallies(truth: np.ndarray, predicted: np.ndarray, classes: int, groups: np.ndarray) -> np.ndarray:
    """Return the tally of each group, without the confusion counts, which for many classes are large.

    Parameters
    ----------
    truth, predicted : np.ndarray [shape=(n,), int, 0 <= value < classes]
    classes : int > 0
    groups : np.ndarray [shape=(n,), int >= 0]

    Returns
    -------
    np.ndarray [shape=(groups, 3, classes), int64]
    """
    size = int(groups.max(initial=0)) + 1
    hit = truth == predicted
    parts = [(groups[hit], truth[hit]), (groups, truth), (groups, predicted)]
    counted = [np.bincount(g.astype(np.int64) * classes + c, minlength=size * classes) for g, c in parts]
    return np.stack([part.reshape(size, classes) for part in counted], axis=1)


def accuracy(tallied: np.ndarray) -> np.ndarray:
    """Return the share of hits, over the last two axes."""
    total = tallied.sum(axis=-1)
    return _ratio(total[..., 0], total[..., 1])


def macro_f1(tallied: np.ndarray) -> np.ndarray:
    """Return the mean over classes of ``2 tp / (2 tp + fp + fn)``.

    Classes that neither occur nor are predicted don't count, as in scikit-learn.
    """
    both = tallied[..., 1, :] + tallied[..., 2, :]
    return _ratio(_ratio(2 * tallied[..., 0, :], both, empty=0.0).sum(axis=-1), (both > 0).sum(axis=-1))


def error_reduction(tallied: np.ndarray, majority: np.ndarray) -> np.ndarray:
    """Return the share of the majority baseline's errors that are gone.

    ``(errors(majority) - errors) / errors(majority)``; `majority` is the tally of the baseline on the same
    frames. Not a number where the baseline makes no error.
    """
    errors = 1 - accuracy(majority)
    return _ratio(errors - (1 - accuracy(tallied)), errors)


def scores(tallied: np.ndarray, majority: np.ndarray, control: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return all metrics of tallies (..., 3, classes), each of shape (...).

    With the tally of a control task on the same frames also its accuracy, and selectivity: how much higher
    the accuracy is than that (Hewitt and Liang 2019).
    """
    found = {
        "accuracy": accuracy(tallied),
        "macro_f1": macro_f1(tallied),
        "error_reduction": error_reduction(tallied, majority),
    }
    if control is not None:
        found["control_accuracy"] = accuracy(control)
        found["selectivity"] = found["accuracy"] - found["control_accuracy"]
    return found


def resampled(
    tallied: np.ndarray, majority: np.ndarray, control: np.ndarray | None = None, *, draws: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return all metrics on samples of as many groups, drawn with replacement, (draws,) each.

    The groups that are drawn follow from their number, `draws` and `seed` alone: what two layers have on the same
    draw can be compared.
    """
    weights = _weights(len(tallied), draws, seed)
    drawn = [None if one is None else _resampled(weights, one) for one in (tallied, majority, control)]
    return scores(*drawn)


def intervals(
    tallied: np.ndarray, majority: np.ndarray, *, draws: int = 1000, level: float = LEVEL, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return percentile intervals of all metrics from resampling groups with replacement.

    Parameters
    ----------
    tallied, majority : np.ndarray [shape=(groups, 3, classes)]
        Tallies per group (speaker) of the probe and of the majority baseline.
    draws : int > 0
        How many samples of `groups` groups are drawn.
    level : float, 0 < level < 1
        Share of the draws inside the interval.

    Returns
    -------
    dict of str to (low, high)
        Not a number with a single group, which says nothing about others.
    """
    if len(tallied) < 2:
        return dict.fromkeys(METRICS, (float("nan"), float("nan")))
    return {
        name: interval(drawn, level) for name, drawn in resampled(tallied, majority, draws=draws, seed=seed).items()
    }


def interval(drawn: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Return the bounds between which the middle `level` of the draws lie."""
    return tuple(np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2]).tolist())


@lru_cache(maxsize=2)  # the same for all layers of a run
def _weights(groups: int, draws: int, seed: int) -> np.ndarray:
    """Return how often each group is in each draw, (draws, groups) float64."""
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=draws)
    weights = drawn.astype(np.float64)
    weights.flags.writeable = False
    return weights


def _resampled(weights: np.ndarray, tallied: np.ndarray) -> np.ndarray:
    groups, _, classes = tallied.shape
    flat = tallied.reshape(groups, -1).astype(np.float64)
    return (weights @ flat).reshape(len(weights), 3, classes)


def _ratio(above: np.ndarray, below: np.ndarray, *, empty: float = float("nan")) -> np.ndarray:
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.full(np.broadcast(above, below).shape, empty), where=below != 0)
