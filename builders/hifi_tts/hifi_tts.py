"""Hi-Fi TTS: 292 hours of ten LibriVox readers at 44.1 kHz, of the quality that speech synthesis needs.

Source: Bakhturina et al. (2021), https://www.openslr.org/109. A manifest, JSON Lines, for each reader, quality
and split: ``92_manifest_clean_train.json``. A line has the audio's path from the top folder, the text lower-cased
without punctuation, the duration, the text of the book, and that text with its numbers expanded:

    {"audio_filepath": "audio/11614_other/10547/thousandnights8_04_anonymous_0001.flac", "text": "...",
     "duration": 4.1, "text_no_preprocessing": "...", "text_normalized": "..."}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

# The corpus has no file with the readers' gender; this is the table of its paper.
GENDERS = {
    "92": "female", "6097": "male", "9017": "male", "6670": "male", "6671": "male", "8051": "female",
    "9136": "female", "11614": "female", "11697": "female", "12787": "female",
}  # fmt: skip
QUALITIES = {"all": ("clean", "other"), "clean": ("clean",), "other": ("other",)}
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
MANIFEST = r"(?P<top>(?:.*/)?)(?P<speaker>\d+)_manifest_(?P<quality>clean|other)_(?P<part>train|dev|test)\.json"


class HiFiTTS(CorpusBuilder):
    """Hi-Fi TTS."""

    FACTS = Facts(
        title="Hi-Fi Multi-Speaker English TTS Dataset",
        homepage="https://www.openslr.org/109",
        licence="CC BY 4.0",
        access="Hi-Fi TTS is open: fetch hi_fi_tts_v0.tar.gz from https://www.openslr.org/109 and pass "
        "data_dir=<its folder>",
        citation="Bakhturina, E., Lavrukhin, V., Ginsburg, B., Zhang, Y. (2021). Hi-Fi Multi-Speaker English TTS "
        "Dataset. Interspeech.",
        language="en",
        channel="mean",  # one channel
        root=r"^(?:.*/)?hi_fi_tts_v0/|^(?:.*/)?(?=\d+_manifest_|audio/\d+_(?:clean|other)/)",
        download="https://www.openslr.org/resources/109/",
        archives=(Archive("hi_fi_tts_v0.tar.gz"),),
        archive_patterns=("hi_fi_tts*", "hifi*tts*"),
        labels=("gender", "book"),
        own_labels={
            "quality": Value("string"),  # clean (SNR of 40 dB and more) or other (from 32 dB)
            "text_original": Value("string"),  # as the book has it
            "text_normalized": Value("string"),  # cased and punctuated, numbers expanded
        },
    )
    BUILDER_CONFIGS = [CorpusConfig(name=name, splits=dict.fromkeys(SPLITS, Expected())) for name in QUALITIES]
    DEFAULT_CONFIG_NAME = "all"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield what the manifests of a split list."""
        for path in files.match(MANIFEST):
            if path["part"] != SPLITS[split] or path["quality"] not in QUALITIES[self.config.name]:
                continue
            for line in files.lines(path[0]):
                yield utterance(json.loads(line), path["top"], path["speaker"], path["quality"])


def utterance(row: dict[str, str], top: str, speaker: str, quality: str) -> Utterance:
    """Make an utterance of a manifest's line; a recording's name alone is not unique, so the id has its book."""
    audio = PurePosixPath(row["audio_filepath"])
    book = audio.parent.name
    labels = {
        "gender": GENDERS.get(speaker),
        "book": book,
        "quality": quality,
        "text_original": row.get("text_no_preprocessing"),
        "text_normalized": row.get("text_normalized"),
    }
    return Utterance(
        f"{speaker}_{quality}_{book}_{audio.stem}", f"{top}{audio}", row.get("text"), speaker, labels=labels
    )
