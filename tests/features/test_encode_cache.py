"""What is encoded once is not encoded again, and what has changed is: in this process and in others."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from datasets.fingerprint import Hasher
from safetensors.numpy import load_file, save_file

from features import Encode, cards, encode, step
from features.checkpoint import CheckpointError
from tests.conftest import REPOSITORY
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise
from tests.features.fake_encoder import FakeEncoder, waves


@pytest.fixture(autouse=True)
def calls() -> list[tuple[int, int]]:
    FakeEncoder.calls.clear()
    return FakeEncoder.calls


@pytest.fixture
def table(tmp_path: Path) -> Dataset:
    return manifest(waves(), tmp_path / "table")


def test_second_call_is_a_cache_hit(table, calls):
    first = encode(table, FakeEncoder())
    assert calls
    calls.clear()
    second = encode(table, FakeEncoder())
    assert calls == []
    assert second[0]["fake-1.5.low"] == first[0]["fake-1.5.low"]
    third = encode(table, FakeEncoder(), layers=["low"])
    assert calls
    assert third.column_names[-1] == "fake-1.5.low"


def test_changes_are_cache_misses(table, calls, tmp_path):
    def encoded(dataset: Dataset, encoder: FakeEncoder, **options) -> bool:
        calls.clear()
        encode(dataset, encoder, **options)
        return bool(calls)

    assert encoded(table, FakeEncoder())
    assert not encoded(table, FakeEncoder())
    assert encoded(table, FakeEncoder(version=2))
    assert encoded(table, FakeEncoder(padded=False))
    assert encoded(table, FakeEncoder(), dtype="float32")
    assert encoded(table.select(range(5)), FakeEncoder())
    changed = FakeEncoder()
    changed.revision = "r2"
    assert encoded(table, changed)
    other = manifest({**waves(), "z": noise(100)}, tmp_path / "other")
    assert encoded(other, FakeEncoder())
    assert not encoded(table, FakeEncoder())


def test_step_version_is_in_the_key(monkeypatch, table, calls):
    encode(table, FakeEncoder())
    calls.clear()
    monkeypatch.setattr(step, "STEP_VERSION", 99)
    encode(table, FakeEncoder())
    assert calls


PROGRAM = """
import sys
import features.encoders.log_mel as family
from datasets import load_from_disk
from features import encode
if sys.argv[2] == "break":
    def broken(*args): raise RuntimeError("encoded again")
    family.Model.encode = broken
made = encode(load_from_disk(sys.argv[1]), "log_mel")
print(len(made), made.column_names[-1])
"""


def test_cache_hit_in_another_process(table):
    def run(what: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PROGRAM, str(Path(table.cache_files[0]["filename"]).parent), what]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)

    assert "encoded again" in run("break").stderr
    first = run("work")
    assert first.stdout == "10 log_mel.mel\n", first.stderr
    again = run("break")
    assert again.stdout == "10 log_mel.mel\n", again.stderr


def test_named_encoder_is_pickled_without_its_weights():
    step = Encode("log_mel")
    before = Hasher.hash(step)
    step.encode([np.zeros(1600, np.float32)])
    assert Hasher.hash(step) == before == Hasher.hash(Encode("log_mel"))
    assert len(pickle.dumps(step)) < 2_000
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(step)).encode([np.ones(1600, np.float32)])["mel"][0],
        step.encode([np.ones(1600, np.float32)])["mel"][0],
    )


def test_a_checkpoint_that_changes_is_another_one(table, tmp_path):
    folder = shutil.copytree(Path(__file__).parent / "references" / "whisper_2x32", tmp_path / "model")
    begun = Encode(str(folder), layers="last")
    first = encode(table, str(folder), layers="last")
    weights = load_file(folder / "model.safetensors")
    save_file({name: 2 * value for name, value in weights.items()}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="the checkpoint has changed since this began: begin again"):
        begun(table[:1])
    with pytest.raises(CheckpointError, match="has changed"):
        pickle.loads(pickle.dumps(begun))(table[:1])  # as a worker would go on with it
    second = encode(table, str(folder), layers="last")
    assert cards(first)["model.norm"].revision != cards(second)["model.norm"].revision
    assert not np.array_equal(first[0]["model.norm"], second[0]["model.norm"])
