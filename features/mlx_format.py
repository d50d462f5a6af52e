"""``ds.with_format("mlx")``: rows as MLX arrays, of map-style and streaming data sets.

Audio is decoded through libsndfile, feature columns come from the table's buffer, numbers and lists of
numbers become arrays. Strings, structs and lists of structs (`segments`) stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mlx.core as mx
import numpy as np
import pyarrow as pa
from datasets.features.features import Array2DExtensionType
from datasets.formatting import TensorFormatter

from builders.audio import decode
from builders.register import install_format
from features.columns import split

AUDIO = {"bytes", "path"}


class MLXFormatter(TensorFormatter[Mapping, Any, Mapping]):
    """What `datasets` formats rows, columns and batches with.

    A batch of matrices or waveforms is a list, whether their lengths are equal or not; a batch of numbers is one
    array. MLX has no float64 on a GPU: such columns become float32.
    """

    def recursive_tensorize(self, data_struct: Mapping[str, Any]) -> dict[str, Any]:
        """Turn an example of Python objects into one of arrays."""
        return {name: _tensor(value) for name, value in data_struct.items()}

    def format_row(self, pa_table: pa.Table) -> dict[str, Any]:
        """Return the first row."""
        return {name: column[0] for name, column in self.format_batch(pa_table.slice(0, 1)).items()}

    def format_column(self, pa_table: pa.Table) -> Any:
        """Return the first column."""
        return _column(pa_table.column(0))

    def format_batch(self, pa_table: pa.Table) -> dict[str, Any]:
        """Return all columns."""
        return {name: _column(pa_table.column(name)) for name in pa_table.column_names}


def _column(column: pa.ChunkedArray) -> Any:
    kind = column.type
    if isinstance(kind, Array2DExtensionType):
        return [_array(matrix) for chunk in column.chunks for matrix in split(chunk, kind.shape[1])]
    if is_number(kind) and not column.null_count:
        return _array(column.to_numpy())
    return [_tensor(value) for value in column.to_pylist()]


def _tensor(value: Any) -> Any:
    if isinstance(value, Mapping) and set(value) == AUDIO:
        return mx.array(decode(value)) if value["bytes"] else None
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return _array(value)
    if isinstance(value, int | float):
        return _array(np.asarray(value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value):
        return _numbers(value)
    return value


def _numbers(value: Sequence[Any]) -> Any:
    """Return numbers, or rows of numbers of one length, as an array; anything else as it is."""
    inner = value[0]
    while isinstance(inner, Sequence) and not isinstance(inner, str | bytes) and len(inner):
        inner = inner[0]
    if not isinstance(inner, int | float | np.number):
        return value
    try:
        return _array(np.asarray(value))
    except (ValueError, TypeError):  # ragged, or with nulls
        return value


def _array(values: np.ndarray) -> mx.array:
    return mx.array(values.astype(np.float32) if values.dtype == np.float64 else values)


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds numbers or truth values."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


install_format("mlx", MLXFormatter)
