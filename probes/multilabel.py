"""Many yes-or-no questions about one vector: logistic regressions with one weight decay, and their scores."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from probes.objective import standardisation, unpack
from probes.solver import scarce_threads

DECAYS = (10.0, 1.0, 1e-1, 1e-2, 1e-3)  # that validation chooses from
STEPS, MEMORY, TOLERANCE = 500, 20, 1e-9  # of L-BFGS


def fit_questions(values: np.ndarray, truth: np.ndarray, decay: float, start: np.ndarray | None = None) -> np.ndarray:
    """Return the parameters with the least mean cross entropy, summed over questions, plus ``decay / 2 * |weights|^2``.

    Each question is scikit-learn's `LogisticRegression` with ``C = 1 / (decay * n)``.

    Parameters
    ----------
    values : np.ndarray [shape=(n, width), float32]
        Standardised.
    truth : np.ndarray [shape=(n, questions), bool]
    start : np.ndarray [shape=((width + 1) * questions,), float64], optional

    Returns
    -------
    np.ndarray [shape=((width + 1) * questions,), float64]
        Rows of the weights (width, questions), then the bias.
    """
    questions = truth.shape[1]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = unpack(theta, questions)
        scores = values @ weights.astype(np.float32) + bias
        found = (np.logaddexp(0, scores) - truth * scores).sum() / len(values)
        excess = (expit(scores) - truth) / len(values)
        slope = np.vstack([values.T @ excess.astype(np.float32) + decay * weights, excess.sum(axis=0)])
        return float(found + decay / 2 * (weights**2).sum()), slope.ravel()

    begin = np.zeros((values.shape[1] + 1) * questions) if start is None else start
    options = {"maxiter": STEPS, "maxcor": MEMORY, "ftol": TOLERANCE, "gtol": 1e-6}
    with scarce_threads():
        return minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x


def choose_questions(
    values: np.ndarray, truth: np.ndarray, learn: np.ndarray, tune: np.ndarray, decays: tuple[float, ...] = DECAYS
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return answers to all examples (n, questions) bool, parameters, and the decay that is best on validation.

    Parameters
    ----------
    values : np.ndarray [shape=(n, width), float32]
    learn, tune : np.ndarray [shape=(k,), int64]
        Examples of train, whose mean and deviation standardise, and of validation. With the decay chosen on
        validation both are learnt from once more.
    """
    mean, scale = standardisation(values[learn])
    inputs = (values - mean) / scale
    theta, best, chosen = None, np.inf, decays[0]
    for decay in sorted(decays, reverse=True) if len(decays) > 1 else ():
        theta = fit_questions(inputs[learn], truth[learn], decay, theta)
        found = cross_entropy(inputs[tune] @ unpack(theta, truth.shape[1])[0] + theta[-truth.shape[1] :], truth[tune])
        if found > best:
            break
        if found < best:
            best, chosen = found, decay
    both = np.concatenate([learn, tune])
    theta = fit_questions(inputs[both], truth[both], chosen)
    weights, bias = unpack(theta, truth.shape[1])
    return inputs @ weights + bias >= 0, np.vstack([weights / scale[:, None], bias - mean / scale @ weights]), chosen


def cross_entropy(scores: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean cross entropy of logits (n, questions)."""
    return float((np.logaddexp(0, scores) - truth * scores).mean())


def question_counts(truth: np.ndarray, answers: np.ndarray, groups: np.ndarray, number: int) -> np.ndarray:
    """Count hits, false alarms, misses, and rightly rejected ones, (groups, 4, questions) float64."""
    kinds = np.stack([truth & answers, ~truth & answers, truth & ~answers, ~truth & ~answers], axis=1)
    out = np.zeros((number, 4, truth.shape[1]))
    np.add.at(out, groups, kinds)
    return out


def question_scores(counts: np.ndarray, majority: np.ndarray, control: np.ndarray) -> dict[str, np.ndarray]:
    """Return the metrics of counts (..., 4, questions), each of shape (...).

    ``accuracy`` is the mean over questions, which all have as many examples; ``macro_f1`` the mean over questions of
    ``2 hits / (2 hits + false alarms + misses)``, without questions that have neither; ``error_reduction`` the share
    of the errors of `majority`, always the commoner answer, that are gone; ``selectivity`` the accuracy less that of
    the control task.
    """
    hits, false, missed, _ = np.moveaxis(counts, -2, 0)
    both = 2 * hits + false + missed
    f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0).sum(axis=-1) / (both > 0).sum(axis=-1)
    right, guessed, random = (_accuracy(one) for one in (counts, majority, control))
    with np.errstate(invalid="ignore", divide="ignore"):  # the baseline may make no error
        reduction = np.where(guessed < 1, (right - guessed) / (1 - guessed), np.nan)
    return {
        "accuracy": right, "macro_f1": f1, "error_reduction": reduction,
        "control_accuracy": random, "selectivity": right - random,
    }  # fmt: skip


def _accuracy(counts: np.ndarray) -> np.ndarray:
    return (counts[..., 0, :] + counts[..., 3, :]).sum(axis=-1) / counts.sum(axis=(-2, -1))
