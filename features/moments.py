"""Mean and standard deviation of each dimension of a layer, added up over shards."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

CHUNK = 256  # frames whose numbers in double precision fit into a core's cache


class Moments(NamedTuple):
    """Sums over the frames of a part of a layer.

    count : int
        Frames.
    total, squares : np.ndarray [shape=(width,), float64]
        Of the values and of their squares.
    """

    count: int
    total: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Moments:
        """Return those of `values` [shape=(frames, width)]; frames that are not numbers don't count."""
        parts = (_chunk(values[first : first + CHUNK]) for first in range(0, len(values), CHUNK))
        return cls.sum(parts, values.shape[1])

    @classmethod
    def none(cls, width: int) -> Moments:
        """Return those of no frames."""
        return cls(0, np.zeros(width), np.zeros(width))

    @classmethod
    def sum(cls, parts: Iterable[Moments], width: int) -> Moments:
        """Return those of several parts together."""
        whole = cls.none(width)
        for part in parts:
            whole = cls(whole.count + part.count, whole.total + part.total, whole.squares + part.squares)
        return whole

    def summary(self) -> dict[str, Any]:
        """Return frames, means and deviations for a card."""
        mean = self.total / max(self.count, 1)
        deviation = np.sqrt(np.maximum(self.squares / max(self.count, 1) - mean**2, 0))
        return {"frames": self.count, "mean": mean.round(6).tolist(), "std": deviation.round(6).tolist()}

    def to_json(self) -> dict[str, Any]:
        """Return the sums exactly, in little room: a ledger has them for every shard and layer."""
        return {"count": self.count, "total": _packed(self.total), "squares": _packed(self.squares)}

    @classmethod
    def from_json(cls, held: dict[str, Any]) -> Moments:
        """Read what `to_json` gave."""
        return cls(held["count"], _unpacked(held["total"]), _unpacked(held["squares"]))


def _chunk(values: np.ndarray) -> Moments:
    wide = values.astype(np.float64)
    total = wide.sum(0)
    if not np.isfinite(total).all():  # seldom: looking at every value takes as long as all the rest
        wide = wide[np.isfinite(wide).all(axis=1)]
        total = wide.sum(0)
    return Moments(len(wide), total, np.einsum("ij,ij->j", wide, wide))


def _packed(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f8").tobytes()).decode()


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f8")
