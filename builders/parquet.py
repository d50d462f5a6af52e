"""Shards of Parquet with audio in them, as the Hub keeps data sets: each counts as the files that it was made from."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from builders.archives import Member, unreadable
from builders.cache import digest
from builders.errors import CorpusError
from builders.inner import Inner
from builders.member_names import admitted

AUDIO = "audio"  # the column: a struct of bytes and path


class Shards(Inner):
    """A source whose Parquet files of some names are taken for what is in them.

    The audio of a row is a member beside the shard, by the base name of its path (``bal_train/00.parquet`` holds
    ``bal_train/--PJHxphWEs.flac``). The other columns of all rows are one more, ``bal_train/00.jsonl``: an object a
    line, with the audio's name as ``file_name``. One group of rows is held in memory at a time.
    """

    def fingerprint(self) -> str:
        """Return what changes when the shards do, or which files count as shards."""
        return digest([self.source.fingerprint(), *self.patterns])

    def open(self, member: Member) -> BinaryIO:
        """Open a member; the group of rows that it lies in is read unless it was the last one."""
        packed = _unpack(member)
        if packed is None:
            return self.source.open(member)
        shard, group, row = packed
        try:
            if group < 0:
                return io.BytesIO(self._lines(shard).encode())
            audio = self._group(shard, group)[row].as_py()
        except (OSError, pa.ArrowException, IndexError, CorpusError) as error:  # it was whole when it was listed
            raise unreadable(member.name, error) from None
        return io.BytesIO(audio or b"")

    def _members(self, shard: Member) -> Iterator[Member]:
        folder = shard.name.rpartition("/")[0]
        try:
            with self.source.open(shard) as file, pq.ParquetFile(file) as table:
                if AUDIO not in table.schema_arrow.names:
                    return
                for group in range(table.num_row_groups):
                    # An average: what each row has would take reading the audio.
                    size = _audio_bytes(table, group) // max(1, table.metadata.row_group(group).num_rows)
                    for row, name in enumerate(_names(table, shard, group)):
                        if admitted(name, self.path / shard.name):
                            path = f"{folder}/{name}" if folder else name
                            yield Member(path, _pack(shard, group, row), size, 0)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(shard, error) from None
        yield Member(f"{shard.name.removesuffix('.parquet')}.jsonl", _pack(shard, -1, 0), 0, 0)

    def _inside(self, member: Member) -> bool:
        return _unpack(member) is not None

    def _lines(self, shard: Member) -> str:
        """Return the rows without their audio, an object a line."""
        lines = []
        with self.source.open(shard) as file, pq.ParquetFile(file) as table:
            others = [name for name in table.schema_arrow.names if name != AUDIO]
            for group in range(table.num_row_groups):
                rows = table.read_row_group(group, columns=others).to_pylist()
                for row, name in zip(rows, _names(table, shard, group), strict=True):
                    lines.append(json.dumps({"file_name": name, **row}, default=str))
        return "\n".join(lines)

    def _group(self, shard: Member, group: int) -> pa.ChunkedArray:
        if self._held is None or self._held[:2] != (shard.name, group):
            self._held = None  # not two of them in memory
            with self.source.open(shard) as file, pq.ParquetFile(file) as table:
                audio = table.read_row_group(group, columns=[f"{AUDIO}.bytes"]).column(AUDIO)
            values = pa.chunked_array([chunk.field("bytes") for chunk in audio.chunks], audio.type.field("bytes").type)
            self._held = (shard.name, group, values)
        return self._held[2]

    def _damaged(self, shard: Member, error: Exception) -> CorpusError:
        reason = str(error).splitlines()[0]
        return CorpusError(f"{self.path}: {shard.name} is damaged or truncated ({reason}): fetch it again")


def _names(table: pq.ParquetFile, shard: Member, group: int) -> list[str]:
    """Return the base names of a group's audio; where there is none, one made of the row's place."""
    rows = table.read_row_group(group, columns=[f"{AUDIO}.path"]).column(AUDIO).to_pylist()
    paths = ((row or {}).get("path") or "" for row in rows)
    stem = PurePosixPath(shard.name).stem
    return [PurePosixPath(path).name or f"{stem}-{group}-{row}" for row, path in enumerate(paths)]


def _audio_bytes(table: pq.ParquetFile, group: int) -> int:
    rows = table.metadata.row_group(group)
    columns = (rows.column(number) for number in range(rows.num_columns))
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == f"{AUDIO}.bytes")


def _pack(shard: Member, group: int, row: int) -> bytes:
    # A path holds no zero byte; that of a member of an archive inside an archive begins with one.
    fields = [shard.name, shard.path.hex(), shard.size, shard.position, group, row]
    return b"\0\0" + json.dumps(fields).encode()


def _unpack(member: Member) -> tuple[Member, int, int] | None:
    if not member.path.startswith(b"\0\0"):
        return None
    name, path, size, position, group, row = json.loads(member.path[2:])
    return Member(name, bytes.fromhex(path), size, position), group, row
