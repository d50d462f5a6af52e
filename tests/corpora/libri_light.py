"""A miniature of Libri-Light: chapters with their JSON, and the transcribed sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.corpora.sound import RATE, flac, noise

# chapter -> (seconds, what its JSON says; None: there is no JSON)
BOOK = {
    "id": "2332", "title": "Sea Fairies", "language": "English", "num_sections": "22",
    "genre": ["Children's Fiction"], "Dramatic Readings": False, "meta_genre": "Literature",
}  # fmt: skip
CHAPTERS = {
    "small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb": (
        4.0,
        {"speaker": "100", "book_meta": BOOK, "snr": 13.0625,
         "voice_activity": [[0.25, 1.0], [1.50004, 2.0], [2.25, 3.75]]},
    ),
    "small/100/sea_fairies_0812_librivox_64kb_mp3/02_baum_sea_fairies_64kb": (
        1.0, {"speaker": "100", "book_meta": BOOK, "snr": 9.5, "voice_activity": []},
    ),
    "medium/1001/flac_stories_64kb_mp3/flac_stories_01_64kb": (
        2.0,
        {"speaker": "1001", "book_meta": {**BOOK, "id": "77", "Dramatic Readings": True, "meta_genre": "Poetry"},
         "snr": -1.5, "voice_activity": [[0.0, 2.0]]},
    ),
    "medium/1001/flac_stories_64kb_mp3/flac_stories_02_64kb": (1.5, None),
    "medium/1001/poems_64kb_mp3/poems_01_64kb": (
        1.0, {"speaker": "1001", "book_meta": BOOK, "snr": 3.5, "voice_activity": [[0.0, 0.3], [0.4, 1.0]]},
    ),
    "large/7/a_book/chapter_64kb": (1.0, {"speaker": "7", "book_meta": BOOK, "snr": 1, "voice_activity": [[0.1, 0.9]]}),
}  # fmt: skip

# folder -> utterance -> (text, samples)
LIMITED = {
    "1h/0/clean": {"103-1240-0000": ("CHAPTER ONE MISSUS RACHEL LYNDE", 1600), "103-1240-0001": ("THAT HAD", 1601)},
    "1h/3/other": {"20-205-0000": ("A STEM", 1602)},
    "9h/clean": {"1034-121119-0005": ("THE LAMP", 1603)},
    "9h/other": {"105-28233-0000": ("LENGTH OF SERVICE", 1604)},
}
MAPPING = {"SIL": 0, "AE": 1, "DH": 2, "T": 3}
SEQUENCES = {"1h": "103-1240-0001 2 1 3\n", "10h": "103-1240-0001 2 1 3\n1034-121119-0005 2 1\n"}
FRAMEWISE = {"10h": "103-1240-0001 0 0 0 2 2 1 1 1 1 3\n"}


def samples_of(chapter: str) -> np.ndarray:
    """Return the audio of a chapter [shape=(samples,), int16]."""
    return noise(round(CHAPTERS[chapter][0] * RATE), seed=len(chapter))


def write(folder: Path) -> Path:
    """Write ``<subset>/<speaker>/<book>/<chapter>.flac`` and ``.json`` below `folder` and return it."""
    for chapter, (_, about) in CHAPTERS.items():
        path = folder / f"{chapter}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(flac(samples_of(chapter)))
        if about is not None:
            path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def write_limited(folder: Path, phones: dict[str, str] = SEQUENCES) -> Path:
    """Write ``librispeech_finetuning`` below `folder` and return it."""
    top = folder / "librispeech_finetuning"
    for place, utterances in LIMITED.items():
        for name, (text, samples) in utterances.items():
            reader, chapter, _ = name.split("-")
            path = top / place / reader / chapter
            path.mkdir(parents=True, exist_ok=True)
            (path / f"{name}.flac").write_bytes(flac(noise(samples)))
            with (path / f"{reader}-{chapter}.trans.txt").open("a", encoding="utf-8") as file:
                file.write(f"{name} {text}\n")
    (top / "phones").mkdir()
    (top / "phones" / "phones_mapping.json").write_text(json.dumps(MAPPING), encoding="utf-8")
    for name, text in phones.items():
        (top / "phones" / f"{name}_phones.txt").write_text(text, encoding="utf-8")
    return top
