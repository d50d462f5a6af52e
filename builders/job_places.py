"""Where below a folder the corpora of a job lie: prepared as Parquet, or as they were published.

ROOT/librispeech            its first configuration, written by `python -m builders prepare`, or the corpus itself
ROOT/librispeech.tar.gz     an archive of it
ROOT/mls-fr                 a further configuration, in either form
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
from datasets import Dataset, IterableDataset, load_dataset, load_dataset_builder

from builders.errors import CorpusError
from builders.ledger import FOLDER
from builders.push import card_fields
from builders.register import PREFIX, builder_class
from builders.shard_files import SHARD

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz", ".zip")


@dataclass(frozen=True)
class Source:
    """What a job takes from a corpus.

    corpus : str
    label : callable
        Takes a row's columns of `needs`, returns the label, None where the row has none.
    needs : sequence of str
    configs : sequence of sequence of str
        Patterns of configurations' names; ``!`` before one excludes. Of the first group of which anything is there,
        all is taken; groups overlap, those of a group do not.
    splits : mapping of str to str
        The corpus' split for the job's, where its own name says something else; empty stands for none.
    beside : mapping of str to str
        Options that raw corpora need, and the name of the folder below the root.
    rows : callable, optional
        Takes a table of the corpus and returns other rows of it, with the columns of the core, and `extra`.
    extra : mapping
    """

    corpus: str
    label: Callable[[Mapping[str, Any]], Any]
    needs: Sequence[str]
    configs: Sequence[Sequence[str]] = (("*",),)
    splits: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    rows: Callable[[pa.Table], pa.Table] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where a configuration of a corpus lies.

    name : str
        ``mls-fr``: the name of its folder.
    call : mapping
        Arguments of `load_dataset`.
    """

    name: str
    source: Source
    path: Path
    config: str
    prepared: bool
    call: Mapping[str, Any]

    @property
    def form(self) -> str:
        """Say which of the two forms it is."""
        return "prepared" if self.prepared else "raw"

    def splits(self, wanted: str) -> list[str]:
        """Return the corpus' splits that are the wanted one: ``train.100`` and ``train.360`` are ``train``."""
        own = self.source.splits.get(wanted, wanted)
        there = _shards(self.path) if self.prepared else load_dataset_builder(**self.call).listings()
        return [split for split in there if own and (split == own or split.startswith(f"{own}."))]

    def load(self, split: str, streaming: bool) -> Dataset | IterableDataset:
        """Return a split, with the columns that the job needs or an error that says which one is not there."""
        # Not the folder itself: `datasets` caches that by its name and card, so that another one is taken for it.
        files = {"data_files": {split: _shards(self.path)[split]}} if self.prepared else {}
        dataset = load_dataset(**self.call, **files, split=split, streaming=streaming)
        missing = [name for name in self.source.needs if name not in (*dataset.features, *self.source.extra)]
        if missing:
            raise CorpusError(f"{self.path} has no column {missing[0]!r}: prepare {self.source.corpus} again")
        return dataset

    def hours(self, splits: Iterable[str]) -> float:
        """Return the hours of some splits: counted where it is prepared, else as they were published.

        Raises
        ------
        CorpusError
            If they were not published.
        """
        if self.prepared:
            files = [path for split in splits for path in _shards(self.path)[split]]
            return (pc.sum(pads.dataset(files).to_table(["duration"]).column(0)).as_py() or 0.0) / 3600
        published = load_dataset_builder(**self.call).config.splits
        hours = [published[split].hours for split in splits]
        if None in hours:
            raise CorpusError(
                f"the hours of {self.name} are not known: prepare it, or pass weights={{{self.name!r}: ...}}"
            )
        return sum(hours)


def find(root: Path, source: Source, options: Mapping[str, Any] | None = None) -> list[Place]:
    """Return where the configurations of a corpus lie that a job takes, none where there is nothing.

    Parameters
    ----------
    options : mapping, optional
        Further arguments of `load_dataset`, for raw corpora.
    """
    builder = builder_class(source.corpus)
    names = tuple(config.name for config in builder.BUILDER_CONFIGS)
    default = builder.DEFAULT_CONFIG_NAME or names[0]
    groups = [list(_matching(names, patterns)) for patterns in source.configs]
    wanted = [name for group in groups for name in group]
    first = default if default in wanted else wanted[0]
    beside = {option: root / folder for option, folder in source.beside.items()}
    for group in groups:
        found = [_at(root, source, name, default, first, {**beside, **(options or {})}) for name in group]
        if any(found):
            return [place for place in found if place]
    return []


def _at(root: Path, source: Source, config: str, default: str, first: str, options: Mapping[str, Any]) -> Place | None:
    """Return where a configuration lies. Without its name it is `default` if prepared, `first` if raw."""
    for name, prepared, raw in (
        (f"{source.corpus}-{config}", True, True),
        (source.corpus, config == default, config == first),
    ):
        if prepared and is_prepared(root / name):
            return Place(name, source, root / name, config, True, {"path": "parquet"})
        path = _raw(root, name) if raw else None
        if path and all(Path(value).exists() for option, value in options.items() if option in source.beside):
            call = {"path": f"{PREFIX}/{source.corpus}", "name": config, "data_dir": str(path)}
            return Place(name, source, path, config, False, {**call, **{key: _plain(options[key]) for key in options}})
    return None


def is_prepared(folder: Path) -> bool:
    """Return whether a folder holds a finished output of `python -m builders prepare`.

    Raises
    ------
    CorpusError
        If it has the card of one, but not all of the shards.
    """
    return (folder / "README.md").exists() and bool(_shards(folder))


def _shards(folder: Path) -> dict[str, list[str]]:
    """Return the files of each split of a prepared data set."""
    found: dict[str, list[str]] = {}
    counts: dict[str, set[int]] = {}
    for path in sorted(folder.glob("data/*-of-*.parquet")):
        if shard := SHARD.fullmatch(f"data/{path.name}"):
            found.setdefault(shard["split"], []).append(str(path))
            counts.setdefault(shard["split"], set()).add(int(shard["count"]))
    for split, paths in found.items():
        if counts[split] != {len(paths)}:
            expected = " and ".join(map(str, sorted(counts[split])))
            raise CorpusError(f"{folder} has {len(paths)} shards of {split}, expected {expected}: copy it whole, or "
                              "prepare it again into an empty folder")  # fmt: skip
    lost = [split for split in _promised(folder) if found and split not in found]
    if lost:
        raise CorpusError(f"{folder} has no shards of {lost[0]}, which its card names: copy it whole")
    return found


def _promised(folder: Path) -> list[str]:
    """Return the splits that the card of a data set names."""
    info = card_fields(folder).get("dataset_info")
    return [split["name"] for split in info.get("splits", [])] if isinstance(info, dict) else []


def _raw(root: Path, name: str) -> Path | None:
    folder = root / name
    if folder.is_dir():
        return None if (folder / FOLDER).exists() or is_prepared(folder) else folder
    return next((path for path in (root / f"{name}{end}" for end in ARCHIVES) if path.exists()), None)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _matching(names: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    out = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    taken = [name for pattern in patterns for name in names if fnmatch.fnmatchcase(name, pattern)]
    return tuple(name for name in dict.fromkeys(taken) if name not in out)


def missing(root: Path, source: Source) -> Iterator[str]:
    """Yield what is to be said of a corpus that is not found: what is there instead, or what goes with it."""
    for folder in sorted(root.glob(f"{source.corpus}*")):
        if (folder / FOLDER).exists() and not is_prepared(folder):
            yield f"{folder.name} is not finished"
    for folder in source.beside.values():
        if not (root / folder).exists():
            yield f"{folder} is not there"
