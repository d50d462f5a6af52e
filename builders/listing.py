"""The listing of a split: the manifest without its audio, and where each row's audio lies.

A listing is an Arrow file. It is written and read in batches, so ten million rows need no more
memory than a thousand, apart from 16 bytes a row while it is sorted.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Audio, Features

from builders.cache import writing
from builders.errors import CorpusError
from builders.files import Files
from builders.schema import Segment, arrow_schema

BATCH = 1_000
SORTED_AT_ONCE = 16 * BATCH
SHARD_BYTES = 500_000_000  # of source audio; compressed sources give about as much FLAC
MIN_SHARDS = 16  # so that several workers share a small corpus
MADE_LATER = ("duration", "source")  # known once the audio is decoded, as the audio columns are
ABSENT = (np.iinfo(np.int32).max, 0, 0)  # sorts behind every place in the corpus

PLACE = pa.schema(
    {
        "member": pa.string(),
        "start": pa.float64(),
        "end": pa.float64(),
        "parts": pa.list_(pa.list_(pa.float64(), 2)),
        "channel": pa.string(),
        "audios": pa.map_(pa.string(), pa.string()),
        "streams": pa.map_(pa.string(), pa.int32()),
        "bytes": pa.int64(),
        "source_number": pa.int32(),
        "position": pa.int64(),
    }
)


@dataclass(slots=True)
class Utterance:
    """One row to be, as a corpus module states it.

    id : str
        Unique within the split, stable between runs.
    audio : str
        Name of the member that holds the audio.
    text, speaker_id, language : str or None
        As the corpus gives them; `language` None is the corpus' own.
    segments : sequence of Segment
        Times in seconds from the begin of the row.
    labels : mapping of str to value
        The corpus' label columns; a missing one is null.
    start, end : float
        Part of the member, seconds; `end` None is its end.
    parts : sequence of (start, end)
        Several parts of the member, seconds, put together; `start` and `end` don't count then.
    channel : str or None
        ``mean`` or a number; None is the corpus' own rule.
    audios : mapping of str to str
        Further audio columns: column to member, cut as the row's audio is.
    streams : mapping of str to int
        Further audio columns whose member is an MP4 of several sound streams: column to number, from 0.
    """

    id: str
    audio: str
    text: str | None = None
    speaker_id: str | None = None
    language: str | None = None
    segments: Sequence[Segment] = ()
    labels: Mapping[str, Any] = field(default_factory=dict)
    start: float = 0.0
    end: float | None = None
    parts: Sequence[tuple[float, float]] = ()
    channel: str | None = None
    audios: Mapping[str, str] = field(default_factory=dict)
    streams: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """A range of a listing's rows: what workers share and what resuming counts in."""

    number: int
    first: int
    last: int


def write_listing(
    utterances: Iterable[Utterance],
    path: Path,
    *,
    features: Features,
    corpus: str,
    language: str | None,
    files: Files | None,
) -> int:
    """Write the listing of a split, sorted by place in the corpus, and return its number of rows.

    Raises
    ------
    CorpusError
        If two utterances have one id, or an utterance has a label that the corpus does not declare.
    """
    schema = _schema(features)
    with writing(path) as temporary, pa.OSFile(str(temporary), "wb") as sink:
        unsorted = temporary.with_suffix(".unsorted")  # of this process alone, as is the temporary name
        try:
            ids = _write(utterances, unsorted, schema, corpus=corpus, language=language, files=files)
            _check_unique(ids, unsorted)
            _sort(unsorted, sink, schema)
        finally:
            unsorted.unlink(missing_ok=True)
    return len(ids)


def read_listing(path: Path) -> pa.Table:
    """Return the listing, mapped from disk."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def shards(listing: pa.Table, size: int = SHARD_BYTES) -> list[Shard]:
    """Cut a listing into ranges of about equal size in bytes of source, `size` at most where rows allow it."""
    rows = listing.num_rows
    if not rows:
        return []
    heavy = weights(listing) + 1.0
    total = heavy.sum()
    count = min(rows, max(MIN_SHARDS, int(np.ceil(total / size))))
    middle = np.cumsum(heavy) - heavy / 2
    owner = np.minimum((middle / total * count).astype(np.int64), count - 1)
    edges = np.flatnonzero(np.diff(owner)) + 1
    bounds = [0, *edges.tolist(), rows]
    return [Shard(number, first, last) for number, (first, last) in enumerate(itertools.pairwise(bounds))]


def batches(listing: pa.Table, shard: Shard, *, rows: int, size: int) -> Iterator[pa.Table]:
    """Yield a shard's rows in tables of at most `rows` rows and, from two rows on, `size` bytes of source."""
    sizes = weights(listing.slice(shard.first, shard.last - shard.first)).tolist()
    first, total = 0, 0
    for row, weight in enumerate(sizes):
        if row > first and (row - first >= rows or total + weight > size):
            yield listing.slice(shard.first + first, row - first)
            first, total = row, 0
        total += weight
    yield listing.slice(shard.first + first, len(sizes) - first)


def weights(listing: pa.Table) -> np.ndarray:
    """Return the bytes of each row, (rows,) float64; rows that are cut from one file share its bytes."""
    source, position = (listing.column(name).to_numpy() for name in ("source_number", "position"))
    new = np.r_[True, (source[1:] != source[:-1]) | (position[1:] != position[:-1])]
    file = np.cumsum(new) - 1
    return listing.column("bytes").to_numpy() / np.bincount(file, minlength=1)[file] if len(file) else np.empty(0)


def _schema(features: Features) -> pa.Schema:
    taken = [name for name in features if name in PLACE.names]
    if taken:
        raise CorpusError(f"labels {taken} have names that listings use: expected none of {PLACE.names}")
    made = [name for name, feature in features.items() if isinstance(feature, Audio)]
    return pa.schema([*(f for f in arrow_schema(features) if f.name not in (*made, *MADE_LATER)), *PLACE])


def _write(
    utterances: Iterable[Utterance],
    path: Path,
    schema: pa.Schema,
    *,
    corpus: str,
    language: str | None,
    files: Files | None,
) -> np.ndarray:
    hashes: list[np.ndarray] = [np.empty(0, np.uint64)]
    iterator = iter(utterances)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        while chunk := list(itertools.islice(iterator, BATCH)):
            rows = [_row(utterance, corpus, language, files) for utterance in chunk]
            _check_labels(rows, schema)
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
            hashes.append(np.array([_hash(utterance.id) for utterance in chunk], np.uint64))
    return np.concatenate(hashes)


def _row(utterance: Utterance, corpus: str, language: str | None, files: Files | None) -> dict[str, Any]:
    place = (files.place(utterance.audio) if files is not None else (0, 0, 0)) or ABSENT
    return {
        "id": utterance.id,
        "audio_path": utterance.audio,
        "offset": utterance.parts[0][0] if utterance.parts else utterance.start,
        "text": utterance.text,
        "speaker_id": utterance.speaker_id,
        "language": utterance.language or language,
        "corpus": corpus,
        "segments": [segment._asdict() for segment in utterance.segments],
        **utterance.labels,
        "member": utterance.audio,
        "start": utterance.start,
        "end": utterance.end,
        "parts": [list(part) for part in utterance.parts],
        "channel": utterance.channel,
        "audios": list(utterance.audios.items()),
        "streams": list(utterance.streams.items()),
        "source_number": place[0],
        "position": place[1],
        "bytes": place[2],
    }


def _check_labels(rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    unknown = {name for row in rows for name in row} - set(schema.names)
    if unknown:
        raise CorpusError(f"utterances carry labels {sorted(unknown)} that the corpus does not declare")


def _hash(identifier: str) -> int:
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "little")


def _check_unique(hashes: np.ndarray, path: Path) -> None:
    order = np.argsort(hashes, kind="stable")
    twins = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
    if len(twins):
        listing = read_listing(path)
        example = listing.slice(int(order[twins[0]]), 1).to_pylist()[0]
        raise CorpusError(
            f"{len(twins)} utterance ids occur twice, e.g. {example['id']!r} ({example['member']}): "
            "is the corpus there in two copies? Point data_dir at one"
        )


def _sort(unsorted: Path, sink: pa.NativeFile, schema: pa.Schema) -> None:
    listing = read_listing(unsorted)
    keys = [listing.column(name).to_numpy() for name in ("start", "position", "source_number")]
    order = np.lexsort(keys)
    chunks = listing.to_batches()
    with pa.ipc.new_file(sink, schema) as writer:
        for first in range(0, len(order), SORTED_AT_ONCE):
            rows = _gather(chunks, order[first : first + SORTED_AT_ONCE])
            writer.write_table(rows, max_chunksize=BATCH)


def _gather(chunks: list[pa.RecordBatch], rows: np.ndarray) -> pa.Table:
    """Return rows by number; `take` on the whole listing would copy all of it for each call."""
    number, within = np.divmod(rows, BATCH)  # all chunks but the last have BATCH rows
    grouped = np.argsort(number, kind="stable")
    parts = np.split(grouped, np.flatnonzero(np.diff(number[grouped])) + 1)
    found = [chunks[number[part[0]]].take(pa.array(within[part])) for part in parts]
    return pa.Table.from_batches(found).combine_chunks().take(pa.array(np.argsort(grouped)))
