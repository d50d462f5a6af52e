"""Fetching the archives of open corpora, where the user gives no folder."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout
from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.file_download import http_get

from builders.cache import cache_dir, digest
from builders.errors import CorpusError

logger = logging.getLogger(__name__)

AT_ONCE = 4  # files of which a corpus has thousands, or hundreds of a gigabyte


@dataclass(frozen=True)
class Archive:
    """A published archive, or a single file of a corpus that is published as files.

    name : str
        Its place below the folder of downloads: ``dev-clean.tar.gz``, ``nl/train/train_part_0.tar.gz``.
    size : int or None
        Bytes.
    md5, sha256 : str or None
        In hexadecimal.
    url : str or None
        Where it is open to all.
    may_lack : bool
        Whether it is left out, with a warning, where it can't be had: one recording of many.
    """

    name: str
    size: int | None = None
    md5: str | None = None
    url: str | None = None
    sha256: str | None = None
    may_lack: bool = False


def fetch(archives: Sequence[Archive], folder: Path) -> Path:
    """Fetch archives that are not in `folder` yet and return the folder.

    An interrupted download goes on where it was; a file gets its name when it is whole and its
    checksum is right. What another process fetches is waited for.

    Raises
    ------
    CorpusError
        If an archive cannot be fetched, has another checksum, or the disk cannot hold it.
    """
    for archive in archives:
        if ".." in PurePosixPath(archive.name).parts or archive.name.startswith("/"):  # names come from tables as well
            raise CorpusError(f"{archive.name!r} from {archive.url} points out of the folder of downloads")
    missing = [archive for archive in archives if not (folder / archive.name).exists()]
    needed = [archive for archive in missing if not archive.may_lack]
    for archive in needed:
        _fetch(archive, folder / archive.name)
    single = [archive for archive in missing if archive.may_lack]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda archive: _try(archive, folder / archive.name), single))
    if single and not any((folder / archive.name).exists() for archive in archives if archive.may_lack):
        raise CorpusError(f"none of the {len(single)} files can be fetched, e.g. {single[0].url}: try again later")
    return folder


def _try(archive: Archive, final: Path) -> None:
    """Fetch a file that may lack."""
    try:
        _fetch(archive, final)
    except CorpusError as error:
        logger.warning("left out: %s", error)


def _fetch(archive: Archive, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f"{final.name}.part")
    with _alone(final):
        if final.exists():  # another process was fetching it
            return
        try:
            _download(archive, part, final)
        finally:
            if part.exists() and not part.stat().st_size and archive.size != 0:
                part.unlink()
        _check(archive, part)
        part.replace(final)


@contextmanager
def _alone(final: Path) -> Iterator[None]:
    """Keep others from fetching a file meanwhile: two that append to one part leave what is neither's."""
    # Not beside the file: the folder of downloads is read as a corpus.
    with ExitStack() as held:
        try:
            lock = FileLock(cache_dir("locks") / digest(["download", str(final.resolve())]))
            try:
                held.enter_context(lock.acquire(timeout=0))
            except Timeout:
                logger.warning("%s is being fetched by another process: waiting for it", final.name)
                held.enter_context(lock.acquire())
        except (OSError, NotImplementedError):  # a disk without locks
            pass
        yield


def _download(archive: Archive, part: Path, final: Path) -> None:
    with part.open("ab") as file:
        done = file.tell()
        _check_room(archive, final, done)
        try:
            if archive.size is None or done < archive.size:
                # Not told the size: it refuses files of more than 50 GB then.
                http_get(archive.url, file, resume_size=done, displayed_filename=final.name)
        except OfflineModeIsEnabled:
            raise CorpusError(f"{final.name} is not here and HF_HUB_OFFLINE is set: pass data_dir") from None
        except Exception as error:  # of the network, of the server: its class is the HTTP library's of the Hub's client
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise CorpusError(
                f"{archive.url} cannot be fetched ({reason}): try again, or fetch it by hand and pass data_dir"
            ) from None


def _check_room(archive: Archive, final: Path, done: int) -> None:
    free = shutil.disk_usage(final.parent).free
    if archive.size is not None and archive.size - done > free:
        raise CorpusError(
            f"{final.name} needs {(archive.size - done) / 1e9:.1f} GB, {final.parent} has {free / 1e9:.1f}: "
            "set PHONELAYERS_CACHE to a folder of a larger disk"
        )


def _check(archive: Archive, part: Path) -> None:
    """Compare size and checksums; a file that differs is deleted."""
    expected = {"size": archive.size, "MD5": archive.md5, "SHA-256": archive.sha256}
    for kind, wanted in expected.items():
        found = None if wanted is None else _measure(part, kind)
        if found != wanted:
            part.unlink()
            raise CorpusError(f"{archive.url} has {kind} {found}, expected {wanted}: it is deleted, fetch it again")


def _measure(part: Path, kind: str) -> int | str:
    if kind == "size":
        return part.stat().st_size
    with part.open("rb") as file:
        return hashlib.file_digest(file, kind.replace("-", "").lower()).hexdigest()
