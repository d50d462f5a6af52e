"""A miniature of the word recognition workflow's recordings: tones for words, silence between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.corpora.sound import RATE, noise, pack_audio, riff, tone

NUMBERS = "zero one two three four five six seven eight nine".split()
ANIMALS = "cat dog fox bird".split()
WORD, GAP = 0.25, 0.5  # seconds


def reading(words: Sequence[str], rate: int = RATE, level: float = 0.2, gap: float = GAP) -> np.ndarray:
    """Return one tone a word, of its own height, with quiet noise between them [shape=(n,), float64]."""
    known = [*NUMBERS, *ANIMALS]
    silence = np.zeros(round(gap * rate))
    parts = [np.zeros(round(GAP * rate))]
    for word in words:
        parts += [tone(300 + 100 * known.index(word), WORD, rate, level), silence]
    sound = np.concatenate(parts)
    return sound + noise(len(sound)) * 1e-8


def write(folder: Path) -> Path:
    """Write ``data`` below `folder` and return it."""
    data = folder / "data"
    files = {
        "num_phone_en-UK_m_Martin00.wav": riff(reading(NUMBERS)),
        "num_Bing_en-UK_f_Susan.ogg": pack_audio(reading(NUMBERS, 44100, 0.05), 44100, form="OGG", subtype="VORBIS"),
        "num/six/laptop_en-US_f_Ann07.wav": riff(tone(900, 0.3, amplitude=0.1)),
        "num-test/four_two.wav": riff(reading(["four", "two"])),
        "num-test/raw-from-phone.wav": riff(reading(["one", "one", "nine"])),
        "animals_phone_en-UK_m_Martin00.wav": riff(reading(ANIMALS)),
        "animals-test/cat_dog_fox_bird.wav": riff(reading(ANIMALS)),
        "raw-from-phone.wav": riff(reading(["two"])),
    }
    for name, content in files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)
    return data
