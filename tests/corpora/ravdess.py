"""A miniature RAVDESS."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from tests.corpora.sound import riff, tone

RATE = 48_000
STEREO = "03-02-01-01-01-01-24"  # the one of the six stereo files that is song

SPEECH = (
    "03-01-06-01-02-01-12", "03-01-01-01-01-01-01", "03-01-02-01-01-02-07", "03-01-02-01-02-02-07",
    "03-01-08-02-01-02-24",
)  # fmt: skip
SONG = ("03-02-03-02-01-01-01", STEREO)
VIDEO = ("01-01-06-01-02-01-12", "02-01-06-01-02-01-12", "01-02-03-02-01-01-01")


def samples_of(stem: str) -> np.ndarray:
    """Return the audio of a recording [shape=(4800,) or (4800, 2), int16, 48 kHz]."""
    twin = stem.replace("03-01-02-01-02-02-07", "03-01-02-01-01-02-07")  # two files, one recording
    mono = (32767 * tone(200 + sum(map(ord, twin)) % 500, 0.1, RATE, 0.1)).astype(np.int16)
    return np.stack([mono, -mono], axis=1) if stem == STEREO else mono


def chunked(wav: bytes) -> bytes:
    """Put the chunks of an audio editor before and behind the samples of a RIFF file."""
    extra = [(b"bext", bytes(602)), (b"FLLR", bytes(3000)), (b"LIST", b"INFOISFT\x04\0\0\0abc\0"), (b"_PMX", bytes(98))]
    packed = [name + struct.pack("<I", len(data)) + data for name, data in extra]
    body = wav[12:36] + b"".join(packed[:2]) + wav[36:] + b"".join(packed[2:])
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def write(folder: Path, stems: tuple[str, ...] = SPEECH + SONG, *, top: str = "", flat: bool = False) -> Path:
    """Write ``Actor_NN/<stem>.wav`` below `folder`/`top`, or the files without the actors' folders."""
    for stem in stems:
        actor = folder / top / ("" if flat else f"Actor_{stem[-2:]}")
        actor.mkdir(parents=True, exist_ok=True)
        suffix = "wav" if stem.startswith("03") else "mp4"
        (actor / f"{stem}.{suffix}").write_bytes(chunked(riff(samples_of(stem), RATE)))
    return folder
