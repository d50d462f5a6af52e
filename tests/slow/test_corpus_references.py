"""The stored rows of lhotse's recipes are what lhotse makes of the miniatures today."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STORED = ROOT / "tests" / "corpora" / "references"
PYTHON = ROOT / ".venv-reference" / "bin" / "python"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("script", sorted(path.name for path in STORED.glob("make_*.py")))
def test_rows_are_made_again(script: str, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no .venv-reference with lhotse: `make test-all` makes it")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([PYTHON, STORED / script, "--out", tmp_path], check=True, env=environment, capture_output=True)
    made = list(tmp_path.glob("*.json"))
    assert made
    for path in made:
        assert json.loads(path.read_text()) == json.loads((STORED / path.name).read_text()), path.name
