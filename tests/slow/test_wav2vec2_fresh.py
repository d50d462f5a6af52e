"""The wav2vec 2.0 family equals `transformers` on weights that are drawn afresh in each run."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from features.encoders import load

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests/features/references/make_wav2vec2_references.py"
PYTHON = ROOT / ".venv-reference" / "bin" / "python"
STATES = {"conv": "conv", "embed": "hs0", "block1": "hs1", "block2": "hs2", "norm": "last"}

pytestmark = pytest.mark.slow


def noise(samples):
    wave = 0.05 + np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


def test_fresh_weights(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no .venv-reference with torch and transformers: `make test-all` makes it")
    seed = time.time_ns() % 2**31
    subprocess.run([PYTHON, SCRIPT, "--out", tmp_path, "--seed", str(seed)], check=True)
    folders = sorted(tmp_path.iterdir())
    assert len(folders) == 7
    for folder in folders:
        encoder = load(str(folder))
        states = np.load(folder / "hidden_states.npz")
        for samples in (400, 8000, 20_007):
            out = encoder.encode(noise(samples)[None], np.array([samples]), list(encoder.layers))
            for layer, ours in out.items():
                reference = states[f"{STATES[layer]}_{samples}"]
                assert np.abs(ours[0] - reference).max() < 1e-3 * reference.std(), (folder.name, layer, samples, seed)
