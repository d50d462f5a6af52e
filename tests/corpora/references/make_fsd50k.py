"""Store what soundata's loader makes of the miniature of FSD50K.

Run with a Python that has soundata: ``.venv-reference/bin/python tests/corpora/references/make_fsd50k.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from soundata import core
from soundata.datasets import fsd50k as loader

from tests.corpora import fsd50k

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    top = fsd50k.write(Path(name).resolve())
    # soundata's own index lists the published clips, with checksums, and is fetched: ours lists the miniature's.
    clips = {
        clip: {"audio": [f"FSD50K.{part}_audio/{clip}.wav", None]} for part, ids in fsd50k.NAMES.items() for clip in ids
    }
    core.Dataset._index = {"version": "1.0", "clips": clips}
    dataset = loader.Dataset(str(top))
    rows = []
    for clip in map(dataset.clip, sorted(clips)):
        samples, rate = clip.audio
        rows.append(
            {
                "id": clip.clip_id,
                "audio": str(Path(clip.audio_path).relative_to(top)),
                "split": clip.split,
                "events": list(clip.tags.labels),
                "mids": list(clip.mids.labels),
                "title": clip.title,
                "description": clip.description,
                "ratings": clip.pp_pnp_ratings,
                "info": clip._clip_metadata["clip_info"],
                "collection": clip._clip_metadata["collection_labels"],
                "rate": rate,
                "seconds": len(samples) / rate,
            }
        )
(out / "fsd50k.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
