"""Store what lhotse's recipe makes of the miniature of VoxPopuli.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_voxpopuli.py``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_voxpopuli

from tests.corpora import voxpopuli

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    folder = voxpopuli.write_raw(Path(name).resolve())
    # The recipe looks for the sessions in the folder of the language, while its download writes "original",
    # and for the annotations in the folder of its output.
    (folder / "raw_audios" / "original").rename(folder / "raw_audios" / "nl")
    (folder / "manifests").mkdir()
    shutil.copy(folder / "asr_nl.tsv.gz", folder / "manifests")
    made = prepare_voxpopuli(folder, folder / "manifests", lang="nl")
    rows = {
        split: sorted(
            [s.id, s.recording_id, s.text, s.custom["orig_text"], s.speaker, s.language, s.gender, s.start, s.duration]
            for s in part["supervisions"]
        )
        for split, part in made.items()
    }
(out / "voxpopuli.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
