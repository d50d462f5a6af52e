"""Matrices of frames in Arrow: one ``Array2D`` array out of flat values, without a Python list of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets.features.features import Array2DExtensionType


def matrix_array(matrices: Sequence[np.ndarray], width: int, dtype: str) -> pa.ExtensionArray:
    """Put matrices, one a row, into an ``Array2D`` array.

    Parameters
    ----------
    matrices : sequence of np.ndarray [shape=(frames, width)]
        No frames is a matrix of shape (0, width), never null.
    dtype : str
        Of the stored values.

    Raises
    ------
    ValueError
        If a matrix has another width.
    """
    for matrix in matrices:
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise ValueError(f"matrix of shape {matrix.shape}, expected (frames, {width})")
    frames = np.array([len(matrix) for matrix in matrices], np.int64)
    flat = np.concatenate([matrix.astype(dtype, copy=False).ravel() for matrix in matrices] or [np.empty(0, dtype)])
    inner = pa.ListArray.from_arrays(_offsets(np.full(frames.sum(), width)), pa.array(flat))
    rows = pa.ListArray.from_arrays(_offsets(frames), inner)
    return pa.ExtensionArray.from_storage(Array2DExtensionType((None, width), dtype), rows)


def _offsets(lengths: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
