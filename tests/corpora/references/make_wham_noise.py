"""Store what lhotse's recipe makes of the miniature of WHAM! noise, with what LibriMix adds to it.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_wham_noise.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes.wham import prepare_wham

from tests.corpora import wham_noise

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    made = {
        subset: sorted([r.id, r.duration, r.sampling_rate, r.num_channels] for r in manifests["recordings"])
        for subset, manifests in prepare_wham(wham_noise.write(Path(name).resolve(), augmented=True)).items()
    }
(out / "wham_noise.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
