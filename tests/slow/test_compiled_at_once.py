"""Processes that are the first to use librosa's compiled functions, all at the same time."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

PITCH = """
import numpy as np
from builders import job_labels
job_labels.decode = lambda audio: np.sin(2 * np.pi * 220 * np.arange(16_000, dtype=np.float32) / 16_000)
print(np.median(job_labels.f0({"audio": None})))
"""


def test_a_new_installation_used_by_several_at_once(tmp_path):
    # Without the lock one or more of the first three, or the fourth, ended by a segmentation fault in 8 of 9 trials.
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    start = [sys.executable, "-c", PITCH]
    first = [subprocess.Popen(start, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = [(process.communicate()[0], process.returncode) for process in first]
    last = subprocess.run(start, env=env, stdout=subprocess.PIPE, text=True)
    for text, code in [*found, (last.stdout, last.returncode)]:
        assert code == 0
        assert float(text) == pytest.approx(220, rel=0.01)
