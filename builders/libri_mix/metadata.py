"""What is known of the mixtures of LibriMix: the metadata of its repository, and the texts of LibriSpeech."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import lru_cache

from builders.files import Files
from builders.librispeech.librispeech import read_transcript

CHAPTERS = 4_096  # transcripts that are kept at a time


class Recipe:
    """What the metadata of the LibriMix repository says of a subset's mixtures and sources."""

    def __init__(self, files: Files, speakers: int, subset: str) -> None:
        clean = clean_name(subset)
        self.rows = read_rows(files, rf"libri{speakers}mix_{clean}\.csv")
        self._sexes = read_rows(files, rf"libri{speakers}mix_{clean}_info\.csv")
        sources = list(read_sources(files, clean))
        self.lengths = {source: length for source, _, length in sources}
        self._readers = {source.split("-")[0]: sex for source, sex, _ in sources}

    def gender(self, mixture: str, number: int, source: str) -> str | None:
        """Return the gender of a mixture's source, by number from 1."""
        sex = self._sexes.get(mixture, {}).get(f"speaker_{number}_sex") or self._readers.get(source.split("-")[0])
        return {"F": "female", "M": "male"}.get(sex or "")


class Transcripts:
    """Texts of LibriSpeech by utterance; chapters are read when they are asked for."""

    def __init__(self, files: Files | None, subset: str) -> None:
        self._files, self._subset = files, subset
        self._chapter = lru_cache(CHAPTERS)(self._read)

    def get(self, utterance: str) -> str | None:
        """Return the text of an utterance, None where it is not there."""
        return self._chapter(utterance.rsplit("-", 1)[0]).get(utterance)

    def _read(self, stem: str) -> dict[str, str]:
        name = f"{self._subset}/{stem.replace('-', '/')}/{stem}.trans.txt"
        return read_transcript(self._files, name) if self._files is not None and name in self._files else {}


def read_rows(files: Files, pattern: str) -> dict[str, dict[str, str]]:
    """Read a table of mixtures, wherever it lies; there are 50,800 mixtures at most.

    mixture_ID,speaker_1_ID,speaker_1_sex,speaker_2_ID,speaker_2_sex
    3536-8226-0026_1673-143397-0009,3536.0,F,1673.0,F
    """
    found = next(files.match(pattern), None)
    return {row["mixture_ID"]: row for row in csv.DictReader(files.lines(found[0]))} if found else {}


def read_sources(files: Files, subset: str) -> Iterator[tuple[str, str, int]]:
    """Yield utterance, sex of its reader and samples at 16 kHz from ``metadata/LibriSpeech/<subset>.csv``.

    speaker_ID,sex,subset,length,origin_path
    6295,M,dev-clean,48080,dev-clean/6295/64301/6295-64301-0009.flac
    """
    found = next(files.match(rf"{subset}\.csv"), None)
    for row in csv.DictReader(files.lines(found[0])) if found else ():
        yield row["origin_path"].rsplit("/", 1)[-1].removesuffix(".flac"), row["sex"], int(row["length"])


def clean_name(subset: str) -> str:
    """Return LibriSpeech's name of a subset: ``dev-clean`` of ``dev``."""
    return subset.replace("train", "train-clean") if subset.startswith("train") else f"{subset}-clean"
