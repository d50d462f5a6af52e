"""A miniature Free Spoken Digit Dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

RATE = 8_000
METADATA = """\
metadata = {
    'jackson': {
        'gender': 'male',
        'accent': 'USA/neutral',
        'language': 'english'
    },
    'nicolas': {
        'gender': 'male',
        'accent': 'BEL/French',
        'language': 'english'
    },
    'jason': {
        'gender': 'male',
        'accent': 'USA/southern',
        'language': 'english'
    },
}
"""
# file stem -> samples at 8 kHz
RECORDINGS = {
    "7_jackson_32": 5148, "7_jackson_4": 3457, "0_nicolas_0": 2384, "0_nicolas_5": 2500, "9_theo_49": 1148,
    "3_jason_11": 1600,
}  # fmt: skip


def samples_of(stem: str) -> np.ndarray:
    """Return a recording [shape=(samples,), int16, 8 kHz]."""
    return noise(RECORDINGS[stem], seed=sum(map(ord, stem)))


def write(folder: Path, tag: str = "1.0.10") -> Path:
    """Write ``free-spoken-digit-dataset-<tag>/`` as GitHub packs it and return the top folder."""
    top = folder / f"free-spoken-digit-dataset-{tag}"
    for name in ("recordings", "utils", "acquire_data"):
        (top / name).mkdir(parents=True)
    for stem in RECORDINGS:
        (top / "recordings" / f"{stem}.wav").write_bytes(riff(samples_of(stem), RATE))
    (top / "metadata.py").write_text(METADATA, encoding="utf-8")
    (top / "README.md").write_text("# Free Spoken Digit Dataset (FSDD)\n", encoding="utf-8")
    (top / "utils" / "spectogramer.py").write_text("raise RuntimeError('never run')\n", encoding="utf-8")
    return top
