"""A miniature LibriSpeech, and its forced alignments in the forms that go around."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tests.corpora.sound import flac, noise

SPEAKERS = """\
; Some pieces of information about the speakers whose recordings are in the corpus
;
;ID  |SEX| SUBSET           |MINUTES| NAME
14   | F | train-clean-360  | 25.03 | Kristin LeMoine
60   | M | train-clean-100  | 20.18 | |CBW|Simon
84   | F | dev-clean        |  8.02 | Christie Nowak
116  | M | dev-other        |  8.11 | A Reader
121  | F | test-clean       |  8.05 | Nikolle Doolin
"""

# subset -> utterance id -> (text, samples)
UTTERANCES = {
    "dev-clean": {
        "84-121123-0000": ("GO DO YOU HEAR", 33440),
        "84-121123-0001": ("BUT IN LESS THAN FIVE MINUTES", 1600),
    },
    "test-clean": {"121-121726-0000": ("ALSO A POPULAR CONTRIVANCE", 1601)},
    "train-clean-100": {"60-121082-0003": ("IT WAS THE FELLOW'S LAST", 1602)},
    "train-clean-360": {"14-208-0000": ("CHAPTER ONE", 1603)},
    "dev-other": {"116-288045-0000": ("PART ONE", 1604)},
    "test-other": {"367-130732-0000": ("LOBSTERS AND LOBSTERS", 1605)},
    "train-other-500": {"20-205-0000": ("A STEM", 1606)},
    "train-clean-5": {"32-4137-0000": ("MINI", 1607)},
    "dev-clean-2": {"1272-128104-0000": ("MISTER QUILTER", 1608)},
}
OFFICIAL = tuple(subset for subset in UTTERANCES if subset not in ("train-clean-5", "dev-clean-2"))

# What the aligner found in 84-121123-0000, as the condensed archive has it: labels and their ends.
CONDENSED = '84-121123-0000 ",GO,,DO,YOU,HEAR," "0.490,0.890,1.270,1.380,1.490,1.890,2.09"'
WORDS = ((0.0, 0.49, ""), (0.49, 0.89, "go"), (0.89, 1.27, ""), (1.27, 1.38, "do"), (1.38, 1.49, "you"),
         (1.49, 1.89, "hear"), (1.89, 2.09, ""))  # fmt: skip
PHONES = ((0.0, 0.49, "sil"), (0.49, 0.6, "G"), (0.6, 0.89, "OW1"), (0.89, 1.27, "sp"), (1.27, 1.32, "D"),
          (1.32, 1.38, "UW1"), (1.38, 1.42, "Y"), (1.42, 1.49, "UW1"), (1.49, 1.6, "HH"), (1.6, 1.75, "IY1"),
          (1.75, 1.89, "R"), (1.89, 2.09, "sil"))  # fmt: skip

Interval = tuple[float, float, str]


def samples_of(identifier: str) -> np.ndarray:
    """Return the audio of an utterance [shape=(samples,), int16]."""
    length = next(found[identifier][1] for found in UTTERANCES.values() if identifier in found)
    return noise(length, seed=sum(map(ord, identifier)))


def write(folder: Path, subsets: Iterable[str] = OFFICIAL) -> Path:
    """Write ``LibriSpeech/<subset>/<reader>/<chapter>/...`` below `folder` and return the top folder."""
    top = folder / "LibriSpeech"
    for subset in subsets:
        for identifier, (text, _) in UTTERANCES[subset].items():
            chapter = _chapter(top, subset, identifier)
            (chapter / f"{identifier}.flac").write_bytes(flac(samples_of(identifier)))
            with (chapter / f"{identifier.rsplit('-', 1)[0]}.trans.txt").open("a", encoding="utf-8") as file:
                file.write(f"{identifier} {text}\n")
    (top / "SPEAKERS.TXT").write_text(SPEAKERS, encoding="utf-8")
    return top


def write_alignments(folder: Path, form: str = "long", *, leading: str = "") -> Path:
    """Write the alignment of ``84-121123-0000`` below `folder`; the other utterances have none.

    form : {"long", "short", "condensed"}
        TextGrids in Praat's long or short text format, or the condensed ``.alignment.txt``.
    leading : str
        The folder above the subsets: ``LibriSpeech`` in some archives, none in others.
    """
    chapter = _chapter(folder / leading, "dev-clean", "84-121123-0000")
    if form == "condensed":
        (chapter / "84-121123.alignment.txt").write_text(CONDENSED + "\n", encoding="utf-8")
    else:
        text = {"long": long_textgrid, "short": short_textgrid}[form]({"words": WORDS, "phones": PHONES}, 2.09)
        (chapter / "84-121123-0000.TextGrid").write_text(text, encoding="utf-8")
    return folder


def long_textgrid(tiers: dict[str, tuple[Interval, ...]], end: float) -> str:
    """Return a TextGrid in the long text format, as the Montreal Forced Aligner writes it."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0.0", f"xmax = {end}",
             "tiers? <exists>", f"size = {len(tiers)}", "item []:"]  # fmt: skip
    for number, (name, intervals) in enumerate(tiers.items(), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"',
                  "        xmin = 0.0", f"        xmax = {end}",
                  f"        intervals: size = {len(intervals)}"]  # fmt: skip
        for index, (first, last, label) in enumerate(intervals, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {first}", f"            xmax = {last}",
                      f'            text = "{label}"']  # fmt: skip
    return "\n".join(lines) + "\n"


def short_textgrid(tiers: dict[str, tuple[Interval, ...]], end: float) -> str:
    """Return a TextGrid in the short text format."""
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", str(end), "<exists>", str(len(tiers))]
    for name, intervals in tiers.items():
        lines += ['"IntervalTier"', f'"{name}"', "0", str(end), str(len(intervals))]
        lines += [str(value) for first, last, label in intervals for value in (first, last, f'"{label}"')]
    return "\n".join(lines) + "\n"


def _chapter(top: Path, subset: str, identifier: str) -> Path:
    reader, chapter, _ = identifier.split("-")
    folder = top / subset / reader / chapter
    folder.mkdir(parents=True, exist_ok=True)
    return folder
