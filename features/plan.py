"""The command ``python -m features plan``: bytes and time of an encoding before it begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from datasets import Dataset
from tabulate import tabulate

from features.budget import Counts, amount, check_space, columns_counted, count, free_bytes, layer_bytes, total_bytes
from features.encode import check
from features.manifests import heads
from features.run import every_row
from features.step import Encode

SAMPLE_SECONDS = 60.0  # of audio that is encoded to see how fast it goes, and
SAMPLE_ROWS = 16  # utterances


@dataclass(frozen=True)
class Plan:
    """What an encoding costs.

    counts : Counts
    layers : dict of str to (int, int)
        Rows and bytes of values by column.
    bytes : int
        On disk, all together.
    rate : float
        Seconds of audio (utterances, where the table has no durations) per second of one worker.
    workers : int
    """

    counts: Counts
    layers: dict[str, tuple[int, int]]
    bytes: int
    rate: float
    workers: int = 1

    @property
    def seconds(self) -> float:
        """How long it takes; more workers than cores gain nothing."""
        return (self.counts.seconds or self.counts.utterances) / self.rate / self.workers

    def __str__(self) -> str:
        rows = [[column, rows, amount(size)] for column, (rows, size) in self.layers.items()]
        table = tabulate(rows, headers=["column", "rows", "values"], intfmt=",")
        held = f"{self.counts.utterances:,} utterances, {self.counts.seconds / 3600:,.2f} h"
        speed = f"{self.rate:,.1f} {'times real time' if self.counts.seconds else 'utterances a second'}"
        several = f", {self.workers} workers" if self.workers > 1 else ""
        return f"{table}\n\n{held}: {amount(self.bytes)} on disk, about {duration(self.seconds)} at {speed}{several}"


def plan(path: str, step: Encode, *, rate: float | None = None, workers: int = 1) -> Plan:
    """Return what encoding a manifest table on disk costs.

    Parameters
    ----------
    rate : float, optional
        Seconds of audio per second of one worker; measured here on a sample of the table if left out.

    Raises
    ------
    ValueError
        If the table cannot be encoded or has no durations, or the rate is not above 0.
    """
    if rate is not None and not rate > 0:
        raise ValueError(f"a rate of {rate} seconds of audio a second: expected more than 0")
    counts = counts_of(path, step)
    layers = {}
    for card in step.cards.values():
        rows = getattr(counts, card.axis)
        layers[card.column] = (rows, layer_bytes(card.width, card.dtype, rows))
    found = rate or measured(path, step, counts)
    return Plan(counts, layers, total_bytes(step.cards.values(), counts), found, workers)


def counts_of(path: str, step: Encode) -> Counts:
    """Return the rows of matrices that a manifest table on disk will have; no audio is read."""
    return count(every_row(path, columns_counted(step)), step)


def measured(path: str, step: Encode, counts: Counts) -> float:
    """Return the seconds of audio (utterances) that are encoded in a second here, on a sample of the table."""
    part = max(heads(path), key=len)
    check(part, step)
    rows = sample(part)
    step.without_inputs(part.select(rows[:1]).select_columns(step.inputs).with_format("arrow")[:])  # warm
    batch = part.select(rows).select_columns(step.inputs).with_format("arrow")[:]
    begun = time.perf_counter()
    step.without_inputs(batch)
    took = time.perf_counter() - begun
    done = float(np.sum(part.select(rows)["duration"])) if counts.seconds else float(len(rows))
    return done / took


def sample(part: Dataset) -> list[int]:
    """Return rows spread over a table, at least one, that have a minute of audio together."""
    rows = np.unique(np.linspace(0, len(part) - 1, SAMPLE_ROWS).round().astype(int))
    draw = np.random.default_rng(0).permutation(rows)  # neighbours may be of one speaker
    if "duration" not in part.column_names:
        return draw.tolist()
    seconds = np.cumsum(np.asarray(part.select(draw)["duration"], float))
    return draw[: max(1, int(np.searchsorted(seconds, SAMPLE_SECONDS)) + 1)].tolist()


def duration(seconds: float) -> str:
    """Return a time as people read it: ``2 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"


def tell(arguments: Sequence[str]) -> None:
    """Print a plan; raise `SpaceError` where the disk cannot hold it."""
    from features.__main__ import encode_parser, step_of

    parser = encode_parser()
    parser.prog = "python -m features plan"
    parser.description = "Say how many bytes an encoding takes and about how long, and whether the disk can hold it."
    parser.epilog = "example: python -m features plan tables/timit --encoder openai/whisper-base --layers all"
    parser.add_argument("--rate", type=float, help="seconds of audio a second of one worker (default: measured here)")
    options = parser.parse_args(arguments)
    step = step_of(options)
    made = plan(options.table, step, rate=options.rate, workers=options.workers or 1)
    out = options.out or f"{options.table.rstrip('/')}/features/{step.name}"
    free = free_bytes(out)
    print(f"{made}\nfree on the disk of {out}: {'unknown' if free is None else amount(free)}")
    check_space(step, made.counts, out)
