"""Store what lhotse's recipe makes of the miniature of LibriTTS.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_libritts.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_libritts

from tests.corpora import libritts

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    made = prepare_libritts(libritts.write(Path(name).resolve()))
rows = [
    {
        "id": s.id,
        "subset": subset,
        "text": s.text,
        "text_original": s.custom["orig_text"],
        "snr": s.custom["snr"],
        "speaker": s.speaker,
        "gender": s.gender,
        "language": s.language,
        "start": s.start,
        "duration": s.duration,
    }
    for subset, part in made.items()
    for s in part["supervisions"]
]
text = json.dumps(sorted(rows, key=lambda row: row["id"]), indent=1)
(out / "libritts.json").write_text(text + "\n", encoding="utf-8")
