"""The noise of the Deep Noise Suppression Challenges: clips of AudioSet and Freesound, ten seconds long as a rule.

Source: Reddy et al. (2020), https://github.com/microsoft/DNS-Challenge. There is no metadata: names tell what there is
to know, the clip of YouTube or Freesound and, of Freesound, what was searched for::

    datasets/noise/zzznDcamMpw.wav                                     wideband, 16 kHz
    datasets_fullband/noise_fullband/door_Freesound_validated_106245_0.wav       48 kHz
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from datasets import Value

from builders.audio import Normalised
from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.lfs import refuse_pointer
from builders.listing import Utterance
from builders.schema import Segment

# breath_spit_Freesound_validated_106245_0 | fan_Freesound_validated_361089__uploader__title_3
FREESOUND = re.compile(r"(?P<words>.+?)_Freesound_validated_(?P<clip>\d+)_.*")
YOUTUBE = re.compile(r"[\w-]{11}", re.ASCII)
DNS3 = "https://dns3public.blob.core.windows.net/dns3archive/datasets/"
DNS5 = "https://dnschallengepublic.blob.core.windows.net/dns5archive/V5_training_dataset/noise_fullband/"
PARTS = (*(f"audioset_{number:03}" for number in range(7)), "freesound_000", "freesound_001")


class DNSNoise(CorpusBuilder):
    """The noise of the challenges' training data."""

    FACTS = Facts(
        title="Deep Noise Suppression Challenge: noise",
        homepage="https://github.com/microsoft/DNS-Challenge",
        licence="CC BY 4.0 (clips of AudioSet), CC0 1.0 (clips of Freesound)",
        access="The noise of the DNS Challenges is open: wideband and fullband download themselves; interspeech2020 is "
        "the branch interspeech2020/master of https://github.com/microsoft/DNS-Challenge, to be cloned with git-lfs; "
        "pass data_dir=<the clone, the archives' folder or what they hold>",
        citation="Reddy, C. K. A., et al. (2020). The INTERSPEECH 2020 Deep Noise Suppression Challenge: Datasets, "
        "Subjective Testing Framework, and Challenge Results. Interspeech.",
        root=r"^(?:.*/)?(?=noise(?:_fullband)?/[^/]+$)",
        archives=(
            Archive("datasets-interspeech2020.tar.bz2"),
            Archive("datasets.noise.tar.bz2", url=f"{DNS3}datasets.noise.tar.bz2"),
            *(Archive(name, url=f"{DNS5}{name}")
              for name in (f"datasets_fullband.noise_fullband.{part}.tar.bz2" for part in PARTS)),
        ),
        labels=("subset", "category"),
        own_labels={"youtube_id": Value("string"), "freesound_id": Value("string")},
    )  # fmt: skip
    BUILDER_CONFIGS = [
        CorpusConfig(name="wideband", description="Challenges 2 and 3, 16 kHz.", splits={"train": Expected()},
                     archives=["datasets.noise.tar*"]),
        CorpusConfig(name="interspeech2020", description="Challenge 1, 16 kHz.", splits={"train": Expected(65_302)},
                     archives=["datasets-interspeech2020*"]),
        CorpusConfig(name="fullband", description="Challenges 3 to 5, 48 kHz.", splits={"train": Expected()},
                     archives=["datasets_fullband.noise_fullband*"]),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "wideband"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips."""
        folder = "noise_fullband" if self.config.name == "fullband" else "noise"
        for path in files.match(rf"{folder}/(?P<stem>[^/]+)\.wav"):
            yield Utterance(path["stem"], path[0], labels=describe(path["stem"]))

    def audio(self, row: Mapping[str, Any]) -> tuple[Normalised, Sequence[Segment] | None]:
        """Return the normalised audio of a row; say of a Git LFS pointer that it is one."""
        refuse_pointer(self.files, row["member"], row["bytes"])
        return super().audio(row)


def describe(stem: str) -> dict[str, Any]:
    """Return the labels that the name of a clip tells; none of a name of another kind."""
    if clip := FREESOUND.fullmatch(stem):
        return {"subset": "freesound", "category": clip["words"], "freesound_id": clip["clip"]}
    if YOUTUBE.fullmatch(stem):
        return {"subset": "audioset", "youtube_id": stem}
    return {}
