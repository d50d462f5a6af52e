"""What of a corpus is there, beside what was published."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow.compute as pc
from datasets import DatasetDict

from builders.corpus import CorpusBuilder, Expected
from builders.listing import ABSENT

HOURS = 0.01  # publications round: hours may differ by this share


class Finding(NamedTuple):
    """A split beside its publication; hours only where the audio was decoded."""

    split: str
    utterances: int
    published_utterances: int | None
    hours: float | None
    published_hours: float | None
    what: str


def verify(builder: CorpusBuilder, table: DatasetDict | None = None) -> list[Finding]:
    """Compare each split of a configuration with its published numbers.

    A difference are files that are named and not there, but for those that never were published, rows without
    text where others have text, and other numbers.

    Parameters
    ----------
    builder : CorpusBuilder
    table : DatasetDict, optional
        What the builder made of the corpus; without it nothing is decoded and hours are not compared.
    """
    splits = builder.config.splits
    texts = {split: builder.listing(split).column("text") for split in splits}
    gaps = dict.fromkeys(splits, 0)
    if not builder.FACTS.text_gaps and any(text.null_count < len(text) for text in texts.values()):
        gaps = {split: text.null_count for split, text in texts.items()}
    return [_finding(builder, split, expected, table, gaps[split]) for split, expected in splits.items()]


def _finding(
    builder: CorpusBuilder, split: str, expected: Expected, table: DatasetDict | None, without_text: int
) -> Finding:
    places = builder.listing(split).column("source_number")
    listed, absent = len(places), pc.sum(pc.equal(places, ABSENT[0])).as_py() or 0
    there, hours = listed - absent, None
    problems = [f"{absent} files missing"] if absent not in (0, expected.absent) else []
    problems += [f"{without_text} without text"] if without_text else []
    if table is not None:
        rows = table.get(split)
        hours = sum(rows.data.column("duration").to_numpy()) / 3600 if rows is not None else 0.0
        there = len(rows) if rows is not None else 0
        problems += [f"{listed - absent - there} files bad"] if there < listed - absent else []
        far = expected.hours is not None and abs(hours - expected.hours) > HOURS * expected.hours
        problems += ["other hours"] if far else []
    if expected.utterances is not None and there != expected.utterances:
        problems.append(f"{there - expected.utterances:+,} utterances")
    what = "not here" if not listed else ", ".join(problems) or "as published"
    return Finding(split, there, expected.utterances, hours, expected.hours, what)
