"""Which corpus a file name or a path belongs to, by the facts of the corpora that are registered."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from builders.corpus import Facts
from builders.parts import FIRST
from builders.published_sizes import least, published
from builders.register import builder_class, corpora

AUDIO = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".sph", ".aac", ".webm", ".mkv", ".aif", ".aiff",
         ".npy", ".pkl")  # and what holds frames in place of sound  # fmt: skip
NEAR = 0.005  # share by which two sizes that are published as the same may differ

# Corpora that are made from one another have the same folders: what their paths have and the others' have not.
OWN = {
    "esc50": r"(?:.*/)?(?:\d-\d+-[A-Z]-\d+\.wav|esc50[\w-]*\.\w+)$",
    "wham_noise": r"(?:.*/)?(?:wham_noise|high_res_wham|tr|cv|tt|metadata)/",
    "librispeech": r"(?:.*/)?\d+-\d+(?:-\d{4}\.flac|\.trans\.txt)$|(?:.*/)?LibriSpeech/[^/]+$",
    "libritts": r"(?!(?:.*/)?LibriTTS_R/)(?:.*/)?(?:\d+_\d+(?:_\d{6}_\d{6})?\.\w[\w.]*|LibriTTS/[^/]+)$",
    "libritts_r": r"(?!(?:.*/)?LibriTTS/)(?:.*/)?(?:\d+_\d+(?:_\d{6}_\d{6})?\.\w[\w.]*|LibriTTS_R/[^/]+)$",
    "mls": r"(?:.*/)?mls_(?!english)[a-z_]+/|(?!(?:.*/)?mls_)",
    "mls_english": r"(?:.*/)?mls_english(?:_opus)?/|(?!(?:.*/)?mls_)",
}

# What tells a corpus that its builder knows by a folder's name, where somebody gave the folder another.
ALSO = {
    "libri_mix": r"^(?:.*/)?(?=wav(?:8|16)k/(?:min|max)/(?:train-360|train-100|dev|test)/)",
    "speech_commands": r"^(?:.*/)?(?=[a-z]+/[0-9a-f]{8}_nohash_\d+\.wav$)",
}


class Known(NamedTuple):
    """A corpus as recognition needs it.

    names, patterns : published names of its archives, and patterns of those under which copies go around
    nested : patterns of the tars inside it
    """

    corpus: str
    facts: Facts
    names: frozenset[str]
    patterns: tuple[str, ...]
    nested: tuple[str, ...]


@functools.cache
def known() -> dict[str, Known]:
    """Return all corpora that are read from files."""
    found = {}
    for corpus in corpora():
        builder = builder_class(corpus)
        facts = builder.FACTS
        if not builder.NEEDS_DATA:
            continue
        names = frozenset(archive.name for archive in facts.archives)
        more = {pattern for config in builder.BUILDER_CONFIGS for pattern in config.archives}
        patterns = [*facts.archive_patterns, *sorted(more - {*facts.archive_patterns})]
        nested = tuple(pattern for pattern in patterns if "/" in pattern and not pattern.endswith(".parquet"))
        found[corpus] = Known(corpus, facts, names, tuple(p for p in patterns if "/" not in p), nested)
    return found


def by_name(name: str) -> dict[str, str]:
    """Return the corpora that an archive's name speaks of, each with the published name that is meant.

    A hyphen counts as an underscore: some keep LibriTTS-R under the names of LibriTTS, and the other way round.
    """
    first = FIRST.fullmatch(name)
    whole = name if first is None else first["stem"].removesuffix("part").rstrip(".")
    return {corpus: meant for corpus, info in known().items() if (meant := _meant(info, name, whole))}


def _meant(info: Known, name: str, whole: str) -> str | None:
    alike = {_alike(published): published for published in sorted(info.names)}
    for text in (name, whole):
        if text in info.names:
            return text
    if (found := alike.get(_alike(whole)) or alike.get(_alike(name))) is not None:
        return found
    lower = name.lower()
    return name if any(fnmatch.fnmatch(lower, pattern.lower()) for pattern in info.patterns) else None


def _alike(name: str) -> str:
    return name.lower().replace("_", "-").replace(".tgz", ".tar.gz")


def by_size(name: str, names: dict[str, str], size: int) -> list[str]:
    """Return the corpora that an unreadable archive of that name and size may be, the likeliest first.

    Parameters
    ----------
    names : dict
        What `by_name` says of the name.
    """

    def distance(corpus: str) -> float:
        told = published(corpus, names[corpus], known()[corpus].facts.archives)
        return abs(size / told - 1) if told else 1.0

    order = sorted(names, key=distance)
    if order and distance(order[0]) < NEAR:
        return order[:1]
    return sorted(names, key=lambda corpus: (names[corpus] != name, distance(corpus)))


def smallest(corpora: Iterable[str], names: dict[str, str]) -> int | None:
    """Return the bytes below which an archive is a broken download, whichever of the corpora it is of."""
    sizes = [least(corpus, names[corpus], known()[corpus].facts.archives) for corpus in corpora]
    told = [size for size in sizes if size is not None]
    return min(told, default=None)


def by_paths(paths: Sequence[str], among: Iterable[str] | None = None) -> list[str]:
    """Return the corpora whose layout most of the paths have, the best first; only the best ones.

    Parameters
    ----------
    paths : sequence of str
        Of files, from wherever above the corpus on.
    among : iterable of str, optional
        The corpora that it may be.
    """
    votes: Counter[str] = Counter()
    for corpus in among if among is not None else known():
        matched = [path for path in paths if place(corpus, path) is not None]
        sounds = [path for path in matched if path.lower().endswith(AUDIO)]
        if matched:
            votes[corpus] = 4 * len(matched) + 2 * len(sounds) + len([path for path in matched if _names(corpus, path)])
    best = max(votes.values(), default=0)
    return sorted(corpus for corpus, count in votes.items() if count == best)


def place(corpus: str, path: str) -> int | None:
    """Return where in a path the corpus' own part begins, None where the path is not one of the corpus."""
    if corpus in OWN and re.match(OWN[corpus], path) is None:
        return None
    for root in filter(None, (known()[corpus].facts.root, ALSO.get(corpus))):
        begin = 0
        while True:  # a root may speak of one folder above, and more are above it here
            if (found := re.compile(root).match(path[begin:])) is not None:
                return begin + found.end()
            if (slash := path.find("/", begin)) < 0:
                break
            begin = slash + 1
    return None


def _names(corpus: str, path: str) -> bool:
    """Tell whether a folder of the path is one that the corpus' layout spells out."""
    root = known()[corpus].facts.root
    return any(re.escape(part) in root or part in root for part in path.split("/")[:-1] if len(part) > 3)
