"""The MLP with context: each frame with so many before and after it, as one long vector.

Windows are gathered batch by batch out of the frames, which lie in memory once: with 20 frames on both sides
they would take 41 times the room. Outside of the utterance a window is zero, after standardisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probes.errors import ProbeError
from probes.frames import FrameTable
from probes.mlp import build, network_settings
from probes.network import NetworkProbe, Recipe, codes_of, learn, moments, mx

__all__ = ["CONTEXT", "ContextProbe", "build", "fit", "load", "windows"]

CONTEXT = True  # the table must hold the frames around the labelled ones


class ContextProbe(NetworkProbe):
    """A trained MLP over windows."""

    def answer(self, table: FrameTable, which: np.ndarray) -> np.ndarray:
        """Return the most likely class of some examples of a table with context, (n,) int64."""
        if table.values.shape[1:] != self.mean.shape:
            raise ProbeError(f"frames of width {table.values.shape[1]}: this probe expects {self.mean.size}")
        context = self.settings["context"]
        width = (2 * context + 1) * self.mean.size
        return self._answer(len(which), width, lambda part: windows(table, which[part], context, self.mean, self.scale))


load = ContextProbe.load


def fit(
    table: FrameTable,
    train: np.ndarray,
    validation: np.ndarray,
    *,
    seed: int = 0,
    context: int = 20,
    hidden: tuple[int, ...] = (512, 512),
    activation: str = "gelu",
    batch_norm: bool = True,
    dropout: float = 0.25,
    epochs: int = 20,
    batch: int = 1024,
    rate: float = 1e-3,
    patience: int = 3,
    details: Mapping[str, Any] | None = None,
) -> ContextProbe:
    """Train an MLP on windows of ``2 * context + 1`` frames, as long as validation gains.

    Parameters
    ----------
    table : FrameTable
        With context.
    train, validation : np.ndarray [shape=(n,), int64]
        Indices of examples.
    context : int >= 0
        Frames on either side.
    seed, hidden, activation, batch_norm, dropout, epochs, batch, rate, patience
        As in `probes.mlp.fit`.

    Raises
    ------
    ProbeError
        If there is nothing to learn from, values are not finite, or an option makes no sense.
    """
    if context < 0:
        raise ProbeError(f"context={context}: expected 0 or more frames")
    recipe = Recipe(epochs, batch, rate, patience)
    known, codes = codes_of(table, train, validation)
    mean, scale = moments(table, train)
    width = (2 * context + 1) * mean.size
    settings = network_settings("context", width, hidden, activation, batch_norm, dropout, len(known))
    settings |= {"context": context}
    mx.random.seed(seed)
    probe = ContextProbe(settings, build(settings), mean, scale, known, table.classes, {}, dict(details or {}))

    def gather(which: np.ndarray) -> np.ndarray:
        return windows(table, which, context, mean, scale)

    probe.chosen.update(learn(probe.model, gather, codes, train, validation, recipe=recipe, seed=seed))
    return probe


def windows(table: FrameTable, which: np.ndarray, context: int, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return the standardised frames around some examples, zero outside of their utterance.

    Parameters
    ----------
    table : FrameTable
        With context.
    which : np.ndarray [shape=(n,), int64]
        Examples.
    context : int >= 0
        Frames on either side.
    mean, scale : np.ndarray [shape=(width,), float32]

    Returns
    -------
    np.ndarray [shape=(n, (2 * context + 1) * width), float32]
        The earliest frame first.

    Raises
    ------
    ProbeError
        If the table was made without context.
    """
    if table.place is None or table.spans is None:
        raise ProbeError("this probe looks at the frames around its own: make the table with context=True")
    index = table.place[which][:, None] + np.arange(-context, context + 1)
    first, end = table.spans[table.utterance[which]].T[..., None]
    inside = (first <= index) & (index < end)
    frames = (table.values[np.where(inside, index, 0)].astype(np.float32, copy=False) - mean) / scale
    frames[~inside] = 0
    return frames.reshape(len(which), -1)
