"""The Ray engine: the shards of a run on the machines of a cluster.

Every machine has this package, the corpus at the same path, and sees the output: a disk that all
share, or an object store. Nothing else passes between them but names, numbers and ledger entries.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from builders.errors import CorpusError
from builders.ledger import Entry
from builders.runner import Job, Task, readable, work

RETRIES = 5  # of a shard whose worker or machine was lost
SECONDS = 10  # to wait for a cluster
OBJECT_STORE = 100_000_000  # bytes of shared memory, of a cluster that we start: entries are small


def on_ray(job: Job, tasks: Sequence[Task], out: str, workers: int | None) -> Generator[Entry]:
    """Make shards on a Ray cluster, and yield their entries as they come.

    Parameters
    ----------
    job : Job
        One with a number `gpus` gets as many GPUs for each worker, where the cluster has any.
    out : str
        Folder that all machines share, or address that fsspec knows.
    workers : int, optional
        Shards in work at once; the default is as many as the cluster has CPUs, or GPUs for.

    Raises
    ------
    CorpusError
        If Ray is not installed, its cluster does not answer, or a shard fails. An error of the job is not
        tried again; a lost worker's or machine's shard is, `RETRIES` times.
    """
    with _connected(workers) as ray:
        gpus = getattr(job, "gpus", 0) if ray.cluster_resources().get("GPU") else 0
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=False)(_work)
        shared, folder = ray.put(job), os.getcwd()  # noqa: PTH109
        waiting, running = deque(tasks), {}
        try:
            while waiting or running:
                while waiting and len(running) < (workers or _room(ray, gpus)):
                    task = waiting.popleft()
                    running[remote.remote(shared, task, out, folder)] = task
                (done,), _ = ray.wait(list(running), num_returns=1)
                yield _entry(ray, done, running.pop(done), out)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _work(job: Job, task: Task, out: str, folder: str) -> Entry:
    """Make one shard, in a worker."""
    with suppress(OSError):  # paths in the command count from where it was given
        os.chdir(folder)
    return work(job, task, out)


def _entry(ray: Any, reference: Any, task: Task, out: str) -> Entry:
    """Return what a worker gave, or say in one line why it did not."""
    try:
        with readable(out):
            return _result(ray, reference)
    except CorpusError:
        raise
    except ray.exceptions.RayError as error:
        raise CorpusError(
            f"{task.name}: its worker was lost {RETRIES + 1} times ({type(error).__name__}; out of memory?): finished "
            "shards are kept, give the same command again, with fewer --workers or a smaller --max-shard-size"
        ) from error
    except Exception as error:
        raise CorpusError(f"{task.name}: {type(error).__name__}: {error}: finished shards are kept") from error


def _result(ray: Any, reference: Any) -> Entry:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # its text is a traceback; the cause is what the worker raised
        raise error.cause from error


def _room(ray: Any, gpus: float) -> int:
    """Return how many shards the cluster has room for now: machines come and go."""
    has = ray.cluster_resources()
    return max(1, int(has.get("GPU", 0) / gpus if gpus else has.get("CPU", 0)))


@contextmanager
def _connected(workers: int | None) -> Iterator[Any]:
    """Give Ray, connected to the cluster that the program has, `RAY_ADDRESS` names or runs here, or to a new one."""
    ray = _ray()
    if ray.is_initialized():
        yield ray
        return
    address, quiet = os.environ.get("RAY_ADDRESS", ""), {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        _knock(address)
        ray.init("auto", **quiet)
    except (OSError, RuntimeError) as error:
        if address:
            said = str(error).splitlines()[0]
            raise CorpusError(f"no Ray cluster answers at RAY_ADDRESS={address}: {said}") from None
        ray.init("local", num_cpus=workers, object_store_memory=OBJECT_STORE, include_dashboard=False, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raise OSError where nothing listens: Ray itself would ask for ten minutes."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=SECONDS).close()


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what it will do by itself, else it warns
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # else it asks a cluster that is gone for ten minutes
    try:
        import ray
    except ImportError:
        raise CorpusError("--engine ray needs Ray: pip install 'phonelayers[ray]' on every machine") from None
    return ray
