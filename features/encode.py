"""The map step: a manifest table in, the same table with one feature column per layer out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, concatenate_datasets

from features import cpu
from features.encoder import Encoder, Init
from features.step import Encode

Tables = Dataset | DatasetDict | IterableDataset | IterableDatasetDict


def encode(
    dataset: Tables,
    encoder: str | Encoder,
    *,
    layers: str | Sequence[str | int] = "all",
    init: Init = "trained",
    seed: int = 0,
    revision: str | None = None,
    dtype: str = "float16",
    pool: str = "none",
    trim_context: bool = False,
    compute: str = "float32",
    num_proc: int | None = None,
) -> Tables:
    """Return the table with a column of hidden states per layer, ``<encoder>.<layer>``.

    The features are a table of their own in the cache of `datasets`, joined by row: audio is not
    copied. A second call with the same table and encoder reads them from there.

    Parameters
    ----------
    dataset : Dataset, DatasetDict or their streaming counterparts
        A manifest table: it has the columns `id` and `audio`, or `text` for an encoder of texts.
    num_proc : int or None
        Processes of a map-style dataset, each with an encoder of its own and a part of the cores.

    Other parameters are those of `Encode`.

    Raises
    ------
    ValueError
        If `dataset` lacks a column or the tier that is pooled by, or has the feature columns already.
    """
    step = Encode(encoder, layers=layers, init=init, seed=seed, revision=revision, dtype=dtype, pool=pool,
                  trim_context=trim_context, compute=compute)  # fmt: skip
    if isinstance(dataset, dict):
        return type(dataset)({split: encode_split(part, step, num_proc=num_proc) for split, part in dataset.items()})
    return encode_split(dataset, step, num_proc=num_proc)


def encode_split(dataset: Dataset | IterableDataset, step: Encode, *, num_proc: int | None = None) -> Any:
    """Return one split with the columns that `step` makes."""
    check(dataset, step)
    if isinstance(dataset, IterableDataset):
        mapped = dataset.with_format("arrow").map(
            step, batched=True, batch_size=step.batch_size(dataset), features=step.features(dataset.features)
        )
        return mapped.with_format(None)
    return join(dataset, feature_table(dataset, step, num_proc=num_proc))


def feature_table(dataset: Dataset, step: Encode, *, num_proc: int | None = None) -> Dataset:
    """Return the features of a split as a table of its own, `id` and one column per layer."""
    columns = step.features({"id": dataset.features["id"]})
    if not len(dataset):  # `map` gives an empty table back as it is
        return _empty(columns)
    rows = step.batch_size(dataset)
    read = dataset.select_columns(["id", *step.inputs]).with_format("arrow")
    with cpu.shared_by(num_proc or 1):
        made = read.map(
            step.without_inputs,
            batched=True,
            batch_size=rows,
            writer_batch_size=rows,
            features=columns,
            num_proc=num_proc,
            desc=f"Encoding with {step.name}",
        )
    return made.with_format(None)


def join(dataset: Dataset, features: Dataset) -> Dataset:
    """Put a feature table beside its manifest table, row by row.

    Raises
    ------
    ValueError
        If their ids differ: the features were made of another table.
    """
    if not _same_ids(dataset, features):
        raise ValueError(
            "the feature table does not belong to this manifest table, their ids differ: encode the table again"
        )
    if not len(dataset):  # as does concatenation
        return _empty(Features({**dataset.features, **features.features}))
    return concatenate_datasets([dataset, features.remove_columns("id")], axis=1)


def check(dataset: Any, step: Encode, *, tier: bool = True) -> None:
    """Raise ValueError if the table can't be encoded; `tier` False does not look for the tier that is pooled by."""
    columns = dataset.column_names or []
    missing = [name for name in ("id", *step.inputs) if name not in columns]
    if missing:
        raise ValueError(f"the table has no column {missing[0]!r}, only {columns}: load it with a corpus builder")
    there = [name for name in step.features() if name in columns]
    if there:
        raise ValueError(f"the table has the columns {there} already: choose other layers or drop them")
    if tier and step.pool.tier and isinstance(dataset, Dataset) and len(dataset):
        _check_tier(dataset, step.pool.tier)


def _check_tier(dataset: Dataset, tier: str) -> None:
    seen: set[str] = set()
    for batch in dataset.select_columns(["segments"]).with_format("arrow").iter(10_000):
        seen |= set(pc.unique(pc.struct_field(pc.list_flatten(batch["segments"]), "tier")).to_pylist())
        if tier in seen:
            return
    raise ValueError(f"no segment of the table is of the tier {tier!r}: expected one of {sorted(seen)}")


def _empty(columns: Features) -> Dataset:
    return Dataset.from_dict({name: [] for name in columns}, features=columns)


def _same_ids(one: Dataset, other: Dataset) -> bool:
    if len(one) != len(other):
        return False
    sides = [part.select_columns(["id"]).with_format("arrow").iter(100_000) for part in (one, other)]
    return all(a.column("id").equals(b.column("id")) for a, b in zip(*sides, strict=True))
