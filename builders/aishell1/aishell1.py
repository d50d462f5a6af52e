"""AISHELL-1: 400 speakers reading Mandarin sentences.

Source: Bu et al. (2017), https://www.openslr.org/33. The audio lies in one tar.gz per speaker inside the archive; it is
read from there, from a copy whose inner archives are still packed, and from one that is unpacked wholly.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

logger = logging.getLogger(__name__)

PARTS = {"train": "train", "validation": "dev", "test": "test"}
# Numbers of the speakers: those of dev and test come behind those of train, without a gap between the parts.
FIRST = {"test": 764, "dev": 724, "train": 0}
GENDERS = {"F": "female", "M": "male"}
# The few Latin letters are full width, A at FF21, a at FF41; recipes write them as ASCII capitals.
LATIN = {first + letter: 0x41 + letter for first in (0xFF21, 0xFF41) for letter in range(26)}


class Aishell1(CorpusBuilder):
    """AISHELL-1."""

    FACTS = Facts(
        title="AISHELL-1: An Open-Source Mandarin Speech Corpus",
        homepage="https://www.openslr.org/33",
        licence="Apache 2.0",
        access="AISHELL-1 is open: fetch data_aishell.tgz and resource_aishell.tgz from https://www.openslr.org/33 "
        "and pass data_dir=<their folder>",
        citation="Bu, H., Du, J., Na, X., Wu, B., Zheng, H. (2017). AISHELL-1: An open-source Mandarin speech corpus "
        "and a speech recognition baseline. O-COCOSDA.",
        language="zh",
        channel="0",
        root=r"^(?:.*/)?(?=(?:train|dev|test)/S\d{4}/)",
        download="https://www.openslr.org/resources/33/",
        archives=(
            Archive("data_aishell.tgz", None, "2f494334227864a8a8fec932999db9d8"),
            Archive("resource_aishell.tgz", None, "957d480a0fcac85fc18e550756f624e5"),
        ),
        archive_patterns=("data_aishell.tar*", "resource_aishell.tar*", "wav/S[0-9]*.tar.gz"),
        labels=("gender",),
        own_labels={"text_words": Value("string")},  # the transcript as it stands, words between spaces
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="default", description="The official splits; audio without transcript is left out.",
                     splits={"train": Expected(120_098, 150), "validation": Expected(14_326, 10),
                             "test": Expected(7_176, 5)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances of a split that have a transcript; 325 recordings were published without one."""
        part = PARTS[split]
        part_of = functools.lru_cache(lambda speaker: next(find_parts(files, speaker), published_part(speaker)))
        here = next(files.names(f"{part}/*.wav"), None) is not None
        genders = read_genders(files)
        there = 0
        for name, words in read_transcript(files):
            speaker = name[6:11]
            member = f"{part}/{speaker}/{name}.wav"
            there += member in files
            # A recording that is not there belongs to the split that has the speaker's others, or would have them,
            # and is quarantined; a split of which nothing is there is left out.
            if member in files or (here and part_of(speaker) == part):
                labels = {"gender": genders.get(speaker), "text_words": words}
                yield Utterance(name, member, normal(words), speaker, labels=labels)
        without = sum(1 for _ in files.names(f"{part}/S*.wav")) - there
        if without:
            logger.warning("%s: %d recordings have no transcript: left out", split, without)


def find_parts(files: Files, speaker: str) -> Iterator[str]:
    """Yield the parts, ``train``, ``dev`` or ``test``, that hold audio of a speaker: one, if any."""
    return (part for part in PARTS.values() if next(files.names(f"{part}/{speaker}/*"), None))


def published_part(speaker: str) -> str:
    """Return the part that a speaker, ``S0002``, belongs to by number."""
    number = int(speaker[1:]) if speaker[1:].isdigit() else 0
    return next(part for part, first in FIRST.items() if number >= first)


def read_transcript(files: Files) -> Iterator[tuple[str, str]]:
    """Yield id and words of each line of the transcript, which holds all splits.

    BAC009S0002W0122 而 对 楼市 成交 抑制 作用 最 大 的 限 购
    BAC009S0002W0123 也 成为 地方 政府 的 眼中 钉
    """
    found = next(files.match(r"(?:.*/)?aishell_transcript_v0\.8\.txt"), None)
    for line in files.lines(found[0]) if found else ():
        name, *words = line.split()
        yield name, " ".join(words)


def normal(words: str) -> str:
    """Return the transcript in characters: no spaces, Latin letters as ASCII capitals."""
    return re.sub(r"\s", "", words).translate(LATIN).upper()


def read_genders(files: Files) -> dict[str, str]:
    """Read speaker.info where it is there: speaker to gender; the number has an S before it or not.

    0002 F
    S0003 M
    """
    found = next(files.match(r"(?:.*/)?speaker\.info"), None)
    rows = (line.split() for line in files.lines(found[0])) if found else ()
    return {f"S{row[0].removeprefix('S')}": GENDERS[row[1]] for row in rows if len(row) > 1 and row[1] in GENDERS}
