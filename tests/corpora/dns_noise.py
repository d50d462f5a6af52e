"""A miniature of the DNS Challenges' noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.crema_d import POINTER
from tests.corpora.sound import noise, riff

YOUTUBE = ("zzznDcamMpw", "---1_cCGK4M", "_0BIkbCBg2k")
FREESOUND = (
    "breath_spit_Freesound_validated_106245_0", "door_Freesound_validated_400275_12",
    "squeak_squeakyChair_Freesound_validated_25_1", "copy-machine_Freesound_validated_7043__someone__a title_3",
)  # fmt: skip
CLIPS = (*YOUTUBE, *FREESOUND)
FOLDERS = {
    "wideband": "datasets/noise",
    "interspeech2020": "DNS-Challenge/datasets/noise",
    "fullband": "datasets_fullband/noise_fullband",
    "fullband-bare": "noise_fullband",
}


def samples_of(clip: str, rate: int = 16_000) -> np.ndarray:
    """Return the audio of a clip [shape=(rate / 10,), int16]."""
    return noise(rate // 10, seed=sum(map(ord, clip)))


def write(folder: Path, *, form: str = "wideband", pointers: bool = False) -> Path:
    """Write the miniature of a form (see `FOLDERS`) below `folder` and return its top folder.

    pointers : bool
        A clone without what Git LFS holds.
    """
    clips = folder / FOLDERS[form]
    clips.mkdir(parents=True)
    rate = 48_000 if form.startswith("fullband") else 16_000
    for clip in CLIPS:
        (clips / f"{clip}.wav").write_bytes(POINTER.encode() if pointers else riff(samples_of(clip, rate), rate))
    (clips / "Readme.md").write_text("# Noise\n")
    if form == "interspeech2020":
        clean = clips.parent / "clean"
        clean.mkdir()
        (clean / "book_00000_chp_0009_reader_06709_0.wav").write_bytes(riff(samples_of("clean")))
    return folder / FOLDERS[form].split("/")[0]
