"""Matrices in Arrow columns: written from flat values, read back without a copy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Dataset
from datasets.features.features import Array2DExtensionType

from features.card import FeatureCard


def to_arrow(matrices: Sequence[np.ndarray], card: FeatureCard) -> pa.ExtensionArray:
    """Put one matrix a row into an ``Array2D`` array.

    Parameters
    ----------
    matrices : sequence of np.ndarray [shape=(frames, width)]
        One a row; no frames is a matrix of shape (0, width), never null.

    Raises
    ------
    ValueError
        If a matrix has another width than the card says.
    """
    for matrix in matrices:
        if matrix.ndim != 2 or matrix.shape[1] != card.width:
            raise ValueError(f"{card.column}: matrix of shape {matrix.shape}, expected (frames, {card.width})")
    frames = np.array([len(matrix) for matrix in matrices], dtype=np.int64)
    dtype = np.dtype(card.dtype)
    flat = np.concatenate([matrix.astype(dtype, copy=False).ravel() for matrix in matrices] or [np.empty(0, dtype)])
    inner = pa.ListArray.from_arrays(_offsets(np.full(frames.sum(), card.width)), pa.array(flat))
    rows = pa.ListArray.from_arrays(_offsets(frames), inner)
    return pa.ExtensionArray.from_storage(Array2DExtensionType((None, card.width), card.dtype), rows)


def read(column: pa.Array, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of an ``Array2D`` array as views of its buffer, and the frames of each row.

    Returns
    -------
    values : np.ndarray [shape=(total frames, width)]
        The rows' matrices one after another, read-only, not copied.
    lengths : np.ndarray [shape=(rows,), int64]
    """
    storage = column.storage if isinstance(column, pa.ExtensionArray) else column
    lengths = np.diff(storage.offsets.to_numpy()).astype(np.int64)
    # `flatten` of a slice leaves out what is before and behind it
    values = storage.flatten().flatten().to_numpy(zero_copy_only=True)
    return values.reshape(-1, width), lengths


def matrices(dataset: Dataset, column: str, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the feature matrices of some rows: one array over all their frames, and the frames of each row.

    Returns
    -------
    values : np.ndarray [shape=(total frames, width)]
        Of the stored dtype; a view of the table where the rows lie together on disk.
    lengths : np.ndarray [shape=(rows,), int64]
    """
    width = dataset.features[column].shape[1]
    table = dataset.select_columns([column]).with_format("arrow")[rows]
    parts = [read(chunk, width) for chunk in table.column(0).chunks if len(chunk)]
    if not parts:
        return np.empty((0, width), dataset.features[column].dtype), np.empty(0, np.int64)
    if len(parts) == 1:
        return parts[0]
    values, lengths = zip(*parts, strict=True)
    return np.concatenate(values), np.concatenate(lengths)


def attach(dataset: Dataset, column: str, values: Sequence[np.ndarray], card: FeatureCard) -> Dataset:
    """Return the dataset with one more feature column, one matrix (frames, width) a row."""
    return dataset.add_column(column, to_arrow(values, card), feature=card.feature())


def _offsets(lengths: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
