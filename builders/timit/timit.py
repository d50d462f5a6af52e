"""TIMIT: 630 speakers of eight American dialects, ten sentences each, with phones and words aligned by hand.

Source: Garofolo et al., LDC93S1 (https://catalog.ldc.upenn.edu/LDC93S1). Three layouts go around:
the LDC disc and its lower-case copies (``TRAIN/DR1/FCJF0/SA1.WAV``), copies with a RIFF file beside the
SPHERE file (``SA1.WAV.wav``), and the NLTK sample (``dr1-fvmh0/sa1.wav``), which is all training data.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from datasets import Value

from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.schema import Segment

RATE = 16_000  # the label files count samples, whatever the audio's container says

# TRAIN/DR1/FCJF0/SA1.WAV | TEST-DR1-FAKS0/SA1.WAV.wav | dr1-fvmh0/sa1.wav; the layout may lie deeper.
PATH = (
    r"(?i)(?P<stem>(?:(?:.*/)?(?P<part>train|test)[/-]|(?:.*/)?)dr(?P<region>[1-8])[/-]"
    r"(?P<speaker>[fm][a-z]{3}\d)/(?P<sentence>(?P<type>sa|si|sx)\d+))\.(?P<kind>wav\.wav|wav|phn|wrd|txt)"
)

DIALECTS = (
    "New England", "Northern", "North Midland", "South Midland", "Southern", "New York City", "Western", "Army Brat",
)  # fmt: skip

CORE_TEST = frozenset(
    "MDAB0 MWBT0 FELC0 MTAS1 MWEW0 FPAS0 MJMP0 MLNT0 FPKT0 MLLL0 MTLS0 FJLM0 "
    "MBPM0 MKLT0 FNLP0 MCMJ0 MJDH0 FMGD0 MGRT0 MNJM0 FDHC0 MJLN0 MPAM0 FMLD0".split()
)


class Timit(CorpusBuilder):
    """TIMIT, from any of its layouts."""

    FACTS = Facts(
        title="TIMIT Acoustic-Phonetic Continuous Speech Corpus",
        homepage="https://catalog.ldc.upenn.edu/LDC93S1",
        licence="LDC User Agreement (the NLTK sample: CC BY-NC-SA)",
        private_only="the LDC User Agreement allows no redistribution",
        access="TIMIT is licensed by the LDC (LDC93S1): get it there and pass data_dir=<folder or archive>",
        citation="Garofolo, J. S., et al. (1993). TIMIT Acoustic-Phonetic Continuous Speech Corpus LDC93S1. "
        "Linguistic Data Consortium.",
        language="en",
        phone_set="timit61",
        root=r"(?i)^(?:.*?/)??(?=(?:train|test)[/-]dr[1-8][/-]|dr[1-8]-[fm])",
        archive_patterns=("*timit*", "*ldc93s1*"),
        labels=("gender", "age", "dialect"),
        own_labels={
            "dialect_region": Value("int32"),
            "sentence_type": Value("string"),  # SA (read by all), SI (diverse), SX (compact)
            "race": Value("string"),
            "education": Value("string"),
            "height": Value("string"),
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="default", description="The official splits.",
                     splits={"train": Expected(4620, 3.94), "test": Expected(1680, 1.44)}),
        CorpusConfig(name="core", description="The official training set and the core test set of 24 speakers, no SA.",
                     splits={"train": Expected(4620, 3.94), "test": Expected(192, 0.16)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the sentences of a split; a sentence's files lie side by side, in any letter case."""
        speakers = read_speakers(files)
        for _, group in itertools.groupby(files.match(PATH, fold_case=True), key=lambda found: found["stem"].lower()):
            kinds = {found["kind"].lower(): found for found in group}
            first = next(iter(kinds.values()))
            if (first["part"] or "train").lower() == split and self._wanted(first, split):
                yield sentence(files, kinds, speakers)

    def _wanted(self, path: re.Match[str], split: str) -> bool:
        if self.config.name != "core" or split == "train":
            return True
        return path["speaker"].upper() in CORE_TEST and path["type"].upper() != "SA"


def sentence(files: Files, kinds: dict[str, re.Match[str]], speakers: dict[str, dict[str, str]]) -> Utterance:
    """Make an utterance of one sentence's files, by kind."""
    # SPHERE and RIFF hold the same samples; X.WAV.wav is the copy that more tools read.
    path = kinds.get("wav.wav") or kinds.get("wav") or next(iter(kinds.values()))
    audio = path[0] if "wav" in path["kind"].lower() else f"{path['stem']}.WAV"  # absent: quarantined
    speaker = path["speaker"].upper()
    region = int(path["region"])
    segments = [
        segment
        for kind, tier in (("phn", "phones"), ("wrd", "words"))
        if kind in kinds
        for segment in read_tier(files, kinds[kind][0], tier)
    ]
    labels = {
        "gender": {"F": "female", "M": "male"}[speaker[0]],
        "dialect": DIALECTS[region - 1],
        "dialect_region": region,
        "sentence_type": path["type"].upper(),
        **speakers.get(speaker, {}),
    }
    text = read_text(files, kinds["txt"][0]) if "txt" in kinds else None
    return Utterance(f"{speaker}_{path['sentence'].upper()}", audio, text, speaker, segments=segments, labels=labels)


def read_tier(files: Files, name: str, tier: str) -> Iterator[Segment]:
    """Read a .PHN or .WRD file: ``<begin> <end> <label>`` in samples, end exclusive.

    0 3050 h#
    3050 4559 sh
    """
    for line in files.lines(name):
        begin, end, label = line.split(maxsplit=2)
        yield Segment(tier, int(begin) / RATE, int(end) / RATE, label.strip())


def read_text(files: Files, name: str) -> str:
    """Read a .TXT file: ``0 46797 She had your dark suit in greasy wash water all year``."""
    return files.read_text(name).split(maxsplit=2)[2].strip()


def read_speakers(files: Files) -> dict[str, dict[str, str]]:
    """Read SPKRINFO.TXT where the copy has it: speaker to age, height, race, education.

    ;ID  Sex DR Use  RecDate   BirthDate  Ht    Race Edu  Comments
    ABC0  M  6  TRN  03/03/86  06/17/60  5'11"  WHT  BS
    """
    found = next(files.match(r"(?i)(?:.*/)?spkrinfo\.txt"), None)
    speakers = {}
    for line in files.lines(found[0]) if found else ():
        fields = line.split()
        if line.startswith(";") or len(fields) < 7:
            continue
        age = years(fields[5], fields[4])
        labels = {"age": age, "height": fields[6], **dict(zip(("race", "education"), fields[7:9], strict=False))}
        speakers[f"{fields[1]}{fields[0]}".upper()] = {k: v for k, v in labels.items() if v and v.strip("?")}
    return speakers


def years(birth: str, recorded: str) -> str | None:
    """Return the whole years between two dates ``month/day/year``; None where one is not known."""
    dates = [re.fullmatch(r"(\d\d)/(\d\d)/(\d\d)", date) for date in (birth, recorded)]
    if not all(dates):
        return None
    (born, then) = ((int(d[3]), int(d[1]), int(d[2])) for d in dates if d)
    return str(then[0] - born[0] - (then[1:] < born[1:]))
