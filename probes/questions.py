"""A saved global diagnostic: which phones occur in an utterance, from its pooled features."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from builders.cache import writing
from probes.attention import Parameters, Utterances, vectors
from probes.saved import read_arrays

import mlx.core as mx  # isort: skip  after features, which brings it a fast BLAS


@dataclass(frozen=True)
class Questions:
    """Logistic regressions behind a pooling.

    parameters : mapping of str to mx.array
        ``weights`` (width, classes) and ``bias`` (classes,); of attention its own, and ``mean`` and ``scale`` (width,)
        of the frames that it was trained on.
    details : mapping
        What the probe says of itself: ``classes``, ``pool``, the cards of its columns.
    """

    parameters: Parameters
    details: Mapping[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """What is asked for."""
        return tuple(self.details["classes"])

    def occur(self, frames: list[np.ndarray]) -> np.ndarray:
        """Return the probability that each class occurs, (utterances, classes) float32.

        Not a number for an utterance without frames.

        Parameters
        ----------
        frames : list of np.ndarray [shape=(frames, width)]
            Of each utterance.
        """
        found = np.full((len(frames), len(self.classes)), np.nan, dtype=np.float32)
        there = np.flatnonzero([len(one) for one in frames])
        if len(there):
            pooled = self._pooled([frames[place] for place in there])
            weights, bias = (np.asarray(self.parameters[name], dtype=np.float64) for name in ("weights", "bias"))
            found[there] = expit(pooled @ weights + bias)
        return found

    def _pooled(self, frames: list[np.ndarray]) -> np.ndarray:
        if self.details["pool"] == "mean":
            return np.stack([one.mean(axis=0, dtype=np.float64) for one in frames])
        mean, scale = (np.asarray(self.parameters[name]) for name in ("mean", "scale"))
        return vectors(self.parameters, Utterances(frames, mean, scale), np.arange(len(frames)))


def save_questions(path: Path, parameters: Parameters, details: Mapping[str, Any]) -> None:
    """Write ``<path>.safetensors`` and ``<path>.json``, each whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path.with_name(path.name + ".safetensors")) as file, file.open("wb") as stream:
        mx.save_safetensors(stream, parameters)
    text = json.dumps({"probe": "global_diagnostic", "format": 2, **details}, indent=1)
    with writing(path.with_name(path.name + ".json")) as file:
        file.write_text(text, encoding="utf-8")


def load(path: Path) -> Questions:
    """Read what `save_questions` wrote; `path` has no suffix."""
    about = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    return Questions(read_arrays(path), about)
