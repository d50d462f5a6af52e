"""Archives of a folder, and archives with members that no honest tool writes."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

SUFFIXES = (".tar", ".tar.gz", ".zip")


def pack(folder: Path, archive: Path) -> Path:
    """Write a folder, itself included as the top folder, to a ``.tar``, ``.tar.gz``, ``.tgz`` or ``.zip``."""
    if archive.name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.rglob("*")):
                packed.write(path, path.relative_to(folder.parent))
        return archive
    with tarfile.open(archive, "w:gz" if archive.name.endswith(("gz",)) else "w") as packed:
        packed.add(folder, folder.name)
    return archive


def tar_of(archive: Path, members: dict[str, bytes], *, special: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    """Write a tar of the named members, and of links or devices, with whatever names they have."""
    with tarfile.open(archive, "w:gz" if archive.name.endswith("gz") else "w") as packed:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        for info in special:
            packed.addfile(info)
    return archive


def zip_of(archive: Path, members: dict[str, bytes]) -> Path:
    """Write a zip of the named members, with whatever names they have."""
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return archive
