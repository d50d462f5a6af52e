"""Unpacked corpora below a folder, known by the paths of some of their files, and copies in the Hub's cache."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from builders.inventory import HUB
from builders.ledger import FOLDER
from builders.recognise import AUDIO, by_paths, known, place
from builders.register import builder_class
from builders.tree import ARCHIVES, Tree

SAMPLED = 40  # folders in a folder from which on a sample of them is looked at
PER_FOLDER = 2  # files of a folder that are looked at


@dataclass
class Corpus:
    """An unpacked corpus.

    folder : str
        Below the top.
    corpora : list of str
        What it is; several where nothing tells them apart.
    files, bytes, recordings : int
    hub : str
        Repository on the Hub, where it lies in the Hub's cache.
    unfinished : int
        Files that were still being fetched.
    """

    folder: str
    corpora: list[str]
    files: int = 0
    bytes: int = 0
    recordings: int = 0
    hub: str = ""
    unfinished: int = 0

    def published(self) -> list[int]:
        """Return the numbers of utterances that some splits of the corpus have together, ascending."""
        sums: set[int] = set()
        for config in builder_class(self.corpora[0]).BUILDER_CONFIGS:
            counts = [split.utterances for split in config.splits.values() if split.utterances]
            choices = itertools.product((0, 1), repeat=len(counts)) if len(counts) <= 8 else [(1,) * len(counts)]
            sums |= {sum(itertools.compress(counts, chosen)) for chosen in choices}
        return sorted(sums - {0})

    @property
    def state(self) -> str:
        """Return ``extracted``, or ``partly extracted`` where fewer recordings are there than any split has."""
        published = self.published()
        absent = getattr(known()[self.corpora[0]].facts, "absent_ok", False)  # nobody has them all
        few = bool(published) and self.recordings < (published[-1] if absent else published[0])
        return "archived" if self.hub and not self.recordings else "partly extracted" if few else "extracted"


def places(tree: Tree) -> list[Corpus]:
    """Return the unpacked corpora below a folder, and those in the Hub's cache."""
    samples: dict[str, list[str]] = defaultdict(list)
    for path in _sample(tree):
        for top in _tops(path, tree.top.name):
            samples[top].append(path)
    found: list[Corpus] = []
    for top in sorted(samples):
        corpus = _corpus(tree, top, samples[top])
        inside = [other for other in found if not other.folder or top.startswith(f"{other.folder}/")]
        if corpus and not any(set(other.corpora) & set(corpus.corpora) for other in inside):
            found.append(corpus)
    return found


def _tops(path: str, name: str) -> set[str]:
    """Return the folders that may be a corpus' own top."""
    whole = f"{name}/{path}"
    hub = HUB.match(whole)
    found = set()
    for corpus in known():
        begin = place(corpus, whole)
        if begin is not None:
            top = whole[: hub.end() if hub else begin].rstrip("/")
            found.add(top.removeprefix(name).lstrip("/"))
    return found


def _corpus(tree: Tree, top: str, paths: Sequence[str]) -> Corpus | None:
    corpora = by_paths([f"{tree.top.name}/{path}" for path in paths])
    sounds = [path for path in paths if path.lower().endswith((*AUDIO, *ARCHIVES))]
    if not corpora or not sounds:
        return None
    hub = HUB.match(f"{tree.top.name}/{top}/")
    total = tree.total(top)
    found = Corpus(top, corpora, total.files, total.bytes, total.recordings)
    if hub:
        found.hub = f"{hub['owner']}/{hub['name']}"
        repository = top.rsplit("/snapshots/", 1)[0]
        found.unfinished = tree.total(repository).unfinished
    return found


def _sample(tree: Tree) -> Iterator[str]:
    """Yield the paths of some files: of all folders, but only of some of many that lie beside each other."""
    children: dict[str, list[str]] = defaultdict(list)
    for folder in tree.folders():
        if folder:
            children[folder.rpartition("/")[0]].append(folder)
    stack = [""]
    while stack:
        folder = stack.pop()
        if any(child.split("/")[-1] == FOLDER for child in children[folder]):
            continue  # a data set of ours
        files = tree.files(folder)
        sounds = [file.path for file in files if file.path.lower().endswith(AUDIO)]
        others = [file.path for file in files if not file.path.lower().endswith(AUDIO)]
        yield from (*sounds[:PER_FOLDER], *others[:PER_FOLDER])
        below = children[folder]
        step = max(1, len(below) // 10) if len(below) > SAMPLED else 1
        stack += below[::step]
