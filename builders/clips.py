"""Where the audio of a manifest's lines is: inside the corpus, on this disk, or written anew."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from builders.corpus import CorpusBuilder
from builders.errors import AudioError, CorpusError
from builders.lengths import further, measuring, parts
from builders.listing import ABSENT
from builders.manifest_forms import Clip, Entry
from builders.materialise import Shelf
from builders.schema import SAMPLING_RATE


@dataclass(frozen=True)
class Clips:
    """How the lines of a manifest refer to audio.

    form : str
        Of the lines: the plain one names members of the corpus, the others files on this disk.
    folder : str
        Of the manifest: paths of files are relative to it, so that both can move together.
    shelf : Shelf or None
        Where the audio is written; None leaves it where it is.
    """

    form: str
    folder: str
    shelf: Shelf | None = None

    def check(self, builder: CorpusBuilder, listings: Mapping[str, pa.Table]) -> None:
        """Raise CorpusError if files are to be referred to and there are none: before the run, not in it."""
        if self.form == "plain" or self.shelf is not None:
            return
        reader = measuring(builder)
        for listing in listings.values():
            there = np.flatnonzero(listing.column("source_number").to_numpy() != ABSENT[0])
            if len(there):
                self._on_disk(reader, listing.column("member")[int(there[0])].as_py())
        if builder.files is not None:
            builder.files.close()

    def entry(
        self, reader: Any, split: str, number: int, row: Mapping[str, Any], labels: Sequence[str], named: str | None
    ) -> Entry:
        """Return what the line of a row of the listing says; with a shelf, write its audio.

        Parameters
        ----------
        reader : CorpusBuilder
            One that is `Headers` as well where there is no shelf.
        number : int
            Of the row in its split.
        named : str or None
            The split, where the line has to name it.

        Raises
        ------
        AudioError, MemberError
            If the recording cannot be used.
        """
        if self.shelf is not None:
            return self._written(reader, split, number, row, labels, named)
        duration, segments = reader.length(row)
        if self.form == "plain":
            clip = Clip(row["audio_path"], row["offset"], duration)
            stems = {name: Clip(member, row["offset"], duration) for name, member, _ in further(reader, row)}
        else:
            clip = self._referred(reader, row, row["member"])
            stems = {name: self._referred(reader, row, member) for name, member, _ in further(reader, row)}
        return Entry(row, duration, segments, labels, clip, stems, named)

    def _written(
        self, reader: Any, split: str, number: int, row: Mapping[str, Any], labels: Sequence[str], named: str | None
    ) -> Entry:
        cells = reader.cells(row)
        if cells["audio"] is None:
            raise CorpusError(f"{row['corpus']} has no audio that could be written: leave --audio out")
        names = [name for name in reader.FACTS.audio_columns if cells.get(name)]
        clips = {}
        for name in ("", *names):
            path, samples = self.shelf.write(split, number, row["id"], cells[name or "audio"], name)
            length = samples / SAMPLING_RATE
            clips[name] = Clip(self._relative(path), 0.0, length, rate=SAMPLING_RATE, frames=samples)
        segments = cells.get("segments", row["segments"])
        return Entry(row, cells["duration"], segments, labels, clips.pop(""), clips, named)

    def _referred(self, reader: Any, row: Mapping[str, Any], member: str) -> Clip:
        """Return a clip of a file on this disk."""
        if len(row["parts"]) > 1:
            raise CorpusError(f"{row['id']} is put together of parts of {member}: pass --audio wav or flac")
        path = self._on_disk(reader, member)
        header = reader.header(member)
        first, last = header.span(*parts(row)[0])
        channel = row["channel"] or reader.FACTS.channel
        kept = range(header.channels) if channel == "mean" else [int(channel) if header.channels > 1 else 0]
        if last == first:
            raise AudioError("no samples")
        return Clip(
            self._relative(path), first / header.rate, (last - first) / header.rate, rate=header.rate,
            frames=header.frames, channels=header.channels, kept=tuple(kept), cut=last - first < header.frames,
        )  # fmt: skip

    def _on_disk(self, reader: Any, member: str) -> Path:
        path = reader.files.on_disk(member) if reader.files is not None and member in reader.files else None
        if path is None:
            where = reader.files.path if reader.files is not None else reader.name
            raise CorpusError(
                f"{member or reader.name} is no file of its own in {where}: the form {self.form} refers to files, so "
                "pass --audio wav|flac --audio-dir DIR, or extract the archives"
            )
        return path

    def _relative(self, path: Path) -> str:
        # The system takes ".." by where a link leads, hence the folder's real path.
        return os.path.relpath(path, os.path.realpath(self.folder))
