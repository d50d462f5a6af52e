"""The builder that every corpus is made of: list the utterances, then normalise their audio.

A corpus module states facts and yields utterances; all else is here and in the modules that this
one calls. No file is opened here: `datasets` replaces `open` and `os.path` in the modules of a
builder and of its parents.
"""

from __future__ import annotations

import copy
import fnmatch
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import datasets
import pyarrow as pa

from builders.audio import Normalised, normalise
from builders.cache import absolute, cache_dir, digest
from builders.download import Archive, fetch
from builders.errors import AudioError, CorpusError, MemberError
from builders.files import Files
from builders.listing import Shard, Utterance, batches, read_listing, shards, write_listing
from builders.quarantine import Reports
from builders.schema import SAMPLING_RATE, Segment, arrow_schema, manifest_features

logger = logging.getLogger(__name__)

MACHINERY_VERSION = 1  # raised when the same corpus begins to give other bytes
BATCH_ROWS = 64
BATCH_BYTES = 32_000_000  # of source audio
NOT_IN_IDENTITY = ("max_bad", "trust")  # how a run behaves, not what it makes

# Newer releases track the source shard in the key; 4.0 takes any key.
Key = getattr(datasets.builder, "Key", lambda shard, table: f"{shard}-{table}")


@dataclass(frozen=True)
class Expected:
    """What a split holds according to the corpus' publication."""

    utterances: int | None = None
    hours: float | None = None


@dataclass(frozen=True)
class Facts:
    """What is true of a corpus as a whole.

    access : str
        One line: where to get the corpus, and what to pass.
    root : str
        Regular expression of the folders above the corpus' own paths, cut off members' names.
    download : str
        Address that the archives' names are appended to, where they are open to all.
    archives, archive_patterns : sequence
        The published archives, and patterns of the names under which copies go around.
    channel : str
        Which channel of a multi-channel recording is the mono signal: ``mean`` or its number.
    labels, own_labels
        Columns behind the core ones: shared ones by name, own ones with their `datasets` type.
    audio_columns : sequence of str
        Further audio: stems, sources.
    private_only : str
        Why its licence allows no public copy of the audio, empty where it does.
    version : int
        Output version of the corpus module, raised when its rows change.
    """

    title: str
    homepage: str
    licence: str
    access: str
    citation: str
    language: str | None = None
    phone_set: str | None = None
    channel: str = "mean"
    root: str = ""
    download: str = ""
    archives: Sequence[Archive] = ()
    archive_patterns: Sequence[str] = ()
    labels: Sequence[str] = ()
    own_labels: Mapping[str, Any] = field(default_factory=dict)
    audio_columns: Sequence[str] = ()
    private_only: str = ""
    version: int = 1


@dataclass
class CorpusConfig(datasets.BuilderConfig):
    """A configuration of a corpus.

    splits : mapping of str to Expected
        The splits that it can have; those that are not on disk are left out.
    archives : sequence of str
        Patterns of the archives that it needs; empty stands for all archives of the corpus.
    max_bad : float
        Share of quarantined recordings, 0 to 1, above which the run fails.
    trust : bool
        Pass audio that has the target form through without decoding it.
    identity : str
        Set by the builder: what the table is made from and by which version.
    """

    splits: Mapping[str, Expected] = field(default_factory=dict)
    archives: Sequence[str] = ()
    max_bad: float = 0.01
    trust: bool = False
    identity: str = ""

    def create_config_id(self, config_kwargs: dict, custom_features: Any = None) -> str:
        """Name the cache folder by what the table is, not by how the run behaves."""
        kept = {name: value for name, value in config_kwargs.items() if name not in NOT_IN_IDENTITY}
        return super().create_config_id(kept, custom_features)


class CorpusBuilder(datasets.ArrowBasedBuilder):
    """Base class of the corpora.

    A corpus sets `FACTS` and `BUILDER_CONFIGS` and defines `utterances`. One whose audio lies in no
    file sets `NEEDS_DATA` to False and defines `audio`.
    """

    FACTS: ClassVar[Facts]
    NEEDS_DATA: ClassVar[bool] = True
    BUILDER_CONFIG_CLASS = CorpusConfig

    def __init__(self, *args: Any, data_dir: str | None = None, config_name: str | None = None, **kwargs: Any) -> None:
        self.reports: Reports | None = None
        self._held: tuple[str, bytes] = ("", b"")
        self.files = self._open_files(data_dir, config_name)
        kwargs["identity"] = digest(self.identity(kwargs))
        super().__init__(
            *args, data_dir=None if data_dir is None else str(absolute(data_dir)), config_name=config_name, **kwargs
        )

    def utterances(self, files: Files, split: str) -> Iterable[Utterance]:
        """Yield the utterances of a split out of the corpus' metadata, decoding nothing."""
        raise NotImplementedError

    def audio(self, row: Mapping[str, Any]) -> tuple[Normalised, Sequence[Segment] | None]:
        """Return the normalised audio of a row of the listing, and its segments where they come with it."""
        return self._read(row["member"], row), None

    def cells(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the listing does not hold of a row: audio, duration, source, and whatever comes with them.

        A corpus whose rows are not made of audio (arrays of frames) overrides it. It raises `AudioError` or
        `MemberError` for a row that cannot be used, which is then quarantined.
        """
        audio, segments = self.audio(row)
        more = self._more_audio(row)
        return {**dict.fromkeys(self.FACTS.audio_columns), **_made(row, audio, segments), **more}

    def identity(self, options: Mapping[str, Any]) -> list[Any]:
        """Return what decides the table's bytes; a corpus with further inputs adds their fingerprints."""
        remote = [(archive.name, archive.md5, archive.url) for archive in self.FACTS.archives if self.NEEDS_DATA]
        made_from = remote if self.files is None else self.files.fingerprint
        return [MACHINERY_VERSION, self.FACTS.version, made_from]

    def listing(self, split: str) -> pa.Table:
        """Return the listing of a split, made on the first call."""
        path = self.listing_file(split)
        if not path.exists():
            rows = write_listing(
                self.utterances(self.files, split), path, features=self.info.features, corpus=self.name,
                language=self.FACTS.language, files=self.files,
            )  # fmt: skip
            logger.info("%s: listed %d utterances of %s", self.name, rows, split)
        return read_listing(path)

    def listing_file(self, split: str) -> Path:
        """Return where the listing of a split is kept."""
        # Keyed by everything but the options of the run: a run with another max_bad takes it again.
        name = digest([self.config_id, self.config.data_dir, split])
        return cache_dir("listings", self.name) / f"{split}-{name}.arrow"

    def quarantine_file(self, split: str) -> Path:
        """Return where the last run listed the bad recordings of a split; there is no file if none was bad."""
        return cache_dir("quarantine", self.name, self.config_id) / f"{split}.jsonl"

    def _info(self) -> datasets.DatasetInfo:
        facts = self.FACTS
        return datasets.DatasetInfo(
            description=facts.title,
            citation=facts.citation,
            homepage=facts.homepage,
            license=facts.licence,
            features=manifest_features(facts.labels, facts.own_labels, facts.audio_columns),
        )

    def listings(self) -> dict[str, pa.Table]:
        """Return the listing of each split that is there, of an open corpus after fetching it.

        Raises
        ------
        CorpusError
            If no split has any utterance.
        """
        self.fetch()
        found = {split: listing for split in self.config.splits if (listing := self.listing(split)).num_rows}
        if self.files is not None:
            self.files.close()  # readers don't survive a fork
        if not found:
            raise self._nothing_found()
        return found

    def fetch(self) -> None:
        """Fetch the archives of an open corpus where no folder was given; those that are here stay."""
        if self.files is None and self.NEEDS_DATA:
            self.files = self._fetched()

    def normalised(self, listing: pa.Table, shard: Shard, bad: list[tuple[str, str]]) -> Iterator[pa.Table]:
        """Yield the manifest rows of a shard of a listing, in batches.

        (member, reason) of each recording that cannot be used is appended to `bad`.
        """
        for rows in batches(listing, shard, rows=BATCH_ROWS, size=BATCH_BYTES):
            yield self._normalise(rows, bad)

    @contextmanager
    def reader(self) -> Iterator[Self]:
        """Give a copy with file handles of its own: a shuffled stream reads several shards at once, in threads."""
        reader = object.__new__(type(self))
        reader.__dict__ = {**self.__dict__, "files": copy.deepcopy(self.files), "_held": ("", b"")}
        try:
            yield reader
        finally:
            if reader.files is not None:
                reader.files.close()

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"shards": shards(listing), "split": split})
            for split, listing in self.listings().items()
        ]

    def _generate_tables(self, shards: Sequence[Shard], split: str) -> Iterator[tuple[Any, pa.Table]]:
        listing = self.listing(split)
        with self.reader() as reader:
            for shard in shards:
                bad: list[tuple[str, str]] = []
                written = 0
                for number, table in enumerate(reader.normalised(listing, shard, bad)):
                    written += table.num_rows
                    if table.num_rows:
                        yield Key(shard.number, number), table
                if self.reports is not None:
                    self.reports.add(shard, written, bad)

    def _prepare_split(self, split_generator: datasets.SplitGenerator, *args: Any, **kwargs: Any) -> None:
        split = str(split_generator.name)
        self.reports = Reports(self.quarantine_file(split))
        super()._prepare_split(split_generator, *args, **kwargs)
        self.reports.close(listed=self.listing(split).num_rows, max_bad=self.config.max_bad)

    def _normalise(self, rows: pa.Table, bad: list[tuple[str, str]]) -> pa.Table:
        """Return the manifest rows of a part of the listing; append (member, reason) of the others to `bad`."""
        kept: list[int] = []
        made: list[dict[str, Any]] = []
        for index, row in enumerate(rows.to_pylist()):
            try:
                made.append(self.cells(row))
            except (AudioError, MemberError) as error:
                logger.warning("%s: %s: quarantined", row["member"], error)
                bad.append((row["member"], str(error)))
                continue
            kept.append(index)
        return self._assemble(rows.take(pa.array(kept, pa.int64())), made)

    def _read(self, member: str, row: Mapping[str, Any]) -> Normalised:
        """Normalise a member as a row of the listing says which part and channel of it."""
        if member not in self.files:
            raise AudioError(f"{member} is listed in the metadata, but there is no such file")
        if self._held[0] != member:  # rows are sorted by place: those of a long recording follow each other
            self._held = (member, self.files.read(member))
        return normalise(
            self._held[1],
            start=row["start"],
            end=row["end"],
            parts=row["parts"],
            channel=row["channel"] or self.FACTS.channel,
            trust=self.config.trust,
        )

    def _more_audio(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the cells of the further audio columns; null where the row has no such audio."""
        members = dict(row["audios"])
        found = {name: self._read(members[name], row) for name in self.FACTS.audio_columns if name in members}
        return {name: _cell(audio, f"{row['id']}.{name}") for name, audio in found.items()}

    def _assemble(self, rows: pa.Table, made: list[dict[str, Any]]) -> pa.Table:
        schema = arrow_schema(self.info.features)
        columns = []
        for wanted in schema:
            if made and wanted.name in made[0]:
                columns.append(pa.array([values[wanted.name] for values in made], wanted.type))
            elif wanted.name in rows.column_names:
                columns.append(rows.column(wanted.name))
            else:  # no row is left
                columns.append(pa.nulls(0, wanted.type))
        return pa.table(columns, schema=schema)

    def _open_files(self, data_dir: str | None, config_name: str | None) -> Files | None:
        if not self.NEEDS_DATA or (data_dir is None and self._remote(config_name)):
            return None
        if data_dir is None:
            raise CorpusError(f"{_name(self)} needs data_dir, the folder or archive of the corpus. {self.FACTS.access}")
        patterns = self._archives(config_name) or (*_names(self.FACTS.archives), *self.FACTS.archive_patterns)
        return Files(absolute(data_dir), archives=patterns, root=self.FACTS.root)

    def _archives(self, config_name: str | None) -> Sequence[str]:
        """Return the patterns of the archives that a configuration needs, empty for all."""
        name = config_name or self.DEFAULT_CONFIG_NAME
        return next((config.archives for config in self.BUILDER_CONFIGS if config.name == name), ())

    def _remote(self, config_name: str | None) -> list[Archive]:
        """Return the archives that a configuration is fetched from; empty where not all are open."""
        patterns = self._archives(config_name) or _names(self.FACTS.archives)
        named = (a for a in self.FACTS.archives if any(fnmatch.fnmatch(a.name, pattern) for pattern in patterns))
        base = self.FACTS.download
        wanted = [replace(a, url=a.url or (f"{base}{a.name}" if base else None)) for a in named]
        return wanted if all(archive.url for archive in wanted) else []

    def _fetched(self) -> Files:
        remote = self._remote(self.config.name)
        folder = fetch(remote, cache_dir("downloads", self.name))
        return Files(folder, archives=(*_names(remote), *self.FACTS.archive_patterns), root=self.FACTS.root)

    def _nothing_found(self) -> CorpusError:
        seen = "" if self.files is None else f" in {self.files.path}, which holds {self.files.summary()}"
        return CorpusError(
            f"no utterances of {self.name} ({self.config.name}: {', '.join(self.config.splits)}) found{seen}. "
            f"{self.FACTS.access}"
        )


def _names(archives: Sequence[Archive]) -> tuple[str, ...]:
    return tuple(archive.name for archive in archives)


def _name(builder: CorpusBuilder) -> str:
    return type(builder).__module__.rsplit(".", 1)[-1]


def _made(row: Mapping[str, Any], audio: Normalised, segments: Sequence[Segment] | None) -> dict[str, Any]:
    made = {
        "audio": _cell(audio, row["id"]),
        "duration": audio.samples / SAMPLING_RATE,
        "source": audio.source,
    }
    return made if segments is None else {**made, "segments": [segment._asdict() for segment in segments]}


def _cell(audio: Normalised, name: str) -> dict[str, Any]:
    return {"bytes": audio.flac, "path": f"{name.replace('/', '_')}.flac"}
