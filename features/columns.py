"""Matrices in Arrow columns: written from flat values, read back without a copy.

A layer stored as ``int8`` is two columns: whole numbers from -127 to 127 and, named ``<column>.scale``,
the float32 that each row of the matrix is multiplied by, a 127th of its largest magnitude. So a value
is off by at most a 254th of the largest of its own frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pyarrow as pa
from datasets import Array2D, Dataset

from builders.matrices import matrix_array
from features.card import FeatureCard

LEVELS = 127  # of int8, on either side of 0


def column_types(card: FeatureCard) -> dict[str, Array2D]:
    """Return the types of the columns that a layer is stored in, its own first."""
    scale = {scale_column(card.column): Array2D((None, 1), "float32")} if card.dtype == "int8" else {}
    return {card.column: card.feature(), **scale}


@contextmanager
def fits(column: str, dtype: str) -> Iterator[None]:
    """Refuse a value of `column` that is finite and too large for what it is converted to in here.

    Raises
    ------
    ValueError
        If it would become infinite: float16 ends at 65,504.
    """
    try:
        with np.errstate(over="raise"):
            yield
    except FloatingPointError:
        raise ValueError(
            f"{column}: values beyond {np.finfo(dtype).max:,.0f}, which {dtype} does not hold: store float32 or int8"
        ) from None


def to_columns(matrices: Sequence[np.ndarray], card: FeatureCard) -> dict[str, list[np.ndarray]]:
    """Return one matrix a row for each of the columns of `column_types`."""
    if card.dtype != "int8":
        return {card.column: list(matrices)}
    values, scales = zip(*map(quantise, matrices), strict=True) if len(matrices) else ((), ())
    return {card.column: list(values), scale_column(card.column): list(scales)}


def to_arrows(matrices: Sequence[np.ndarray], card: FeatureCard) -> dict[str, pa.ExtensionArray]:
    """Put one matrix a row into an ``Array2D`` array for each of the columns of `column_types`."""
    columns = to_columns(matrices, card)
    scales = replace(card, width=1, dtype="float32")
    return {name: to_arrow(values, card if name == card.column else scales) for name, values in columns.items()}


def scale_column(column: str) -> str:
    """Return the name of the column of scales that belongs to a column of int8."""
    return f"{column}.scale"


def quantise(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round a matrix to int8, row by row.

    Parameters
    ----------
    matrix : np.ndarray [shape=(frames, width), float32]

    Returns
    -------
    values : np.ndarray [shape=(frames, width), int8]
    scales : np.ndarray [shape=(frames, 1), float32]
        ``values * scales`` is the matrix within ``scales / 2``. Of a row with NaN or infinity it is
        NaN, and the row reads back as NaN.
    """
    if not matrix.size:
        return matrix.astype(np.int8), np.zeros((len(matrix), 1), np.float32)
    matrix = matrix.astype(np.float32, copy=False)
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    scales = np.where(np.isfinite(largest), largest, np.nan) / np.float32(LEVELS)
    usable = scales > 0  # neither a row of zeros nor of NaN
    steps = np.divide(matrix, scales, out=np.zeros_like(matrix), where=usable)
    # below the smallest normal number the quotient may be past the last level
    return np.clip(np.rint(steps), -LEVELS, LEVELS).astype(np.int8), scales.astype(np.float32)


def to_arrow(matrices: Sequence[np.ndarray], card: FeatureCard) -> pa.ExtensionArray:
    """Put one matrix a row into an ``Array2D`` array.

    Parameters
    ----------
    matrices : sequence of np.ndarray [shape=(frames, width)]
        One a row; no frames is a matrix of shape (0, width), never null.

    Raises
    ------
    ValueError
        If a matrix has another width than the card says, or values too large for its type.
    """
    try:
        with fits(card.column, card.dtype):
            return matrix_array(matrices, card.width, card.dtype)
    except ValueError as error:
        raise ValueError(f"{card.column}: {error}") from None


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


def split(column: pa.Array, width: int) -> list[np.ndarray]:
    """Return the matrix (frames, width) of each row of an ``Array2D`` array, views of its buffer."""
    values, lengths = read(column, width)
    return np.split(values, np.cumsum(lengths)[:-1]) if len(lengths) else []


def matrices(dataset: Dataset, column: str, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the feature matrices of some rows: one array over all their frames, and the frames of each row.

    Returns
    -------
    values : np.ndarray [shape=(total frames, width)]
        Of the stored dtype; a view of the table where the rows lie together on disk. What was stored
        as int8 is multiplied by its scales: float32, a copy.
    lengths : np.ndarray [shape=(rows,), int64]

    Raises
    ------
    ValueError
        If the scales of a column of int8 are not in the table.
    """
    if dataset.features[column].dtype != "int8":
        return _stored(dataset, column, rows)
    scale = scale_column(column)
    if scale not in dataset.features:
        raise ValueError(f"column {column!r} is int8 and {scale!r} is missing: keep the two together")
    values, lengths = _stored(dataset, column, rows)
    return values * _stored(dataset, scale, rows)[0], lengths


def attach(dataset: Dataset, column: str, values: Sequence[np.ndarray], card: FeatureCard) -> Dataset:
    """Return the dataset with one more layer under the name `column`, one matrix (frames, width) a row."""
    types = column_types(card)
    for name, array in to_arrows(values, card).items():
        dataset = dataset.add_column(column + name.removeprefix(card.column), array, feature=types[name])
    return dataset


def _stored(dataset: Dataset, column: str, rows: slice) -> tuple[np.ndarray, np.ndarray]:
    width = dataset.features[column].shape[1]
    table = dataset.select_columns([column]).with_format("arrow")[rows]
    parts = [read(chunk, width) for chunk in table.column(0).chunks if len(chunk)]
    if not parts:
        return np.empty((0, width), dataset.features[column].dtype), np.empty(0, np.int64)
    if len(parts) == 1:
        return parts[0]
    values, lengths = zip(*parts, strict=True)
    return np.concatenate(values), np.concatenate(lengths)
