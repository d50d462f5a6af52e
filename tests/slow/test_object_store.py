"""Runs to a real S3 server: killed, gone on with, and read back."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datasets import load_dataset

from builders.errors import CorpusError
from builders.ledger import Ledger
from builders.output import filesystem, upload
from builders.prepare import prepare
from tests.corpora import librispeech
from tests.corpora.sound import flac, noise
from tests.object_store import BUCKET, Store

pytestmark = pytest.mark.slow

KILLS = 6
SHARD = 60_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A LibriSpeech with enough audio in it for a run of some seconds."""
    top = librispeech.write(tmp_path_factory.mktemp("s3") / "corpus")
    for number, path in enumerate(sorted(top.rglob("*.flac"))):
        path.write_bytes(flac(noise(16_000 * 60, seed=number), 16_000 * 2))
    return top


@pytest.fixture(scope="module")
def whole(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "o"
    prepare(call(corpus), out, max_shard_size=SHARD)
    return out


def call(corpus: Path) -> dict:
    return {"path": "builders/librispeech", "name": None, "data_dir": str(corpus)}


def command(corpus: Path, out: str) -> list[str]:
    return [sys.executable, "-m", "builders", "prepare", "librispeech", "--data-dir", str(corpus), "--out", out,
            "--workers", "2", "--max-shard-size", str(SHARD)]  # fmt: skip


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "data").iterdir()}


def test_killed_at_random_moments(corpus, whole, store):
    begun = time.monotonic()
    subprocess.run(command(corpus, f"s3://{BUCKET}/timed"), check=True, capture_output=True)
    length = time.monotonic() - begun
    moments, known, cuts, here = random.Random(1), {}, [0], "killed0/librispeech"
    for _ in range(KILLS):
        process = subprocess.Popen(
            command(corpus, f"s3://{BUCKET}/{here.split('/')[0]}"), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            process.wait(timeout=moments.uniform(0.3, 1.0) * length)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            cuts[-1] += 1
        now = store.ledger(here)
        assert {name: now[name] for name in known} == known  # nothing in the ledger is made a second time
        assert set(now) <= set(store.objects(here))
        known = now
        if "README.md" in store.objects(here):  # whole: begin anew
            check(store, here, whole, cuts[-1])
            known, here = {}, f"killed{len(cuts)}/librispeech"
            cuts.append(0)
    subprocess.run(command(corpus, f"s3://{BUCKET}/{here.split('/')[0]}"), check=True, capture_output=True)
    check(store, here, whole, cuts[-1])
    check(store, "timed/librispeech", whole, 0)
    assert sum(cuts) >= KILLS // 2


def check(store: Store, folder: str, whole: Path, kills: int) -> None:
    """Two workers: a kill may find two shards between the object and its entry, which are put again."""
    assert store.read(folder, "data") == shards(whole)
    puts = [count for name, count in store.times_put(folder).items() if name.startswith("data/")]
    assert sum(puts) - len(puts) <= 2 * kills


def test_each_shard_is_one_put(tmp_path, store):
    """The client's own upload sends a file of this size in parts, which a killed process leaves behind."""
    path = tmp_path / "shard"
    path.write_bytes(bytes(range(256)) * 500_000)
    fs, root = filesystem(f"s3://{BUCKET}/folder")
    upload(fs, path, f"{root}/shard")
    assert "-" not in store.objects("folder")["shard"]["ETag"]  # of an upload in parts: <md5>-<parts>
    assert store.objects("folder")["shard"]["Size"] == 128_000_000
    assert not store.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


def test_read_back_with_nothing_of_ours(corpus, whole, store):
    out = f"s3://{BUCKET}/folder/librispeech"
    prepare(call(corpus), out, max_shard_size=SHARD)
    options = {"endpoint_url": store.environment["AWS_ENDPOINT_URL"]}
    wanted = load_dataset(str(whole))
    for split, table in wanted.items():
        files = {"data_files": f"{out}/data/{split}-*.parquet", "storage_options": options, "split": "train"}
        made = load_dataset("parquet", **files)
        assert made.features == table.features
        assert list(made) == list(table)
        assert list(load_dataset("parquet", **files, streaming=True)) == list(table)
    card = store.read("folder", "librispeech")["README.md"].decode()
    assert card == (whole / "README.md").read_text(encoding="utf-8")


def test_status_from_another_process(corpus, store):
    out = f"s3://{BUCKET}/folder/librispeech"
    ledger = prepare(call(corpus), out, max_shard_size=SHARD)
    told = subprocess.run([sys.executable, "-m", "builders", "status", out], check=True, capture_output=True, text=True)
    assert f"shards {len(ledger.entries)} of {len(ledger.entries)}" in told.stdout


def test_what_is_wrong_is_one_line(corpus, store, monkeypatch):
    with pytest.raises(CorpusError, match=r"^s3://typo/o/.*bucket does not exist.*$"):
        prepare(call(corpus), "s3://typo/o")
    assert [found["Name"] for found in store.client.list_buckets()["Buckets"]] == [BUCKET]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    filesystem("s3://")[0].clear_instance_cache()
    with pytest.raises(CorpusError, match=r"^s3://corpora/o/\.run.*Could not connect.*$"):
        Ledger(f"s3://{BUCKET}/o").status()


def test_a_store_of_another_run_is_refused(corpus, store: Store):
    store.client.put_object(Bucket=BUCKET, Key="mine/thesis.tex", Body=b"x")
    with pytest.raises(CorpusError, match=r"holds thesis\.tex and is not the output of a run"):
        prepare(call(corpus), f"s3://{BUCKET}/mine")
