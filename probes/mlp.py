"""The MLP probe: hidden layers with batch norm and dropout on single examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probes.errors import ProbeError
from probes.frames import FrameTable
from probes.network import NetworkProbe, Recipe, codes_of, learn, moments, mx, nn

ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU}
load = NetworkProbe.load


def fit(
    table: FrameTable,
    train: np.ndarray,
    validation: np.ndarray,
    *,
    seed: int = 0,
    hidden: tuple[int, ...] = (512,),
    activation: str = "relu",
    batch_norm: bool = True,
    dropout: float = 0.2,
    epochs: int = 40,
    batch: int = 256,
    rate: float = 1e-3,
    patience: int = 4,
    details: Mapping[str, Any] | None = None,
) -> NetworkProbe:
    """Train an MLP, as long as validation gains.

    Parameters
    ----------
    table : FrameTable
    train, validation : np.ndarray [shape=(n,), int64]
        Indices of examples.
    seed : int
        Of the first weights, the order of examples and dropout.
    hidden : tuple of int
        Widths of the hidden layers; none is a linear probe.
    activation : "relu" or "gelu"
    batch_norm : bool
        Before the activation of every hidden layer.
    dropout : float, 0 <= dropout < 1
        After it.
    epochs, batch, rate, patience
        As in `probes.network.Recipe`.

    Raises
    ------
    ProbeError
        If there is nothing to learn from, values are not finite, or an option makes no sense.
    """
    recipe = Recipe(epochs, batch, rate, patience)
    known, codes = codes_of(table, train, validation)
    mean, scale = moments(table, train)
    settings = network_settings("mlp", mean.size, hidden, activation, batch_norm, dropout, len(known))
    mx.random.seed(seed)
    probe = NetworkProbe(settings, build(settings), mean, scale, known, table.classes, {}, dict(details or {}))

    def gather(which: np.ndarray) -> np.ndarray:
        return probe.standardised(table.take(which))

    probe.chosen.update(learn(probe.model, gather, codes, train, validation, recipe=recipe, seed=seed))
    return probe


def network_settings(
    probe: str, width: int, hidden: tuple[int, ...], activation: str, batch_norm: bool, dropout: float, classes: int
) -> dict[str, Any]:
    """Return what `build` makes a network from.

    Raises
    ------
    ProbeError
        If an option makes no sense.
    """
    if activation not in ACTIVATIONS:
        raise ProbeError(f"unknown activation={activation!r}: expected one of {list(ACTIVATIONS)}")
    if not 0 <= dropout < 1 or any(size < 1 for size in hidden):
        raise ProbeError(f"hidden={hidden}, dropout={dropout}: expected widths above 0 and a dropout from 0 to below 1")
    return {
        "probe": probe, "width": width, "hidden": list(hidden), "activation": activation, "batch_norm": batch_norm,
        "dropout": dropout, "classes": classes,
    }  # fmt: skip


def build(settings: Mapping[str, Any]) -> nn.Module:
    """Return an untrained network: of each hidden layer a product, batch norm, activation and dropout."""
    parts, width = [], settings["width"]
    for size in settings["hidden"]:
        parts.append(nn.Linear(width, size))
        parts += [nn.BatchNorm(size)] if settings["batch_norm"] else []
        parts.append(ACTIVATIONS[settings["activation"]]())
        parts += [nn.Dropout(settings["dropout"])] if settings["dropout"] else []
        width = size
    return nn.Sequential(*parts, nn.Linear(width, settings["classes"]))
