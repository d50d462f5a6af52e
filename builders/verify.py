"""What of a corpus is there, beside what was published and beside what its archives hold."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pyarrow.compute as pc
from datasets import DatasetDict

from builders.archives import open_source
from builders.corpus import CorpusBuilder, Expected
from builders.errors import CorpusError
from builders.inventory import Found, held, index
from builders.listing import ABSENT
from builders.members import Comparison, locate, remember
from builders.on_disk import by_bytes, by_sizes
from builders.tree import Tree

HOURS = 0.01  # publications round: hours may differ by this share


class Finding(NamedTuple):
    """A split beside its publication; hours only where the audio was decoded."""

    split: str
    utterances: int
    published_utterances: int | None
    hours: float | None
    published_hours: float | None
    what: str


class Unpacked(NamedTuple):
    """An archive beside the files that were unpacked from it."""

    archive: str
    files: int | None
    where: str
    what: str
    remark: str = ""

    @property
    def right(self) -> bool:
        """Tell whether it is whole, and is not unpacked or is so wholly."""
        return self.what in ("whole", "not unpacked", "the same sizes", "the same bytes")


def verify_archives(corpus: str, config: str | None, data_dir: Path, *, deep: bool = False) -> list[Unpacked]:
    """Compare each archive of a corpus that is there with what was unpacked from it, if it was.

    Parameters
    ----------
    data_dir : Path
        Folder that holds the archives and the files, or one archive.
    deep : bool
        Compare every byte and read the headers of the recordings, instead of presence and sizes.
    """
    with closing(Tree(data_dir if data_dir.is_dir() else data_dir.parent)) as tree:
        try:
            found = held(tree, corpus, config, None if data_dir.is_dir() else data_dir)
        except CorpusError:  # there are files only
            return []
        return [_unpacked(tree, archive, corpus, deep) for archive in found]


def _unpacked(tree: Tree, found: Found, corpus: str, deep: bool) -> Unpacked:
    name = str(found.path.relative_to(tree.top))
    if found.broken:
        return Unpacked(name, None, "", f"truncated: {found.broken}")
    place = locate(found.head, tree.named)
    result: Comparison | None = None
    try:
        for nested in (False, True):  # tars inside it may have been left as they are
            with closing(index(found.path, [corpus], nested=nested)) as files:
                if place is None:
                    return Unpacked(name, files.count()[0], "", "not unpacked")
                result = (by_bytes if deep else by_sizes)(files, tree.top, place)
            if result.whole:
                remember(found.path, open_source(found.path).fingerprint(), place, tree, result)
                break
    except CorpusError as error:
        return Unpacked(name, None, "", str(error))
    same = "the same bytes" if deep else "the same sizes"
    return Unpacked(name, result.members, str(tree.top / place.folder), same if result.whole else result.what(),
                    result.what() if result.headless else "")  # fmt: skip


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


def _lost(builder: CorpusBuilder, split: str) -> list[str]:
    """Return the members of further audio columns (stems, sources of a mixture) that are not there."""
    if not builder.FACTS.audio_columns:
        return []
    stated = (chunk.items for chunk in builder.listing(split).column("audios").chunks)
    return [member for chunk in stated for member in chunk.to_pylist() if member not in builder.files]


def _finding(
    builder: CorpusBuilder, split: str, expected: Expected, table: DatasetDict | None, without_text: int
) -> Finding:
    places = builder.listing(split).column("source_number")
    listed, absent = len(places), pc.sum(pc.equal(places, ABSENT[0])).as_py() or 0
    there, hours = listed - absent, None
    problems = [f"{absent} files missing"] if absent not in (0, expected.absent) else []
    lost = _lost(builder, split)
    problems += [f"{len(lost)} further recordings missing, e.g. {lost[0]}"] if lost else []
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
