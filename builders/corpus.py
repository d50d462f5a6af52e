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
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from builders.audio import Normalised, normalise
from builders.cache import absolute, cache_dir, digest
from builders.download import Archive, fetch
from builders.errors import AudioError, CorpusError, MemberError
from builders.facts import CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import ABSENT, PLACE, Shard, Utterance, batches, read_listing, shards, write_listing
from builders.quarantine import Reports
from builders.schema import SAMPLING_RATE, Segment, arrow_schema, manifest_features

__all__ = ["Archive", "CorpusBuilder", "CorpusConfig", "Expected", "Facts"]  # what a corpus module needs

logger = logging.getLogger(__name__)

MACHINERY_VERSION = 1  # raised when the same corpus begins to give other bytes
BATCH_ROWS = 64
BATCH_BYTES = 32_000_000  # of source audio

# Newer releases track the source shard in the key; 4.0 takes any key.
Key = getattr(datasets.builder, "Key", lambda shard, table: f"{shard}-{table}")


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

    def further(self, files: Files) -> Iterable[Archive]:
        """Return what is fetched besides the archives, once these are there: files that they name."""
        return ()

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
        # The columns count as well: a listing of an earlier version may lack some.
        name = digest([self.config_id, self.config.data_dir, split, *PLACE.names])
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

    def listings(self, *splits: str) -> dict[str, pa.Table]:
        """Return the listing of each split that is there, or of those named, of an open corpus after fetching it.

        Raises
        ------
        CorpusError
            If there is no split of a name, or none has any utterance.
        """
        if unknown := [split for split in splits if split not in self.config.splits]:
            raise CorpusError(f"{self.name} has no split {unknown[0]!r}: expected one of {list(self.config.splits)}")
        self.fetch()
        listings = {split: self.listing(split) for split in splits or self.config.splits}
        if self.files is not None:
            self.files.close()  # readers don't survive a fork
        found = {split: listing for split, listing in listings.items() if listing.num_rows > self.absent(listing)}
        for split in (split for split, listing in listings.items() if listing.num_rows and split not in found):
            count = listings[split].num_rows
            logger.warning("%s: %s: none of the %d recordings is here: left out", self.name, split, count)
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
        listing = self.listing(split)
        self.reports.close(listed=listing.num_rows, max_bad=self.config.max_bad, absent=self.absent(listing))

    def absent(self, listing: pa.Table) -> int:
        """Return how many rows have no recording, of a corpus of which that is to be expected."""
        return pc.sum(pc.equal(listing.column("source_number"), ABSENT[0])).as_py() or 0 if self.FACTS.absent_ok else 0

    def _normalise(self, rows: pa.Table, bad: list[tuple[str, str]]) -> pa.Table:
        """Return the manifest rows of a part of the listing; append (member, reason) of the others to `bad`."""
        kept: list[int] = []
        made: list[dict[str, Any]] = []
        for index, row in enumerate(rows.to_pylist()):
            try:
                made.append(self.cells(row))
            except (AudioError, MemberError) as error:
                expected = self.FACTS.absent_ok and row["source_number"] == ABSENT[0]  # may be hundreds of thousands
                logger.log(logging.DEBUG if expected else logging.WARNING, "%s: %s: quarantined", row["member"], error)
                bad.append((row["member"], str(error)))
                continue
            kept.append(index)
        return self._assemble(rows.take(pa.array(kept, pa.int64())), made)

    def _read(self, member: str, row: Mapping[str, Any], stream: int = 0) -> Normalised:
        """Normalise a sound stream of a member as a row of the listing says which part and channel of it."""
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
            stream=stream,
            trust=self.config.trust,
        )

    def _more_audio(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the cells of the further audio columns; null where the row has no such audio."""
        members, streams = dict(row["audios"]), dict(row["streams"])
        wanted = [name for name in self.FACTS.audio_columns if name in members]
        found = {name: self._read(members[name], row, streams.get(name, 0)) for name in wanted}
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
        patterns = self._archives(config_name) or (*_top_names(self.FACTS.archives), *self.FACTS.archive_patterns)
        return Files(absolute(data_dir), archives=patterns, placed=self.FACTS.placed, root=self.FACTS.root)

    def _known(self, config_name: str | None) -> CorpusConfig:
        """Return a configuration as the corpus states it, an empty one if there is none of that name."""
        name = config_name or self.DEFAULT_CONFIG_NAME
        return next((config for config in self.BUILDER_CONFIGS if config.name == name), CorpusConfig())

    def _archives(self, config_name: str | None) -> Sequence[str]:
        """Return the patterns of the archives that a configuration needs, empty for all."""
        return self._known(config_name).archives

    def _remote(self, config_name: str | None) -> list[Archive]:
        """Return the archives that a configuration is fetched from; empty where not all are open."""
        fetched = self._known(config_name).fetched
        if fetched is None:
            return []
        patterns = fetched or self._archives(config_name) or _names(self.FACTS.archives)
        named = (a for a in self.FACTS.archives if any(fnmatch.fnmatch(a.name, pattern) for pattern in patterns))
        base = self.FACTS.download
        wanted = [replace(a, url=a.url or (f"{base}{a.name}" if base else None)) for a in named]
        return wanted if all(archive.url for archive in wanted) else []

    def _fetched(self) -> Files:
        remote = self._remote(self.config.name)
        folder = fetch(remote, cache_dir("downloads", self.name))
        patterns = (*_top_names(remote), *self.FACTS.archive_patterns)

        def opened() -> Files:
            return Files(folder, archives=patterns, placed=self.FACTS.placed, root=self.FACTS.root)

        files = opened()
        if further := list(self.further(files)):
            files.close()
            fetch(further, folder)
            files = opened()
        return files

    def _nothing_found(self) -> CorpusError:
        seen = "" if self.files is None else f" in {self.files.path}, which holds {self.files.summary()}"
        return CorpusError(
            f"no utterances of {self.name} ({self.config.name}: {', '.join(self.config.splits)}) found{seen}. "
            f"{self.FACTS.access}"
        )


def _names(archives: Sequence[Archive]) -> tuple[str, ...]:
    return tuple(archive.name for archive in archives)


def _top_names(archives: Sequence[Archive]) -> tuple[str, ...]:
    """Return the names without a folder: as a pattern, one with a folder stands for an archive inside the corpus."""
    return tuple(name for name in _names(archives) if "/" not in name)


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
