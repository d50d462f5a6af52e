"""A miniature MUSAN."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import RATE, noise, riff

SAMPLES = {  # recording to its length; the shortest is as short as the corpus' shortest
    "music/fma/music-fma-0026": 1600, "music/fma/music-fma-0097": 4000, "music/fma/music-fma-0100": 1600,
    "music/fma-western-art/music-fma-wa-0023": 1600, "music/hd-classical/music-hd-0001": 1600,
    "speech/librivox/speech-librivox-0097": 3200, "speech/librivox/speech-librivox-0169": 1600,
    "speech/us-gov/speech-us-gov-0000": 1600, "noise/free-sound/noise-free-sound-0000": 480,
    "noise/free-sound/noise-free-sound-0007": 1600, "noise/sound-bible/noise-sound-bible-0001": 1600,
}  # fmt: skip
ANNOTATIONS = {
    # 0026 and 0097 are published lines; 0100 has none.
    "music/fma": "music-fma-0026 blues Y Cullah\nmusic-fma-0097 pop,electronica Y Quiet_Music_for_Tiny_Robots\n",
    "music/fma-western-art": "music-fma-wa-0023 westernart,baroque N Some_Artist\n",
    "music/hd-classical": "music-hd-0001 westernart,romantic N Some_Artist Brahms\n",
    "speech/librivox": "speech-librivox-0097 f german\nspeech-librivox-0169 m english\n",
    "noise/free-sound": "The following files are background noises:\nnoise-free-sound-0007\n",
}
LENGTH, HOP = 1600, 1000  # samples of the parts of musan_split; 5 s and 3 s there


def samples_of(name: str) -> np.ndarray:
    """Return the audio of a recording [shape=(samples,), int16, 16 kHz]."""
    return noise(SAMPLES[name], seed=sum(map(ord, name)))


def write(folder: Path) -> Path:
    """Write the miniature as `folder`/musan and return that."""
    top = folder / "musan"
    for name in SAMPLES:
        path = top / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(riff(samples_of(name), RATE))
        (path.parent / "LICENSE").write_text(f"{path.stem}\nCC BY 4.0\n")
        (path.parent / f"._{path.name}").write_bytes(b"\0")  # of repacked copies
    for source, text in ANNOTATIONS.items():
        (top / source / "ANNOTATIONS").write_text(text)
    (top / "README").write_text("MUSAN\n")
    return top


def write_split(folder: Path) -> Path:
    """Write the parts of one recording as `folder`/musan_split, where annotations are missing, and return that."""
    top = folder / "musan_split"
    name = "music/fma/music-fma-0097"
    whole = samples_of(name)
    for first in range(0, len(whole) - LENGTH, HOP):
        path = top / name / f"{first // HOP * 3:05}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(riff(whole[first : first + LENGTH], RATE))
    return top
