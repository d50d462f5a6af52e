"""Long runs: nothing is made twice, nothing half-written has a final name, and errors are one line."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import threadpoolctl

from builders import runner
from builders.errors import CorpusError
from builders.ledger import Ledger

ALL = [f"data/part-{number}.bin" for number in range(5)]


@dataclass(frozen=True)
class Letters:
    """Writes a letter a hundred times; notes each time it does so in a file beside."""

    notes: str
    size: int = 100
    broken: str = ""
    how: str = ""

    def identity(self) -> dict[str, int]:
        return {"size": self.size}

    def tasks(self) -> list[runner.Task]:
        return [runner.Task(name, 2.0, "abcde"[number]) for number, name in enumerate(ALL)]

    def ready(self, ledger: Ledger) -> None:
        pass

    def make(self, task: runner.Task, path: Path) -> runner.Made:
        with Path(self.notes).open("a") as notes:
            notes.write(f"{task.name}\n")
        path.write_text(task.shard * (self.size // 2))
        if task.name == self.broken and self.how == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        if task.name == self.broken and self.how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.name == self.broken:
            raise RuntimeError("a fault of the job")
        path.write_text(task.shard * self.size)
        return runner.Made(rows=self.size, seconds=1.5, bad=[("x.wav", "empty")] if task.shard == "b" else [])


@pytest.fixture
def job(tmp_path) -> Letters:
    return Letters(str(tmp_path / "notes"))


def made(job: Letters) -> list[str]:
    return Path(job.notes).read_text().split()


def files(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in sorted((out / "data").iterdir())}


WHOLE = {name: "abcde"[number] * 100 for number, name in enumerate(ALL)}


@pytest.mark.parametrize("workers", [1, 2])
def test_makes_every_shard_once(job, tmp_path, workers):
    ledger = runner.run(job, tmp_path / "out", workers=workers)
    assert files(tmp_path / "out") == WHOLE
    assert sorted(made(job)) == ALL
    again = runner.run(job, tmp_path / "out", workers=workers)
    assert sorted(made(job)) == ALL
    assert again.entries == ledger.entries
    assert {entry.rows for entry in ledger.entries.values()} == {100}
    assert ledger.entries[ALL[1]].bad == [("x.wav", "empty")]
    assert ledger.hours == pytest.approx(5 * 1.5 / 3600)
    # sha256 of a hundred times "a", by sha256sum
    assert ledger.entries[ALL[0]].sha256 == "2816597888e4a0d3a36b82b83316ab32680eb8f00f8cd3b904d681246d285a0e"


@pytest.mark.parametrize("how", ["fault", "full", "killed"])
def test_goes_on_after_a_fault(job, tmp_path, how):
    out = tmp_path / "out"
    broken = replace(job, broken=ALL[2], how=how)
    error = RuntimeError if how == "fault" else CorpusError
    text = {"fault": "a fault", "full": "disk of .* is full", "killed": "a worker was killed"}[how]
    with pytest.raises(error, match=text):
        runner.run(broken, out, workers=2 if how == "killed" else 1)
    assert set(files(out)) < set(ALL) | {name for name in files(out) if name.endswith(".tmp")}
    before = set(Ledger(out).status() and _entries(out))
    runner.run(job, out)
    assert files(out) == WHOLE
    assert [name for name in before if made(job).count(name) > 1] == []  # none after it was in the ledger


def _entries(out: Path) -> list[str]:
    return [json.loads(path.read_text())["name"] for path in (out / ".run" / "shards").iterdir()]


def test_between_the_name_and_the_ledger(job, tmp_path, monkeypatch):
    def fails(self, entry):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "add", fails)
        with pytest.raises(KeyboardInterrupt):
            runner.run(job, tmp_path / "out")
    assert files(tmp_path / "out") == {ALL[0]: WHOLE[ALL[0]]}
    runner.run(job, tmp_path / "out")
    assert files(tmp_path / "out") == WHOLE
    assert made(job).count(ALL[0]) == 2  # it was not in the ledger


def test_within_the_writing_of_the_ledger(job, tmp_path, monkeypatch):
    real = Path.replace

    def fails(self, target):
        if ".run/shards" in str(target) and "part-1" in str(target):
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        with pytest.raises(KeyboardInterrupt):
            runner.run(job, tmp_path / "out")
    assert _entries(tmp_path / "out") == [ALL[0]]
    runner.run(job, tmp_path / "out")
    assert files(tmp_path / "out") == WHOLE
    assert [made(job).count(name) for name in ALL] == [1, 2, 1, 1, 1]


def test_what_a_killed_run_left_half_written_goes(job, tmp_path):
    left = tmp_path / "out" / "data" / ".part-0.bin.123.tmp"
    (tmp_path / "out" / ".run").mkdir(parents=True)
    left.parent.mkdir()
    runner.run(job, tmp_path / "other")
    (tmp_path / "out" / ".run" / "run.json").write_text((tmp_path / "other" / ".run" / "run.json").read_text())
    left.write_text("half")
    runner.run(job, tmp_path / "out")
    assert files(tmp_path / "out") == WHOLE


def test_a_shard_whose_file_is_gone_is_made_again(job, tmp_path):
    runner.run(job, tmp_path / "out")
    (tmp_path / "out" / ALL[3]).unlink()
    (tmp_path / "out" / ALL[4]).write_text("short")
    runner.run(job, tmp_path / "out")
    assert files(tmp_path / "out") == WHOLE
    assert [made(job).count(name) for name in ALL] == [1, 1, 1, 2, 2]


def test_another_configuration_says_what_differs(job, tmp_path):
    runner.run(job, tmp_path / "out")
    with pytest.raises(CorpusError, match="was begun otherwise: size was 100, is 50 now"):
        runner.run(replace(job, size=50), tmp_path / "out")
    assert files(tmp_path / "out") == WHOLE


def test_a_folder_of_something_else_is_left_alone(job, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(CorpusError, match=r"holds thesis\.tex and is not the output of a run"):
        runner.run(job, tmp_path / "mine")


def test_two_runs_do_not_write_to_one_folder(job, tmp_path):
    from filelock import FileLock

    (tmp_path / "out" / ".run").mkdir(parents=True)
    with FileLock(tmp_path / "out" / ".run" / "lock"), pytest.raises(CorpusError, match="another process writes"):
        runner.run(job, tmp_path / "out")


def test_status_tells_how_far_it_is(job, tmp_path):
    with pytest.raises(RuntimeError):
        runner.run(replace(job, broken=ALL[2]), tmp_path / "out")
    state = Ledger(tmp_path / "out").status()
    assert (state["shards"], state["of"], state["rows"], state["quarantined"]) == (2, 5, 200, 1)
    assert state["hours"] == pytest.approx(3 / 3600)
    assert state["seconds_left"] > 0
    runner.run(job, tmp_path / "out")
    state = Ledger(tmp_path / "out").status()
    assert (state["shards"], state["seconds_left"], state["bytes"]) == (5, 0.0, 500)


def test_no_run_there(tmp_path):
    with pytest.raises(CorpusError, match="is not the output of a run"):
        Ledger(tmp_path).status()


def test_unknown_engine(job, tmp_path):
    with pytest.raises(CorpusError, match="no engine 'slurm': expected local or ray"):
        runner.run(job, tmp_path / "out", engine="slurm")


def _worker_that_waits(channel) -> None:
    runner._end_with_parent()
    channel.send("here")
    signal.pause()


def _parent(channel) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_worker_that_waits, args=(channel,))
    child.start()
    signal.pause()


@dataclass(frozen=True)
class Threads(Letters):
    """Writes how many threads a BLAS has."""

    def make(self, task: runner.Task, path: Path) -> runner.Made:
        pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
        path.write_text(f"{os.environ['OMP_NUM_THREADS']} {max(pools, default=1)}")
        return runner.Made(rows=1, seconds=1.0)


@pytest.mark.parametrize("told", [None, "1", "1,1"])  # OpenMP takes a list, one for each level
def test_workers_share_the_cores(tmp_path, monkeypatch, told):
    if told is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    runner.run(Threads(""), tmp_path, workers=2)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    each = "1" if told else str(max(1, cores // 2))
    for name in ALL:
        assert (tmp_path / name).read_text().split() == [told or each, each]


def test_workers_end_with_their_parent():
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    parent = context.Process(target=_parent, args=(theirs,))
    parent.start()
    theirs.close()
    assert ours.recv() == "here"
    parent.kill()
    parent.join()
    assert ours.poll(timeout=20)  # the last holder of the other end is gone
    with pytest.raises(EOFError):
        ours.recv()
