"""A run that is killed again and again ends with the bytes of one that never was."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builders.prepare import prepare
from tests.corpora import librispeech
from tests.corpora.sound import flac, noise

pytestmark = pytest.mark.slow

KILLS = 20
SHARD = 60_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A LibriSpeech with enough audio in it for a run of some seconds."""
    top = librispeech.write(tmp_path_factory.mktemp("kills") / "corpus")
    for number, path in enumerate(sorted(top.rglob("*.flac"))):
        path.write_bytes(flac(noise(16_000 * 60, seed=number), 16_000 * 2))
    return top


def command(stage: str, given: Path, out: Path) -> list[str]:
    if stage == "prepare":
        call = ["builders", "prepare", "librispeech", "--data-dir", str(given), "--out", str(out)]
        size = SHARD
    else:
        call = ["features", str(given), "--encoder", "log_mel", "--out", str(out / "librispeech")]
        size = SHARD // 4
    return [sys.executable, "-m", *call, "--workers", "2", "--max-shard-size", str(size)]


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "librispeech" / "data").glob("*.parquet")}


def ledger(out: Path) -> dict[str, float]:
    """Return when each shard that is in the ledger was finished."""
    folder = out / "librispeech" / ".run" / "shards"
    entries = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {entry["name"]: entry["finished"] for entry in entries}


@pytest.mark.parametrize("stage", ["prepare", "features"])
def test_killed_at_random_moments(corpus, tmp_path, stage):
    given = corpus
    if stage == "features":
        given = tmp_path / "table" / "librispeech"
        call = {"path": "builders/librispeech", "name": None, "data_dir": str(corpus)}
        prepare(call, given, max_shard_size=SHARD)
    begun = time.monotonic()
    subprocess.run(command(stage, given, tmp_path / "whole"), check=True, capture_output=True)
    length = time.monotonic() - begun
    moments = random.Random(0)
    out, cut = tmp_path / "killed", 0
    known: dict[str, float] = {}
    for _ in range(KILLS):
        process = subprocess.Popen(command(stage, given, out), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(0.3, 1.0) * length)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            cut += 1
        now = ledger(out)
        assert {name: now[name] for name in known} == known  # nothing in the ledger is made a second time
        known = now
        if (out / "librispeech" / "README.md").exists():  # whole: begin anew
            assert shards(out) == shards(tmp_path / "whole")
            shutil.rmtree(out)
            known = {}
    subprocess.run(command(stage, given, out), check=True, capture_output=True)
    assert shards(out) == shards(tmp_path / "whole")
    assert shards(out)
    assert not list((out / "librispeech" / "data").glob(".*"))
    assert cut >= KILLS // 2


def test_a_full_disk_is_said_and_the_run_goes_on(corpus, tmp_path):
    """On a file system of three megabytes of its own, in a namespace of its own."""
    script = f"""
        set -e
        mkdir {tmp_path}/small && mount -t tmpfs -o size=3m none {tmp_path}/small
        {sys.executable} -m builders prepare librispeech --data-dir {corpus} --out {tmp_path}/small \
            --max-shard-size {SHARD} 2> {tmp_path}/said && exit 9
        ls {tmp_path}/small/librispeech/data > {tmp_path}/kept
        mount -o remount,size=200m {tmp_path}/small
        {sys.executable} -m builders prepare librispeech --data-dir {corpus} --out {tmp_path}/small \
            --max-shard-size {SHARD} 2>> {tmp_path}/said
        cp -r {tmp_path}/small {tmp_path}/result
    """
    subprocess.run(["unshare", "--map-root-user", "--mount", "bash", "-c", script], check=True, capture_output=True)
    assert "is full: finished shards are kept" in (tmp_path / "said").read_text()
    assert (tmp_path / "kept").read_text().split()
    call = {"path": "builders/librispeech", "name": None, "data_dir": str(corpus)}
    prepare(call, tmp_path / "whole" / "librispeech", max_shard_size=SHARD)
    assert shards(tmp_path / "result") == shards(tmp_path / "whole")
