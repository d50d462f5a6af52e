"""The examples run: the loss falls, held-out speakers are recognised, and an interrupted run goes on as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from builders.prepare import prepare

REPOSITORY = Path(__file__).resolve().parents[2]
TORCH = Path(os.environ.get("PHONELAYERS_TORCH_PYTHON", REPOSITORY / ".venv-reference/bin/python"))

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("tables") / "espeak"
    prepare({"path": "builders/espeak", "utterances": 120}, out, max_shard_size=2_000_000)
    return str(out)


def run(python: Path | str, script: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [str(python), "-W", "ignore", str(REPOSITORY / "examples" / script), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_mlx_from_a_stream(table):
    told = run(sys.executable, "train_phones_mlx.py", table, "--steps", "40")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", told)]
    before, after = map(float, re.findall(r"accuracy ([\d.]+)", told))
    assert losses[-1] < 0.7 * losses[0]
    assert before < 0.2 < 0.4 < after


def test_torch_resumes_in_mid_epoch(table, tmp_path):
    if not TORCH.exists():
        pytest.skip(f"no interpreter with torch: {TORCH} (set PHONELAYERS_TORCH_PYTHON)")

    def steps(count: int, *more: str) -> list[str]:
        told = run(TORCH, "train_torch.py", table, "--steps", str(count), "--batch-size", "4", *more)
        return [line for line in told.splitlines() if line.startswith("step")]

    checkpoint = ["--checkpoint", str(tmp_path / "run.pt")]
    whole = steps(9)
    assert [*steps(4, *checkpoint), *steps(9, *checkpoint)] == whole
    first, last = (float(line.split()[3]) for line in (whole[0], whole[-1]))
    assert last < first
