"""Store what lhotse's recipe makes of the miniature of Hi-Fi TTS.

Run with a Python that has lhotse: ``.venv-reference/bin/python tests/corpora/references/make_hifi_tts.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse.recipes import hifitts

from tests.corpora import hifi_tts

# The recipe pairs jobs in the order in which they end with partitions in the order in which they began.
hifitts.as_completed = list
parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out
with tempfile.TemporaryDirectory() as name:
    top = hifi_tts.write(Path(name).resolve())
    path = top / "9017_manifest_clean_train.json"  # the recipe needs file names that differ
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    made = hifitts.prepare_hifitts(top)
    rows = [
        {
            "id": s.id,
            "partition": partition,
            "audio": str(Path(part["recordings"][s.recording_id].sources[0].source).relative_to(top)),
            "text": s.text,
            "text_normalized": s.custom["text_punct"],
            "speaker": s.speaker,
            "gender": s.gender,
            "start": s.start,
            "duration": s.duration,
        }
        for partition, part in made.items()
        for s in part["supervisions"]
    ]
text = json.dumps(sorted(rows, key=lambda row: (row["audio"], row["partition"])), indent=1)
(out / "hifi_tts.json").write_text(text + "\n", encoding="utf-8")
