"""What an encoder is to the rest of the project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from features.clock import FrameClock

Axis = Literal["frame", "token", "utterance", "segment"]  # `segment` comes of pooling, no encoder has it
Input = Literal["audio", "text"]
Init = Literal["trained", "random"]


class Encoder(Protocol):
    """A model that turns utterances, 16 kHz audio or texts, into one matrix per layer.

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
    clock : FrameClock or None
        When each frame is; None where the rows of a matrix are no frames.
    window : int or None
        Samples that the encoder sees at most in one piece; None where there is no limit.
    overlap : int, where it has that attribute
        Samples that neighbouring windows of longer audio share, else `features.windows.OVERLAP`.
    axes : mapping of str to str, where it has that attribute
        The layers whose rows stand for something else than `axis`: ``{"att": "utterance"}`` says that
        an utterance has one row of ``att``, or none where it has no frame.
    computes : sequence of str, where it has that attribute
        Types besides float32 that its `network` can compute in: see `features.precision`.
    trimmed : callable, where it has that method
        Gives the same encoder with less silence behind a short utterance, under another name: see `trimmed`.
    """

    name: str
    init: str
    revision: str
    version: int
    layers: Mapping[str, int]
    axis: Axis
    clock: FrameClock | None
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
            its neighbours in the batch. A layer with an axis of utterances has one row.
        """
        ...


class Tokens(NamedTuple):
    """One text as a text encoder sees it; all are empty for a null text.

    ids, type_ids, mask : np.ndarray [shape=(tokens,), int32]
        Numbers of the tokens, of the sentence that each belongs to, and 1 (0 would be padding).
    offsets : np.ndarray [shape=(tokens, 2), int32]
        First character of the text that a token stands for, and the one after the last; (0, 0) for
        the tokens that the encoder adds.
    """

    ids: np.ndarray
    type_ids: np.ndarray
    mask: np.ndarray
    offsets: np.ndarray


class TextEncoder(Encoder, Protocol):
    """An encoder of texts: `axis` is ``token``, `clock` None, and `window` is in tokens.

    `encode` takes token ids [shape=(batch, tokens), int32] in place of samples, and the number of
    tokens of each text in place of that of samples; the layers have one row per token.

    input : str
        ``text``. An encoder without this attribute takes audio.
    """

    input: Input

    def tokenize(self, texts: Sequence[str | None]) -> list[Tokens]:
        """Return the tokens of each text, at most `window`: longer texts are cut, with a warning."""
        ...


def input_of(encoder: Encoder) -> Input:
    """Return what the encoder takes: ``audio``, where it does not say ``text``."""
    return getattr(encoder, "input", "audio")


class Read(NamedTuple):
    """What an encoder takes of a batch.

    tokens : list of Tokens
        Of texts, none of audio.
    waves : list of np.ndarray [shape=(samples,), float32] or [shape=(tokens,), int32]
    segments : sequence of sequence of mapping, optional
        The cells of the column `segments`, where it is pooled by.
    """

    tokens: list[Tokens]
    waves: list[np.ndarray]
    segments: Sequence[Sequence[Mapping[str, Any]]] | None


def axis_of(encoder: Encoder, layer: str) -> Axis:
    """Return what a row of a layer's matrix stands for."""
    return getattr(encoder, "axes", {}).get(layer, encoder.axis)


def trimmed(encoder: Encoder) -> Encoder:
    """Return an encoder that computes a short utterance with little of the silence that fills its window.

    For encoders with a method ``trimmed() -> Encoder``. The copy that it gives shares the weights, has as
    many frames for each utterance and the same numbers for one that fills the window. Others differ a
    little, so its name is ``<name>.trimmed``: columns, cards, runs and results of probes go by the name.

    Raises
    ------
    ValueError
        If the encoder has no such method: it fills no window with silence.
    """
    if not hasattr(encoder, "trimmed"):
        raise ValueError(
            f"{encoder.name} computes no silence behind an utterance, there is no context to trim: "
            "leave --trim-context (trim_context=True) out, it is for encoders with a fixed window such as Whisper's"
        )
    return encoder.trimmed()


def column_prefix(name: str, init: str, pool: str = "none") -> str:
    """Return what an encoder's columns begin with: ``<name>``, ``<name>.random<seed>``, ``<name>.mean``.

    Frames and their means have different names, so that both can stand beside one table.
    """
    parts = [name, init if init.startswith("random") else "", "" if pool == "none" else pool.replace(":", "-")]
    return ".".join(filter(None, parts))
