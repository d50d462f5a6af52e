"""speechocean762: 5,000 English sentences read by Mandarin speakers, scored by five experts.

Source: Zhang et al. (2021), https://www.openslr.org/101, https://github.com/jimbozhang/speechocean762. Two Kaldi
folders beside the sound, and the scores of sentence, word and phone in JSON::

    000010011<TAB>WAVE/SPEAKER0001/000010011.WAV                       train/wav.scp
    000010011<TAB>WE CALL IT BEAR                                      train/text
    0001<TAB>6                                                         train/spk2age
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import List, Value

from builders.audio import Normalised
from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.schema import SAMPLING_RATE, Segment

# The JSON files lie in resource/, in older copies at the top.
ROOT = (
    r"^(?:.*/)?(?=(?:(?:train|test)/(?:wav\.scp|text|utt2spk|spk2utt|spk2age|spk2gender)|WAVE/[^/]+/[^/]+"
    r"|scores(?:-detail)?\.json)$)"
)
SENTENCE = ("accuracy", "completeness", "fluency", "prosodic", "total")
NUMBERS = List(Value("float64"))


class SpeechOcean762(CorpusBuilder):
    """speechocean762."""

    FACTS = Facts(
        title="speechocean762: a non-native English corpus for pronunciation scoring",
        homepage="https://www.openslr.org/101",
        licence="CC BY 4.0",
        access="speechocean762 is open: fetch speechocean762.tar.gz from https://www.openslr.org/101 (or clone "
        "https://github.com/jimbozhang/speechocean762) and pass data_dir=<archive or folder>",
        citation="Zhang, J., et al. (2021). speechocean762: An Open-Source Non-native English Speech Corpus For "
        "Pronunciation Assessment. Interspeech.",
        language="en",
        root=ROOT,
        download="https://www.openslr.org/resources/101/",
        archives=(Archive("speechocean762.tar.gz"),),
        archive_patterns=("*speechocean762*",),
        labels=("gender", "age"),
        own_labels={
            **{f"score_{name}": Value("float64") for name in SENTENCE},  # 0 to 10
            "word_scores": List(
                {
                    "text": Value("string"),
                    "accuracy": Value("float64"),  # 0 to 10
                    "stress": Value("float64"),  # 5 or 10
                    "total": Value("float64"),
                    "phones": List(Value("string")),
                    "phone_accuracy": NUMBERS,  # 0 to 2
                    "mispronunciations": List(
                        {"index": Value("int32"), "canonical": Value("string"), "pronounced": Value("string")}
                    ),
                }
            ),
            "expert_scores": dict.fromkeys(SENTENCE, NUMBERS),  # of each of the five
            "expert_words": List(
                {
                    "text": Value("string"),
                    **dict.fromkeys(("accuracy", "stress", "total"), NUMBERS),
                    "phones": List(Value("string")),  # {X} heavy accent, (X) wrong or missed, [X] put in
                }
            ),
        },
    )
    BUILDER_CONFIGS = [CorpusConfig(name="default", splits={"train": Expected(2500), "test": Expected(2500)})]
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the sentences of a split, in the order of its wav.scp."""
        texts, speakers, ages, genders = (
            read_table(files, f"{split}/{name}") for name in ("text", "utt2spk", "spk2age", "spk2gender")
        )
        scores, detail = read_scores(files, "scores.json"), read_scores(files, "scores-detail.json")
        for name, path in read_table(files, f"{split}/wav.scp").items():
            speaker, found = speakers.get(name), scores.get(name, {})
            labels = {
                "gender": {"m": "male", "f": "female"}.get(genders.get(speaker, "").lower()),
                "age": ages.get(speaker),
                **{f"score_{kind}": found.get(kind) for kind in SENTENCE},
                "word_scores": [word_scores(word) for word in found.get("words", ())],
                **experts(detail.get(name)),
            }
            # Recipes write paths of their own in front.
            audio = re.sub(r"^.*?(?=WAVE/)", "", path)
            yield Utterance(name, audio, texts.get(name), speaker, labels=labels)

    def audio(self, row: Mapping[str, Any]) -> tuple[Normalised, Sequence[Segment]]:
        """Add the scores that have a time: those of the sentence, which lasts as long as the row."""
        made, _ = super().audio(row)
        scores = {name: row[f"score_{name}"] for name in SENTENCE}
        end = made.samples / SAMPLING_RATE
        found = [Segment("sentence", 0.0, end, name, row["speaker_id"], score) for name, score in scores.items()]
        return made, [segment for segment in found if segment.score is not None]


def read_table(files: Files, name: str) -> dict[str, str]:
    """Read a Kaldi file: ``000010011<TAB>WE CALL IT BEAR``, with a tab or a space behind the key."""
    lines = files.lines(name) if name in files else ()
    pairs = (line.split(None, 1) for line in lines)
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def read_scores(files: Files, name: str) -> dict[str, dict[str, Any]]:
    """Read the scores by utterance; there are 5,000."""
    return json.loads(files.read_text(name)) if name in files else {}


def word_scores(word: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of a word; its phones are one string in older copies, a list in newer ones.

    {"accuracy": 10, "stress": 10, "total": 10, "text": "CALL", "phones": "K AO0 L", "phones-accuracy": [2.0, 1.8, 1.8]}
    """
    phones = word["phones"]
    return {
        **{name: word.get(name) for name in ("text", "accuracy", "stress", "total")},
        "phones": phones.split() if isinstance(phones, str) else phones,
        "phone_accuracy": word["phones-accuracy"],
        "mispronunciations": [
            {"index": one["index"], "canonical": one["canonical-phone"], "pronounced": one["pronounced-phone"]}
            for one in word.get("mispronunciations", ())
        ],
    }


def experts(detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what each expert said.

    {"text": "CALL", "accuracy": [10.0, 8.0, 10.0, 10.0, 8.0], "ref-phones": "K AO0 L",
     "phones": ["K AO0 L", "K {AO0} L", "K AO0 L", "K AO0 L", "K AO0 {L}"], ...}
    """
    if detail is None:
        return {"expert_scores": None, "expert_words": []}
    kinds = ("text", "accuracy", "stress", "total", "phones")
    return {
        "expert_scores": {name: detail.get(name) for name in SENTENCE},
        "expert_words": [{kind: word.get(kind) for kind in kinds} for word in detail["words"]],
    }
