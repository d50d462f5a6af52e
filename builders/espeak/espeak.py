"""espeak-ng voices reading sentences of our own: a corpus for demos and tests whose phones are exact.

Made on the spot by espeak-ng (https://github.com/espeak-ng/espeak-ng), whose phoneme events carry the
sample at which each phone begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from builders.audio import Normalised, Signal, render
from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.espeak.plan import accent, fingerprint, gender, plan
from builders.espeak.synth import RATE, synthesise
from builders.files import Files
from builders.listing import Utterance
from builders.schema import SAMPLING_RATE, Segment


@dataclass
class EspeakConfig(CorpusConfig):
    """How much is synthesised.

    utterances : int > 0
        Dealt evenly to the voices.
    seed : int
        Decides which voice reads which sentence.
    """

    splits: Mapping[str, Expected] = field(default_factory=lambda: {"train": Expected()})
    utterances: int = 240
    seed: int = 0


class Espeak(CorpusBuilder):
    """English sentences read by a dozen espeak-ng voices."""

    FACTS = Facts(
        title="English sentences read by espeak-ng",
        homepage="https://github.com/espeak-ng/espeak-ng",
        licence="Apache-2.0",
        access="Made on the spot: pass utterances=<number> and seed=<number>; needs the extra `synth`",
        citation="Duddington, J., Dunn, R. H. espeak-ng. https://github.com/espeak-ng/espeak-ng",
        language="en",
        phone_set="espeak_ipa",
        labels=("gender", "accent"),
    )
    NEEDS_DATA = False
    BUILDER_CONFIG_CLASS = EspeakConfig
    BUILDER_CONFIGS = [EspeakConfig(name="default")]
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files | None, split: str) -> Iterator[Utterance]:
        """Yield who reads what."""
        for reading in plan(self.config.utterances, self.config.seed):
            labels = {"gender": gender(reading.voice), "accent": accent(reading.voice)}
            yield Utterance(reading.id, reading.id, reading.text, reading.voice, labels=labels)

    def identity(self, options: Mapping[str, Any]) -> list[Any]:
        """Add the sentences, the voices and the release of espeak-ng."""
        return [*super().identity(options), fingerprint()]

    def audio(self, row: Mapping[str, Any]) -> tuple[Normalised, Sequence[Segment]]:
        """Synthesise a row; its segments come with the sound."""
        speech = synthesise(row["text"], row["speaker_id"])
        made = render(Signal(speech.samples[:, None] / 32_768, RATE, "espeak-ng"))
        end = made.samples / SAMPLING_RATE  # resampling rounds the length
        tiers = {"phones": speech.phones, "words": speech.words}
        segments = [
            Segment(tier, start, min(stop, end), label) for tier, found in tiers.items() for start, stop, label in found
        ]
        return made, segments
