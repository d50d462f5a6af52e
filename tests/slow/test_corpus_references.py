"""The stored rows of lhotse's recipes are what lhotse makes of the miniatures today."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

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
        assert rows(path) == rows(STORED / path.name), path.name


def rows(path: Path) -> Any:
    """Return what a file holds, lists of rows sorted: recipes that walk a folder list it in its file system's order."""
    held = json.loads(path.read_text(encoding="utf-8"))
    return _sorted(held) if isinstance(held, list) else {key: _sorted(value) for key, value in held.items()}


def _sorted(value: Any) -> Any:
    return sorted(value, key=json.dumps) if isinstance(value, list) else value
