"""A miniature AudioSet: the published tables' lines, and clips as people keep them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.corpora.archives import tar_of
from tests.corpora.sound import noise, pack_audio

HEAD = """# Segments csv created Sun Mar  5 10:54:31 2017
# num_ytids={0}, num_segs={0}, num_unique_labels=527, num_positive_labels=52882
# YTID, start_seconds, end_seconds, positive_labels
"""
ROWS = {
    "bal_train": [
        ("--PJHxphWEs", 30, 40, "/m/09x0r,/t/dd00088"),
        ("-0RWZT-miFs", 420, 430, "/m/03v3yw,/m/0k4j"),
        ("__0nBkXcrgo", 0, 10, "/m/04rlf"),
        ("Yabcdefghi_", 10, 17.5, "/m/09x0r"),
        ("gone1234567", 0, 10, "/m/09x0r"),
        ("gone7654321", 0, 10, "/m/0k4j"),
    ],
    "unbal_train": [("---1_cCGK4M", 0, 10, "/m/01g50p,/m/0284vy3"), ("gone_unbal_", 20, 30, "/m/09x0r")],
    "eval": [
        ("s9d-2nhuJCQ", 30, 40, "/m/053hz1"),
        ("-1nilez17Dg", 30, 40, "/m/09x0r"),
        ("gone-eval--", 1, 11, "/m/0k4j"),
    ],
}
TABLES = {
    "bal_train": "balanced_train_segments.csv",
    "unbal_train": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
NAMES = {
    "/m/09x0r": "Speech",
    "/t/dd00088": "Gush",
    "/m/03v3yw": "Keys jangling",
    "/m/0k4j": "Car",
    "/m/04rlf": "Music",
    "/m/01g50p": "Railroad car, train wagon",
    "/m/0284vy3": "Train horn",
    "/m/053hz1": "Cheering",
}
ONTOLOGY = [{"id": mid, "name": name, "child_ids": []} for mid, name in NAMES.items()] + [
    {"id": "/m/0l15bq", "name": "Clapping", "child_ids": []}
]
STRONG = {
    "train": """segment_id\tstart_time_seconds\tend_time_seconds\tlabel
---1_cCGK4M_0\t0.0\t1.25\t/m/01g50p
gone1234567_0\t1.0\t2.0\t/m/09x0r
--PJHxphWEs_30000\t0.2\t0.3\t/m/09x0r
""",
    "test": """segment_id\tstart_time_seconds\tend_time_seconds\tlabel
s9d-2nhuJCQ_30000\t2.627\t7.237\t/m/053hz1
-1nilez17Dg_30000\t0.0\t10.0\t/m/09x0r
s9d-2nhuJCQ_30000\t0.5\t1.0\t/m/0l15bq
s9d-2nhuJCQ_30000\t8.0\t8.5\t/m/053hz1
gone-eval--_1000\t0.0\t10.0\t/m/0k4j
""",
}


def here(subset: str) -> list[str]:
    """Return the videos of a subset whose clips are there."""
    return [row[0] for row in ROWS[subset] if "gone" not in row[0]]


def clip_of(video: str, form: str = "FLAC") -> bytes:
    """Return the clip of a video, 0.25 s: FLAC of 24 bits, stereo, 48 or 44.1 kHz; WAV of 32 kHz, mono."""
    seed = sum(map(ord, video))
    if form == "WAV":
        return pack_audio(noise(8000, seed), 32_000)
    rate = 44_100 if seed % 2 else 48_000
    samples = np.stack([noise(rate // 4, seed), noise(rate // 4, seed + 1)], axis=1).astype(np.int32) << 16
    return pack_audio(samples, rate, form="FLAC", subtype="PCM_24")


def write_tables(folder: Path, *, ontology: bool = False) -> None:
    """Write the tables of segments, of strong labels and of names."""
    folder.mkdir(parents=True, exist_ok=True)
    for subset, rows in ROWS.items():
        lines = "".join(f'{video}, {start:.3f}, {end:.3f}, "{mids}"\n' for video, start, end, mids in rows)
        (folder / TABLES[subset]).write_text(HEAD.format(len(rows)) + lines)
    for split, text in STRONG.items():
        name = {"train": "train", "test": "eval"}[split]
        (folder / f"audioset_{name}_strong.tsv").write_text(text)
    if ontology:
        (folder / "ontology.json").write_text(json.dumps(ONTOLOGY, indent=1))
    else:
        rows = [f'{index},{mid},"{name}"\n' for index, (mid, name) in enumerate(NAMES.items())]
        (folder / "class_labels_indices.csv").write_text("index,mid,display_name\n" + "".join(rows))
        (folder / "mid_to_display_name.tsv").write_text("/m/09x0r\tSpeech\n/m/0l15bq\tClapping\n")


def write(folder: Path, *, name: str = "{video}.flac", folders: bool = True) -> Path:
    """Write tables and clips below `folder`; `name` is the form of the clips' names. Return the top folder.

    `folders` puts them into folders as PANNs does, else all into one.
    """
    top = folder / "audioset"
    write_tables(top)
    for subset, rows in ROWS.items():
        inside = TABLES[subset].removesuffix(".csv")
        inside = f"{inside}/{inside}_part00" if subset == "unbal_train" else inside
        for video, start, end, _ in rows:
            if video in here(subset):
                times = {"start": f"{start:g}", "end": f"{end:g}", "ms": f"{1000 * start:.0f}", "long": f"{start:.3f}"}
                path = top / "audios" / (inside if folders else "") / name.format(video=video, **times)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(clip_of(video, "WAV" if name.endswith("wav") else "FLAC"))
    return top


def write_tars(folder: Path) -> Path:
    """Write the Hub's tars, two of the balanced set, with the tables in the folder above; return that."""
    write_tables(folder, ontology=True)
    (folder / "data").mkdir()
    for subset in ROWS:
        videos = here(subset)
        digits = 3 if subset == "unbal_train" else 2
        for number, part in enumerate([videos[:1], videos[1:]] if subset == "bal_train" else [videos]):
            members = {f"audio/{subset}/{video}.flac": clip_of(video) for video in part}
            tar_of(folder / f"data/{subset}{number:0{digits}}.tar", members)
    return folder


def write_shards(folder: Path) -> Path:
    """Write the Hub's Parquet shards, two of the balanced set, in groups of two rows; return `folder`."""
    for subset, rows in ROWS.items():
        found = [row for row in rows if row[0] in here(subset)]
        for number, part in enumerate([found[:3], found[3:]] if subset == "bal_train" else [found]):
            labels = [row[3].split(",") for row in part]
            audio = [{"bytes": clip_of(row[0]), "path": f"audio/{subset}/{row[0]}.flac"} for row in part]
            table = pa.table(
                {
                    "video_id": [row[0] for row in part],
                    "audio": pa.array(audio, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
                    "labels": labels,
                    "human_labels": [[NAMES[mid] for mid in mids] for mids in labels],
                }
            )
            path = folder / f"data/{subset}/{number:02}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path, row_group_size=2)
    return folder
