"""L-BFGS in coordinates in which the loss curves about equally in all directions.

The curvature of the cross entropy in the weights of class k is about ``share * p_k (1 - p_k)``
times the second moments of the inputs, plus the decay. Both are known before the first step, so
the search runs in coordinates scaled by the inverse square root of that. Against plain L-BFGS on
Whisper layers this takes 0.8 (upper) to 0.4 (lower, nearly collinear layers) of the evaluations.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from features.kernels import SLOW_CPU
from probes.objective import Objective, unpack

SHARE = 0.05  # of the curvature at the start that is left where the probe ends: 0.03 to 0.1 do equally well
SAMPLE = 20_000  # frames that the second moments are estimated on
SAVES = 4  # samples that the frames must be worth
FIRST = 1e-4  # tolerance of the first guess
STEPS = 300
MEMORY = 20  # pairs of steps and gradients that L-BFGS keeps
OWN_BLAS = "libscipy_openblas"  # in the wheels of numpy and scipy; MLX never uses it


class Solver:
    """Minimises one objective for one weight decay after another.

    Parameters
    ----------
    objective : Objective
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        shares = objective.class_shares()
        self._spread = SHARE * shares * (1 - shares)  # (classes,)
        powers, self._axes = np.linalg.eigh(objective.second_moments(SAMPLE))
        self._powers = np.maximum(powers, 0)  # (width,)

    def minimise(self, start: np.ndarray, decay: float, *, tolerance: float) -> np.ndarray:
        """Return the parameters at which the loss stops falling.

        Parameters
        ----------
        start : np.ndarray [shape=((width + 1) * classes,), float64]
        decay : float >= 0
        tolerance : float > 0
            Ends where a step lowers the loss by less than this share of it.

        Returns
        -------
        np.ndarray [shape=((width + 1) * classes,), float64]
        """
        scale = 1 / np.sqrt(np.outer(self._powers, self._spread) + max(decay, 1e-9))
        bias_scale = 1 / np.sqrt(self._spread + 1e-6)

        def out(theta: np.ndarray) -> np.ndarray:
            weights, bias = unpack(theta, len(bias_scale))
            return np.vstack([self._axes @ (scale * weights), bias_scale * bias]).ravel()

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = self._objective(out(theta), decay)
            weights, bias = unpack(gradient, len(bias_scale))
            return value, np.vstack([scale * (self._axes.T @ weights), bias_scale * bias]).ravel()

        weights, bias = unpack(start, len(bias_scale))
        inner = np.vstack([(self._axes.T @ weights) / scale, bias / bias_scale]).ravel()
        options = {"maxiter": STEPS, "ftol": tolerance, "gtol": 1e-6, "maxcor": MEMORY}
        with scarce_threads():
            found = minimize(loss, inner, jac=True, method="L-BFGS-B", options=options)
        return out(found.x)


@contextmanager
def scarce_threads() -> Iterator[None]:
    """Keep pools of threads from each other's cores.

    numpy and scipy each bring a pool whose threads wait by spinning, which beside another pool made a fit 12 times
    slower on two cores. Where numpy makes the products scipy's is limited to one thread, else both are.
    """
    pools = ThreadpoolController().select(prefix=OWN_BLAS)
    numpys = [pool.filepath for pool in pools.lib_controllers if "numpy" in Path(pool.filepath).parent.name]
    others = [pool.filepath for pool in pools.lib_controllers if not (SLOW_CPU and pool.filepath in numpys)]
    with pools.select(filepath=others).limit(limits=1):
        yield


def first_guess(
    values: np.ndarray, labels: np.ndarray, mean: np.ndarray, scale: np.ndarray, classes: int, decay: float,
    which: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Return where to start: on many frames the minimum on `SAMPLE` of them, else no weights and the shares as bias.

    It costs the evaluations of a small objective and saves a quarter of those of the whole one. A closed-form start
    (linear discriminants) saves none where classes are not Gaussian: its loss is far above that of no weights.

    Parameters
    ----------
    values, labels, mean, scale, classes, which
        As in `Objective`.
    decay : float >= 0

    Returns
    -------
    np.ndarray [shape=((width + 1) * classes,), float64]
    """
    start, step = np.zeros((values.shape[1] + 1, classes)), len(labels) // SAMPLE
    start[-1] = np.log(np.maximum(np.bincount(labels, minlength=classes), 1) / len(labels))
    if step < SAVES:
        return start.ravel()
    rows = np.arange(len(values)) if which is None else which
    small = Objective(values, labels[::step], mean, scale, classes, rows[::step])
    return Solver(small).minimise(start.ravel(), decay, tolerance=FIRST)
