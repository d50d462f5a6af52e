"""Store what lhotse's recipe makes of the miniatures of Multilingual LibriSpeech, English and German, FLAC and Opus.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_mls.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_mls

from tests.corpora import mls

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    folder = Path(name).resolve()
    for language in ("english", "german"):
        mls.write(folder / "flac", language)
        mls.write(folder / "opus", language, "opus")
    made = {form: prepare_mls(folder / form, opus=form == "opus") for form in ("flac", "opus")}
rows = [
    {
        "id": s.id,
        "form": form,
        "part": part,
        "text": s.text,
        "speaker": s.speaker,
        "gender": s.gender,
        "language": s.language,
        "start": s.start,
        "duration": s.duration,
    }
    for form, languages in made.items()
    for parts in languages.values()
    for part, manifests in parts.items()
    for s in manifests["supervisions"]
]
text = json.dumps(sorted(rows, key=lambda row: (row["form"], row["id"])), indent=1)
(out / "mls.json").write_text(text + "\n", encoding="utf-8")
