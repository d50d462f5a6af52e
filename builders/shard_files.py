"""Shards as Parquet: any reader opens them, and `datasets` finds the columns' types in their metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Array2D, Audio, Features

# Older releases of `datasets` put a hash behind the count; cards name such files as well.
SHARD = re.compile(r"data/(?P<split>[^/]+)-\d{5}-of-(?P<count>\d{5})(?:-[0-9a-f]+)?\.(?:parquet|arrow)")
GROUP_BYTES = 32_000_000  # of a row group: what a streaming reader holds
PACKED = (Audio, Array2D)  # FLAC and half floats: neither a dictionary nor a compression makes them smaller


def shard_name(split: str, number: int, count: int, suffix: str = "parquet") -> str:
    """Return a shard's name as the Hub wants it: ``data/train-00003-of-00016.parquet``."""
    return f"data/{split}-{number:05d}-of-{count:05d}.{suffix}"


def write_parquet(tables: Iterable[pa.Table], path: Path, features: Features) -> int:
    """Write tables to one file in row groups of about `GROUP_BYTES`, and return the number of rows.

    One row group is in memory at a time.
    """
    schema = storage_schema(features)
    rows = 0
    with pq.ParquetWriter(path, schema, **_options(schema, features)) as writer:
        for group in _groups(tables):
            writer.write_table(plain(group, schema), row_group_size=group.num_rows)
            rows += group.num_rows
    return rows


def storage_schema(features: Features) -> pa.Schema:
    """Return the columns without extension types, which other readers don't know; `datasets` finds its own beside."""
    schema = features.arrow_schema
    return pa.schema([pa.field(f.name, _storage(f.type)) for f in schema], metadata=schema.metadata)


def plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the storage of its extension columns."""
    columns = []
    for field in schema:
        column = table.column(field.name)
        if isinstance(column.type, pa.BaseExtensionType):
            column = pa.chunked_array([chunk.storage for chunk in column.chunks], field.type)
        columns.append(column)
    return pa.table(columns, schema=schema)


def _storage(kind: pa.DataType) -> pa.DataType:
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


def _groups(tables: Iterable[pa.Table]) -> Iterable[pa.Table]:
    held: list[pa.Table] = []
    size = 0
    for table in tables:
        if not table.num_rows:
            continue
        if held and size + table.nbytes > GROUP_BYTES:
            yield pa.concat_tables(held)
            held, size = [], 0
        held.append(table)
        size += table.nbytes
    if held:
        yield pa.concat_tables(held)


def _options(schema: pa.Schema, features: Features) -> dict[str, object]:
    packed = {name for name, feature in features.items() if isinstance(feature, PACKED)}
    leaves = [path for field in schema for path in _leaves(field.name, field.type)]
    other = [leaf for leaf in leaves if leaf.split(".")[0] not in packed and not _inside(leaf, packed)]
    bare = [leaf for leaf in leaves if leaf not in other]
    return {
        "use_dictionary": other,
        "compression": {**dict.fromkeys(other, "ZSTD"), **dict.fromkeys(bare, "NONE")},
        "write_page_index": True,
    }


def _inside(leaf: str, packed: set[str]) -> bool:
    return any(leaf == name or leaf.startswith(f"{name}.") for name in packed)  # columns' names hold dots


def _leaves(name: str, kind: pa.DataType) -> list[str]:
    """Return the paths of a column's leaves as Parquet names them."""
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves(f"{name}.{field.name}", field.type)]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _leaves(f"{name}.list.element", kind.value_type)
    return [name]
