"""Fetching the archives of open corpora, where the user gives no folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import OfflineModeIsEnabled
from huggingface_hub.file_download import http_get

from builders.errors import CorpusError


@dataclass(frozen=True)
class Archive:
    """A published archive.

    size : int or None
        Bytes.
    md5 : str or None
        In hexadecimal.
    url : str or None
        Where it is open to all.
    """

    name: str
    size: int | None = None
    md5: str | None = None
    url: str | None = None


def fetch(archives: Iterable[Archive], folder: Path) -> Path:
    """Fetch archives that are not in `folder` yet and return the folder.

    An interrupted download goes on where it was; a file gets its name when it is whole and its
    checksum is right.

    Raises
    ------
    CorpusError
        If an archive cannot be fetched, has another checksum, or the disk cannot hold it.
    """
    for archive in archives:
        if not (folder / archive.name).exists():
            _fetch(archive, folder / archive.name)
    return folder


def _fetch(archive: Archive, final: Path) -> None:
    part = final.with_name(f"{final.name}.part")
    with part.open("ab") as file:
        done = file.tell()
        _check_room(archive, final, done)
        try:
            if archive.size is None or done < archive.size:
                http_get(archive.url, file, resume_size=done, expected_size=archive.size, displayed_filename=final.name)
        except OfflineModeIsEnabled:
            raise CorpusError(f"{final.name} is not here and HF_HUB_OFFLINE is set: pass data_dir") from None
        except (OSError, RuntimeError) as error:  # of the network, of the server, or another size
            raise CorpusError(
                f"{archive.url} cannot be fetched ({str(error).splitlines()[0]}): try again, or fetch it by hand "
                "and pass data_dir"
            ) from None
    if archive.md5 is not None:
        _check_sum(archive, part)
    part.replace(final)


def _check_room(archive: Archive, final: Path, done: int) -> None:
    free = shutil.disk_usage(final.parent).free
    if archive.size is not None and archive.size - done > free:
        raise CorpusError(
            f"{final.name} needs {(archive.size - done) / 1e9:.1f} GB, {final.parent} has {free / 1e9:.1f}: "
            "set PHONELAYERS_CACHE to a folder of a larger disk"
        )


def _check_sum(archive: Archive, part: Path) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != archive.md5:
        part.unlink()
        raise CorpusError(f"{archive.url} has MD5 {found}, expected {archive.md5}: it is deleted, fetch it again")
