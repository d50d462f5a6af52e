"""Store what soundata makes of the miniature of ESC-50, with the table as published and as spreadsheets write it.

soundata takes the clips from an index that it downloads; the miniature's is written here, in its format. Run with a
Python that has soundata: ``.venv-reference/bin/python tests/corpora/references/make_esc50.py``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import soundata

from tests.corpora import esc50

NAMES = ("filename", "fold", "target", "category", "esc10", "src_file", "take")

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
made = {}
for name, flags in (("published", ("True", "False")), ("spreadsheet", ("TRUE", "FALSE"))):
    with tempfile.TemporaryDirectory() as folder:
        top = esc50.write(Path(folder), flags=flags)
        clips = {
            path.stem: {"audio": [f"audio/{path.name}", hashlib.md5(path.read_bytes()).hexdigest()]}
            for path in sorted((top / "audio").iterdir())
        }
        index = Path(folder, "index.json")
        index.write_text(json.dumps({"version": "2.0", "clips": clips}))
        corpus = soundata.initialize("esc50", data_home=str(top))
        corpus.index_path = str(index)
        made[name] = {
            clip.clip_id: {
                **{column: getattr(clip, column) for column in NAMES},
                "tags": clip.tags.labels,
                "samples": len(clip.audio[0]),
                "rate": clip.audio[1],
            }
            for clip in map(corpus.clip, sorted(corpus.clip_ids))
        }
(out / "esc50.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
