"""CREMA-D: 91 actors say twelve sentences in six emotions, with votes on what others hear and see.

Source: Cao et al. (2014), https://github.com/CheyneyComputerScience/CREMA-D. Copies hold the whole
repository, or only the folder ``AudioWAV``: names tell what is needed, the tables add to it.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import List, Value

from builders.audio import Normalised
from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.emotions import emotion
from builders.files import Files
from builders.lfs import refuse_pointer
from builders.listing import Utterance
from builders.schema import Segment

NAME = r"1\d{3}_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}"  # 1001_DFA_ANG_XX: actor, sentence, emotion, level
SENTENCES = {
    "IEO": "It's eleven o'clock",
    "TIE": "That is exactly what happened",
    "IOM": "I'm on my way to the meeting",
    "IWW": "I wonder what this is about",
    "TAI": "The airplane is almost full",
    "MTI": "Maybe tomorrow it will be cold",
    "IWL": "I would like a new alarm clock",
    "ITH": "I think I have a doctor's appointment",
    "DFA": "Don't forget a jacket",
    "ITS": "I think I've seen this before",
    "TSI": "The surface is slick",
    "WSI": "We'll stop in a couple of minutes",
}
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": None}  # stated for one sentence (IEO) only
GENDERS = {"Male": "male", "Female": "female"}
VOTES = {"voice": "Voice", "face": "Face", "multimodal": "MultiModal"}  # our prefix, theirs
MEDIA = "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master/"  # what Git LFS holds


class CremaD(CorpusBuilder):
    """CREMA-D, from its WAV or MP3 files."""

    FACTS = Facts(
        title="CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset",
        homepage="https://github.com/CheyneyComputerScience/CREMA-D",
        licence="ODbL 1.0, contents DbCL 1.0",
        access="CREMA-D is open: without data_dir tables and WAV are fetched from "
        "https://github.com/CheyneyComputerScience/CREMA-D; for MP3 clone it with git-lfs (a zip download of it holds "
        "no audio) and pass data_dir=<the clone>",
        citation="Cao, H., Cooper, D. G., Keutmann, M. K., Gur, R. C., Nenkova, A., Verma, R. (2014). CREMA-D: "
        "Crowd-sourced Emotional Multimodal Actors Dataset. IEEE Transactions on Affective Computing 5(4).",
        language="en",
        root=rf"^(?:.*?/)??(?=Audio(?:WAV|MP3)/{NAME}\.)|^(?:.*/)?(?=\w+\.csv$)",
        download="https://raw.githubusercontent.com/CheyneyComputerScience/CREMA-D/master/",
        archives=tuple(
            Archive(name)
            for name in ("SentenceFilenames.csv", "VideoDemographics.csv", "processedResults/summaryTable.csv")
        ),
        archive_patterns=("*crema*",),
        labels=("gender", "age", "emotion"),
        own_labels={
            "emotion_code": Value("string"),  # ANG, DIS, FEA, HAP, NEU, SAD
            "level": Value("string"),  # low, medium, high; null where none was asked for
            "sentence": Value("string"),  # IEO, TIE, ...
            "race": Value("string"),
            "ethnicity": Value("string"),
            # What most raters found: one word, or several in a tie; the mean level, in the words' order.
            **{f"{kind}_vote": List(Value("string")) for kind in VOTES},
            **{f"{kind}_level": List(Value("float64")) for kind in VOTES},
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="wav", description="16 kHz WAV.", splits={"train": Expected(7442)}),
        CorpusConfig(name="mp3", description="The MP3 copies.", splits={"train": Expected(7442)}, fetched=None),
    ]
    DEFAULT_CONFIG_NAME = "wav"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips that the repository's list names, and those that are there beside it."""
        suffix = self.config.name
        folder = f"Audio{suffix.upper()}/"
        actors = read_actors(files)
        votes = read_votes(files)
        there = {found["stem"]: found[0] for found in files.match(rf"(?:{folder})?(?P<stem>{NAME})\.{suffix}")}
        listed = read_names(files) if there else ()  # a copy of the other format only is not this one, all of it bad
        for stem in dict.fromkeys(itertools.chain(listed, there)):
            member = there.get(stem, f"{folder}{stem}.{suffix}")  # absent: quarantined
            yield clip(stem, member, actors, votes)

    def further(self, files: Files) -> Iterator[Archive]:
        """Yield the clips that the repository's list names."""
        for stem in read_names(files):
            yield Archive(f"AudioWAV/{stem}.wav", url=f"{MEDIA}AudioWAV/{stem}.wav", may_lack=True)

    def audio(self, row: Mapping[str, Any]) -> tuple[Normalised, Sequence[Segment] | None]:
        """Return the normalised audio of a row; say of a Git LFS pointer that it is one."""
        refuse_pointer(self.files, row["member"], row["bytes"])
        return super().audio(row)


def clip(
    stem: str, member: str, actors: Mapping[str, dict[str, Any]], votes: Mapping[str, dict[str, Any]]
) -> Utterance:
    """Make an utterance of a clip's name and of what the tables say of it."""
    actor, sentence, code, level = stem.split("_")
    labels = {
        "emotion": emotion(code), "emotion_code": code, "level": LEVELS.get(level), "sentence": sentence,
        **actors.get(actor, {}), **votes.get(stem, {}),
    }  # fmt: skip
    return Utterance(stem, member, SENTENCES.get(sentence), actor, labels=labels)


def read_names(files: Files) -> Iterator[str]:
    """Read SentenceFilenames.csv where it is there.

    "Stimulus_Number","Filename"
    1,"1001_IEO_NEU_XX"
    """
    return (row["Filename"] for row in read_table(files, "SentenceFilenames.csv"))


def read_actors(files: Files) -> dict[str, dict[str, Any]]:
    """Read VideoDemographics.csv where it is there: actor to labels.

    "ActorID","Age","Sex","Race","Ethnicity"
    1001,51,"Male","Caucasian","Not Hispanic"
    """
    return {
        row["ActorID"]: {
            "gender": GENDERS.get(row["Sex"]), "age": row["Age"], "race": row["Race"], "ethnicity": row["Ethnicity"],
        }
        for row in read_table(files, "VideoDemographics.csv")
    }  # fmt: skip


def read_votes(files: Files) -> dict[str, dict[str, Any]]:
    """Read processedResults/summaryTable.csv where it is there: clip to votes; a colon joins those of a tie.

    "","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"
    "1","1001_IEO_NEU_XX","N","69.1","N","92.22","N","64.78"
    """
    votes = {}
    for row in read_table(files, "summaryTable.csv"):
        words = {f"{kind}_vote": [emotion(code) for code in row[f"{name}Vote"].split(":")]
                 for kind, name in VOTES.items()}  # fmt: skip
        levels = {f"{kind}_level": [float(level) for level in row[f"{name}Level"].split(":")]
                  for kind, name in VOTES.items()}  # fmt: skip
        votes[row["FileName"]] = {**words, **levels}
    return votes


def read_table(files: Files, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table of the repository; none where the copy lacks it."""
    return csv.DictReader(files.lines(name)) if name in files else iter(())
