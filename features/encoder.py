"""What an encoder is to the rest of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from features.clock import FrameClock

Axis = Literal["frame", "token", "utterance"]
Init = Literal["trained", "random"]


class Encoder(Protocol):
    """A model that turns 16 kHz utterances into one matrix per layer.

    name : str
        Short name without the organisation, e.g. ``whisper-tiny.en`` or ``log_mel``.
    init : str
        ``trained``, ``random<seed>``, or ``none`` where there is nothing to train.
    revision : str
        What fixes the weights: the Hub commit, or a hash of the weight files, or ``""``.
    version : int
        Output version, raised when the same input begins to give other numbers.
    layers : mapping of str to int
        Names of the layers, input side first, and their widths.
    axis : str
        What a row of a matrix stands for.
    clock : FrameClock
        When each frame is.
    window : int or None
        Samples that the encoder sees at most in one piece; None where there is no limit.
    overlap : int, where it has that attribute
        Samples that neighbouring windows of longer audio share, else `features.windows.OVERLAP`.
    """

    name: str
    init: str
    revision: str
    version: int
    layers: Mapping[str, int]
    axis: Axis
    clock: FrameClock
    window: int | None

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the hidden states of the named layers.

        Parameters
        ----------
        inputs : np.ndarray [shape=(batch, samples), float32]
            Utterances at 16 kHz, zeros behind the end of each.
        lengths : np.ndarray [shape=(batch,), int64]
            True number of samples of each utterance, at most `window`.
        layers : sequence of str
            Names out of `self.layers`.

        Returns
        -------
        dict of str to np.ndarray [shape=(batch, frames, width), float32]
            `frames` is at least ``clock.frames(max(lengths))``; what lies behind an utterance's own
            ``clock.frames(length)`` frames is padding. The frames of an utterance don't depend on
            its neighbours in the batch.
        """
        ...


def column_prefix(encoder: Encoder) -> str:
    """Return what the encoder's columns begin with: ``<name>`` or ``<name>.random<seed>``."""
    return f"{encoder.name}.{encoder.init}" if encoder.init.startswith("random") else encoder.name
