"""The command ``clean``: delete archives of which nothing is lost with them, and say of each why or why not."""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from builders.archives import open_source
from builders.audio import normalise
from builders.errors import AudioError, CorpusError
from builders.files import Files
from builders.inventory import Found, archives, index
from builders.members import Place, below, locate, remember
from builders.on_disk import by_bytes, changed_since, now
from builders.parts import parts_of
from builders.prepared import Prepared, canonical, hashes, prepared, read
from builders.recognise import AUDIO, known
from builders.status import size
from builders.tree import Tree

EXAMPLE = "python -m builders clean /data"


def add_command(commands: Any) -> None:
    """Add the command to the parser's."""
    text = "Say which archives can be deleted, after comparing every byte; delete them with --delete."
    command = commands.add_parser("clean", help=text, description=text, epilog=f"example: {EXAMPLE}")
    command.add_argument("data_dir", type=Path, help="folder of the archives")
    command.add_argument("--delete", action="store_true", help="delete them, never anything else")
    command.add_argument(
        "--prepared", type=Path, metavar="OUT", help="output of `prepare`: what it holds may go as well"
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print one line for each archive, and delete those that may go where asked."""
    if not options.data_dir.is_dir():
        raise CorpusError(f"{options.data_dir} is no folder: pass the folder of the archives")
    outputs = _outputs(options.prepared) if options.prepared else []
    freed = 0
    with closing(Tree(options.data_dir)) as tree:
        for found in list(archives(tree)):
            before = _parts(found)
            why, proof = reason(tree, found, outputs)
            if not why and _parts(found) != before:
                why = f"{found.path} was changed in the meantime"
            verb = "kept" if why else "deleted" if options.delete else "would delete"
            print(f"{verb} {found.path} ({size(found.size)}): {why or proof}")
            if why:
                continue
            freed += found.size
            if options.delete:
                _delete(before)
    then = "freed" if options.delete else "can be freed: the same command with --delete"
    print(f"{size(freed)} {then}" if freed else "nothing can be freed")


def reason(tree: Tree, found: Found, outputs: list[Prepared]) -> tuple[str, str]:
    """Return why an archive must stay, empty where it may go, and what proves that nothing is lost."""
    if found.broken:
        return f"truncated: {found.broken}", ""
    if found.subset:
        return found.remark, ""
    if any(path.is_symlink() for path, _ in _parts(found)):
        return "it is a link", ""
    why, proof = _unpacked(tree, found)
    for data in outputs:
        if why and data.corpus in found.corpora:
            try:
                also, proof = _in_data_set(found, data)
            except CorpusError as error:  # it is damaged further in
                also, proof = str(error), ""
            why = also and (f"{why}; {also}" if also != why else why)
    return why, proof


def _unpacked(tree: Tree, found: Found) -> tuple[str, str]:
    """Compare with the files that were unpacked, now and byte for byte."""
    place = locate(found.head, tree.named)
    if place is None:
        return "not unpacked anywhere below the folder", ""
    why = ""
    for nested in (False, True) if _nested(found) else (False,):
        try:
            with closing(index(found.path, found.corpora, nested=nested)) as files:
                why = _left_out(files) or _differs(tree, files, found, place)
        except CorpusError as error:  # it is damaged further in
            return str(error), ""
        if not why:
            return "", f"all its files are in {tree.top / place.folder}, byte for byte"
    return why, ""


def _differs(tree: Tree, files: Files, found: Found, place: Place) -> str:
    begun = now()
    result = by_bytes(files, tree.top, place)
    if not result.whole:
        return f"{result.what()} ({_named(tree, place, result.first_missing or result.first_differing)})"
    remember(found.path, open_source(found.path).fingerprint(), place, tree, result)
    touched = changed_since(files, tree.top, place, begun)
    return f"{touched} was touched after it was compared, or its time lies ahead" if touched else ""


def _named(tree: Tree, place: Place, member: str) -> str:
    return str(tree.top / below(place, member))


def _left_out(files: Files) -> str:
    """Say what the archive holds and the index does not: nothing tells whether it is anywhere else."""
    kinds = files.left_out()
    named = ", ".join(f"{number:,} {kind}" for kind, number in kinds.items())
    return f"{sum(kinds.values()):,} members were left out of the index ({named})" if kinds else ""


def _in_data_set(found: Found, data: Prepared) -> tuple[str, str]:
    """Tell whether every recording of an archive is in a finished data set, or is bad here as it was there."""
    if problem := data.verdict:
        return problem, ""
    if max(path.stat().st_mtime for path, _ in _parts(found)) > data.begun():
        return f"it is newer than {data.path}", ""
    with closing(index(found.path, [data.corpus], nested=True)) as files:
        if problem := _left_out(files):
            return problem, ""
        others = recordings = bad = 0
        for member in files.members():
            if not member.name.lower().endswith(AUDIO):
                others += 1
                continue
            name = canonical(data.corpus, member.name)
            recordings += 1
            if any(_holds(data.hashes, text) for text in (f"{name} {member.size}", f"{name} -1")):
                continue
            if name not in data.quarantined:
                return f"{member.name} is not in {data.path}, nor in its quarantine", ""
            if not _bad(files, member.name):
                return f"{member.name} is in the quarantine of {data.path}, but may be whole here", ""
            bad += 1
    if not recordings:
        return "it holds no recordings", ""
    went = f"its {recordings - bad:,} recordings went into {data.path}"
    went += f", {bad:,} more are in its quarantine and bad here too" if bad else ""
    return "", f"{went} ({others:,} texts and other files go with it)"


def _bad(files: Files, name: str) -> bool:
    """Tell whether a recording is no audio: `prepare` may have read it from an unpacked folder, not from here."""
    try:
        normalise(files.read(name))
    except AudioError:
        return True
    return False


def _holds(there: np.ndarray, text: str) -> bool:
    wanted = hashes([text])[0]
    place = np.searchsorted(there, wanted)
    return bool(place < len(there) and there[place] == wanted)


def _outputs(out: Path) -> list[Prepared]:
    """Return the data sets in a folder, or the one that it is."""
    one = read(out, str(out))
    if one is not None:
        return [one]
    with closing(Tree(out)) as tree:
        found = prepared(tree)
    if not found:
        raise CorpusError(f"{out} is not the output of `prepare`, nor does it hold one")
    return found


def _nested(found: Found) -> bool:
    return any(known()[corpus].nested for corpus in found.corpora)


def _parts(found: Found) -> list[tuple[Path, tuple[int, int, int]]]:
    try:
        parts = parts_of(found.path)
    except CorpusError:
        parts = [found.path]
    states = [path.lstat() for path in parts]
    return [(path, (one.st_ino, one.st_size, one.st_mtime_ns)) for path, one in zip(parts, states, strict=True)]


def _delete(parts: list[tuple[Path, tuple[int, int, int]]]) -> None:
    for path, _ in parts:
        path.unlink()
