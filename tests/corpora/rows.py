"""Rows of a table as tests compare them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from builders.audio import decode


def by_id(table: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the rows by id, with the samples [shape=(n,), int16, as a list] in place of the audio's bytes."""
    return {row["id"]: {**row, "audio": pcm(row).tolist()} for row in table}


def pcm(row: Mapping[str, Any]) -> np.ndarray:
    """Return a row's samples [shape=(n,), int16]."""
    return np.rint(decode(row["audio"]) * 32768).astype(np.int16)
