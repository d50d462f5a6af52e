"""LibriMix: two or three readers of LibriSpeech at once, with and without the noise of WHAM.

Source: Cosentino et al. (2020), https://github.com/JorisCos/LibriMix. Everybody generates it::

    Libri2Mix/wav16k/max/dev/{s1,s2,mix_clean,mix_both,mix_single,noise}/3536-8226-0026_1673-143397-0009.wav

What is in a mixture is in the metadata of that repository (``metadata/Libri2Mix/libri2mix_dev-clean.csv``)::

    mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain,noise_path,noise_gain
    3536-8226-0026_1673-143397-0009,dev-clean/3536/8226/3536-8226-0026.flac,0.7925878276419455,dev-clean/...
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import List, Value

from builders.cache import absolute
from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.libri_mix.metadata import Recipe, Transcripts, clean_name, read_rows
from builders.librispeech.librispeech import ROOT as LIBRISPEECH_ROOT
from builders.listing import Utterance
from builders.schema import SAMPLING_RATE, Segment

SUBSETS = {"train.360": "train-360", "train.100": "train-100", "validation": "dev", "test": "test"}
MIXTURES = {2: (50_800, 13_900, 3_000, 3_000), 3: (33_900, 9_300, 3_000, 3_000)}
# Counted at 16 kHz, of two readers.
HOURS = {"min": (None, 43.27, 4.51, 4.19), "max": (None, 56.37, 7.60, 7.01)}
TABLE = r"libri[23]mix_[^/]+\.csv|(?:dev|test|train)-(?:clean|other)(?:-\d+)?\.csv"
ROOT = rf"^(?:.*/)?(?=Libri[23]Mix/wav(?:8|16)k/)|^(?:.*/)?(?=(?:{TABLE})$)"


@dataclass
class LibriMixConfig(CorpusConfig):
    """A form of LibriMix.

    speakers : {2, 3}
    rate : {"16k", "8k"}
    mode : {"max", "min"}
        As long as the longest source, or as the shortest.
    mix : {"both", "clean", "single"}
        The readers and noise, the readers alone, or the first reader and noise.
    librispeech : str or None
        LibriSpeech, folder or archives: the texts.
    metadata : str or None
        Folder ``metadata`` of the LibriMix repository, where it is not in `data_dir`.
    """

    speakers: int = 2
    rate: str = "16k"
    mode: str = "max"
    mix: str = "both"
    librispeech: str | None = None
    metadata: str | None = None


def _configs() -> Iterator[LibriMixConfig]:
    for speakers, rate, mode, mix in itertools.product((2, 3), ("16k", "8k"), HOURS, ("both", "clean", "single")):
        hours = HOURS[mode] if (speakers, rate) == (2, "16k") else (None,) * 4
        expected = zip(SUBSETS, MIXTURES[speakers], hours, strict=True)
        yield LibriMixConfig(
            name=f"libri{speakers}mix-{rate}-{mode}-{mix}",
            splits={split: Expected(*counts) for split, *counts in expected},
            speakers=speakers, rate=rate, mode=mode, mix=mix,
        )  # fmt: skip


class LibriMix(CorpusBuilder):
    """LibriMix, as it was generated."""

    FACTS = Facts(
        title="LibriMix: an open source dataset for generalizable speech separation",
        homepage="https://github.com/JorisCos/LibriMix",
        licence="CC BY 4.0 (LibriSpeech); with noise CC BY-NC 4.0 (WHAM)",
        access="LibriMix is generated from LibriSpeech and WHAM by https://github.com/JorisCos/LibriMix: do so, pass "
        "data_dir=<folder of Libri2Mix>, librispeech=<LibriSpeech> for texts, metadata=<metadata of that repository>",
        citation="Cosentino, J., et al. (2020). LibriMix: An Open-Source Dataset for Generalizable Speech Separation.",
        language="en",
        root=ROOT,
        archive_patterns=("*libri[23]mix*",),
        labels=("subset",),
        own_labels={
            "speakers": List(Value("string")),  # of the sources in the mixture, in their order; so are the next
            "genders": List(Value("string")),
            "source_ids": List(Value("string")),
            "texts": List(Value("string")),
            "gains": List(Value("float64")),
            "snrs": List(Value("float64")),
            "noise_id": Value("string"),
            "noise_gain": Value("float64"),
            "noise_snr": Value("float64"),
        },
        audio_columns=("source1", "source2", "source3", "noise"),
    )
    BUILDER_CONFIG_CLASS = LibriMixConfig
    BUILDER_CONFIGS = list(_configs())
    DEFAULT_CONFIG_NAME = "libri2mix-16k-max-both"

    def __init__(self, *args: Any, librispeech: str | None = None, metadata: str | None = None, **kwargs: Any) -> None:
        self.texts = Files(absolute(librispeech), archives=["*.tar.gz"], root=LIBRISPEECH_ROOT) if librispeech else None
        self.tables = Files(absolute(metadata), root=ROOT) if metadata else None
        given = {"librispeech": librispeech, "metadata": metadata}
        super().__init__(*args, **{name: str(absolute(path)) for name, path in given.items() if path}, **kwargs)

    def identity(self, options: Mapping[str, Any]) -> list[Any]:
        """Add what lies in LibriSpeech and in the metadata."""
        further = [files and files.fingerprint for files in (self.texts, self.tables)]
        return [*super().identity(options), *further]

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the mixtures of a split: those that its own table lists, then those that only lie there."""
        config, subset = self.config, SUBSETS[split]
        folder = f"Libri{config.speakers}Mix/wav{config.rate}/{config.mode}/{subset}"
        recipe = Recipe(self.tables or files, config.speakers, subset)
        snrs = read_rows(files, rf"{_top(folder)}/(?:.*/)?metrics_{subset}_mix_{config.mix}\.csv")
        transcripts = Transcripts(self.texts, clean_name(subset))
        listed = read_rows(files, rf"{_top(folder)}/(?:.*/)?mixture_{subset}_mix_{config.mix}\.csv")
        there = files.match(rf"{re.escape(folder)}/mix_{config.mix}/(?P<mixture>[^/]+)\.wav")
        lying = (path["mixture"] for path in there if path["mixture"] not in listed)
        for mixture in itertools.chain(listed, lying):
            yield self._utterance(files, folder, mixture, recipe, snrs.get(mixture, {}), transcripts)

    def _utterance(
        self, files: Files, folder: str, mixture: str, recipe: Recipe, snr: Mapping[str, str], transcripts: Transcripts
    ) -> Utterance:
        config = self.config
        sources = mixture.split("_")[: 1 if config.mix == "single" else config.speakers]
        numbers = range(1, len(sources) + 1)
        row = recipe.rows.get(mixture, {})
        members = {f"source{number}": f"{folder}/s{number}/{mixture}.wav" for number in numbers}
        # Noise may not have been made at all; where some was, a file that is not there is missed.
        if config.mix != "clean" and next(files.names(f"{folder}/noise/*.wav"), None):
            members["noise"] = f"{folder}/noise/{mixture}.wav"
        noisy = {} if config.mix == "clean" else row
        speakers = [source.split("-")[0] for source in sources]
        texts = [transcripts.get(source) for source in sources]
        labels = {
            "subset": folder.rsplit("/", 1)[1],
            "speakers": speakers,
            "genders": [recipe.gender(mixture, number, source) for number, source in enumerate(sources, 1)],
            "source_ids": sources,
            "texts": texts if any(texts) else None,
            "gains": _numbers(row, [f"source_{number}_gain" for number in numbers]),
            "snrs": _numbers(snr, [f"source_{number}_SNR" for number in numbers]),
            "noise_id": noisy.get("noise_path"),
            "noise_gain": _number(noisy.get("noise_gain")),
            "noise_snr": _number(snr.get("noise_SNR")),
        }
        lengths = [recipe.lengths.get(source) for source in sources]
        whole = min(filter(None, map(recipe.lengths.get, mixture.split("_"))), default=0)
        segments = [
            Segment("speakers", 0.0, (whole if config.mode == "min" else length) / SAMPLING_RATE, source, speaker)
            for source, speaker, length in zip(sources, speakers, lengths, strict=True)
            if length
        ]
        alone = len(sources) == 1
        return Utterance(
            mixture, f"{folder}/mix_{config.mix}/{mixture}.wav", texts[0] if alone else None,
            speakers[0] if alone else None, segments=segments, labels=labels, audios=members,
        )  # fmt: skip


def _top(folder: str) -> str:
    return re.escape(folder.rsplit("/", 1)[0])


def _number(text: str | None) -> float | None:
    return float(text) if text else None


def _numbers(row: Mapping[str, str], names: Sequence[str]) -> list[float | None] | None:
    found = [_number(row.get(name)) for name in names]
    return None if all(value is None for value in found) else found
