"""The cuts of every corpus are read and validated by lhotse, their audio included."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from builders.manifest import write_manifest
from builders.register import corpora
from tests.corpora import miniatures
from tests.corpora.sound import noise, pack_audio

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-reference" / "bin" / "python"
SCRIPT = """
import json, sys
from pathlib import Path
from lhotse import CutSet, validate

for path in sys.argv[1:]:
    cuts = CutSet.from_file(path).with_recording_path_prefix(str(Path(path).parent))
    for cut in cuts:
        validate(cut, read_data=True)
        print(json.dumps({"id": cut.id, "type": type(cut).__name__, "shape": cut.load_audio().shape,
                          "supervisions": [s.to_dict() for s in cut.supervisions]}))
"""
WITHOUT_AUDIO = ("frame_arrays", "vgs_analysis")
IN_NO_FILE = ("espeak", "voxpopuli")  # synthesised; put together of parts of a recording

pytestmark = pytest.mark.slow


def read(paths: list[Path]) -> list[dict]:
    """Return what lhotse finds."""
    if not PYTHON.exists():
        pytest.skip("no .venv-reference with lhotse: `make test-all` makes it")
    done = subprocess.run([PYTHON, "-c", SCRIPT, *paths], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("corpus", sorted({*corpora()} - {*WITHOUT_AUDIO}))
def test_cuts_of_every_corpus(corpus, tmp_path):
    arguments = {"path": f"builders/{corpus}", **miniatures.write(corpus, tmp_path), "max_bad": 1.0}
    written, _, ledger = write_manifest(
        arguments, tmp_path / "written", form="lhotse", audio="flac", audio_dir=tmp_path / "audio"
    )
    assert len(read(written)) == sum(entry.rows for entry in ledger.entries.values())
    if corpus not in IN_NO_FILE:
        referred, _, ledger = write_manifest(arguments, tmp_path / "referred", form="lhotse")
        assert len(read(referred)) == sum(entry.rows for entry in ledger.entries.values())


def test_channels(tmp_path):
    """The mean of two channels is a `MultiCut`, one of them a `MonoCut`."""
    for corpus, kind in (("librispeech", "MultiCut"), ("voxconverse", "MonoCut")):
        arguments = {"path": f"builders/{corpus}", **miniatures.write(corpus, tmp_path / corpus)}
        for path in Path(arguments["data_dir"]).rglob("*.[wf][al][va]*"):
            form = path.suffix[1:].upper()
            path.write_bytes(pack_audio(noise(32_000).reshape(-1, 2), form=form, subtype="PCM_16"))
        targets, _, _ = write_manifest(arguments, tmp_path / f"{corpus}.jsonl", form="lhotse")
        found = read(targets)
        assert {(cut["type"], cut["shape"][0]) for cut in found} == {(kind, 2 if kind == "MultiCut" else 1)}
