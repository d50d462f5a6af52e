"""A miniature FLEURS in the layouts that go around."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, pack_audio

# language -> table -> rows of (sentence id, file name, raw, normalised, gender, samples)
ROWS = {
    "en_us": {
        "train": (
            (77, "10004088536354799741.wav", 'A "tornado" is a spinning column', "a tornado is a spinning column",
             "FEMALE", 1600),
            (77, "10005234.wav", 'A "tornado" is a spinning column', "a tornado is a spinning column", "MALE", 1601),
            (1209, "10006.wav", '"Never closed.', "never closed", "OTHER", 1602),
        ),
        "dev": ((1210, "2000.wav", "Dev, first.", "dev first", "MALE", 1603),),
        "test": ((1211, "3000.wav", "Test!", "test", "FEMALE", 1604),),
    },
    "cmn_hans_cn": {
        "train": ((77, "10006.wav", "龙卷风 是一种旋转的空气柱", "龙 卷 风 是 一 种", "FEMALE", 1605),),
        "dev": (),
        "test": ((1211, "3000.wav", "这是考验!", "这 是 考 验", "MALE", 1606),),
    },
    "es_419": {
        "train": ((77, "41.wav", "Un tornado", "un tornado", "MALE", 1607),),
        "dev": ((1210, "42.wav", "Dev", "dev", "MALE", 1608),),
        "test": ((1211, "43.wav", "Prueba", "prueba", "MALE", 1609),),
    },
}  # fmt: skip
LAYOUTS = ("original", "hub", "metadata")


def samples_of(language: str, name: str) -> np.ndarray:
    """Return a recording [shape=(samples,), float32, on the grid of 16 bit]."""
    rows = (row for table in ROWS[language].values() for row in table if row[1] == name)
    length = next(rows)[5]
    return (noise(length, seed=length) / 32768).astype(np.float32)


def write(folder: Path, layout: str = "original", languages: tuple[str, ...] = tuple(ROWS)) -> Path:
    """Write the corpus below `folder` and return it.

    layout : {"original", "hub", "metadata"}
        ``<language>/``; ``data/<language>/``; tables in ``metadata/<language>/``, audio in ``<language>/<table>/``.
    """
    for language in languages:
        top = folder / "data" / language if layout == "hub" else folder / language
        tables = folder / "metadata" / language if layout == "metadata" else top
        for table, rows in ROWS[language].items():
            audio = top / table if layout == "metadata" else top / "audio" / table
            audio.mkdir(parents=True, exist_ok=True)
            tables.mkdir(parents=True, exist_ok=True)
            (tables / f"{table}.tsv").write_text("".join(map(line_of, rows)), encoding="utf-8")
            for row in rows:
                data = pack_audio(samples_of(language, row[1]), form="WAV", subtype="FLOAT")
                (audio / row[1]).write_bytes(data)
    return folder


def line_of(row: tuple) -> str:
    """Return a row of a table: seven cells, no header."""
    number, name, raw, text, gender, samples = row
    characters = " | ".join(" ".join(word) for word in text.split()) + " |"
    return "\t".join([str(number), name, raw, text, characters, str(samples), gender]) + "\n"
