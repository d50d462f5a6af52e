"""librosa's functions are compiled under a lock; tests/slow has processes that compile at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from builders import compiled
from builders.cache import cache_dir

# What numba was asked to compile at import: before the lock, under it, and by all that we call of librosa.
COUNTED = """
import numba, numpy as np
made = []
for name in ("vectorize", "guvectorize"):
    def counted(*args, made=made, of=getattr(numba, name), **options):
        made.append(args)
        return of(*args, **options)
    setattr(numba, name, counted)

from builders import compiled, job_labels, silence
from features.encoders import log_mel, mfcc

class Lock:
    def __init__(self, path): print(path.parent)
    def __enter__(self): print(len(made))
    def __exit__(self, *_): print(len(made) > 3)

compiled.FileLock = Lock
wave = np.sin(np.arange(16_000, dtype=np.float32))
mfcc.mfcc(wave)
under = len(made)
log_mel._filters(80)
job_labels.decode = lambda audio: wave
job_labels.f0({"audio": None})
silence.sounds(wave, top_db=20)
print(len(made) - under)
"""


def test_all_is_compiled_under_the_lock():
    found = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True)
    assert found.stdout.split() == [str(compiled.kept_in()), "0", "True", "0"], found.stderr


def test_the_lock_is_where_the_compiled_functions_are(monkeypatch, tmp_path):
    package = Path(compiled.librosa().__file__).parent
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    if os.access(package, os.W_OK):
        assert [*package.rglob("*.nbi")], "numba keeps them elsewhere"
        assert compiled.kept_in() == package / "__pycache__"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "own"))
    assert compiled.kept_in() == tmp_path / "own"


def test_a_read_only_installation_locks_in_our_own_cache(monkeypatch):
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert compiled.kept_in() == cache_dir("locks")


@pytest.mark.parametrize("error", [OSError("No locks available"), NotImplementedError])
def test_a_disk_without_locks_is_no_obstacle(monkeypatch, error):
    def refuse(path):
        raise error

    monkeypatch.setattr(compiled, "FileLock", refuse)
    assert compiled.librosa.__wrapped__().pyin
