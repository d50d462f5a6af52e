"""Store what lhotse's recipe makes of the miniature of Libri-Light.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_libri_light.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_librilight

from tests.corpora import libri_light

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    folder = libri_light.write(Path(name).resolve())
    for path in folder.rglob("*.flac"):  # the recipe needs a JSON beside each file, and no "flac" in the path
        if not path.with_suffix(".json").exists() or "flac" in str(path.parent):
            path.unlink()
    made = prepare_librilight(folder)
    rows = [
        {
            "id": s.id,
            "speaker": s.speaker,
            "text": s.text,
            "language": s.language,
            "start": s.start,
            "duration": s.duration,
        }
        for part in made.values()
        for s in part["supervisions"]
    ]
text = json.dumps(sorted(rows, key=lambda row: row["id"]), indent=1)
(out / "libri_light.json").write_text(text + "\n", encoding="utf-8")
