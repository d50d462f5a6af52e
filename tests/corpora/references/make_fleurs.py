"""Store what lhotse's recipe makes of the miniature of FLEURS.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_fleurs.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_fleurs

from tests.corpora import fleurs

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    folder = fleurs.write(Path(name).resolve() / "fleurs", "metadata")  # the recipe reads what its download writes
    made = prepare_fleurs(folder, folder.parent / "manifests", languages=["en_us", "es_419"])
    rows = {
        language: {
            split: sorted(
                [
                    s.id,
                    s.recording_id,
                    s.text,
                    s.custom["raw_text"],
                    s.speaker,
                    s.language,
                    s.gender,
                    s.start,
                    s.duration,
                ]
                for s in part["supervisions"]
            )
            for split, part in parts.items()
        }
        for language, parts in made.items()
    }
(out / "fleurs.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
