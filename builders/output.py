"""Where a run writes: a folder, or an address that fsspec knows. A file is there whole or not at all."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import sync
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from builders.cache import cache_dir, writing
from builders.errors import CorpusError

# Here a file appears once it is whole, and folders need not be made.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci", "memory"}
EXTRAS = {"s3": "s3", "s3a": "s3"}
CLIENTS = {"botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "azure", "paramiko"}  # whose errors have no base
ONE_PUT = 5 * 2**30  # bytes: S3 takes no more in one request


def filesystem(out: str | Path) -> tuple[AbstractFileSystem, str]:
    """Return the file system of an output and its path in there.

    Raises
    ------
    CorpusError
        If the library for such addresses is not installed.
    """
    try:
        fs, root = url_to_fs(str(out), use_listings_cache=False)
    except ImportError as error:
        extra = EXTRAS.get(str(out).partition("://")[0])
        remedy = f"pip install 'phonelayers[{extra}]'" if extra else str(error)
        raise CorpusError(f"{out}: the library for such addresses is not installed: {remedy}") from None
    return fs, root.rstrip("/")


def absolute_address(out: str | Path) -> str:
    """Return an output as every process and machine understands it: a folder from the root of the disk."""
    fs, root = filesystem(out)
    return root if isinstance(fs, LocalFileSystem) else str(out)


def get(fs: AbstractFileSystem, path: str) -> bytes | None:
    """Return what is in a small file, None where there is none."""
    try:
        with reached(path, fs):
            return fs.cat_file(path)
    except FileNotFoundError:
        return None


def put(fs: AbstractFileSystem, path: str, data: bytes) -> None:
    """Write a small file whole or not at all."""
    if _protocols(fs) & OBJECT_STORES:
        with reached(path, fs, missing=True):
            fs.pipe_file(path, data)
        return
    with becoming(fs, path) as temporary:
        temporary.write_bytes(data)


def size(fs: AbstractFileSystem, path: str) -> int | None:
    """Return the bytes of a file, None where there is none."""
    try:
        with reached(path, fs):
            return fs.info(path)["size"]
    except FileNotFoundError:
        return None


def sizes(fs: AbstractFileSystem, folder: str) -> dict[str, int]:
    """Return the names of what lies in a folder, and the bytes of each."""
    try:
        with reached(folder, fs):
            return {Path(found["name"]).name: found["size"] for found in fs.ls(folder, detail=True)}
    except FileNotFoundError:
        return {}


@contextmanager
def becoming(fs: AbstractFileSystem, final: str) -> Iterator[Path]:
    """Give a temporary file that becomes `final` once all went well: by renaming, or in one upload."""
    if isinstance(fs, LocalFileSystem):
        Path(final).parent.mkdir(parents=True, exist_ok=True)
        with writing(Path(final)) as temporary:
            yield temporary
            _settle(temporary)
        return
    # A killed process leaves its file. The next one on this machine removes it: a shard is large.
    folder, machine = cache_dir("uploads"), platform.node().replace(".", "-")
    _sweep(folder, machine)
    temporary = folder / f"{machine}.{os.getpid()}.{uuid.uuid4().hex}.{Path(final).name}"
    try:
        yield temporary
        upload(fs, temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def upload(fs: AbstractFileSystem, path: Path, final: str) -> None:
    """Copy a file of this disk to its final place."""
    if isinstance(fs, LocalFileSystem):
        with becoming(fs, final) as temporary:
            fs.get_file(str(path), str(temporary))
        return
    with reached(final, fs, missing=True):
        if _protocols(fs) & OBJECT_STORES:
            _put_object(fs, path, final)
            return
        parent, name = final.rsplit("/", 1)
        fs.makedirs(parent, exist_ok=True)
        fs.put_file(str(path), f"{parent}/.{name}.tmp")
        fs.mv(f"{parent}/.{name}.tmp", final)


@contextmanager
def reached(place: str, fs: AbstractFileSystem, *, missing: bool = False) -> Iterator[None]:
    """Say in one line why a place that is not on this disk was not reached.

    missing : bool
        That something is not there is such an error, too: a bucket, say.
    """
    try:
        yield
    except Exception as error:
        foreign = type(error).__module__.split(".")[0] in CLIENTS or isinstance(error, OSError)
        absent = isinstance(error, FileNotFoundError) and not missing
        if isinstance(fs, LocalFileSystem) or absent or not foreign:
            raise
        said = (str(error).strip() or "no answer").splitlines()[0]
        raise CorpusError(
            f"{fs.unstrip_protocol(place)}: {type(error).__name__}: {said}: finished shards are kept, "
            "give the same command again"
        ) from None


def _put_object(fs: AbstractFileSystem, path: Path, final: str) -> None:
    if "s3" in _protocols(fs) and path.stat().st_size < ONE_PUT:
        # put_file of s3fs reads the whole file, or ten parts of it, and leaves parts behind when it is killed.
        sync(fs.loop, _stream, fs, path, final)
    else:
        fs.put_file(str(path), final)


async def _stream(fs: Any, path: Path, final: str) -> None:
    bucket, key, _ = fs.split_path(final)
    await fs.set_session()
    client = await fs.get_s3(bucket)
    with path.open("rb") as body:
        await client.put_object(Bucket=bucket, Key=key, Body=body)


def _protocols(fs: AbstractFileSystem) -> set[str]:
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def _sweep(folder: Path, machine: str) -> None:
    for left in folder.glob(f"{machine}.*"):
        try:
            os.kill(int(left.name.split(".")[1]), 0)
        except ProcessLookupError:
            left.unlink(missing_ok=True)
        except PermissionError:  # it runs, as another user
            pass


def _settle(temporary: Path) -> None:
    """Have the file on the disk itself before it gets its name: the machine may lose its power."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
