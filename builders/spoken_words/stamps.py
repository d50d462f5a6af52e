"""The word recognition workflow's own tables: ``num.pkl``, ``num-test.pkl``, ``animals.pkl``.

A word is a stamp there: its log mel spectrogram as a picture of 64 by 32 grey values.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from builders.audio import decode
from builders.errors import CorpusError
from builders.pickles import read_pickle
from builders.schema import SAMPLING_RATE
from builders.silence import POINTS, power

SHAPE = (64, 32)  # time, mel
BANDS = 32
SEED = 13
CHECK = 0.9  # of the random numbers; above lies what the workflow checks on
UNKNOWN = -1  # the label of what is to be recognised


@dataclass(frozen=True)
class Stamps:
    """What a pickle of the workflow holds.

    stamps : np.ndarray [shape=(n, 64, 32), uint8]
    labels : np.ndarray [shape=(n,), int64]
        Numbers of `words`; -1 in a table of tests.
    rand : np.ndarray [shape=(n,), float64]
        Decides what is trained on: up to 0.9.
    words : list of str
        Names of the classes; in a table of tests one name a stamp.
    """

    stamps: np.ndarray
    labels: np.ndarray
    rand: np.ndarray
    words: list[str]


def read_stamps(path: Path | str) -> Stamps:
    """Read a pickle of the workflow; nothing in it is run.

    Raises
    ------
    CorpusError
        If it is not one.
    """
    path = Path(path)
    found = read_pickle(path.read_bytes(), path.name)
    try:
        stamps = np.asarray(found["stamp"], np.uint8).reshape(-1, *SHAPE)
        labels, rand = np.asarray(found["label"], np.int64).reshape(-1), np.asarray(found["rand"], np.float64)
        words = [str(word) for word in found["words"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{path.name} does not hold stamp, label, rand and words ({error!r})") from None
    named = len(words) == len(labels) if (labels == UNKNOWN).all() else labels.max(initial=-1) < len(words)
    if not named or not len(stamps) == len(labels) == len(rand):
        raise CorpusError(f"{path.name}: {len(stamps)} stamps, {len(labels)} labels, {len(words)} words don't fit")
    return Stamps(stamps, labels, rand, words)


def write_stamps(path: Path | str, stamps: Stamps) -> None:
    """Write a pickle that the workflow reads, with its own types: lists of arrays and of numbers."""
    made = {
        "stamp": list(stamps.stamps), "label": stamps.labels.tolist(), "rand": stamps.rand, "words": list(stamps.words)
    }  # fmt: skip
    Path(path).write_bytes(pickle.dumps(made, protocol=pickle.HIGHEST_PROTOCOL))


def make_stamps(rows: Iterable[Mapping[str, Any]], words: Iterable[str]) -> Stamps:
    """Make stamps of rows of a manifest table; rows without a label make a table of tests."""
    rows, words = list(rows), list(words)
    labels = np.array([UNKNOWN if row["label"] is None else row["label"] for row in rows], np.int64)
    if len(labels) and (labels == UNKNOWN).all():
        words = [row["id"] for row in rows]
    made = [stamp(decode(row["audio"])) for row in rows]
    rand = np.random.RandomState(SEED).rand(len(rows))  # the generator of the workflow
    return Stamps(np.array(made, np.uint8).reshape(-1, *SHAPE), labels, rand, words)


def stamp(samples: np.ndarray) -> np.ndarray:
    """Return the stamp [shape=(64, 32), uint8] of a word's samples [shape=(n,), 16 kHz]."""
    mel = np.log((power(samples) @ filters().T).clip(np.finfo(float).eps))
    mel -= mel.min(axis=1, keepdims=True)
    low, high = mel.min(), mel.max()
    grey = np.floor((mel - low) * 255 / (high - low or 1.0) + 0.5).astype(np.uint8)
    return _resize(_resize(grey, SHAPE[1], axis=1), SHAPE[0], axis=0)


def filters() -> np.ndarray:
    """Return the triangles of python_speech_features' mel bands [shape=(32, 257)]."""
    top = 2595 * np.log10(1 + SAMPLING_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
    bins = np.floor((POINTS + 1) * edges / SAMPLING_RATE)[:, None]
    low, middle, high = bins[:-2], bins[1:-1], bins[2:]
    points = np.arange(POINTS // 2 + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rising, falling = (points - low) / (middle - low), (high - points) / (high - middle)
    inside = np.where((points >= low) & (points < middle), rising, 0.0)
    return np.where((points >= middle) & (points < high), falling, inside)


def _resize(grey: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Resize one axis of a picture as Pillow's bilinear filter does: a triangle as wide as the scale."""
    scale = grey.shape[axis] / length
    width = max(scale, 1.0)
    centres = (np.arange(length)[:, None] + 0.5) * scale
    weights = (1 - np.abs(np.arange(grey.shape[axis]) + 0.5 - centres) / width).clip(0)
    weights /= weights.sum(axis=1, keepdims=True)
    resized = np.moveaxis(np.tensordot(weights, grey, axes=(1, axis)), 0, axis)
    return np.floor(resized + 0.5).clip(0, 255).astype(np.uint8)
