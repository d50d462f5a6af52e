"""What encoding a table costs before it begins: bytes on disk, and whether they are there.

Bytes are exact: those of a layer are ``rows * width * item size``, and the rows follow from the durations by the frame
clock. An hour of Whisper is 180,000 frames; a layer of the tiny one in float16 is 384 * 2 bytes a frame, 138 MB.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
from fsspec.implementations.local import LocalFileSystem

from builders.ledger import Ledger
from builders.output import filesystem
from features.card import FeatureCard
from features.clock import SAMPLING_RATE, FrameClock

if TYPE_CHECKING:
    from features.step import Encode

UNKNOWN_SECONDS = 30.0  # length of a row to reckon with where the table does not tell
UNKNOWN_CHARACTERS = 500
OFFSET = 4  # bytes beside a row of a matrix and beside a matrix: where it begins
TOKEN = 12 + 2 * (4 + OFFSET) + OFFSET  # bytes beside a token: id, type, mask, its characters
SCALE = 4 + OFFSET  # bytes of the scale of a row of int8
SPARE = 1.02  # ids and what Arrow aligns


class SpaceError(ValueError):
    """A disk cannot hold what is to be written; the message says what would fit."""


@dataclass(frozen=True)
class Counts:
    """What a table has of the rows of matrices.

    utterances : int
    seconds : float
        Of audio, 0 where the table does not tell.
    frame, token, utterance, segment : int
        Rows of a layer with that axis; `utterance` counts those that have a frame or token.
    """

    utterances: int = 0
    seconds: float = 0.0
    frame: int = 0
    token: int = 0
    utterance: int = 0
    segment: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


def count(parts: Iterable[Any], step: Encode) -> Counts:
    """Count the rows of matrices that the parts of a table will have.

    Parameters
    ----------
    parts : iterable of Dataset
        With the columns of `columns_counted`.
    step : Encode

    Raises
    ------
    ValueError
        If the audio's table has no durations.
    """
    return sum((_count(part, step) for part in parts), Counts())


def columns_counted(step: Encode) -> list[str]:
    """Return the columns that `count` reads: never audio."""
    return ["duration", *(name for name in step.inputs if name != "audio")]


def frames(seconds: np.ndarray, clock: FrameClock) -> np.ndarray:
    """Return how many frames utterances of these lengths have [shape=(n,), int64]."""
    samples = np.rint(np.asarray(seconds) * SAMPLING_RATE).astype(np.int64)
    if clock.padded:
        return np.maximum(0, -(-(samples - clock.offset) // clock.hop))
    return np.maximum(0, (samples - clock.field) // clock.hop + 1)


def layer_bytes(width: int, dtype: str, rows: int) -> int:
    """Return the bytes of a layer's values, without what Arrow keeps beside them."""
    return rows * width * np.dtype(dtype).itemsize


def total_bytes(cards: Iterable[FeatureCard], counts: Counts) -> int:
    """Return the bytes of layers on disk: values, and where rows and matrices begin."""
    total = 0
    for card in cards:
        rows = getattr(counts, card.axis)
        total += layer_bytes(card.width, card.dtype, rows) + (rows + counts.utterances) * OFFSET
        total += rows * SCALE if card.dtype == "int8" else 0
    return int(SPARE * total) + counts.token * TOKEN


def free_bytes(out: str | Path) -> int | None:
    """Return how many bytes a local folder, that need not be there yet, can take; None for an object store."""
    fs, root = filesystem(out)
    if not isinstance(fs, LocalFileSystem):
        return None
    folder = Path(root)
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def check_space(step: Encode, counts: Counts, out: str | Path) -> None:
    """Refuse what does not fit; what an earlier run has written already counts.

    Raises
    ------
    SpaceError
        With the layers, type or pooling that would fit.
    """
    free, needed = free_bytes(out), total_bytes(step.cards.values(), counts)
    if free is None:
        return
    ledger = Ledger(out)
    ledger.read()
    free += sum(entry.bytes for entry in ledger.entries.values())
    if needed > free:
        told = "; ".join(f"{options} takes {amount(size)}" for options, size in fitting(step, counts, free))
        raise SpaceError(
            f"{amount(needed)} of features do not fit on the disk of {out}, which has {amount(free)}: "
            + (told or "nothing smaller fits either, choose another --out")
        )


def fitting(step: Encode, counts: Counts, free: int) -> list[tuple[str, int]]:
    """Return options of the command that need at most `free` bytes, and their bytes; the least change first."""
    given = list(step.cards.values())
    smaller = {"float32": ("float16", "int8"), "float16": ("int8",), "int8": ()}[step.dtype]
    tries = [(f"--dtype {dtype}", _as(given, dtype)) for dtype in smaller]
    if len(given) > 1:
        last = given[-1:] if given[-1].axis == "frame" else given[-2:-1]
        name = last[0].layer
        tries += [(f"--layers {name}", last), *((f"--layers {name} --dtype {d}", _as(last, d)) for d in smaller)]
    if not step.pool.axis:
        tries.append(("--pool mean", _as(given, step.dtype, "utterance")))
    sizes = [(options, total_bytes(cards, counts)) for options, cards in tries]
    return [(options, size) for options, size in sizes if size <= free]


def amount(size: float) -> str:
    """Return bytes as people read them: ``138 MB``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.3g} {unit}"


def most_seconds(table: Any) -> float:
    """Return the length of a table's longest row in seconds; `UNKNOWN_SECONDS` where it does not tell."""
    known = table is not None and "duration" in table.column_names
    return (pc.max(table.column("duration")).as_py() if known else None) or UNKNOWN_SECONDS


def most_tokens(table: Any, window: int | None) -> int:
    """Return how many tokens a text has at most: one a character, begin and end."""
    known = table is not None and "text" in table.column_names
    longest = (pc.max(pc.utf8_length(table.column("text"))).as_py() if known else None) or UNKNOWN_CHARACTERS
    return min(longest + 2, window or longest + 2)


def _count(part: Any, step: Encode) -> Counts:
    arrow = part.with_format("arrow")[:]
    known = "duration" in arrow.column_names
    seconds = np.nan_to_num(arrow.column("duration").to_numpy()) if known else np.zeros(len(part))
    own = _rows_of(arrow, step, seconds if known else None)
    name = "token" if "text" in step.inputs else "frame"
    return Counts(
        len(part), float(seconds.sum()), **{name: int(own.sum())}, utterance=int((own > 0).sum()),
        segment=_segments(arrow, step.pool.tier) if step.pool.tier else 0,
    )  # fmt: skip


def _rows_of(arrow: Any, step: Encode, seconds: np.ndarray | None) -> np.ndarray:
    """Return each utterance's frames or tokens, or 1 where the encoder has neither."""
    if "text" in step.inputs:
        return np.array([len(text.ids) for text in step.encoder.tokenize(arrow.column("text").to_pylist())], np.int64)
    if seconds is None:
        raise ValueError("the table has no column 'duration', from which bytes are reckoned")
    clock = step.encoder.clock
    return (seconds > 0).astype(np.int64) if clock is None else frames(seconds, clock)


def _segments(arrow: Any, tier: str) -> int:
    tiers = pc.struct_field(pc.list_flatten(arrow.column("segments")), "tier")
    return int(pc.sum(pc.equal(tiers, tier)).as_py() or 0)


def _as(cards: Sequence[FeatureCard], dtype: str, axis: str | None = None) -> list[FeatureCard]:
    changes: Mapping[str, Any] = {"dtype": dtype, **({"axis": axis} if axis else {})}
    return [FeatureCard(**{**vars(card), **changes}) for card in cards]
