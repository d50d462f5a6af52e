"""A miniature LibriTTS, and LibriTTS-R in the same tree."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.corpora.sound import noise, riff

RATE = 24_000
TOPS = {"libritts": "LibriTTS", "libritts_r": "LibriTTS_R"}
FAILED = "libritts_r_failed_speech_restoration_examples"

SPEAKERS = """\
; Some pieces of information about the speakers whose recordings are in the corpus
;
;ID  |SEX| SUBSET           |MINUTES| NAME
14   | F | train-clean-360  | 25.03 | Kristin LeMoine
60   | M | train-clean-100  | 20.18 | |CBW|Simon
84   | F | dev-clean        |  8.02 | Christie Nowak
103  | F | train-clean-100  | 25.11 | Karen Savage
"""
SPEAKERS_TSV = """\
READER	GENDER	SUBSET NAME
14	F	train-clean-360	Kristin LeMoine
60	M	train-clean-100	|CBW|Simon
84	F	dev-clean	Christie Nowak
103	F	train-clean-100	Karen Savage
"""


class Sentence(NamedTuple):
    """An utterance: both texts, the SNR where the chapter's table has the utterance, samples at 24 kHz."""

    original: str
    normalized: str
    snr: str | None
    samples: int


UTTERANCES = {
    "dev-clean": {
        "84_121123_000007_000001": Sentence("Maximilian.", "Maximilian.", "17.914165", 24000),
        "84_121123_000008_000000": Sentence(
            "Villefort rose, half ashamed of being surprised in such a paroxysm of grief.",
            "Villefort rose, half ashamed of being surprised in such a paroxysm of grief.", "21.5", 2400),
        "84_121550_000007_000000": Sentence('"I paid 3 pounds, "he said', '"I paid three pounds, "he said', "9", 2403),
    },
    "dev-other": {"116_288045_000003_000000": Sentence("PART I", "PART one", "-3.25", 2406)},
    "test-clean": {"121_121726_000004_000003": Sentence("Mr. Harry", "Mister Harry", "1e1", 2409)},
    "test-other": {"367_130732_000001_000000": Sentence("Lobsters.", "Lobsters.", "12.5", 2412)},
    "train-clean-100": {
        "60_121082_000003_000000": Sentence("It was 1844.", "It was eighteen forty four.", "20.0", 2415),
        "103_1241_000000_000001": Sentence("CHAPTER I.", "CHAPTER one.", "15.25", 2418),
    },
    "train-clean-360": {
        "446_123502_000030_000003": Sentence("\u201cYes.\u201d", "\u201cYes.\u201d", None, 2421),
        "1092_134562_000013_000004": Sentence("No.", "No.", "11.0", 2424),
    },
    "train-other-500": {"20_205_000000_000000": Sentence("A stem, No. 4", "A stem, number four", "8.5", 2427)},
}  # fmt: skip
LEFT_OUT = {"84_121123": "84_121123_000001_000000\tChapter 73\tChapter seventy three\t2.0\n"}  # never cut into audio
BAD = {"train-clean-100": ["./train-clean-100/103/1241/103_1241_000000_000001.wav"], "dev-clean": []}


def samples_of(identifier: str) -> np.ndarray:
    """Return the audio of an utterance at 24 kHz [shape=(samples,), int16]."""
    length = next(found[identifier].samples for found in UTTERANCES.values() if identifier in found)
    return noise(length, seed=sum(map(ord, identifier)))


def write(folder: Path, corpus: str = "libritts", subsets: Iterable[str] = UTTERANCES, *, tables: bool = True) -> Path:
    """Write ``LibriTTS/<subset>/<reader>/<chapter>/...`` below `folder` and return the top folder.

    tables : bool
        Without, only the pairs of ``.original.txt`` and ``.normalized.txt`` are there, as on some mirrors.
    """
    top = folder / TOPS[corpus]
    for subset in subsets:
        for identifier, sentence in UTTERANCES[subset].items():
            reader, chapter, *_ = identifier.split("_")
            place = top / subset / reader / chapter
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{identifier}.wav").write_bytes(riff(samples_of(identifier), RATE))
            (place / f"{identifier}.original.txt").write_text(sentence.original, encoding="utf-8")
            (place / f"{identifier}.normalized.txt").write_text(sentence.normalized, encoding="utf-8")
            if tables:
                _write_tables(place / f"{reader}_{chapter}", identifier, sentence)
    if corpus == "libritts":
        (top / "SPEAKERS.txt").write_text(SPEAKERS, encoding="utf-8")
        (top / "speakers.tsv").write_text(SPEAKERS_TSV, encoding="utf-8")
    return top


def _write_tables(stem: Path, identifier: str, sentence: Sentence) -> None:
    row = f"{identifier}\t{sentence.original}\t{sentence.normalized}"
    book = stem.with_name(f"{stem.name}.book.tsv")
    if not book.exists():
        book.write_text(LEFT_OUT.get(stem.name, ""), encoding="utf-8")
    with stem.with_name(f"{stem.name}.trans.tsv").open("a", encoding="utf-8") as file:
        file.write(f"{row}\n")
    if sentence.snr is not None:
        with book.open("a", encoding="utf-8") as file:
            file.write(f"{row}\t{sentence.snr}\n")


def write_documents(folder: Path) -> Path:
    """Write what LibriTTS-R's ``doc.tar.gz`` holds and return the top folder."""
    top = folder / "LibriTTS_R"
    top.mkdir(parents=True, exist_ok=True)
    (top / "speakers.tsv").write_text(SPEAKERS_TSV, encoding="utf-8")
    return top


def write_failed(folder: Path) -> Path:
    """Write the lists of failed restorations and return their folder."""
    top = folder / FAILED
    top.mkdir(parents=True, exist_ok=True)
    for subset, lines in BAD.items():
        (top / f"{subset}_bad_sample_list.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return top
