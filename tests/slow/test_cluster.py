"""Runs on a real Ray cluster of two nodes on loopback, each with a scheduler and workers of its own."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from builders import runner
from builders.errors import CorpusError
from builders.ledger import Ledger
from builders.prepare import Prepare, prepare
from tests.builders.test_runner import ALL, WHOLE, Letters, files
from tests.corpora import librispeech
from tests.corpora.sound import flac, noise
from tests.object_store import BUCKET

pytestmark = pytest.mark.slow

SHARD = 60_000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    top = librispeech.write(tmp_path_factory.mktemp("cluster") / "corpus")
    for number, path in enumerate(sorted(top.rglob("*.flac"))):
        path.write_bytes(flac(noise(16_000 * 20, seed=number), 16_000 * 2))
    return top


@pytest.fixture
def cluster(monkeypatch):
    """Start the head; the tests add nodes."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    yield nodes
    nodes.shutdown()


def call(corpus: Path) -> dict:
    return {"path": "builders/librispeech", "name": None, "data_dir": str(corpus)}


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (out / "data").iterdir()}


def noted(out: Path) -> list[tuple[str, str]]:
    path = out.with_suffix(".notes")
    return [tuple(line.split()) for line in path.read_text().splitlines()] if path.exists() else []


class Noted(Prepare):
    """Notes on which node it begins a shard, and takes its time for it."""

    def make(self, task: runner.Task, path: Path) -> runner.Made:
        import ray

        with Path(self.out).with_suffix(".notes").open("a") as notes:
            notes.write(f"{ray.get_runtime_context().get_node_id()} {task.name}\n")
        time.sleep(1)
        return super().make(task, path)


@dataclass(frozen=True)
class OnGpu(Letters):
    """Tells which GPUs its worker may use."""

    gpus: float = 1

    def make(self, task: runner.Task, path: Path) -> runner.Made:
        made = super().make(task, path)
        made.extra["gpus"] = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return made


@dataclass(frozen=True)
class DiesOnce(Letters):
    """Kills its worker the first time that it makes one of the shards."""

    def make(self, task: runner.Task, path: Path) -> runner.Made:
        made = super().make(task, path)
        if task.name == ALL[2] and Path(self.notes).read_text().split().count(ALL[2]) == 1:
            os._exit(1)
        return made


def test_a_node_is_killed_in_the_middle(corpus, cluster, tmp_path, monkeypatch):
    prepare(call(corpus), tmp_path / "local", max_shard_size=SHARD)
    monkeypatch.setattr("builders.prepare.Prepare", Noted)
    second, out = cluster.add_node(num_cpus=1), tmp_path / "ray"
    entered = []

    def kill() -> None:
        while sum(node == second.node_id for node, _ in noted(out)) < 2:  # one is made, the next has begun
            time.sleep(0.02)
        known = Ledger(out)
        known.read()
        entered.extend(known.entries)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    ledger = prepare(call(corpus), out, engine="ray", max_shard_size=SHARD)
    killer.join()
    assert shards(out) == shards(tmp_path / "local")
    assert len(ledger.entries) == len(shards(out)) > 4
    counts = Counter(name for _, name in noted(out))
    assert sum(counts.values()) > len(counts)  # what the node had begun was made again
    assert [name for name in entered if counts[name] > 1] == []
    assert len({node for node, _ in noted(out)}) == 2


def test_without_a_shared_disk(corpus, store, cluster, tmp_path):
    prepare(call(corpus), tmp_path / "local", max_shard_size=SHARD)
    cluster.add_node(num_cpus=1)
    prepare(call(corpus), f"s3://{BUCKET}/o", engine="ray", max_shard_size=SHARD)
    assert store.read("o", "data") == shards(tmp_path / "local")
    sent = {name: count for name, count in store.times_put("o").items() if name.startswith("data/")}
    again = prepare(call(corpus), f"s3://{BUCKET}/o", max_shard_size=SHARD)  # the other engine has nothing to do
    assert {name: count for name, count in store.times_put("o").items() if name.startswith("data/")} == sent
    assert len(again.entries) == len(store.read("o", "data"))


def test_lost_workers_are_tried_again_and_faults_are_not(cluster, tmp_path):
    job = DiesOnce(str(tmp_path / "notes"))
    runner.run(job, tmp_path / "out", engine="ray")
    assert files(tmp_path / "out") == WHOLE
    assert Path(job.notes).read_text().split().count(ALL[2]) == 2
    faulty = Letters(str(tmp_path / "other"), broken=ALL[2], how="fault")
    with pytest.raises(CorpusError, match=r"^data/part-2\.bin: RuntimeError: a fault of the job: finished shards .*$"):
        runner.run(faulty, tmp_path / "faulty", engine="ray", workers=1)
    assert Path(faulty.notes).read_text().split().count(ALL[2]) == 1
    assert list(files(tmp_path / "faulty")) == ALL[:2]


def test_a_gpu_for_each_worker_where_there_are_gpus(cluster, tmp_path):
    ledger = runner.run(OnGpu(str(tmp_path / "notes")), tmp_path / "none", engine="ray")
    assert {entry.extra["gpus"] for entry in ledger.entries.values()} == {""}
    cluster.add_node(num_cpus=2, num_gpus=1)
    ledger = runner.run(OnGpu(str(tmp_path / "notes")), tmp_path / "one", engine="ray")
    assert {entry.extra["gpus"] for entry in ledger.entries.values()} == {"0"}


def test_no_cluster_at_the_address(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(CorpusError, match=r"^no Ray cluster answers at RAY_ADDRESS=127\.0\.0\.1:9: .*$"):
        runner.run(Letters(str(tmp_path / "notes")), tmp_path / "out", engine="ray")


def test_a_cluster_of_its_own(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    runner.run(Letters(str(tmp_path / "notes")), tmp_path / "out", engine="ray", workers=2)
    assert files(tmp_path / "out") == WHOLE
