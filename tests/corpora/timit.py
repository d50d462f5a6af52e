"""A miniature TIMIT in the layouts that go around."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.corpora.sound import noise, riff, sphere

SPKRINFO = """\
; File: spkrinfo.txt - updated 10/15/90
;
;ID  Sex DR Use  RecDate   BirthDate  Ht    Race Edu  Comments
;--- --- -- ---  --------  --------- -----  ---- ---  -------------------
ABC0  M  6  TRN  03/03/86  06/17/60  5'11"  WHT  BS 
AKS0  F  1  TST  04/01/86  12/05/57  5'04"  WHT  PHD
CJF0  F  1  TRN  04/18/86  08/31/62  5'4"   ???  ?? 
DAB0  M  1  TST  04/21/86  12/15/62  5'11"  WHT  BS 
GRT0  M  7  TST  04/04/86  09/14/??  5'10"  WHT  MS   BIRTH YEAR NOT KNOWN
"""  # noqa: W291  the lines of the document end with blanks


class Sentence(NamedTuple):
    """A sentence of the miniature: where it belongs, its length in samples, its label files."""

    part: str
    region: int
    speaker: str
    name: str
    samples: int
    text: str
    phones: str
    words: str


# The first one is the example of the LDC's documentation; its phones are cut short.
SENTENCES = (
    Sentence("TRAIN", 1, "FCJF0", "SA1", 46797, "She had your dark suit in greasy wash water all year.",
             "0 3050 h#\n3050 4559 sh\n4559 5723 ix\n5723 6642 hv\n46000 46797 h#\n",
             "3050 5723 she\n5723 10337 had\n"),
    Sentence("TRAIN", 1, "FCJF0", "SI1027", 1600, "Even then, if she took one step forward he could catch her.",
             "0 800 h#\n800 1600 iy\n", "0 1600 even\n"),
    Sentence("TRAIN", 6, "MABC0", "SX241", 1601, "The big dog loved to chew on the old rag doll.",
             "0 400 h#\n400 1200 dh\n1200 1601 h#\n", "400 900 the\n800 1601 big\n"),
    Sentence("TEST", 1, "FAKS0", "SA1", 1600, "She had your dark suit in greasy wash water all year.",
             "0 1600 h#\n", "0 1600 she\n"),
    Sentence("TEST", 1, "MDAB0", "SA2", 1600, "Don't ask me to carry an oily rag like that.",
             "0 1600 h#\n", "0 1600 don't\n"),
    Sentence("TEST", 1, "MDAB0", "SX139", 1602, "The bungalow was pleasantly situated near the shore.",
             "0 1602 h#\n", "0 1602 the\n"),
    Sentence("TEST", 7, "MGRT0", "SI1450", 1603, "Straw hats are out of fashion this year.",
             "0 800 q\n800 1603 s\n", "0 1603 straw\n"),
)  # fmt: skip
LAYOUTS = ("ldc", "lower", "kaggle", "hyphen", "nltk")


def samples_of(sentence: Sentence) -> np.ndarray:
    """Return the sentence's audio [shape=(samples,), int16]."""
    return noise(sentence.samples, seed=SENTENCES.index(sentence))


def write(folder: Path, layout: str = "ldc", *, newline: str = "\n") -> Path:
    """Write the miniature below `folder` and return the top folder.

    layout : {"ldc", "lower", "kaggle", "hyphen", "nltk"}
        ``TIMIT/TRAIN/DR1/FCJF0/SA1.WAV`` in SPHERE; the same in lower case; ``data/TRAIN/...`` with a
        RIFF copy ``SA1.WAV.wav`` beside each SPHERE file and the documents one level up;
        ``TEST-DR1-FAKS0/SA1.WAV`` with such copies; ``dr1-fcjf0/sa1.wav`` in RIFF, training speakers only.
    """
    top = {"ldc": "TIMIT", "lower": "timit", "kaggle": "archive", "hyphen": "timit_nist", "nltk": "timit"}[layout]
    for sentence in SENTENCES:
        if layout == "nltk" and sentence.part == "TEST":
            continue
        stem = folder / top / _stem(sentence, layout)
        stem.parent.mkdir(parents=True, exist_ok=True)
        _write_labels(stem, sentence, lower=layout in ("lower", "nltk"), newline=newline)
        _write_audio(stem, sentence, layout)
    document = {"ldc": "DOC/SPKRINFO.TXT", "lower": "doc/spkrinfo.txt", "kaggle": "SPKRINFO.TXT",
                "hyphen": "SPKRINFO.TXT", "nltk": "spkrinfo.txt"}[layout]  # fmt: skip
    path = folder / top / document
    path.parent.mkdir(exist_ok=True)
    path.write_text(SPKRINFO, encoding="ascii", newline=newline)
    return folder / top


def _stem(sentence: Sentence, layout: str) -> str:
    part, speaker = sentence.part, sentence.speaker
    stem = {
        "ldc": f"{part}/DR{sentence.region}/{speaker}/{sentence.name}",
        "kaggle": f"data/{part}/DR{sentence.region}/{speaker}/{sentence.name}",
        "hyphen": f"{part}-DR{sentence.region}-{speaker}/{sentence.name}",
        "lower": f"{part}/dr{sentence.region}/{speaker}/{sentence.name}".lower(),
        "nltk": f"dr{sentence.region}-{speaker}/{sentence.name}".lower(),
    }
    return stem[layout]


def _write_labels(stem: Path, sentence: Sentence, *, lower: bool, newline: str) -> None:
    text = f"0 {sentence.samples} {sentence.text}\n"
    for kind, content in (("PHN", sentence.phones), ("WRD", sentence.words), ("TXT", text)):
        path = stem.with_name(f"{stem.name}.{kind.lower() if lower else kind}")
        path.write_text(content, encoding="ascii", newline=newline)


def _write_audio(stem: Path, sentence: Sentence, layout: str) -> None:
    pcm = samples_of(sentence)
    nist = sphere(pcm, f"{sentence.speaker[1:]}_{sentence.name}".lower())
    suffix = "wav" if layout in ("lower", "nltk") else "WAV"
    stem.with_name(f"{stem.name}.{suffix}").write_bytes(riff(pcm) if layout == "nltk" else nist)
    if layout in ("kaggle", "hyphen"):
        stem.with_name(f"{stem.name}.WAV.wav").write_bytes(riff(pcm))
