"""ESC-50: 2,000 environmental sounds of five seconds, in fifty classes and five folds.

Source: Piczak (2015), https://github.com/karolpiczak/ESC-50. The name of a clip is
``{fold}-{Freesound clip}-{take}-{target}.wav``: a folder of clips without the table says nearly as much.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from typing import Any

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

CLIP = r"(?P<fold>\d+)-(?P<source>[^/-]+)-(?P<take>[A-Z]+)-(?P<target>\d+)"
FILE = rf"(?:audio/)?(?P<stem>{CLIP})\.(?:wav|ogg|flac)"
TABLE = r"(?:meta/)?esc50\.csv"
CATEGORIES = (
    # animals, nature, human, interior, exterior: ten of each
    "dog rooster pig cow frog cat hen insects sheep crow "
    "rain sea_waves crackling_fire crickets chirping_birds water_drops wind pouring_water toilet_flush thunderstorm "
    "crying_baby sneezing clapping breathing coughing footsteps laughing brushing_teeth snoring drinking_sipping "
    "door_wood_knock mouse_click keyboard_typing door_wood_creaks can_opening washing_machine vacuum_cleaner "
    "clock_alarm clock_tick glass_breaking "
    "helicopter chainsaw siren car_horn engine train church_bells airplane fireworks hand_saw"
).split()
MAJOR = ("animals", "nature", "human", "interior", "exterior")
ESC10 = frozenset(
    "dog rooster rain sea_waves crackling_fire crying_baby sneezing clock_tick helicopter chainsaw".split()
)
SECONDS = 5


class ESC50(CorpusBuilder):
    """ESC-50 and its subset ESC-10."""

    FACTS = Facts(
        title="ESC-50: Dataset for Environmental Sound Classification",
        homepage="https://github.com/karolpiczak/ESC-50",
        licence="CC BY-NC 3.0 (the clips of ESC-10: CC BY 3.0)",
        access="ESC-50 downloads itself (600 MB); or fetch https://github.com/karolpiczak/ESC-50/archive/master.zip "
        "and pass data_dir=<the zip, its folder, or what it holds>",
        citation="Piczak, K. J. (2015). ESC: Dataset for Environmental Sound Classification. ACM Multimedia.",
        root=rf"^(?:.*/)?(?=audio/[^/]+$)|^(?:.*?/)??(?={TABLE}$)",
        # Made anew by GitHub from time to time, with another checksum.
        archives=(Archive("ESC-50-master.zip", url="https://github.com/karolpiczak/ESC-50/archive/master.zip"),),
        archive_patterns=("*esc-50*", "*esc50*"),
        labels=("category", "fold"),
        own_labels={
            "target": Value("int32"),  # 0 to 49, the class' number
            "major_category": Value("string"),
            "esc10": Value("bool"),
            "src_file": Value("string"),  # the Freesound clip that it was cut from
            "take": Value("string"),
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="esc50", description="All fifty classes.",
                     splits={"train": Expected(2000, 2000 * SECONDS / 3600)}),
        CorpusConfig(name="esc10", description="The ten classes of ESC-10.",
                     splits={"train": Expected(400, 400 * SECONDS / 3600)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "esc50"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips of the table, then those that only lie there."""
        there = {path["stem"]: path for path in files.match(FILE)}
        table = read_table(files)
        for stem in dict.fromkeys((*table, *there)):
            labels = {**(named(there[stem]) if stem in there else {}), **table.get(stem, {})}
            if self.config.name == "esc50" or labels["esc10"]:
                # A clip of the table that is not there is quarantined.
                yield Utterance(stem, there[stem][0] if stem in there else f"audio/{stem}.wav", labels=labels)


def named(clip: re.Match[str]) -> dict[str, Any]:
    """Return the labels that the name of a clip tells."""
    return describe(int(clip["fold"]), int(clip["target"]), clip["source"], clip["take"])


def describe(fold: int, target: int, source: str, take: str) -> dict[str, Any]:
    """Return the labels of a clip."""
    category = CATEGORIES[target] if target < len(CATEGORIES) else None
    return {
        "fold": fold,
        "target": target,
        "category": category,
        "major_category": MAJOR[target // 10] if category else None,
        "esc10": category in ESC10,
        "src_file": source,
        "take": take,
    }


def read_table(files: Files) -> dict[str, dict[str, Any]]:
    """Read esc50.csv where it is there: clip to labels. Its first version has the number in ``category``.

    filename,fold,target,category,esc10,src_file,take
    1-100032-A-0.wav,1,0,dog,True,100032,A

    filename,fold,category,category_name,esc10,src_file,take
    1-100032-A-0.wav,1,0,dog,True,100032,A
    """
    found = next(files.match(TABLE), None)
    rows = csv.DictReader(files.lines(found[0])) if found else ()
    return {row["filename"].rsplit(".", 1)[0]: _labels(row) for row in rows}


def _labels(row: Mapping[str, str]) -> dict[str, Any]:
    target, category = ("category", "category_name") if "category_name" in row else ("target", "category")
    return {
        **describe(int(row["fold"]), int(row[target]), row["src_file"], row["take"]),
        "category": row[category],
        "esc10": row["esc10"].lower() == "true",
    }
