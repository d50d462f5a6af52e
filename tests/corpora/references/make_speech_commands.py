"""Store what lhotse's recipe makes of the miniature of Speech Commands.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_speech_commands.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import prepare_speechcommands

from tests.corpora import speech_commands

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    folder = Path(name).resolve()
    speech_commands.write(folder)
    speech_commands.write_test_set(folder)
    made = prepare_speechcommands("2", folder)
    rows = {
        split: sorted([s.id, s.text, s.speaker, s.start, s.duration] for s in part["supervisions"])
        for split, part in made.items()
    }
(out / "speech_commands.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
