"""A miniature Common Voice, in the columns and folders of each kind of release."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, pack_audio

FIRST = "client_id path sentence up_votes down_votes age gender accent"
COLUMNS = {
    "1": FIRST,
    "4-2019-12-10": FIRST,
    "6.1-2020-12-11": f"{FIRST} locale segment",
    "11.0-2022-09-21": "client_id path sentence up_votes down_votes age gender accents locale segment",
    "13.0-2023-03-09": "client_id path sentence up_votes down_votes age gender accents variant locale segment",
    "17.0-2024-03-15": "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents"
    " variant locale segment",
}
NEWEST = "17.0-2024-03-15"
SPEAKERS = {"a": "43936e1b854fab2d" * 8, "b": "c3a8cc78425e7b08" * 8, "c": "0d5e6a1c9b8f7e6d" * 8}
GENDERS = {"male": "male_masculine", "female": "female_feminine", "other": "non-binary"}  # from release 17 on

# clip number -> tables that have it, samples, and the cells that a release has a column for
CLIPS = {
    17341258: (("train", "validated"), 3600, {
        "client_id": "a", "sentence": 'Bu "kitap çok güzel.', "up_votes": "2", "down_votes": "0", "age": "fourties",
        "gender": "male", "accents": "İstanbul", "variant": "", "sentence_id": "5a7f", "sentence_domain": "general",
    }),
    17341259: (("train", "validated"), 3601, {
        "client_id": "a", "sentence": "  Boşluk\u200bla başlar ", "up_votes": "3", "down_votes": "1",
        "age": "fourties", "gender": "male", "accents": "İstanbul", "variant": "", "sentence_id": "5a80",
        "sentence_domain": "general,healthcare",
    }),
    17341260: (("dev", "validated"), 3602, {
        "client_id": "b", "sentence": "Evet.", "up_votes": "2", "down_votes": "0", "gender": "female",
        "segment": "Singleword Benchmark",
    }),
    17341261: (("test", "validated"), 3603, {
        "client_id": "c", "sentence": "“Hayır”, dedi.", "up_votes": "2", "down_votes": "0", "gender": "other",
    }),
    17341262: (("validated",), 3604, {"client_id": "a", "sentence": "Evet.", "up_votes": "2", "down_votes": "0"}),
    17341263: (("invalidated",), 3605, {"client_id": "a", "sentence": "Yok.", "up_votes": "0", "down_votes": "2"}),
    17341264: (("other",), 3606, {"client_id": "c", "sentence": "Belki.", "up_votes": "1", "down_votes": "0"}),
}  # fmt: skip


def samples_of(number: int) -> np.ndarray:
    """Return what a clip was encoded from [shape=(samples,), int16]."""
    return noise(CLIPS[number][1] * 8, seed=number)


def rate_of(number: int) -> int:
    """Return a clip's rate in Hz: older clips have 48 kHz, newer ones of the same release 32 kHz."""
    return 48_000 if number % 2 else 32_000


def write(folder: Path, release: str = NEWEST, locale: str = "tr", *, delta: bool = False) -> Path:
    """Write a release and return its top folder; up to release 4 there is no folder above ``clips/``."""
    name = f"cv-corpus-{release}"
    name = name.replace("-20", "-delta-20") if delta else name
    flat = float(release.split("-")[0]) < 5
    top = folder / (f"{name}_{locale}" if flat else name)
    within = top if flat else top / locale
    (within / "clips").mkdir(parents=True)
    for number in CLIPS:
        data = pack_audio(samples_of(number), rate_of(number), form="MP3", subtype="MPEG_LAYER_III")
        (within / "clips" / f"{clip_name(number, release, locale)}.mp3").write_bytes(data)
    for table in ("train", "dev", "test", "validated", "invalidated", "other"):
        if not (delta and table in ("train", "dev", "test")):
            (within / f"{table}.tsv").write_text(table_of(table, release, locale), encoding="utf-8")
    if not flat:
        (within / "reported.tsv").write_text("sentence\tsentence_id\tlocale\treason\n", encoding="utf-8")
        durations = "".join(f"{clip_name(n, release, locale)}.mp3\t{CLIPS[n][1]}\n" for n in CLIPS)
        (within / "clip_durations.tsv").write_text(f"clip\tduration[ms]\n{durations}", encoding="utf-8")
    return top


def write_hub(folder: Path, locale: str = "tr") -> Path:
    """Write the copy of the newest release on the Hub, its shards unpacked, and return the folder."""
    source = write(folder / "source") / locale
    for table in ("train", "dev", "test", "other", "invalidated"):
        (folder / "transcript" / locale).mkdir(parents=True, exist_ok=True)
        shutil.copy(source / f"{table}.tsv", folder / "transcript" / locale)
        numbers = [number for number in CLIPS if table in CLIPS[number][0]]
        for shard, number in enumerate(numbers):
            place = folder / "audio" / locale / table / f"{locale}_{table}_{shard}"
            place.mkdir(parents=True)
            shutil.copy(source / "clips" / f"{clip_name(number, NEWEST, locale)}.mp3", place)
    shutil.rmtree(folder / "source")
    return folder


def clip_name(number: int, release: str, locale: str) -> str:
    """Return the name of a clip without ``.mp3``: a hash in the first releases."""
    return f"{number:x}" * 18 if release == "1" else f"common_voice_{locale}_{number}"


def table_of(table: str, release: str, locale: str) -> str:
    """Return the text of a table in the columns of a release."""
    columns = COLUMNS[release].split()
    lines = ["\t".join(columns)]
    for number, (tables, _, cells) in CLIPS.items():
        if table in tables:
            path = clip_name(number, release, locale) + ("" if release == "1" else ".mp3")
            gender = cells.get("gender", "")
            known = {
                **cells, "client_id": SPEAKERS[cells["client_id"]], "path": path, "locale": locale,
                "accent": cells.get("accents", ""), "gender": GENDERS.get(gender, "") if release == NEWEST else gender,
            }  # fmt: skip
            lines.append("\t".join(known.get(column, "") for column in columns))
    return "\n".join(lines) + "\n"
