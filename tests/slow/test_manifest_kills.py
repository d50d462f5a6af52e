"""A manifest whose audio is written, killed again and again, ends as one that never was."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile as sf

from tests.corpora import librispeech
from tests.corpora.sound import flac, noise

pytestmark = pytest.mark.slow

KILLS = 10
TRIES = 40  # a run that goes on may end before it is killed


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LibriSpeech with enough audio in it for a run of some seconds."""
    top = librispeech.write(tmp_path_factory.mktemp("kills") / "corpus")
    for number, path in enumerate(sorted(top.rglob("*.flac"))):
        path.write_bytes(flac(noise(16_000 * 120, seed=number), 16_000 * 2))
    return top


def command(corpus: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "builders", "manifest", "librispeech", "--data-dir", str(corpus), "--out",
            str(out / "lines"), "--audio", "flac", "--audio-dir", str(out / "audio"), "--workers", "2"]  # fmt: skip


def files(out: Path) -> dict[Path, bytes]:
    return {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def finished(out: Path) -> bool:
    lines = list((out / "lines").glob("*.jsonl")) if out.exists() else []
    return len(lines) == 7 and not list((out / "lines").glob(".*.run"))


def test_killed_at_random_moments(corpus, tmp_path):
    for name in ("whole", "again"):  # the second one finds the listing made
        begun = time.monotonic()
        subprocess.run(command(corpus, tmp_path / name), check=True, capture_output=True)
        length = time.monotonic() - begun
    whole = files(tmp_path / "whole")
    moments, out, cut = random.Random(0), tmp_path / "killed", 0
    for _ in range(TRIES):
        process = subprocess.Popen(command(corpus, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(0.4, 1.0) * length)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            cut += 1
        for path in (path for path in out.rglob("*.flac") if ".partial/" not in str(path)):
            assert sf.info(path).frames == len(sf.read(path)[0])  # whole, whenever the run was killed
        if finished(out):
            assert {path: data for path, data in files(out).items() if not path.parts[1].startswith(".")} == whole
            shutil.rmtree(out)
        if cut == KILLS:
            break
    subprocess.run(command(corpus, out), check=True, capture_output=True)
    assert files(out) == whole
    assert cut == KILLS
