"""Which segment of a tier holds a moment, for many utterances at once.

Times are compared in whole nanoseconds: a boundary that a subtraction moved by a rounding error
(4.3 - 4.0 is not 0.3) must not move a label by one frame. Sample times at 16 kHz are exact
multiples of 62,500 ns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from probes.errors import ProbeError

NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class TierSegments:
    """The segments of one tier in a range of rows, sorted by row and start.

    rows : np.ndarray [shape=(segments,), int64]
        Row of each segment, counted from the first row of the range.
    starts, ends : np.ndarray [shape=(segments,), int64]
        Nanoseconds from the begin of the row; a start may be negative.
    labels : np.ndarray [shape=(segments,), int64]
        Index into `names`.
    names : tuple of str or None
        The different labels.
    """

    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    labels: np.ndarray
    names: tuple[str | None, ...]

    def at(self, rows: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return the segment that holds each moment: ``start <= time < end``.

        Where segments of the tier overlap it is the one that starts first; of two that start
        together, the one that the corpus lists first.

        Parameters
        ----------
        rows : np.ndarray [shape=(n,), int64]
        times : np.ndarray [shape=(n,), float64]
            Seconds from the begin of the row, not negative.

        Returns
        -------
        np.ndarray [shape=(n,), int64]
            Index of a segment, -1 where none holds the moment.
        """
        moments = nanoseconds(times)
        if not len(self.rows) or not len(moments):
            return np.full(len(moments), -1)
        # One time axis for all rows: each row has its own span, longer than anything in it.
        span = int(max(self.ends.max(), moments.max())) + 1
        moments = moments + rows * span
        # The first segment whose end, or an earlier one's, lies behind the moment is the first
        # in order that can hold it, overlaps and nesting included.
        reached = np.maximum.accumulate(self.ends + self.rows * span)
        found = np.minimum(np.searchsorted(reached, moments, side="right"), len(reached) - 1)
        # A segment that begins before its row must not reach into the one before.
        starts = (np.maximum(self.starts, 0) + self.rows * span)[found]
        ends = (self.ends + self.rows * span)[found]
        return np.where((starts <= moments) & (moments < ends), found, -1)


def nanoseconds(seconds: np.ndarray) -> np.ndarray:
    """Return times rounded to whole nanoseconds, int64."""
    return np.rint(np.asarray(seconds, dtype=np.float64) * NANOSECONDS).astype(np.int64)


def tier_segments(column: pa.Array | pa.ChunkedArray, tier: str, *, every: bool = False) -> TierSegments:
    """Read the segments of one tier out of the Arrow buffers of a `segments` column.

    Segments that hold no moment (end not behind start, not a number) are left out. With `every` all stay, in
    the order of the column, as features that are pooled by segment have them.
    """
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    values = column.flatten()
    rows = np.repeat(np.arange(len(lengths)), lengths)
    starts, ends = (_floats(values, name) for name in ("start", "end"))
    tiers = pc.fill_null(pc.equal(pc.struct_field(values, "tier"), tier), False)
    wanted = tiers.to_numpy(zero_copy_only=False)
    keep = np.flatnonzero(wanted if every else wanted & (ends > starts) & (ends > 0))
    if not every:
        keep = keep[np.lexsort((starts[keep], rows[keep]))]  # stable: the corpus' order among equals
    labels = pc.struct_field(values, "label").take(pa.array(keep)).dictionary_encode("encode")
    return TierSegments(
        rows=rows[keep],
        starts=nanoseconds(np.nan_to_num(starts[keep])),
        ends=nanoseconds(np.nan_to_num(ends[keep])),
        labels=labels.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        names=tuple(labels.dictionary.to_pylist()),
    )


def tiers(column: pa.Array | pa.ChunkedArray) -> set[str]:
    """Return the names of the tiers that occur in a `segments` column."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    return {t for c in chunks for t in pc.unique(pc.struct_field(c.flatten(), "tier")).to_pylist() if t}


def labelled_rows(dataset: Dataset, tier: str) -> np.ndarray:
    """Return which rows have a segment of a tier, (rows,) bool.

    Raises
    ------
    ProbeError
        If no row has; it names the tiers that there are.
    """
    if "segments" not in dataset.column_names:
        raise ProbeError("the table has no column 'segments': expected a manifest table, see `python -m builders`")
    segments = dataset.select_columns(["segments"]).with_format("arrow")
    has = np.zeros(len(dataset), dtype=bool)
    found: set[str] = set()
    for start in range(0, len(dataset), 1024):
        column = segments[start : start + 1024]["segments"]
        found |= tiers(column)
        has[start + tier_segments(column, tier).rows] = True
    if has.any():
        return has
    remedy = f"expected one of {sorted(found)}" if found else "add one by forced alignment, or use an annotated corpus"
    raise ProbeError(f"no row has a segment of the tier {tier!r}: {remedy}")


def _floats(values: pa.StructArray, name: str) -> np.ndarray:
    return pc.fill_null(pc.struct_field(values, name), float("nan")).to_numpy(zero_copy_only=False)
