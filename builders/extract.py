"""The command ``extract``: unpack a corpus' archives; an interrupted run goes on, nothing half-written has a name."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from builders.archives import Member, chunks, open_source
from builders.cache import absolute, cache_dir, digest
from builders.errors import CorpusError, MemberError
from builders.files import Files
from builders.inventory import Found, held, index
from builders.member_names import original, printable
from builders.members import Comparison, Place, below, locate, remember
from builders.on_disk import by_sizes
from builders.tree import Tree

logger = logging.getLogger(__name__)

EXAMPLE = "python -m builders extract librispeech dev-clean --data-dir /data"
INCOMPLETE = 1  # exit status: some members are not there as the archive has them
SPARE = 50_000_000  # bytes that the disk keeps free


@dataclass
class Unpacking:
    """Where an archive is unpacked to.

    top : Path
    place : Place
        Below it.
    refused : list of str
        Members that were not written, with the reason, and how many of which kind never are.
    """

    top: Path
    place: Place
    refused: list[str] = field(default_factory=list)
    _checked: set[Path] = field(default_factory=set)

    def target(self, member: Member) -> Path:
        """Return where a member goes."""
        return self.top / original(below(self.place, member.name))

    def folder(self, path: Path) -> None:
        """Make the folder of a file; one that is a link to somewhere else is refused."""
        if path.parent in self._checked:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(self.top.resolve()):
            raise MemberError(
                f"{printable(str(path.parent))} is a link out of {self.top}: remove it, or choose another --to"
            )
        self._checked.add(path.parent)


def add_command(commands: Any) -> None:
    """Add the command to the parser's."""
    text = "Unpack a corpus' archives and verify what came out; an interrupted run goes on."
    command = commands.add_parser("extract", help=text, description=text, epilog=f"example: {EXAMPLE}")
    command.add_argument("corpus")
    command.add_argument("config", nargs="?", help="configuration whose archives are wanted (default: all)")
    command.add_argument("--data-dir", required=True, help="folder of the archives, or one of them")
    command.add_argument("--to", type=Path, help="folder to unpack into (default: that of the archive)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Unpack and say what came of it."""
    path = absolute(options.data_dir)
    if not path.exists():
        raise CorpusError(f"{path} does not exist: pass the folder of the archives, or one of them")
    whole = True
    with closing(Tree(path if path.is_dir() else path.parent)) as tree:
        found = held(tree, options.corpus, options.config, None if path.is_dir() else path)
        places = [_begun(tree, archive) if options.to is None else None for archive in found]
    for archive, place in zip(found, places, strict=True):
        result, refused = extract(archive, options.corpus, options.to, place)
        print(f"{archive.path}: {result.what()} in {place[0] if place else options.to or archive.path.parent}")
        for line in refused:
            print(f"left out: {line}")
        whole = whole and result.whole
    return 0 if whole else INCOMPLETE


def extract(
    found: Found, corpus: str, to: Path | None = None, begun: tuple[Path, Place] | None = None
) -> tuple[Comparison, list[str]]:
    """Unpack an archive, tars in it included, and compare what is there then.

    Parameters
    ----------
    to : Path, optional
        Folder to unpack into; without it that of the archive.
    begun : (Path, Place), optional
        Where it was begun to be unpacked: it goes on there.

    Returns
    -------
    Comparison, list of str
        What is there, by sizes, and what was not written.

    Raises
    ------
    CorpusError
        If the archive is damaged, the disk cannot hold it, or another process unpacks it.
    """
    if found.broken:
        raise CorpusError(f"{found.path} is no whole archive ({found.broken}): fetch it again")
    with closing(index(found.path, [corpus], nested=True)) as files:
        top, place = begun or _place(files, absolute(to) if to else found.path.parent, found)
        top.mkdir(parents=True, exist_ok=True)
        unpacking = Unpacking(top, place)
        with _alone(found, top):
            _check_room(files, unpacking)
            _unpack(files, unpacking)
        unpacking.refused += [f"{number:,} {kind}" for kind, number in files.left_out().items()]
        result = by_sizes(files, top, place)
    with closing(Tree(top)) as tree:
        remember(found.path, open_source(found.path).fingerprint(), place, tree, result)
    return result, unpacking.refused


def _begun(tree: Tree, found: Found) -> tuple[Path, Place] | None:
    place = None if found.broken else locate(found.head, tree.named)
    return None if place is None else (tree.top, place)


def _place(files: Files, top: Path, found: Found) -> tuple[Path, Place]:
    """Give an archive that has no folder of its own one of its name."""
    firsts: set[str] = set()
    for name in files.names():
        firsts.add(name.split("/")[0] if "/" in name else "")
        if len(firsts) > 1:
            break
    stem = found.path.name.split(".tar")[0].split(".zip")[0].split(".tgz")[0]
    return top, Place(stem if len(firsts) > 1 or "" in firsts else "", 0)


@contextmanager
def _alone(found: Found, top: Path) -> Iterator[None]:
    try:
        with FileLock(cache_dir("locks") / digest([str(found.path), str(top)]), timeout=0):
            yield
    except Timeout:
        raise CorpusError(f"another process unpacks {found.path}: wait for it, or stop it") from None


def _check_room(files: Files, unpacking: Unpacking) -> None:
    free = shutil.disk_usage(unpacking.top).free - SPARE
    needed = sum(member.size for member in files.members() if not _there(unpacking.target(member), member))
    if needed > free:
        raise CorpusError(
            f"{files.path} needs {needed / 1e9:.1f} GB more, {unpacking.top} has {max(0, free) / 1e9:.1f}: "
            "make room (python -m builders clean), or choose --to on a larger disk"
        )


def _unpack(files: Files, unpacking: Unpacking) -> None:
    # One folder for what is half-written, on the same disk: a killed run leaves one file, and the next takes it away.
    working = unpacking.top / f".unpacking-{digest([str(files.path)])}"
    working.mkdir(exist_ok=True)
    try:
        with tqdm(total=files.count()[1], desc=files.path.name, unit="B", unit_scale=True, delay=2) as bar:
            for member in files.members():
                _write(files, member, unpacking, working / "part")
                bar.update(member.size)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _write(files: Files, member: Member, unpacking: Unpacking, part: Path) -> None:
    target = unpacking.target(member)
    try:
        if _there(target, member):
            return
        if target.is_dir() or (target.is_file() and target.stat().st_size > member.size):
            raise MemberError(
                f"{printable(str(target))} is there and is not what the archive has: remove it, or choose another --to"
            )
        unpacking.folder(target)
        with part.open("wb") as file:
            for data in chunks(files.sources[0], member):
                file.write(data)
        part.replace(target)
    except MemberError as error:
        unpacking.refused.append(str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CorpusError(f"the disk of {unpacking.top} is full: what is unpacked stays, the same command goes on"
                              ) from None  # fmt: skip
        unpacking.refused.append(f"{member.name[:200]!r} of {files.path.name}: {os.strerror(error.errno or 0)}")


def _there(path: Path, member: Member) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return status.st_size == member.size and not path.is_symlink() and path.is_file()
