"""Long runs: shards made by several workers, each finished one entered in the ledger, none made twice.

One runner for all stages. What is made is a `Job`'s matter; where the workers are is an engine's.
"""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any, Protocol

import threadpoolctl
from filelock import FileLock, Timeout
from fsspec.implementations.local import LocalFileSystem
from tqdm import tqdm

from builders.cache import cache_dir
from builders.errors import CorpusError
from builders.ledger import FOLDER, Entry, Ledger
from builders.output import becoming, filesystem


@dataclass(frozen=True)
class Task:
    """A shard to be made.

    name : str
        Of its file, below the output.
    weight : float
        Its share of the work, in whatever unit the job counts.
    shard : Any
        What the job needs to know to make it; it is pickled.
    """

    name: str
    weight: float
    shard: Any


@dataclass(frozen=True)
class Made:
    """What became of a shard; see `Entry`."""

    rows: int
    seconds: float
    bad: list[tuple[str, str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


class Job(Protocol):
    """What a run makes. It is pickled to the workers: it holds names and numbers, not data."""

    def identity(self) -> Mapping[str, Any]:
        """Return what decides the bytes, as JSON: a begun run goes on only where it is the same."""

    def tasks(self) -> Sequence[Task]:
        """Return all shards, in their order."""

    def ready(self, ledger: Ledger) -> None:
        """Put into the output what the workers need, before they begin."""

    def make(self, task: Task, path: Path) -> Made:
        """Write a shard to `path`, in a worker."""


Engine = Callable[[Job, Sequence[Task], str, int | None], Generator[Entry]]


def run(job: Job, out: str | Path, *, workers: int | None = None, engine: str = "local", unit: str = "B") -> Ledger:
    """Make the shards that are not in the ledger yet, and return the ledger of the finished run.

    Parameters
    ----------
    out : str or Path
        Folder, or address that fsspec knows.
    workers : int, optional
        Processes; the default is 1 on this machine and all of a Ray cluster.
    engine : "local" or "ray"
    unit : str
        Of the tasks' weights, for the progress bar.

    Raises
    ------
    CorpusError
        If the output is another run's, another process writes to it, the disk is full, or a worker died.
    """
    tasks = job.tasks()
    ledger = Ledger(out)
    with _alone(ledger, tasks):
        ledger.begin(job.identity(), shards=len(tasks), weight=sum(task.weight for task in tasks), workers=workers)
        job.ready(ledger)
        todo = [task for task in tasks if task.name not in ledger.entries]
        done = sum(task.weight for task in tasks) - sum(task.weight for task in todo)
        entries = _engine(engine)(job, todo, ledger.out, workers)
        bar = tqdm(total=sum(task.weight for task in tasks), initial=done, unit=unit, unit_scale=True)
        with closing(entries), bar:
            for entry in entries:
                ledger.add(entry)
                bar.set_postfix({"hours": f"{ledger.hours:.2f}", "quarantined": ledger.quarantined}, refresh=False)
                bar.update(entry.weight)
    return ledger


def work(job: Job, task: Task, out: str) -> Entry:
    """Make one shard and give it its final name: what an engine runs in a worker."""
    begun = time.time()
    fs, root = filesystem(out)
    with becoming(fs, f"{root}/{task.name}") as path:
        made = job.make(task, path)
        with path.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    now = time.time()
    return Entry(
        name=task.name, rows=made.rows, seconds=made.seconds, bytes=size, sha256=checksum, weight=task.weight,
        took=now - begun, finished=now, bad=made.bad, extra=made.extra,
    )  # fmt: skip


def local(job: Job, tasks: Sequence[Task], out: str, workers: int | None) -> Generator[Entry]:
    """Make shards in processes of this machine; with one worker, in this one."""
    if (workers or 1) == 1 or len(tasks) <= 1:
        for task in tasks:
            with readable(out):
                entry = work(job, task, out)
            yield entry
        return
    context = multiprocessing.get_context("spawn")  # MLX and rapidgzip have threads: a fork of them hangs
    count = min(workers, len(tasks))
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin, initargs=(count,)) as pool:
        futures = [pool.submit(work, job, task, out) for task in tasks]
        try:
            for future in as_completed(futures):
                with readable(out):
                    entry = future.result()
                yield entry
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _engine(name: str) -> Engine:
    if name == "local":
        return local
    if name == "ray":
        from builders.cluster import on_ray

        return on_ray
    raise CorpusError(f"no engine {name!r}: expected local or ray")


@contextmanager
def readable(out: str) -> Iterator[None]:
    """Say in one line what stopped the run, where a traceback would not tell the user more."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        here = isinstance(filesystem(out)[0], LocalFileSystem)
        raise CorpusError(
            f"the disk of {out if here else cache_dir()} is full: finished shards are kept, make room and give "
            "the same command again"
        ) from None
    except BrokenProcessPool:
        raise CorpusError(
            "a worker was killed (out of memory?): finished shards are kept, give the same command again, "
            "with fewer --workers if need be"
        ) from None


@contextmanager
def _alone(ledger: Ledger, tasks: Sequence[Task]) -> Iterator[None]:
    """Keep a second run out of a local output, and clear what a killed one left half-written."""
    if not isinstance(ledger.fs, LocalFileSystem):
        yield
        return
    folder = Path(ledger.root, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            _clear(ledger, tasks)
            yield
            _clear(ledger, tasks)  # a worker that was lost and replaced
    except Timeout:
        raise CorpusError(f"another process writes to {ledger.out}: wait for it, or stop it") from None


def _clear(ledger: Ledger, tasks: Sequence[Task]) -> None:
    for folder in {Path(ledger.root, task.name).parent for task in tasks}:
        for left in folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)


def _begin(workers: int) -> None:
    """Be one of so many workers."""
    _end_with_parent()
    if "OMP_NUM_THREADS" in os.environ:
        return
    # A BLAS starts as many threads as there are cores, in each worker, unless it is told otherwise.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, cores // workers)
    os.environ["OMP_NUM_THREADS"] = str(threads)  # for what is loaded later
    threadpoolctl.threadpool_limits(threads)


def _end_with_parent() -> None:
    """Let a worker end when its parent does, even by SIGKILL: else it would go on beside the next run."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, daemon=True).start()
