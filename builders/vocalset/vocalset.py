"""VocalSet: 20 singers sing scales, arpeggios, long tones and songs in 17 techniques.

Source: Wilkins et al. (2018), https://zenodo.org/records/1442513. Version 1.2 holds the files three
times over, by singer, technique and vowel; the first is read. In 1.0 and 1.1 it is named ``FULL``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

logger = logging.getLogger(__name__)

# male1/arpeggios/straight/m1_arpeggios_straight_a.wav; the singer is the folder's, since names can lack it
PATH = (
    r"(?P<id>(?P<singer>(?P<gender>female|male)\d+)/(?P<context>[^/]+)/(?P<technique>[^/]+)/(?P<stem>[^/]+))"
    r"\.(?:wav|WAV|flac)"
)
# One copy by its name, and versions without a singer's name beside those with it
SURPLUS = re.compile(r".*/vibrato/(?:f2_scales_vibrato_a\(1\)|(?:caro|dona|row)_vibrato|slow_vibrato_arps)")

TEST = frozenset("female2 female8 male3 male5 male10".split())
TRAIN = frozenset(
    "female1 female3 female4 female5 female6 female7 female9 male1 male2 male4 male6 male7 male8 male9 male11".split()
)
SINGERS = {"train": TRAIN, "test": TEST}
TECHNIQUES = frozenset(
    "belt breathy fast_forte fast_piano forte inhaled lip_trill messa pp slow_forte slow_piano spoken straight "
    "trill trillo vibrato vocal_fry".split()
)
TEN = frozenset("belt breathy inhaled lip_trill spoken straight trill trillo vibrato vocal_fry".split())
SONGS = ("row", "caro", "dona")


class VocalSet(CorpusBuilder):
    """VocalSet, split by singer as for the recognition of techniques."""

    FACTS = Facts(
        title="VocalSet: A Singing Voice Dataset",
        homepage="https://zenodo.org/records/1442513",
        licence="CC BY 4.0",
        access="VocalSet is open: without data_dir VocalSet1-2.zip is fetched from https://zenodo.org/records/1442513",
        citation="Wilkins, J., Seetharaman, P., Wahl, A., Pardo, B. (2018). VocalSet: A Singing Voice Dataset. ISMIR.",
        channel="0",  # all but a few files are mono
        root=r"^(?:(?:.*?/)??(?:FULL|data_by_singer)/)?(?=(?:fe)?male\d+/)"
        r"|^(?:.*/)?(?=(?:train|test)_singers_technique\.txt$)",
        archives=(
            Archive("VocalSet1-2.zip", url="https://zenodo.org/records/1442513/files/VocalSet1-2.zip"),
            Archive("VocalSet11.zip"),
            Archive("VocalSet.zip"),
        ),
        archive_patterns=("*vocalset*",),
        labels=("gender", "category"),
        own_labels={
            "technique": Value("string"),  # 17 of them
            "context": Value("string"),  # arpeggios, scales, long_tones, excerpts
            "vowel": Value("string"),  # a, e, i, o, u
            "key": Value("string"),  # c, f
            "song": Value("string"),  # row, caro, dona: of excerpts
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="default", description="All 17 techniques.", fetched=["VocalSet1-2.zip"],
                     splits={"train": Expected(), "test": Expected()}),
        CorpusConfig(name="technique10", description="The ten techniques of the usual task.",
                     fetched=["VocalSet1-2.zip"],
                     splits={"train": Expected(), "test": Expected()}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the recordings of the split's singers."""
        techniques = TEN if self.config.name == "technique10" else TECHNIQUES
        singers = read_singers(files, split)
        for path in files.match(PATH):
            if path["singer"] not in singers or path["technique"] not in techniques:
                continue
            if SURPLUS.fullmatch(path["id"]):
                logger.warning("vocalset: %s left out: another copy of what is there under its full name", path[0])
                continue
            yield recording(path)


def recording(path: re.Match[str]) -> Utterance:
    """Make an utterance of a path: what follows context and technique in the name is key and vowel, in any order."""
    parts = path["stem"].lower().split("_")
    excerpt = path["context"].lower().startswith("excerpt")
    labels = {
        "gender": path["gender"],
        "category": "singing",
        "technique": path["technique"],
        "context": path["context"],
        "vowel": None if excerpt else next((part for part in reversed(parts) if part in tuple("aeiou")), None),
        "key": None if excerpt else next((part for part in parts if part in ("c", "f")), None),
        "song": next((part for part in parts if part in SONGS), None) if excerpt else None,
    }
    return Utterance(path["id"], path[0], None, path["singer"], labels=labels)


def read_singers(files: Files, split: str) -> frozenset[str]:
    """Read train_singers_technique.txt or test_singers_technique.txt; copies without them have the same singers.

    female1
    female3
    """
    name = f"{split}_singers_technique.txt"
    return frozenset(line.strip() for line in files.lines(name)) if name in files else SINGERS[split]
