"""MELD: 13,000 utterances of dialogues of the series Friends, with emotion, sentiment and speaker.

Source: Poria et al. (2019), https://github.com/declare-lab/MELD. The clips are videos; many copies
hold sound files made of them, in folders of any name, which go first where both are there.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping

from datasets import Value

from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.emotions import emotion
from builders.files import Files
from builders.listing import Utterance

FOLDERS = {"train": "train_splits", "validation": "dev_splits_complete", "test": "output_repeated_splits_test"}
TABLES = {"train": "train", "validation": "dev", "test": "test"}
SPLIT_WORDS = {"train": "train", "dev": "validation", "val": "validation", "test": "test"}
CLIP = r"(?P<folder>(?:.*/)?)(?P<stem>dia\d+_utt\d+)\.(?P<suffix>wav|flac|mp3|m4a|mp4)"
PREFERRED = ("mp4", "m4a", "mp3", "flac", "wav")  # the last one there is taken
WINDOWS = re.compile("[\x80\x82-\x8c\x8e\x91-\x9c\x9e\x9f]")  # what the code page defines there, and Latin-1 not

# Clips that are not what the table says, by split, dialogue and utterance.
FLAWS = {
    ("train", "309", "0"): "cut wrongly: 41 s, the text has a description of the scene",
    ("train", "793", "0"): "cut wrongly",
    ("test", "23", "0"): "others leave it out",
    ("test", "38", "4"): "cut wrongly: 305 s",
    ("test", "155", "3"): "ends where it starts, says the table",
    ("test", "220", "0"): "cut wrongly: 235 s",
}


class Meld(CorpusBuilder):
    """MELD, from its videos or from sound files made of them."""

    FACTS = Facts(
        title="MELD: Multimodal EmotionLines Dataset",
        homepage="https://github.com/declare-lab/MELD",
        licence="GPL-3.0 (annotation); the sound is of a copyrighted series, for research",
        private_only="the sound is of a copyrighted series",
        access="MELD is open: fetch MELD.Raw.tar.gz by the link of https://github.com/declare-lab/MELD, unpack it (the "
        "archives inside may stay packed) and pass data_dir=<its folder, with clips and *_sent_emo.csv>",
        citation="Poria, S., Hazarika, D., Majumder, N., Naik, G., Cambria, E., Mihalcea, R. (2019). MELD: A "
        "Multimodal Multi-Party Dataset for Emotion Recognition in Conversations. ACL.",
        language="en",
        channel="mean",  # of up to six channels
        root=rf"^(?:.*?/)??(?=(?:{'|'.join(FOLDERS.values())})/)|^(?:.*?/)??MELD\.Raw/",
        archive_patterns=("train.tar.gz", "dev.tar.gz", "test.tar.gz"),
        labels=("emotion",),
        own_labels={
            "emotion_code": Value("string"),  # the corpus' own word: joy, sadness, ...
            "sentiment": Value("string"),  # neutral, positive, negative
            "dialogue_id": Value("int32"),
            "utterance_id": Value("int32"),
            "season": Value("int32"),
            "episode_number": Value("int32"),
            "episode_start": Value("float64"),  # where in the episode the clip lies, seconds
            "episode_end": Value("float64"),
            "clip": Value("string"),
            "flaw": Value("string"),  # null where nothing is known to be wrong
        },
    )
    BUILDER_CONFIGS = [
        # The table of the validation split has 1,109 rows; the clip of one, dia110_utt7, was never published.
        CorpusConfig(name="default", description="Dialogues of any number of people.",
                     splits={"train": Expected(9989), "validation": Expected(1108, absent=1), "test": Expected(2610)}),
        CorpusConfig(name="dyadic", description="Dialogues of two people, made of the same clips.",
                     splits={"train": Expected(12840), "validation": Expected(1462), "test": Expected(3400)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances of the split's table; clips that no table names are not listed."""
        clips = find_clips(files, split)
        if not clips:  # the tables came with another split
            return
        for row in read_table(files, split, dyadic=self.config.name == "dyadic"):
            yield utterance(split, row, clips)


def utterance(split: str, row: Mapping[str, str], clips: Mapping[str, str]) -> Utterance:
    """Make an utterance of a row of a table; the dyadic ones name the clip by its old numbers."""
    dialogue, number = row["Dialogue_ID"], row["Utterance_ID"]
    old = row.get("Old_Dialogue_ID", dialogue), row.get("Old_Utterance_ID", number)
    stem = f"dia{old[0]}_utt{old[1]}"
    labels = {
        "emotion": emotion(row["Emotion"]), "emotion_code": row["Emotion"], "sentiment": row["Sentiment"],
        "dialogue_id": int(dialogue), "utterance_id": int(number),
        "season": int(row["Season"]), "episode_number": int(row["Episode"]),
        "episode_start": seconds(row["StartTime"]), "episode_end": seconds(row["EndTime"]),
        "clip": stem, "flaw": FLAWS.get((split, *old)),
    }  # fmt: skip
    member = clips.get(stem, f"{FOLDERS[split]}/{stem}.mp4")  # absent: quarantined
    speaker = row["Speaker"].strip() or None
    return Utterance(f"{split}_dia{dialogue}_utt{number}", member, row["Utterance"], speaker, labels=labels)


def find_clips(files: Files, split: str) -> dict[str, str]:
    """Return the clips of a split by name: the last folder that names a split tells it."""
    clips: dict[str, tuple[int, str]] = {}
    for path in files.match(CLIP):
        words = re.findall(r"(?:^|[/_-])(train|dev|val|test)", path["folder"].lower())
        if words and SPLIT_WORDS[words[-1]] == split:
            found = PREFERRED.index(path["suffix"]), path[0]
            clips[path["stem"]] = max(found, clips.get(path["stem"], found), key=lambda clip: clip[0])
    return {stem: name for stem, (_, name) in clips.items()}


def read_table(files: Files, split: str, *, dyadic: bool) -> Iterator[dict[str, str]]:
    """Read a table of a split, told by its columns: those of dialogues of two have the old numbers as well.

    Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime
    2,You must've had your hands full.,The Interviewer,neutral,neutral,0,1,8,21,"00:16:21,940","00:16:23,442"
    """
    for found in files.match(rf"(?:.*/)?{TABLES[split]}_sent_emo(?:_dya)?\.csv"):
        rows = csv.DictReader(io.StringIO(repaired(files.read(found[0])), newline=""))
        if ("Old_Dialogue_ID" in (rows.fieldnames or ())) == dyadic:
            yield from rows
            return


def repaired(data: bytes) -> str:
    """Decode a table: UTF-8, or the code page of Windows, or the latter taken for Latin-1 (U+0092 for U+2019)."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    return WINDOWS.sub(lambda found: found[0].encode("latin-1").decode("cp1252"), text)


def seconds(time: str) -> float:
    """Return ``00:16:21,940``, or ``0:16:21,940``, in seconds."""
    hours, minutes, rest = time.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)
