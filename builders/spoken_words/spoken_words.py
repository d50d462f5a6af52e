"""Your own recordings of words: read one after another, or cut already.

After the word recognition workflow of https://github.com/mdda/cnn-speech-mnist::

    data/num_phone_en-UK_m_Martin00.wav        one reading of "zero ... nine" with silence between the words
    data/num/six/phone_en-UK_m_Martin00.wav    the same, cut
    data/num-test/four_two.wav                 what is to be recognised: its words, if its name says them
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Value

from builders.audio import INT16_SCALE, Normalised, Signal, decode, normalise, render
from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import AudioError, MemberError
from builders.files import Files
from builders.listing import Utterance
from builders.schema import SAMPLING_RATE, Segment
from builders.silence import Span, sounds

NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ANIMALS = ("cat", "dog", "fox", "bird")
AUDIO = r"(?P<stem>[^/]+)\.(?i:wav|ogg|flac|mp3)"
# phone_en-UK_m_Martin00
READER = re.compile(
    r"(?P<device>[^_]+)_(?P<accent>[a-z]{2,3}(?:-[A-Za-z]+)?)_(?P<gender>[mf])_(?P<name>.+?)(?P<take>\d*)"
)
ROOT = r"^(?:.*/)?(?=(?:num|animals)(?:_[^/]+|-test/[^/]+|/[^/]+/[^/]+)$)"


@dataclass
class SpokenWordsConfig(CorpusConfig):
    """What was read, and how it is cut.

    words : sequence of str
        In the order in which each reading has them.
    prefix : str
        Readings are ``<prefix>_*.wav``, cut words ``<prefix>/<word>/*.wav``, tests ``<prefix>-test/*.wav``.
    top_db : float or None
        Cut with librosa at so many dB below the loudest; None: as the workflow does.
    level : bool
        Bring the loudest sample of each recording to `peak_db`; False leaves it as recorded.
    peak_db : float
        Of full scale.
    """

    splits: Mapping[str, Expected] = field(default_factory=lambda: {"train": Expected(), "test": Expected()})
    words: Sequence[str] = NUMBERS
    prefix: str = "num"
    top_db: float | None = None
    level: bool = True
    peak_db: float = -3.0


class SpokenWords(CorpusBuilder):
    """Words that you recorded."""

    FACTS = Facts(
        title="Spoken words of one's own",
        homepage="https://github.com/mdda/cnn-speech-mnist",
        licence="your own; of the workflow's recordings: MIT",
        access="record <prefix>_<device>_<language>_<m|f>_<Name><NN>.wav with the words in order and silence between "
        "them, and pass data_dir=<folder>, words=[...], prefix=...",
        citation="Andrews, M. cnn-speech-mnist. https://github.com/mdda/cnn-speech-mnist",
        language="en",
        root=ROOT,
        archive_patterns=("data-num-sounds.tar.gz", "data-animals-sounds.tar.gz"),
        labels=("gender", "accent"),
        text_gaps=True,
        own_labels={
            "word": Value("string"),
            "label": Value("int32"),  # number of the word in the configuration's list
            "device": Value("string"),
            "number": Value("int32"),  # of the word in its reading, from 0
            "stretches": Value("int32"),  # of sound that were found in the reading
            "gain": Value("float64"),  # by which the reading was multiplied
        },
    )
    BUILDER_CONFIG_CLASS = SpokenWordsConfig
    BUILDER_CONFIGS = [
        SpokenWordsConfig(name="num", words=NUMBERS, prefix="num"),
        SpokenWordsConfig(name="animals", words=ANIMALS, prefix="animals"),
    ]
    DEFAULT_CONFIG_NAME = "num"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield one row a word; where the words of a reading are shows only in its sound, so it is decoded here."""
        prefix = re.escape(self.config.prefix)
        if split == "test":
            for path in files.match(rf"(?:.*/)?{prefix}-test/{AUDIO}"):
                yield from self._cut(files, path, named_words(path["stem"], self.config.words))
            return
        for path in files.match(rf"(?:.*/)?{prefix}_{AUDIO}"):
            yield from self._cut(files, path, self.config.words)
        for path in files.match(rf"(?:.*/)?{prefix}/(?P<word>[^/]+)/{AUDIO}"):
            if path["word"] in self.config.words:
                yield self._utterance(path, f"{path['word']}/{path['stem']}", word=path["word"])

    def _cut(self, files: Files, path: re.Match[str], words: Sequence[str] | None) -> Iterator[Utterance]:
        try:
            samples = decode({"bytes": normalise(files.read(path[0]), channel=self.FACTS.channel).flac})
        except (AudioError, MemberError):
            yield self._utterance(path, path["stem"])  # bad: is read again, and quarantined
            return
        found = sounds(samples, self.config.top_db)
        if words is not None and len(found) != len(words):
            yield self._utterance(path, path["stem"], stretches=len(found))
            return
        gain = self._gain(samples)
        for number, span in enumerate(found):
            yield self._utterance(
                path, f"{path['stem']}_{number}", span=span, word=words[number] if words else None,
                number=number, stretches=len(found), gain=gain,
            )  # fmt: skip

    def _utterance(
        self, path: re.Match[str], name: str, *, span: Span | None = None, word: str | None = None, **labels: Any
    ) -> Utterance:  # fmt: skip
        reader = READER.fullmatch(path["stem"])
        about = reader.groupdict() if reader else {}
        accent = about.get("accent")
        labels |= {
            "word": word,
            "label": None if word is None else list(self.config.words).index(word),
            "device": about.get("device"),
            "accent": accent,
            "gender": {"m": "male", "f": "female"}.get(about.get("gender", "")),
        }
        start, end = span or (0.0, None)
        return Utterance(
            name, path[0], word, about.get("name"), accent and accent.split("-")[0], labels=labels, start=start, end=end
        )

    def audio(self, row: Mapping[str, Any]) -> tuple[Normalised, Sequence[Segment] | None]:
        """Bring a word to the level that its reading is brought to."""
        if row["stretches"] is not None and row["number"] is None:
            raise AudioError(
                f"{row['stretches']} stretches of sound, not as many as words were read: "
                "record it again with longer silences, or pass top_db"
            )
        made, _ = super().audio(row)
        samples = decode({"bytes": made.flac})
        gain = self._gain(samples) if row["gain"] is None else row["gain"]
        if gain == 1.0:
            return made, None
        louder = render(Signal((samples * np.float32(gain))[:, None], SAMPLING_RATE, made.source["format"]))
        return Normalised(louder.flac, louder.samples, made.source, louder.clipped), None

    def _gain(self, samples: np.ndarray) -> float:
        peak = float(np.abs(samples).max(initial=0.0))
        if not self.config.level or peak < 1 / INT16_SCALE:
            return 1.0
        return 10 ** (self.config.peak_db / 20) / peak


def named_words(stem: str, words: Sequence[str]) -> list[str] | None:
    """Return the words that a name is made of, as ``cat_dog_fox_bird``; None if it is not."""
    parts = stem.split("_")
    return parts if all(part in words for part in parts) else None
