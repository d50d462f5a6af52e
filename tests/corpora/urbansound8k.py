"""A miniature UrbanSound8K: one excerpt of every encoding that uploads to Freesound come in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.corpora.sound import pack_audio, tone

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"


class Excerpt(NamedTuple):
    """A row of the table, and how its file is encoded."""

    row: str
    rate: int
    channels: int
    subtype: str
    seconds: float


# Rows of the published table; the encodings are of the kinds that it holds, not those of these files.
EXCERPTS = (
    Excerpt("100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark", 44_100, 2, "PCM_16", 0.317551),
    Excerpt("100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing", 44_100, 2, "PCM_16", 4.0),
    Excerpt("101415-3-0-2.wav,101415,1.0,5.0,1,1,3,dog_bark", 48_000, 2, "PCM_24", 0.5),
    Excerpt("7061-6-0-0.wav,7061,0.978088,3.231723,1,1,6,gun_shot", 11_025, 1, "PCM_U8", 0.4),
    Excerpt("7383-3-0-0.wav,7383,3.9021,7.9021,1,1,3,dog_bark", 96_000, 2, "PCM_24", 0.25),
    Excerpt("7389-1-0-4.wav,7389,2.0,6.0,2,4,1,car_horn", 44_100, 1, "FLOAT", 0.3),
    Excerpt("24074-1-0-2.wav,24074,14.060993,18.060993,1,1,1,car_horn", 192_000, 2, "PCM_24", 0.2),
    Excerpt("31323-3-0-1.wav,31323,0.992016,4.992016,2,1,3,dog_bark", 44_100, 1, "IMA_ADPCM", 0.5),
    Excerpt("14113-4-0-0.wav,14113,0.0,4.0,1,1,4,drilling", 22_050, 1, "MS_ADPCM", 0.5),
    Excerpt("180937-7-3-10.wav,180937,309.584561,313.584561,2,1,7,jackhammer", 44_100, 2, "PCM_32", 0.3),
    Excerpt("180937-4-1-12.wav,180937,309.481213,313.481213,2,9,4,drilling", 8_000, 1, "ULAW", 0.3),
    Excerpt("87275-1-1-0.wav,87275,1.613718,1.668236,2,1,1,car_horn", 44_100, 2, "PCM_16", 0.054518),
)
PITCH = 440.0  # Hz, left; the right channel is a third of it in level


def samples_of(excerpt: Excerpt) -> np.ndarray:
    """Return an excerpt's sound [shape=(samples,) or (samples, 2), float64]."""
    left = tone(PITCH, excerpt.seconds, excerpt.rate)
    return np.stack([left, left / 3], axis=1) if excerpt.channels == 2 else left


def write(folder: Path, *, layout: str = "published") -> Path:
    """Write the miniature below `folder`, as published or flat as copies have it, and return its top folder."""
    top = folder / "UrbanSound8K"
    audio, metadata = (top / "audio", top / "metadata") if layout == "published" else (top, top)
    metadata.mkdir(parents=True, exist_ok=True)
    rows = [excerpt.row for excerpt in EXCERPTS]
    (metadata / "UrbanSound8K.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    for excerpt in EXCERPTS:
        name, fold = excerpt.row.split(",")[0], excerpt.row.split(",")[5]
        path = audio / f"fold{fold}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack_audio(samples_of(excerpt), excerpt.rate, subtype=excerpt.subtype))
    if layout == "published":
        (audio / ".DS_Store").write_bytes(b"\0")
        (top / "FREESOUNDCREDITS.txt").write_text("credits\n")
        (top / "UrbanSound8K_README.txt").write_text("UrbanSound8K\n")
    return top
