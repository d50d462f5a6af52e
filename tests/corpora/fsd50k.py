"""A miniature FSD50K: lines and layout are those of the published files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from tests.corpora.archives import split_zip
from tests.corpora.sound import noise, riff

RATE = 44_100
GUITAR = (
    '"Electric_guitar,Guitar,Plucked_string_instrument,Musical_instrument,Music",'
    '"/m/02sgy,/m/0342h,/m/0fx80y,/m/04szw,/m/04rlf"'
)
DEV = f"""fname,labels,mids,split
64760,{GUITAR},train
16399,{GUITAR},train
190579,Domestic_sounds_and_home_sounds,/t/dd00071,train
345111,{GUITAR},val
420945,{GUITAR},val
"""
EVAL = f"""fname,labels,mids
37199,{GUITAR}
99,"Chewing_and_mastication,Human_voice","/m/03cczk,/m/09l8g"
"""
VOCABULARY = "53,Crushing,/m/07plct2\n69,Electric_guitar,/m/02sgy\n"
COLLECTION = {
    "dev": """fname,labels,mids
64760,Electric_guitar,/m/02sgy
16399,"Electric_guitar,Guitar","/m/02sgy,/m/0342h"
190579,"Toothbrush,Electric_toothbrush","/m/012xff,/m/04fgwm"
345111,Electric_guitar,/m/02sgy
420945,,
""",
    "eval": "fname,labels,mids\n37199,Electric_guitar,/m/02sgy\n99,Chewing_and_mastication,/m/03cczk\n",
}
RATINGS = {
    "64760": {"/m/02sgy": [1.0, 1.0]},
    "16399": {"/m/02sgy": [1.0, 0.5, 0.5, -1], "/m/0342h": [0.5, 0.5, 0]},
    "190579": {"/m/012xff": [1.0, 1.0]},
    "345111": {"/m/02sgy": [1.0]},
    "420945": {},
    "37199": {"/m/02sgy": [1.0, 1.0]},
    "99": {"/m/03cczk": [0.5, 0.5]},
}
CLIPS = {
    "dev": {
        "64760": {
            "title": "guitarras_63.wav",
            "description": "electric guitar",
            "tags": ["electric", "guitar"],
            "license": "http://creativecommons.org/licenses/sampling+/1.0/",
            "uploader": "casualsamples",
        },
        "16399": {
            "title": "riff, \u00e9lectrique",
            "description": "two\nlines",
            "tags": [],
            "license": "http://creativecommons.org/publicdomain/zero/1.0/",
            "uploader": "someone",
        },
        **{
            name: {"title": name, "description": "", "tags": ["x"], "license": "cc", "uploader": f"u{name}"}
            for name in ("190579", "345111", "420945")
        },
    },
    "eval": {
        "99": {
            "title": "manzana_exterior.wav",
            "description": "eating apples on a park",
            "tags": ["apple", "crunch", "eat", "field-recording", "park"],
            "license": "http://creativecommons.org/licenses/by/3.0/",
            "uploader": "plagasul",
        },
        "37199": {"title": "a", "description": "b", "tags": ["c"], "license": "cc", "uploader": "d"},
    },
}
NAMES = {"dev": ("64760", "16399", "190579", "345111", "420945"), "eval": ("37199", "99")}


def samples_of(name: str, rate: int = RATE) -> np.ndarray:
    """Return the audio of a clip [shape=(n,), int16]: 0.3 s and more."""
    return noise(round(0.3 * rate) + int(name) % 1000, seed=int(name))


def write(folder: Path, *, metadata: bool = True, copy_16k: bool = False) -> Path:
    """Write the miniature below `folder` and return its top folder, in which the archives would be unpacked."""
    top = folder / "FSD50K"
    texts = {
        "FSD50K.ground_truth/dev.csv": DEV,
        "FSD50K.ground_truth/eval.csv": EVAL,
        "FSD50K.ground_truth/vocabulary.csv": VOCABULARY,
        "FSD50K.doc/README.md": "# Freesound Dataset 50k (FSD50K)\n",
    }
    if metadata:
        texts |= {
            f"FSD50K.metadata/{name}": text
            for name, text in {
                "class_info_FSD50K.json": "{}",
                "collection/collection_dev.csv": COLLECTION["dev"],
                "collection/collection_eval.csv": COLLECTION["eval"],
                "collection/vocabulary_collection_dev.csv": VOCABULARY,
                "collection/vocabulary_collection_eval.csv": VOCABULARY,
                "dev_clips_info_FSD50K.json": json.dumps(CLIPS["dev"], indent=4),
                "eval_clips_info_FSD50K.json": json.dumps(CLIPS["eval"], indent=4),
                "pp_pnp_ratings_FSD50K.json": json.dumps(RATINGS),
            }.items()
        }
    for name, text in texts.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text, encoding="utf-8")
    rate, suffix = (16_000, "_16k") if copy_16k else (RATE, "")
    for part, names in NAMES.items():
        audio = top / f"FSD50K.{part}_audio{suffix}"
        audio.mkdir()
        for name in names:
            (audio / f"{name}.wav").write_bytes(riff(samples_of(name, rate), rate))
    return top


def write_archives(folder: Path) -> Path:
    """Write the archives as they are published, the audio in split zips, to `folder` and return it."""
    folder.mkdir(parents=True)
    top = write(folder.with_name(f"{folder.name}-unpacked"))
    for part in sorted(top.iterdir()):
        archive = folder / f"{part.name}.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(part.rglob("*")):
                packed.write(path, path.relative_to(top))
        if part.name.endswith("_audio"):
            size = archive.stat().st_size
            parts = 6 if "dev" in part.name else 2  # as published
            split_zip(archive, [size * number // parts for number in range(1, parts)])
    return folder
