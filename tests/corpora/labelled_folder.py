"""Folders of recordings as people keep them: labelled by folder or by a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tests.corpora.sound import RATE, flac, noise, pack_audio, riff, tone

# What recorders and downloads leave in such folders: name to (rate, format)
RECORDINGS = {
    "train/happy/a.wav": ("WAV", "PCM_16", 16_000),
    "train/happy/deeper/b.flac": ("FLAC", "PCM_16", 44_100),
    "train/sad/c.ogg": ("OGG", "VORBIS", 48_000),
    "train/sad/d.mp3": ("MP3", "MPEG_LAYER_III", 44_100),
    "dev/happy/e.WAV": ("WAV", "FLOAT", 22_050),
    "test/sad/f.aiff": ("AIFF", "PCM_24", 16_000),
}


def sound_of(name: str) -> bytes:
    """Return the file of a recording of `RECORDINGS`: a tone of 0.2 s."""
    form, subtype, rate = RECORDINGS[name]
    return pack_audio(tone(440, 0.2, rate), rate, form=form, subtype=subtype)


def put(folder: Path, members: Mapping[str, bytes | str]) -> Path:
    """Write files by name and return the folder."""
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def write(folder: Path) -> Path:
    """Write a folder labelled by its folders, in splits, below `folder` and return it."""
    notes = {"notes.txt": "mine", "train/happy/a.txt": "what was said", "other.csv": "who,when\nI,now\n"}
    return put(folder / "feelings", {name: sound_of(name) for name in RECORDINGS} | notes)


def wavs(names: Iterable[str]) -> dict[str, bytes]:
    """Return a short recording for each name, of its own noise."""
    return {name: riff(noise(800, seed=sum(map(ord, name)))) for name in names}


def json_lines(rows: Iterable[Mapping]) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def odd() -> dict[str, bytes]:
    """Return recordings that are bad, or unusual and good."""
    stereo = np.stack([noise(800), np.zeros(800, np.int16)], axis=1)
    return {
        "x/stereo.wav": riff(stereo),
        "x/eight.wav": pack_audio(tone(440, 0.1), RATE, subtype="PCM_U8"),
        "x/high.wav": riff(noise(19_200), 192_000),
        "x/four.flac": flac(np.stack([noise(800, seed) for seed in range(4)], axis=1)),
        "x/empty.wav": b"",
        "x/silent.wav": riff(np.empty(0, np.int16)),
        "x/cut.wav": riff(noise(800))[:-100],
    }
