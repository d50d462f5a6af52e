"""Padded batches for training loops, out of tables and streams, resumable in the middle of an epoch.

Rows are read in blocks. A block is sorted by length, cut into batches, and the batches are shuffled: so batches
have little padding, and what is in memory is a block. The order follows from the seed, the epoch and the number of
the block; so the state of a loop is where its block begins and how many of its batches are used, and a
buffer is never lost: it is read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import mlx.core as mx
import numpy as np
import pyarrow as pa
from datasets import Audio, Dataset, IterableDataset
from datasets.distributed import split_dataset_by_node
from datasets.features.features import Array2D

from builders.audio import decode
from features.columns import scale_column, split
from features.mlx_format import is_number

LENGTH = "duration"


def batches(
    dataset: Dataset | IterableDataset,
    columns: Sequence[str],
    *,
    max_seconds: float,
    buffer: int = 1_000,
    seed: int = 0,
    rank: int = 0,
    world: int = 1,
    worker: int = 0,
    workers: int = 1,
    prefetch: int = 4,
) -> Batches:
    """Return padded batches of some columns; iterating over them is one epoch.

    A batch is a dictionary. A column of audio is ``(rows, samples)`` float32, one of features ``(rows, frames,
    width)`` (of int8 multiplied by its scales: float32), padded with zeros, with ``<column>_lengths`` (rows,) int32
    and ``<column>_mask`` (rows, samples or frames) bool beside it. A column of numbers is (rows,); any other is a list.

    Parameters
    ----------
    dataset : Dataset or IterableDataset
        A table with the column `duration`.
    max_seconds : float
        Of audio in a batch, padding included. A longer row is a batch of its own.
    buffer : int
        Rows that are shuffled among each other.
    rank, world : int
        This node and the number of nodes: each sees rows of its own. `worker` and `workers` are the same within a
        node.
    prefetch : int
        Batches that are decoded ahead, in threads.

    Raises
    ------
    ValueError
        If a column is missing, or there is no such rank or worker.
    """
    if not (0 <= rank < world and 0 <= worker < workers and buffer > 0):
        raise ValueError(
            f"rank {rank} of {world}, worker {worker} of {workers}, buffer {buffer}: expected ranks and workers "
            "counted from 0, and at least a row in the buffer"
        )
    made = Batches(
        split_dataset_by_node(dataset, rank * workers + worker, world * workers),
        columns, max_seconds=max_seconds, buffer=buffer, seed=seed, prefetch=prefetch,
    )  # fmt: skip
    made.settings |= {"rank": rank, "world": world, "worker": worker, "workers": workers}
    return made


class Batches:
    """See `batches`. `state_dict` and `load_state_dict` are those of a stateful data loader."""

    def __init__(
        self,
        dataset: Dataset | IterableDataset,
        columns: Sequence[str],
        *,
        max_seconds: float,
        buffer: int,
        seed: int,
        prefetch: int,
    ) -> None:
        present = list(dataset.features or {})
        missing = [name for name in (*columns, LENGTH) if name not in present]
        if missing:
            raise ValueError(f"the table has no column {missing[0]!r}: expected some of {present}")
        self.features = dataset.features
        self.columns, self.max_seconds, self.buffer, self.seed = list(columns), max_seconds, buffer, seed
        self.prefetch = prefetch
        scales = [scale_column(name) for name in columns if getattr(self.features[name], "dtype", None) == "int8"]
        lost = [name for name in scales if name not in present]
        if lost:
            raise ValueError(f"the table has features of int8 without {lost[0]!r}: keep the two together")
        self._dataset = dataset.select_columns(list(dict.fromkeys([*columns, *scales, LENGTH])))
        rows = len(dataset) if isinstance(dataset, Dataset) else None
        self.settings: dict[str, Any] = {"max_seconds": max_seconds, "buffer": buffer, "seed": seed, "rows": rows}
        self._state: dict[str, Any] = {"epoch": 0, "block": 0, "source": None, "batch": 0}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        source = _source(self._dataset, self._state["epoch"], self._state["source"])
        waiting: deque[tuple[dict[str, Any], Future]] = deque()
        with ThreadPoolExecutor(max(1, self.prefetch)) as pool:
            for state, rows in self._planned(source):
                waiting.append((state, pool.submit(self._collate, rows)))
                if len(waiting) > self.prefetch:
                    yield self._taken(*waiting.popleft())
            while waiting:
                yield self._taken(*waiting.popleft())
        self._state = {"epoch": self._state["epoch"] + 1, "block": 0, "source": None, "batch": 0}

    def state_dict(self) -> dict[str, Any]:
        """Return where the loop is, behind the batch that it got last, and of which settings that is a place."""
        return {**self._state, "settings": self.settings}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken: the next iteration yields the rest of that epoch.

        Raises
        ------
        ValueError
            If that was in the middle of an epoch with other settings: rows would be lost, others come twice.
        """
        place, begun = {name: state[name] for name in self._state}, state.get("settings", {})
        now = self.settings.items()
        other = [f"{key} was {begun.get(key)}, is {value} now" for key, value in now if begun.get(key) != value]
        if other and place["batch"]:
            raise ValueError(f"{'; '.join(other)}: go on as the epoch was begun, or begin it again")
        self._state = place

    def _taken(self, state: dict[str, Any], made: Future) -> dict[str, Any]:
        arrays = made.result()
        self._state = state
        return {name: mx.array(value) if isinstance(value, np.ndarray) else value for name, value in arrays.items()}

    def _planned(self, source: _Rows | _Stream) -> Iterator[tuple[dict[str, Any], pa.Table]]:
        """Yield the rows of each batch, and the state once it is used."""
        epoch, block, used = self._state["epoch"], self._state["block"], self._state["batch"]
        while True:
            begin = source.state()
            rows = source.take(self.buffer)
            if not rows.num_rows:
                return
            plan = self._plan(rows.column(LENGTH).to_numpy(), np.random.default_rng([self.seed, epoch, block]))
            for number, chosen in enumerate(plan):
                if number >= used:
                    yield {"epoch": epoch, "block": block, "source": begin, "batch": number + 1}, _some(rows, chosen)
            block, used = block + 1, 0

    def _plan(self, seconds: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
        """Return the rows of each batch of a block, in random order."""
        mixed = random.permutation(len(seconds))
        order = mixed[np.argsort(seconds[mixed], kind="stable")]
        cut, first = [], 0
        for index, row in enumerate(order.tolist()):
            if index > first and seconds[row] * (index + 1 - first) > self.max_seconds:
                cut.append(order[first:index])
                first = index
        cut.append(order[first:])
        return [cut[index] for index in random.permutation(len(cut))]

    def _collate(self, rows: pa.Table) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name in self.columns:
            scale = scale_column(name)
            scales = rows.column(scale) if scale in rows.column_names else None
            made.update(_cells(name, rows.column(name), self.features[name], scales))
        return made


class _Rows:
    """The rows of a map-style data set, in their order."""

    def __init__(self, dataset: Dataset, state: int | None) -> None:
        self._dataset, self._next = dataset.with_format("arrow"), state or 0

    def state(self) -> int:
        return self._next

    def take(self, count: int) -> pa.Table:
        rows = self._dataset[self._next : self._next + count]
        self._next += rows.num_rows
        return rows


class _Stream:
    """The rows of a stream, in its order."""

    def __init__(self, dataset: IterableDataset, epoch: int, state: dict[str, Any] | None) -> None:
        self._dataset = dataset.with_format("arrow")
        self._dataset.set_epoch(epoch)
        if state is not None:
            self._dataset.load_state_dict(state)
        self._begin = state
        self._rows = iter(self._dataset)

    def state(self) -> dict[str, Any] | None:
        return self._begin

    def take(self, count: int) -> pa.Table:
        rows = [row for _, row in zip(range(count), self._rows, strict=False)]
        self._begin = self._dataset.state_dict()
        return pa.concat_tables(rows) if rows else pa.table({})


def _source(dataset: Dataset | IterableDataset, epoch: int, state: Any) -> _Rows | _Stream:
    return _Stream(dataset, epoch, state) if isinstance(dataset, IterableDataset) else _Rows(dataset, state)


def _some(rows: pa.Table, chosen: np.ndarray) -> pa.Table:
    # `take` joins all chunks of a column first: that costs a copy of the block, and fails beyond 2 GB of audio.
    return pa.concat_tables([rows.slice(row, 1) for row in chosen.tolist()])


def _cells(name: str, column: pa.ChunkedArray, feature: Any, scales: pa.ChunkedArray | None) -> dict[str, Any]:
    if isinstance(feature, Audio):
        return _padded(name, [decode(cell) for cell in column.to_pylist()])
    if isinstance(feature, Array2D):
        parts = [part for chunk in column.chunks for part in split(chunk, feature.shape[1])]
        if feature.dtype == "int8" and scales is not None:
            each = [part for chunk in scales.chunks for part in split(chunk, 1)]
            parts = [part * scale for part, scale in zip(parts, each, strict=True)]
        return _padded(name, parts)
    if is_number(column.type) and not column.null_count:
        return {name: column.to_numpy()}
    return {name: column.to_pylist()}


def _padded(name: str, parts: list[np.ndarray]) -> dict[str, Any]:
    lengths = np.array([len(part) for part in parts], np.int32)
    values = np.zeros((len(parts), lengths.max(), *parts[0].shape[1:]), parts[0].dtype)
    for row, part in enumerate(parts):
        values[row, : len(part)] = part
    mask = np.arange(values.shape[1]) < lengths[:, None]
    return {name: values, f"{name}_lengths": lengths, f"{name}_mask": mask}
