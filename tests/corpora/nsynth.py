"""A miniature NSynth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.corpora.sound import riff, tone

QUALITIES = (
    "bright dark distortion fast_decay long_release multiphonic nonlinear_env percussive reverb tempo-synced"
).split()
FAMILIES = "bass brass flute guitar keyboard mallet organ reed string synth_lead vocal".split()
SOURCES = ("acoustic", "electronic", "synthetic")
# note_str: note, instrument, qualities; instruments of train are nowhere else
NOTES: dict[str, dict[str, tuple[int, int, tuple[str, ...]]]] = {
    "train": {
        "guitar_acoustic_001-082-050": (16629, 37, ()),
        "reed_acoustic_037-068-127": (22259, 387, ("reverb",)),
        "string_acoustic_014-063-050": (83687, 100, ("fast_decay", "percussive", "reverb")),
        "synth_lead_synthetic_001-060-127": (151, 904, ("tempo-synced",)),
        "brass_acoustic_046-101-050": (80852, 414, ("long_release",)),
    },
    "valid": {
        "vocal_synthetic_003-088-025": (22833, 1003, ("bright", "distortion", "long_release", "nonlinear_env")),
        "flute_acoustic_002-077-100": (72001, 86, ("reverb",)),
    },
    "test": {
        "keyboard_electronic_098-023-050": (234194, 905, ("dark", "distortion")),
        "mallet_acoustic_062-066-050": (125499, 644, ("dark", "fast_decay", "multiphonic")),
    },
}
# Acoustic notes of pitch 24 to 84
GANSYNTH = {
    "reed_acoustic_037-068-127": "valid", "guitar_acoustic_001-082-050": "train", "flute_acoustic_002-077-100": "train",
    "mallet_acoustic_062-066-050": "test", "string_acoustic_014-063-050": "train",
}  # fmt: skip


def entry_of(part: str, name: str) -> dict[str, Any]:
    """Return the entry of a note in examples.json, with its keys in the order of the corpus."""
    note, instrument, qualities = NOTES[part][name]
    text, pitch, velocity = name.rsplit("-", 2)
    family, source, _ = text.rsplit("_", 2)
    return {
        "qualities": [int(quality in qualities) for quality in QUALITIES],
        "pitch": int(pitch),
        "note": note,
        "instrument_source_str": source,
        "velocity": int(velocity),
        "instrument_str": text,
        "instrument": instrument,
        "sample_rate": 16_000,
        "qualities_str": list(qualities),
        "instrument_source": SOURCES.index(source),
        "note_str": name,
        "instrument_family": FAMILIES.index(family),
        "instrument_family_str": family,
    }


def samples_of(name: str) -> np.ndarray:
    """Return a note: 3 s held, 1 s released [shape=(64000,), int16, 16 kHz]."""
    pitch = int(name.rsplit("-", 2)[1])
    held = np.minimum(1, (4 - np.arange(64_000) / 16_000))
    return np.round(8000 * held * tone(440 * 2 ** ((pitch - 69) / 12), 4)).astype(np.int16)


def write(folder: Path, *, parts: tuple[str, ...] = ("train", "valid", "test"), gansynth: bool = True) -> Path:
    """Write the miniature below `folder` and return its top folder."""
    top = folder / "nsynth"
    for part in parts:
        audio = top / f"nsynth-{part}/audio"
        audio.mkdir(parents=True)
        for name in NOTES[part]:
            (audio / f"{name}.wav").write_bytes(riff(samples_of(name)))
        write_examples(top, part, {name: entry_of(part, name) for name in NOTES[part]})
    if gansynth:
        rows = "".join(f"{name},{split}\n" for name, split in GANSYNTH.items())
        (top / "nsynth-gansynth_splits.csv").write_text(f"id,split\n{rows}")
    (top / "nsynth-instrument_labels.txt").write_text("bass_acoustic_000\n")
    return top


def write_examples(top: Path, part: str, table: dict[str, Any]) -> None:
    """Write examples.json as the corpus has it: indented, with a space at the end of the lines."""
    text = json.dumps(table, indent=4, separators=(", ", ": "))
    (top / f"nsynth-{part}/examples.json").write_text(text)
