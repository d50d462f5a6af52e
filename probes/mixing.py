"""A linear probe on a mixture of layers: one learned weight per layer, reported with the result.

As in Peters et al. (2018), Deep contextualized word representations, NAACL, and in SUPERB (Yang et al. 2021):
the weights are a softmax, so they add up to 1. Layers are standardised first: a layer that is merely large gets
no more weight for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probes.errors import ProbeError
from probes.frames import FrameTable
from probes.network import NetworkProbe, Recipe, codes_of, learn, moments, mx, nn

ALL_LAYERS = True  # values are (examples, layers, width)
RATE_OF_WEIGHTS = 10  # times that of the classifier: few numbers, which would hardly move otherwise
load = NetworkProbe.load


class Mixture(nn.Module):
    """From layers (n, layers, width) to logits (n, classes)."""

    def __init__(self, layers: int, width: int, classes: int) -> None:
        super().__init__()
        self.mix = mx.zeros((layers,))
        self.out = nn.Linear(width, classes)

    def weights(self) -> mx.array:
        """Return the weights of the layers, which add up to 1."""
        return mx.softmax(RATE_OF_WEIGHTS * self.mix)

    def __call__(self, inputs: mx.array) -> mx.array:
        """Return the logits."""
        return self.out((inputs * self.weights()[:, None]).sum(axis=1))


def build(settings: Mapping[str, Any]) -> Mixture:
    """Return an untrained mixture: all layers weigh the same."""
    return Mixture(settings["layers"], settings["width"], settings["classes"])


def fit(
    table: FrameTable,
    train: np.ndarray,
    validation: np.ndarray,
    *,
    seed: int = 0,
    epochs: int = 40,
    batch: int = 256,
    rate: float = 1e-3,
    patience: int = 4,
    details: Mapping[str, Any] | None = None,
) -> NetworkProbe:
    """Train weights of layers and a linear classifier on their sum, as long as validation gains.

    Parameters
    ----------
    table : FrameTable
        `values` (examples, layers, width).
    train, validation : np.ndarray [shape=(n,), int64]
        Indices of examples.
    seed : int
        Of the first weights and the order of examples.
    epochs, batch, rate, patience
        As in `probes.network.Recipe`.
    details : mapping, optional
        ``layers`` names them.

    Raises
    ------
    ProbeError
        If there is nothing to learn from, or values are not finite.
    """
    if table.values.ndim != 3:
        raise ProbeError("this probe mixes layers: values must be (examples, layers, width)")
    recipe = Recipe(epochs, batch, rate, patience)
    known, codes = codes_of(table, train, validation)
    mean, scale = moments(table, train)
    layers, width = mean.shape
    settings = {"probe": "mixing", "layers": layers, "width": width, "classes": len(known)}
    mx.random.seed(seed)
    probe = NetworkProbe(settings, build(settings), mean, scale, known, table.classes, {}, dict(details or {}))

    def gather(which: np.ndarray) -> np.ndarray:
        return probe.standardised(table.take(which))

    probe.chosen.update(learn(probe.model, gather, codes, train, validation, recipe=recipe, seed=seed))
    names = (details or {}).get("layers") or range(layers)
    weights = np.asarray(probe.model.weights()).tolist()
    probe.chosen.update({f"weight.{name}": weight for name, weight in zip(names, weights, strict=True)})
    return probe
