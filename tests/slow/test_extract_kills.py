"""Unpacking that is killed again and again ends with the files of one that never was."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.corpora.archives import tar_of

pytestmark = pytest.mark.slow

KILLS = 10
FILES = 8_000


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    draw = random.Random(0)
    return {
        f"LibriSpeech/dev-clean/{n // 400}/{n // 40}/{n // 400}-{n // 40}-{n % 40:04d}.flac": draw.randbytes(
            2_000_000 if n % 400 == 7 else 2_000
        )
        for n in range(FILES)
    }


def command(archive: Path, to: Path) -> list[str]:
    return [sys.executable, "-m", "builders", "extract", "librispeech", "--data-dir", str(archive), "--to", str(to)]


def whole(folder: Path, members: dict[str, bytes]) -> int:
    """Return the number of files that are there, none of which may be half-written."""
    found = [path for path in folder.rglob("*") if path.is_file() and ".unpacking" not in str(path)]
    assert all(path.read_bytes() == members[str(path.relative_to(folder))] for path in found)
    return len(found)


def test_killed_at_random_moments(members, tmp_path):
    archive = tar_of(tmp_path / "renamed.tar.gz", members)
    begun = time.monotonic()
    subprocess.run(command(archive, tmp_path / "whole"), check=True, capture_output=True, cwd=REPOSITORY)
    length = time.monotonic() - begun
    assert whole(tmp_path / "whole", members) == FILES
    moments, out, amid = random.Random(1), tmp_path / "killed", 0
    for _ in range(KILLS):
        process = subprocess.Popen(command(archive, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   cwd=REPOSITORY)  # fmt: skip
        try:
            process.wait(timeout=moments.uniform(0.5, 1.0) * length)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        there = whole(out, members) if out.exists() else 0
        amid += 0 < there < FILES
        if there == FILES:
            shutil.rmtree(out)
    subprocess.run(command(archive, out), check=True, capture_output=True, cwd=REPOSITORY)
    assert whole(out, members) == FILES
    assert not [path for path in out.rglob("*") if path.is_file() and ".unpacking" in str(path)]
    assert amid >= 3  # else nothing was tried
