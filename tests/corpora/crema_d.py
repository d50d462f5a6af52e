"""A miniature CREMA-D."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, pack_audio, riff

CLIPS = ("1001_IEO_NEU_XX", "1001_DFA_ANG_XX", "1002_IEO_HAP_HI", "1002_ITH_SAD_XX", "1076_MTI_SAD_XX")

NAMES = '"Stimulus_Number","Filename"\n' + "".join(f'{n},"{clip}"\n' for n, clip in enumerate(CLIPS, 1))
ACTORS = """\
"ActorID","Age","Sex","Race","Ethnicity"
1001,51,"Male","Caucasian","Not Hispanic"
1002,21,"Female","Caucasian","Not Hispanic"
"""
VOTES = """\
"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"
"1","1001_IEO_NEU_XX","N","69.1","N","92.22","N","64.78"
"2","1002_IEO_HAP_HI","H:N","51.5:60.25","H","88","H","76.5"
"""
POINTER = """\
version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 72862
"""


def samples_of(stem: str) -> np.ndarray:
    """Return the audio of a clip [shape=(samples,), int16]."""
    length = 1600 + sum(map(ord, stem)) % 100
    return np.zeros(length, np.int16) if stem == "1076_MTI_SAD_XX" else noise(length, seed=sum(map(ord, stem)))


def write(folder: Path, *, form: str = "clone") -> Path:
    """Write the miniature as `folder`/CREMA-D and return that.

    form : {"clone", "audio", "pointers"}
        The repository; ``AudioWAV`` alone; the repository without what Git LFS holds.
    """
    top = folder / "CREMA-D"
    (top / "AudioWAV").mkdir(parents=True)
    for stem in CLIPS:
        wav = POINTER.encode() if form == "pointers" else riff(samples_of(stem))
        (top / f"AudioWAV/{stem}.wav").write_bytes(wav)
    if form != "audio":
        (top / "AudioMP3").mkdir()
        for stem in CLIPS:
            mp3 = pack_audio(samples_of(stem), form="MP3", subtype="MPEG_LAYER_III")
            (top / f"AudioMP3/{stem}.mp3").write_bytes(mp3)
        (top / "VideoFlash").mkdir()
        (top / f"VideoFlash/{CLIPS[0]}.flv").write_bytes(b"FLV")
        (top / "SentenceFilenames.csv").write_text(NAMES)
        (top / "VideoDemographics.csv").write_text(ACTORS)
        (top / "processedResults").mkdir()
        (top / "processedResults/summaryTable.csv").write_text(VOTES)
    return top
