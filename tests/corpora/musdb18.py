"""A miniature MUSDB18, as WAV (MUSDB18-HQ) and as MP4 of five streams."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from tests.corpora.sound import pack_audio, stem_mp4

RATE = 44_100
SECONDS = 0.3
# Hz; a mixture is the sum of the others
PITCH = {"drums": 200, "bass": 100, "other": 900, "vocals": 400}
TRAIN = ("A Classic Education - NightOwl", "Music Delta - Rock")
VALIDATION = ("ANiMAL - Rockshow", "Johnny Lokke - Promises & Lies")
TEST = ("Angels In Amplifiers - I'm Alright", "M.E.R.C. Music - Knockout", "PR - Oh No",
        "The Easton Ellises - Falcon 69")  # fmt: skip
SONGS = {"train": TRAIN + VALIDATION, "test": TEST}


def sounds_of(song: str) -> dict[str, np.ndarray]:
    """Return the mixture and the stems of a song [shape=(13230, 2), int16, 44.1 kHz], by name in the streams' order."""
    number = [name for names in SONGS.values() for name in names].index(song)
    time = np.arange(round(SECONDS * RATE)) / RATE
    stems = {}
    for stem, pitch in PITCH.items():
        left = 3000 * np.sin(2 * np.pi * (pitch + 10 * number) * time)
        stems[stem] = np.stack([left, left / 2], axis=1).astype(np.int16)
    return {"mixture": sum(stems.values()), **stems}


def write(folder: Path, *, form: str = "wav") -> Path:
    """Write the miniature below `folder` as ``wav``, ``mp4`` or ``both`` and return its top folder."""
    top = folder / ("musdb18" if form == "mp4" else "musdb18hq")
    for part, songs in SONGS.items():
        for song in songs:
            place = top / part / song
            place.parent.mkdir(parents=True, exist_ok=True)
            sounds = sounds_of(song)
            if form in ("mp4", "both"):
                data = stem_mp4(list(sounds.values()), RATE, cover=True)
                place.with_name(f"{song}.stem.mp4").write_bytes(data)
            if form in ("wav", "both"):
                place.mkdir()
                for name, samples in sounds.items():
                    (place / f"{name}.wav").write_bytes(pack_audio(samples, RATE))
    (top / "README.md").write_text("MUSDB18\n")
    return top


def pack_bare(top: Path, archive: Path) -> Path:
    """Write what is in a folder to a zip, without the folder: as musdb18hq.zip has it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(top.rglob("*")):
            packed.write(path, path.relative_to(top))
    return archive
