"""Store what lhotse's recipe makes of the miniature of MUSAN.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_musan.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_musan

from tests.corpora import musan

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    top = musan.write(Path(name).resolve())
    for litter in top.rglob("._*"):  # the recipe takes them for recordings
        litter.unlink()
    made = {
        part: {
            "recordings": sorted([r.id, r.duration, r.sampling_rate] for r in manifests["recordings"]),
            "supervisions": sorted(
                ([s.id, s.speaker, s.custom] for s in manifests.get("supervisions", ())), key=lambda row: row[0]
            ),
        }
        for part, manifests in prepare_musan(top).items()
    }
(out / "musan.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
