"""A miniature VocalSound."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

MIDS = {"laughter": "/m/01j3sz", "sigh": "/m/07plz5l", "cough": "/m/01b_21", "throatclearing": "/m/0dl9sf8",
        "sneeze": "/m/01hsr_", "sniff": "/m/07ppn3j"}  # fmt: skip
PARTS = {
    "tr": ("f0003_0_cough", "f0003_0_laughter", "f0003_1_sigh", "m0010_0_throatclearing"),
    "val": ("f0004_0_sneeze",),
    "te": ("m0005_0_sniff", "f0007_0_cough"),
}
SUBTESTS = {"age1": ("m0005_0_sniff",), "age3": ("f0007_0_cough",), "female": ("f0007_0_cough",),
            "male": ("m0005_0_sniff",)}  # fmt: skip
HEADER = ("spk_id", "gender", "age", "country", "native language", "health condition")
SPEAKERS = (
    ("f0003", "female", 31, "United States", "English", "no"),
    ("m0010", "male", 45, "India", "Hindi", "asthma, mild"),
    ("f0004", "female", 22, "Canada", "French", "no"),
    ("m0005", "male", 19, "United States", "English", "no"),
    ("f0007", "female", 60, "United Kingdom", "English", "cold"),
)
INDICES = "index,mid,display_name\n" + "".join(f'{n},{mid},"{name}"\n' for n, (name, mid) in enumerate(MIDS.items()))


def samples_of(stem: str, rate: int = 16000) -> np.ndarray:
    """Return the audio of a clip [shape=(rate / 10,), int16]."""
    return noise(rate // 10, seed=sum(map(ord, stem)))


def entries(stems: tuple[str, ...]) -> str:
    """Return a list of clips as the corpus has it."""
    folder = "/data/sls/scratch/yuangong/vocalsound/data/audio_16k/"
    data = [{"wav": f"{folder}{stem}.wav", "labels": MIDS[stem.split("_")[2]], "spk_id": stem[:5]} for stem in stems]
    return json.dumps({"data": data})


def write(folder: Path, *, audio: str = "audio_16k", suffix: str = "", meta: str = "csv") -> Path:
    """Write the miniature into `folder` itself, as the archives unpack.

    audio : {"audio_16k", "data_44k", "audio_44k"}
    suffix : {"", "_rev"}
        Of the lists' names.
    meta : {"csv", "records", "columns", "lists"}
        Speakers as csv, or as JSON in one of the forms that tables take.
    """
    for name in (audio, "datafiles/subtest", "meta"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rate = 44100 if "44k" in audio else 16000
    for part, stems in PARTS.items():
        for stem in stems:
            (folder / audio / f"{stem}.wav").write_bytes(riff(samples_of(stem, rate), rate))
        (folder / f"datafiles/{part}{suffix}.json").write_text(entries(stems))
    (folder / f"datafiles/all{suffix}.json").write_text(entries(sum(PARTS.values(), ())))
    for group, stems in SUBTESTS.items():
        (folder / f"datafiles/subtest/te_{group}{suffix}.json").write_text(entries(stems))
    for part in ("all", *PARTS):
        known = {stem[:5] for stem in (sum(PARTS.values(), ()) if part == "all" else PARTS[part])}
        rows = [row for row in SPEAKERS if row[0] in known]
        (folder / f"meta/{part}_meta.{'csv' if meta == 'csv' else 'json'}").write_text(_table(rows, meta))
    (folder / "class_labels_indices_vs.csv").write_text(INDICES)
    (folder / "readme.txt").write_text("VocalSound")
    return folder


def _table(rows: list[tuple], form: str) -> str:
    if form == "csv":
        cells = ([f'"{cell}"' if "," in str(cell) else str(cell) for cell in row] for row in (HEADER, *rows))
        return "".join(f"{','.join(line)}\n" for line in cells)
    records = [dict(zip(HEADER, row, strict=True)) for row in rows]
    columns = {name: {str(n): record[name] for n, record in enumerate(records)} for name in HEADER}
    return json.dumps({"records": records, "columns": columns, "lists": {"data": rows}}[form])
