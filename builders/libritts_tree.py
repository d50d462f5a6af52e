"""The files of LibriTTS and LibriTTS-R: one tree, one set of tables."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from datasets import Value

from builders.corpus import CorpusBuilder, CorpusConfig, Expected
from builders.files import Files
from builders.librispeech import librispeech
from builders.listing import Utterance

PUBLISHED = {
    "dev-clean": Expected(5736, 8.97), "dev-other": Expected(4613, 6.43), "test-clean": Expected(4837, 8.56),
    "test-other": Expected(5120, 6.69), "train-clean-100": Expected(33236, 53.78),
    "train-clean-360": Expected(116500, 191.29), "train-other-500": Expected(205044, 310.08),
}  # fmt: skip
# Configurations and splits are LibriSpeech's, but for the mini ones.
SPLITS = {name: splits for name, splits in librispeech.SPLITS.items() if set(splits.values()) <= set(PUBLISHED)}
LABELS = ("gender", "chapter", "subset")
OWN_LABELS = {
    "text_original": Value("string"),  # as the book has it: numbers and abbreviations not expanded
    "snr": Value("float64"),  # dB, as the corpus estimated it
}
FILE = (
    r"(?P<folder>{subset}/(?P<reader>\d+)/(?P<chapter>\d+))/(?P<stem>(?P=reader)_(?P=chapter)[\d_]*)"
    r"\.(?P<kind>wav|trans\.tsv|book\.tsv|normalized\.txt|original\.txt)"
)


@dataclass
class Chapter:
    """What lies in a chapter's folder, by utterance id.

    folder, reader, chapter : str
    audio, pairs : set of str
        Which utterances have a ``.wav``; which a ``.normalized.txt`` or ``.original.txt``.
    texts : dict of str to (original, normalised)
    snr : dict of str to float
    """

    folder: str
    reader: str
    chapter: str
    audio: set[str] = field(default_factory=set)
    pairs: set[str] = field(default_factory=set)
    texts: dict[str, tuple[str, str]] = field(default_factory=dict)
    snr: dict[str, float] = field(default_factory=dict)


class LibriTTSBuilder(CorpusBuilder):
    """Base class of the two corpora."""

    DEFAULT_CONFIG_NAME = "all"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield a subset's utterances: those of the chapters' tables, and those that lie there without a table."""
        subset = SPLITS[self.config.name][split]
        genders = read_genders(files)
        for chapter in chapters(files, subset):
            for name in sorted(chapter.audio | chapter.texts.keys() | chapter.pairs):
                original, text = chapter.texts.get(name) or read_pair(files, f"{chapter.folder}/{name}")
                labels = {
                    "gender": genders.get(chapter.reader),
                    "chapter": chapter.chapter,
                    "subset": subset,
                    "text_original": original,
                    "snr": chapter.snr.get(name),
                }
                yield Utterance(name, f"{chapter.folder}/{name}.wav", text, chapter.reader, labels=labels)


def root(own: str, other: str) -> str:
    """Return `Facts.root` of the corpus whose top folder is `own`; names below `other` are not cut, so not read."""
    return rf"^(?!(?:.*/)?{other}/)(?:.*/)?(?=(?:dev|test|train)-(?:clean|other)(?:-\d+)?/\d+/)|^(?:.*/)?{own}/"


def configurations(archives: dict[str, Iterable[str]], more: Iterable[str] = ()) -> list[CorpusConfig]:
    """Return the configurations, given the patterns of each subset's archive and of those that all need."""
    return [
        CorpusConfig(
            name=name,
            splits={split: PUBLISHED[subset] for split, subset in splits.items()},
            archives=[*(pattern for subset in splits.values() for pattern in archives[subset]), *more],
        )
        for name, splits in SPLITS.items()
    ]


def chapters(files: Files, subset: str) -> Iterator[Chapter]:
    """Yield the chapters of a subset with their tables read."""
    found = files.match(FILE.format(subset=re.escape(subset)))
    for folder, members in itertools.groupby(found, key=lambda path: path["folder"]):
        chapter = Chapter(folder, *folder.split("/")[1:])
        for path in members:
            if path["kind"] == "wav":
                chapter.audio.add(path["stem"])
            elif path["kind"] == "trans.tsv":
                chapter.texts = read_texts(files, path[0])
            elif path["kind"] == "book.tsv":
                chapter.snr = read_snr(files, path[0])
            else:
                chapter.pairs.add(path["stem"])
        yield chapter


def read_texts(files: Files, name: str) -> dict[str, tuple[str, str]]:
    """Read a .trans.tsv: id, original, normalised; quotes are text, not quoting.

    84_121123_000007_000001	Maximilian.	Maximilian.
    """
    rows = (line.split("\t") for line in files.lines(name))
    return {row[0]: (row[1], row[2]) for row in rows if len(row) > 2}


def read_snr(files: Files, name: str) -> dict[str, float]:
    """Read a .book.tsv: id first, SNR last; it holds every sentence of the chapter, but not quite all that were kept.

    84_121123_000007_000001	Maximilian.	Maximilian.	17.91
    """
    rows = (line.split("\t") for line in files.lines(name))
    return {row[0]: float(row[-1]) for row in rows if re.fullmatch(r"-?[\d.]+(?:e[-+]?\d+)?", row[-1])}


def read_pair(files: Files, stem: str) -> tuple[str | None, str | None]:
    """Read the .original.txt and .normalized.txt of an utterance, one line each; None where there is none."""
    names = (f"{stem}.{kind}.txt" for kind in ("original", "normalized"))
    original, text = (files.read_text(name).strip() or None if name in files else None for name in names)
    return original, text


def read_genders(files: Files) -> dict[str, str]:
    """Read SPEAKERS.txt or speakers.tsv, whichever is there: reader to gender.

    14   | F | train-clean-360  | 25.03 | Kristin LeMoine
    60   | M | train-clean-100  | 20.18 | |CBW|Simon
    11	F	dev-clean	Kristin LeMoine
    """
    words = {"F": "female", "M": "male"}
    genders: dict[str, str] = {}
    for name in (*files.names("*SPEAKERS.txt"), *files.names("*speakers.tsv")):
        # Tab rows have a cell more than their header: columns by position.
        rows = (line.split("\t" if name.endswith(".tsv") else "|", 2) for line in files.lines(name))
        for row in rows:
            if len(row) == 3 and row[1].strip() in words:
                genders.setdefault(row[0].strip(), words[row[1].strip()])
    return genders
