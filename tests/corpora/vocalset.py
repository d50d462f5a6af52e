"""A miniature VocalSet."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

RATE = 44_100
STEREO = "male1/long_tones/straight/m1_long_straight_o"
TRAIN = (
    "female1/arpeggios/belt/f1_arpeggios_belt_c_a", "male1/arpeggios/straight/m1_arpeggios_straight_a", STEREO,
    "female4/scales/straight/scales_straight_e", "female9/arpeggios/fast_forte/arps_fast_piano_c",
    "male8/excerpts/straight/row_straight",
)  # fmt: skip
TEST = (
    "female2/arpeggios/lip_trill/lip_trill_arps", "male3/scales/lip_trill/scales_lip_trill",
    "male10/scales/fast_piano/scales_f_fast_piano_u", "female8/excerpts/vibrato/f8_caro_vibrato",
    "female2/scales/vibrato/f2_scales_vibrato_a",
)  # fmt: skip
SURPLUS = ("female2/scales/vibrato/f2_scales_vibrato_a(1)", "male5/excerpts/vibrato/caro_vibrato",
           "male4/arpeggios/vibrato/slow_vibrato_arps")  # fmt: skip
SINGERS = {
    "train": "female1 female3 female4 female5 female6 female7 female9 "
             "male1 male2 male4 male6 male7 male8 male9 male11".split(),
    "test": "female2 female8 male3 male5 male10".split(),
}  # fmt: skip


def samples_of(name: str) -> np.ndarray:
    """Return the audio of a recording [shape=(4410,) or (4410, 2), int16, 44.1 kHz]."""
    mono = noise(4410, seed=sum(map(ord, name)))
    return np.stack([mono, np.zeros_like(mono)], axis=1) if name == STEREO else mono


def write(folder: Path, *, version: str = "1.2", lists: bool = True) -> Path:
    """Write the miniature of a version below `folder` and return its top folder."""
    top = folder / "VocalSet1-2" if version == "1.2" else folder
    singers = top / ("data_by_singer" if version == "1.2" else "FULL")
    for name in TRAIN + TEST + SURPLUS:
        path = singers / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(riff(samples_of(name), RATE))
        if version == "1.2":
            copy = top / "data_by_technique" / path.parent.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    (singers / ".DS_Store").write_bytes(b"\0")
    if lists:
        for split, names in SINGERS.items():
            (top / f"{split}_singers_technique.txt").write_text("\n".join(names) + "\n")
    if version != "1.2":
        litter = top / f"__MACOSX/FULL/{TRAIN[0]}.wav"
        litter.parent.mkdir(parents=True)
        litter.with_name(f"._{litter.name}").write_bytes(b"\0")
        (top / "readme-anon.txt").write_text("VocalSet")
    return top
