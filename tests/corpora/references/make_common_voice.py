"""Store what lhotse's recipe makes of the miniature of Common Voice.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_common_voice.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_commonvoice

from tests.corpora import common_voice

SPLITS = ("train", "dev", "test", "validated", "invalidated", "other")
if __name__ == "__main__":  # the recipe starts processes
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        top = common_voice.write(folder)
        made = prepare_commonvoice(top, folder / "manifests", languages="tr", splits=SPLITS)
        rows = {
            split: sorted(
                [s.id, s.text, s.speaker, s.language, s.gender, s.custom, s.start, s.duration]
                for s in part["supervisions"]
            )
            for split, part in made["tr"].items()
        }
    (out / "common_voice.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
