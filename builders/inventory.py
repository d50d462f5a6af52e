"""What lies below a folder: archives, unpacked corpora, prepared data sets, and in which state they are."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from builders.archives import TAR, TAR_GZ, ZIP, archive_suffix, open_source
from builders.cache import cache_dir, digest, writing
from builders.errors import CorpusError
from builders.files import INDEX_VERSION, Files
from builders.glance import Glance, glance
from builders.members import Comparison, Place, below, compare, locate, recall, remember
from builders.parts import FIRST, parts_of
from builders.prepared import Prepared
from builders.recognise import by_name, by_paths, by_size, known, smallest
from builders.register import builder_class
from builders.tree import UNFINISHED, File, Tree

CHEAP = {"packed": 2_000_000_000, "tar": 20_000_000_000}  # bytes that a first look may read; a zip has a directory
HUB = re.compile(r"(?:.*/)?datasets--(?P<owner>[^/]+?)--(?P<name>[^/]+)/snapshots/[^/]+/")


@dataclass
class Found:
    """An archive.

    corpora : list of str
        What it is of; several where nothing tells them apart.
    broken, remark : str
        Why it is no whole archive; what else is odd.
    subset : bool
        Whether it is smaller than what was published although it ends as a whole archive does.
    place, comparison
        Where it was unpacked and what of it is there.
    first : (int, int)
        How many of the first members are there of how many, where no more was compared.
    prepared : list of str
        Finished data sets that hold its audio.
    """

    path: Path
    size: int
    corpora: list[str]
    name: str
    head: list[tuple[str, int]] = field(default_factory=list)
    broken: str = ""
    remark: str = ""
    subset: bool = False
    place: Place | None = None
    comparison: Comparison | None = None
    prepared: list[str] = field(default_factory=list)
    first: tuple[int, int] | None = None
    verified: bool = False

    @property
    def state(self) -> str:
        """Return the state, the furthest that it has reached."""
        if self.broken:
            return "truncated"
        if self.prepared:
            return "prepared"
        if self.comparison is None and self.first is None:
            return "archived"
        whole = self.comparison.whole if self.comparison else len(set(self.first or ())) == 1
        return "verified" if self.verified else "extracted" if whole else "partly extracted"


def archives(tree: Tree) -> Iterator[Found]:
    """Yield the archives of corpora below a folder, those of the Hub's cache left out, with what was compared."""
    with _glances(tree) as look:
        for file in tree.archives():
            if HUB.match(f"{tree.top.name}/{file.path}") is None and (found := _found(tree, file, look)):
                yield found


def held(tree: Tree, corpus: str, config: str | None, only: Path | None = None) -> list[Found]:
    """Return the archives of a corpus, or of one of its configurations, or that one file.

    Raises
    ------
    CorpusError
        If there is none.
    """
    configs = {config.name: config for config in builder_class(corpus).BUILDER_CONFIGS}
    if config is not None and config not in configs:
        raise CorpusError(f"{corpus} has no configuration {config!r}: expected one of {list(configs)}")
    wanted = [p.lower() for p in configs[config].archives if "/" not in p] if config else []
    found = []
    for archive in archives(tree):
        if only is not None and archive.path == only:
            archive.corpora = [corpus]
        named = not wanted or any(fnmatch.fnmatch(archive.name.lower(), pattern) for pattern in wanted)
        if archive.path == only or (only is None and named and corpus in archive.corpora):
            found.append(archive)
    if not found:
        raise CorpusError(f"no archive of {corpus} in {only or tree.top}. {known()[corpus].facts.access}")
    return found


def compared(tree: Tree, found: Found, prepared: list[Prepared]) -> Found:
    """Enter where an archive was unpacked and what of it is there."""
    if found.broken or not found.head:
        return found
    found.place = locate(found.head, tree.named)
    found.prepared = [data.folder for data in prepared if data.covers(found.corpora, found.head)]
    if found.place is not None:
        fingerprint = open_source(found.path).fingerprint()
        found.comparison = recall(found.path, fingerprint, found.place, tree)
        found.verified = found.comparison is not None and _holds(tree, found.comparison)
        if found.comparison is None:
            found.comparison = _look(tree, found, fingerprint)
    return found


def index(path: Path, corpora: list[str], *, nested: bool) -> Files:
    """Return the members of an archive under the names that they have in it; of tars in it, what they hold."""
    inside = {pattern for corpus in corpora for pattern in known()[corpus].nested} if nested else set()
    return Files(path, archives=sorted(inside))


def _look(tree: Tree, found: Found, fingerprint: str) -> Comparison | None:
    """Compare with the cached tree; an archive that would take long to read only by its first members."""
    place = found.place
    for nested in (False, True):
        with closing(index(found.path, found.corpora, nested=nested)) as files:
            if not files.indexed and not _cheap(found):
                there = [tree.size(below(place, name)) == size for name, size in found.head]
                found.first = (sum(there), len(there))
                return None
            try:
                comparison = compare(files.members(), tree.size, place)
            except CorpusError as error:
                found.broken = str(error)
                return None
        if comparison.whole or not any(known()[corpus].nested for corpus in found.corpora):
            break
    remember(found.path, fingerprint, place, tree, comparison)
    return comparison


def _cheap(found: Found) -> bool:
    suffix = archive_suffix(found.path)
    return suffix in ZIP or found.size <= CHEAP["tar" if suffix in TAR else "packed"]


def _holds(tree: Tree, found: Comparison) -> bool:
    return found.how != "look" and found.whole and tree.newest(found.groups) <= found.at


def _found(tree: Tree, file: File, look: _Looks) -> Found | None:
    path = tree.top / file.path
    name = path.name
    unfinished = next((suffix for suffix in UNFINISHED if name.endswith(suffix)), "")
    names = by_name(name.removesuffix(unfinished))
    if unfinished:
        if not names:
            return None
        corpora = by_size(name, names, file.size)
        return Found(path, file.size, corpora, names[corpora[0]], broken="it is still being fetched, or never was")
    if FIRST.fullmatch(name) is None and archive_suffix(path) is None:
        return None
    size, seen = look(path)
    corpora = _corpora(name, names, size, seen)
    if not corpora:
        return None
    meant = names.get(corpora[0], name)
    found = Found(path, size, corpora, meant, seen.head, seen.broken, seen.remark)
    least = smallest(corpora, {corpus: names.get(corpus, name) for corpus in corpora})
    if not found.broken and least is not None and size < least:
        small = f"{size / 1e9:.1f} GB, published are {least / 1e9:.1f} or more"
        # bzip2 tells nothing of its end
        found.subset = bool(seen.head) and archive_suffix(path) in TAR + TAR_GZ + ZIP
        found.remark, found.broken = (f"a subset: {small}", "") if found.subset else (seen.remark, small)
    return found


def _corpora(name: str, names: dict[str, str], size: int, seen: Glance) -> list[str]:
    """Return the corpora of an archive: by what is in it, else by its name and size."""
    if not seen.head:
        return by_size(name, names, size)
    stem = name.split(".tar")[0].removesuffix(".zip").removesuffix(".tgz")
    paths = [path for member, _ in seen.head for path in (member, f"{stem}/{member}")]
    found = by_paths(paths, names) or by_paths(paths, [corpus for corpus in known() if corpus not in names])
    exact = [corpus for corpus in found if names.get(corpus) == name]
    return exact or found or by_size(name, names, size)


class _Looks:
    """Glances at archives, kept from one look to the next."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known = json.loads(file.read_text()) if file.exists() else {}
        self.now: dict[str, list] = {}

    def __enter__(self) -> _Looks:
        return self

    def __exit__(self, *error: object) -> None:
        with writing(self.file) as path:
            path.write_text(json.dumps(self.now))

    def __call__(self, path: Path) -> tuple[int, Glance]:
        """Return the bytes of an archive, all its parts together, and what a glance at it shows."""
        try:
            states = [(part.name, part.stat()) for part in parts_of(path)]
        except CorpusError:
            states = [(path.name, path.stat())]
        times = [(name, status.st_size, status.st_mtime_ns) for name, status in states]
        key = f"{path} {digest([INDEX_VERSION, *times])}"
        values = self.known.get(key) or list(glance(path))
        self.now[key] = values
        head, broken, remark = values
        size = sum(status.st_size for _, status in states)
        return size, Glance([(name, size) for name, size in head], broken, remark)


def _glances(tree: Tree) -> _Looks:
    return _Looks(cache_dir("glances") / f"{tree.top.name}-{digest([str(tree.top)])}.json")
