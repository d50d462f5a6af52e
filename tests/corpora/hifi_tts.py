"""A miniature Hi-Fi TTS."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.corpora.sound import flac, noise

RATE = 44_100

# manifest -> audio's path -> (text, text of the book, that text normalised, samples at 44.1 kHz).
# 9017 reads two books with a chapter of one name; 6097 is in both qualities.
MANIFESTS = {
    "11614_manifest_other_train": {
        "audio/11614_other/10547/thousandnights8_04_anonymous_0001.flac": (
            "when it was the five hundred and third night", "When it was the 503rd Night,",
            "When it was the five hundred and third Night,", 44100),
        "audio/11614_other/10547/thousandnights8_04_anonymous_0003.flac": (
            "she said \"go\"", "She said \"go\"", "She said \"go\"", 4410),
    },
    "11614_manifest_other_dev": {
        "audio/11614_other/10547/thousandnights8_04_anonymous_0007.flac": ("quoth he", "Quoth he", "Quoth he", 4413)},
    "92_manifest_clean_train": {
        "audio/92_clean/5037/chapter_01_0002.flac": ("mr dale", "Mr. Dale", "Mister Dale", 4416)},
    "92_manifest_clean_test": {"audio/92_clean/5037/chapter_01_0009.flac": ("no", "No!", "No!", 4419)},
    "9017_manifest_clean_train": {
        "audio/9017_clean/6532/chapter_01_0001.flac": ("first", "First.", "First.", 4422),
        "audio/9017_clean/7080/chapter_01_0001.flac": ("second", "Second.", "Second.", 4425),
    },
    "6097_manifest_clean_dev": {"audio/6097_clean/100/a_0001.flac": ("caf\u00e9", "Caf\u00e9", "Caf\u00e9", 4428)},
    "6097_manifest_other_dev": {"audio/6097_other/101/a_0001.flac": ("b", "B", "B", 4431)},
}  # fmt: skip


def samples_of(path: str) -> np.ndarray:
    """Return a recording at 44.1 kHz [shape=(samples,), int16]."""
    length = next(rows[path][3] for rows in MANIFESTS.values() if path in rows)
    return noise(length, seed=sum(map(ord, path)))


def write(folder: Path) -> Path:
    """Write ``hi_fi_tts_v0`` below `folder` and return it."""
    top = folder / "hi_fi_tts_v0"
    top.mkdir(parents=True)
    for manifest, rows in MANIFESTS.items():
        lines = []
        for path, (text, book, normalized, samples) in rows.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_bytes(flac(samples_of(path), RATE))
            row = {"audio_filepath": path, "text": text, "duration": round(samples / RATE, 2),
                   "text_no_preprocessing": book, "text_normalized": normalized}  # fmt: skip
            lines.append(json.dumps(row) + "\n")
        (top / f"{manifest}.json").write_text("".join(lines), encoding="utf-8")
    (top / "README.txt").write_text("Hi-Fi TTS\n", encoding="utf-8")
    (top / "books_bandwidth.tsv").write_text("10547\t13500\n", encoding="utf-8")
    return top
