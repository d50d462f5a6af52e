"""A miniature Speech Commands in the forms that go around."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

VALIDATION = ("six/0b09edd3_nohash_1.wav", "bed/439c84f4_nohash_1.wav")
TESTING = ("right/bb05582b_nohash_3.wav", "visual/f2e59fea_nohash_0.wav")
TRAIN = ("six/0b40b1e4_nohash_0.wav", "yes/0b40b1e4_nohash_0.wav", "yes/0b40b1e4_nohash_1.wav")
NOISES = ("_background_noise_/running_tap.wav", "_background_noise_/pink_noise.wav")
TEST_SET = (
    "right/bb05582b_nohash_3.wav", "yes/a69b9b3e_nohash_0.wav.wav", "_unknown_/bed_439c84f4_nohash_0.wav",
    "_unknown_/visual_f2e59fea_nohash_0.wav.wav", "_silence_/3.wav",
)  # fmt: skip


def samples_of(path: str) -> np.ndarray:
    """Return a recording [shape=(samples,), int16]: a second, less for some, more for noise."""
    length = 32_000 if path.startswith("_background_noise_") else 16_000 - (sum(map(ord, path)) % 3) * 1_000
    return noise(length, seed=sum(map(ord, path)))


def write(folder: Path, version: str = "v0.02") -> Path:
    """Write ``speech_commands_<version>/`` and return it; its archive has no top folder."""
    top = folder / f"speech_commands_{version}"
    _write(top, (*TRAIN, *VALIDATION, *TESTING, *NOISES))
    (top / "validation_list.txt").write_text("".join(f"{path}\n" for path in VALIDATION))
    (top / "testing_list.txt").write_text("".join(f"{path}\n" for path in TESTING))
    (top / "_background_noise_" / "README.md").write_text("Background noise\n")
    (top / "README.md").write_text("# Speech Commands Data Set v0.02\n")
    (top / "LICENSE").write_text("CC BY 4.0\n")
    return top


def write_test_set(folder: Path, version: str = "v0.02") -> Path:
    """Write ``speech_commands_test_set_<version>/`` and return it."""
    return _write(folder / f"speech_commands_test_set_{version}", TEST_SET)


def write_repacked(folder: Path, version: str = "v0.02") -> Path:
    """Write one folder a split, without lists, as the Hub's archives hold them, and return the folder of the three."""
    _write(folder / f"{version}_train", (*TRAIN, "_silence_/running_tap.wav"))
    _write(folder / f"{version}_validation", VALIDATION)
    _write(folder / f"{version}_test", TEST_SET)
    return folder


def _write(top: Path, paths: tuple[str, ...]) -> Path:
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(riff(samples_of(path)))
    return top
