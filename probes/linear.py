"""The linear probe: multinomial logistic regression on standardised frames.

A probe file has `fit`, which learns from a frame table and returns something with `predict`,
`save` and `describe`; `probes.run` finds it by the file's name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from builders.cache import writing
from features.blas import import_mlx
from probes.errors import ProbeError
from probes.frames import FrameTable
from probes.objective import Objective, best_class, chunks, standardisation, standardised, to_device, unpack
from probes.options import check_decays
from probes.saved import read_arrays
from probes.solver import Solver, first_guess

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check

# Weight decays that validation chooses from, the strongest first: each starts where the last ended.
DECAYS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
COARSE, FINE = 1e-3, 1e-5  # tolerances of the solver, along the decays and for the probe that is kept
FORMAT = 1
DETERMINISTIC = True  # the loss is convex and starts at zero: seeds change nothing


@dataclass(frozen=True)
class LinearProbe:
    """A trained probe.

    weights : np.ndarray [shape=(width, known classes), float32]
    bias : np.ndarray [shape=(known classes,), float32]
    mean, scale : np.ndarray [shape=(width,), float32]
        Of the train frames; inputs are ``(values - mean) / scale``.
    known : np.ndarray [shape=(known classes,), int64]
        Codes of the classes that the train frames have, into `classes`.
    classes : tuple of str
        All classes of the frame table.
    decay : float
        The weight decay that validation chose.
    details : mapping
        What it was trained on, for the saved file.
    """

    weights: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    known: np.ndarray
    classes: tuple[str, ...]
    decay: float
    details: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Return the most likely class of each frame.

        Parameters
        ----------
        values : np.ndarray [shape=(frames, width), float16 or float32]

        Returns
        -------
        np.ndarray [shape=(frames,), int64]
            Index into `classes`.

        Raises
        ------
        ProbeError
            If the frames have another width than those that the probe learnt from.
        """
        if values.ndim != 2 or values.shape[1] != len(self.mean):
            raise ProbeError(f"frames of shape {values.shape}: this probe expects a width of {len(self.mean)}")
        parts = [np.zeros(0, dtype=np.int64)]
        for part in chunks(*values.shape):
            inputs = to_device(standardised(values[part], self.mean, self.scale))
            parts.append(best_class(inputs, self.weights, self.bias))
        return self.known[np.concatenate(parts)]

    def describe(self) -> dict[str, float]:
        """Return the chosen hyper-parameters, for the results table."""
        return {"decay": self.decay}

    def save(self, path: str | Path) -> Path:
        """Write ``<path>.safetensors`` and ``<path>.json``, each whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: mx.array(np.ascontiguousarray(getattr(self, name))) for name in _ARRAYS}
        about = {"probe": "linear", "format": FORMAT, "decay": self.decay, "classes": list(self.classes)}
        about |= {"details": dict(self.details)}
        with writing(path.with_name(path.name + ".safetensors")) as file, file.open("wb") as stream:
            mx.save_safetensors(stream, arrays)
        with writing(path.with_name(path.name + ".json")) as file:
            file.write_text(json.dumps(about, indent=1), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> LinearProbe:
        """Read what `save` wrote to the same path."""
        path = Path(path)
        sidecar = path.with_name(path.name + ".json")
        if not sidecar.exists():
            raise ProbeError(f"no probe at {path}: expected {sidecar.name} and {path.name}.safetensors")
        about = json.loads(sidecar.read_text(encoding="utf-8"))
        if (about.get("probe"), about.get("format")) != ("linear", FORMAT):
            raise ProbeError(f"{sidecar}: not a linear probe of format {FORMAT}")
        stored = read_arrays(path)
        return cls(
            **{name: np.array(stored[name]) for name in _ARRAYS},
            classes=tuple(about["classes"]),
            decay=about["decay"],
            details=about["details"],
        )


_ARRAYS = ("weights", "bias", "mean", "scale", "known")
load = LinearProbe.load


def fit(
    table: FrameTable,
    train: np.ndarray,
    validation: np.ndarray,
    *,
    seed: int = 0,
    decays: tuple[float, ...] = DECAYS,
    refit: bool = True,
    details: Mapping[str, Any] | None = None,
) -> LinearProbe:
    """Train on the train frames with the weight decay that is best on validation.

    Parameters
    ----------
    table : FrameTable
    train, validation : np.ndarray [shape=(n,), int64]
        Indices of frames.
    seed : int
        Not used: the loss is convex and starts at zero.
    decays : tuple of float
        Candidates, descending.
    refit : bool
        Whether the weights are trained once more on train and validation together, with the chosen
        decay and the standardisation of train.

    Raises
    ------
    ProbeError
        If there is nothing to learn from, a decay makes no sense, or the features hold infinities or not-a-numbers.
    """
    check_decays(decays)
    known = np.unique(table.labels[train])
    if len(known) < 2 or not len(validation):
        raise ProbeError(f"{len(known)} classes in train, {len(validation)} frames to tune on: more data is needed")
    labels = np.searchsorted(known, table.labels[train])
    mean, scale = standardisation(table.values, train)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise ProbeError("the features hold values that are not finite: encode them again with dtype float32")
    learning = Solver(Objective(table.values, labels, mean, scale, len(known), train))
    start = first_guess(table.values, labels, mean, scale, len(known), max(decays), train)
    theta, decay = _choose(learning, start, table, validation, mean, scale, known, decays)
    if refit:
        tuning = validation[np.isin(table.labels[validation], known)]
        both = np.concatenate([train, tuning])
        del learning  # its inputs
        learning = Solver(
            Objective(table.values, np.searchsorted(known, table.labels[both]), mean, scale, len(known), both)
        )
    theta = learning.minimise(theta, decay, tolerance=FINE)
    weights, bias = (part.astype(np.float32) for part in unpack(theta, len(known)))
    return LinearProbe(weights, bias, mean, scale, known, table.classes, decay, dict(details or {}))


def _choose(
    learning: Solver, start: np.ndarray, table: FrameTable, validation: np.ndarray,
    mean: np.ndarray, scale: np.ndarray, known: np.ndarray, decays: tuple[float, ...],
) -> tuple[np.ndarray, float]:  # fmt: skip
    """Go from strong to weak decay until validation falls; return parameters and decay of the best.

    Of equally good decays it is the strongest. A tie does not end the search: of an uneven label several strong decays
    answer the commonest class alone, and are equally good at it.
    """
    theta = start
    if len(decays) == 1:
        return theta, decays[0]
    codes = np.full(len(table.classes), -1)  # -1: not in train, always wrong
    codes[known] = np.arange(len(known))
    tuning = Objective(table.values, codes[table.labels[validation]], mean, scale, len(known), validation)
    best, chosen = -1.0, (theta, decays[0])
    for decay in sorted(decays, reverse=True):
        theta = learning.minimise(theta, decay, tolerance=COARSE)
        accuracy = tuning.accuracy(theta)
        if accuracy < best:
            break
        if accuracy > best:
            best, chosen = accuracy, (theta, decay)
        if accuracy == 1:
            break  # nothing is left to gain
    return chosen
