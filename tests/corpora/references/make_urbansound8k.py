"""Store what soundata reads from the miniature of UrbanSound8K: labels, and the length and level of the mono sound.

soundata fetches an index of the published files; here one is written for the miniature.
Run with a Python that has soundata.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np
from soundata.datasets import urbansound8k as reader

from tests.corpora import urbansound8k

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    top = urbansound8k.write(Path(name))
    clips = {
        path.stem: {"audio": [str(path.relative_to(top)), hashlib.md5(path.read_bytes()).hexdigest()]}
        for path in sorted(top.rglob("*.wav"))
    }
    dataset = reader.Dataset(data_home=str(top))
    dataset.index_path = top / "index.json"
    dataset.index_path.write_text(json.dumps({"version": "1.0", "clips": clips}))
    rows = []
    for clip_id, clip in sorted(dataset.load_clips().items()):
        samples, rate = clip.audio
        rows.append(
            {
                "id": clip_id,
                "category": clip.class_label,
                "class_id": clip.class_id,
                "fold": clip.fold,
                "salience": clip.salience,
                "freesound_id": clip.freesound_id,
                "recording_start": clip.freesound_start_time,
                "recording_end": clip.freesound_end_time,
                "rate": int(rate),
                "samples": len(samples),
                "level": round(float(np.sqrt(np.mean(np.square(samples)))), 4),
            }
        )
(out / "urbansound8k.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
