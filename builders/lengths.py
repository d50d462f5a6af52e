"""How long a corpus' rows are, from the headers of their recordings where these can be trusted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from builders.audio import Header, Normalised, decoded_header, read_header
from builders.corpus import CorpusBuilder
from builders.schema import SAMPLING_RATE

Part = tuple[float, float | None]


class Measured:
    """Stands where `Normalised` stands, for a recording of which only the header was read.

    samples : int
        At 16 kHz, as many as decoding and resampling give.
    source : dict
        The `source` column.
    flac : bytes
        Decoded once it is asked for.
    """

    clipped = 0

    def __init__(self, header: Header, samples: int, decode: Callable[[], Normalised]) -> None:
        self.samples = samples
        self.source = {"format": header.format, "sampling_rate": header.rate, "channels": header.channels}
        self._decode = decode

    @property
    def flac(self) -> bytes:
        """16 kHz mono 16-bit FLAC."""
        return self._decode().flac


class Headers:
    """Lets a corpus' builder read headers in the place of recordings; stands before it among a class' bases."""

    _known: tuple[str, Header | None] = ("", None)
    _whole: tuple[str, Header | None] = ("", None)

    def length(self, row: Mapping[str, Any]) -> tuple[float, Sequence[Any]]:
        """Return the duration of a row of the listing in seconds, and its segments, as the table has them.

        Raises
        ------
        AudioError, MemberError
            If the row cannot be used, for the reason for which the table lacks it.
        """
        if type(self).cells is not CorpusBuilder.cells:  # a corpus whose rows are not made of audio
            made = self.cells(row)
            return made["duration"], made.get("segments", row["segments"])
        audio, segments = self.audio(row)
        for _, member, stream in further(self, row):
            self._read(member, row, *stream)
        found = row["segments"] if segments is None else [segment._asdict() for segment in segments]
        return audio.samples / SAMPLING_RATE, found

    def header(self, member: str) -> Header:
        """Return how much sound a whole member holds, by decoding it where its header does not tell."""
        if self._whole[0] != member:
            known = self._header(member) or decoded_header(self.files.read(member))
            self._whole = (member, known)
        return self._whole[1]

    def _read(self, member: str, row: Mapping[str, Any], *stream: int) -> Normalised | Measured:
        decode = functools.partial(super()._read, member, row, *stream)
        header = None if any(stream) else self._header(member)
        if header is None or not _has(header, row["channel"] or self.FACTS.channel):
            return decode()
        samples = header.samples(parts(row))
        return Measured(header, samples, decode) if samples else decode()  # which says what is wrong

    def _header(self, member: str) -> Header | None:
        if self._known[0] != member:  # rows that are cut from one recording follow each other
            found = None
            if member in self.files:
                with self.files.open(member) as file:
                    found = read_header(file)
            self._known = (member, found)
        return self._known[1]


def measuring(builder: CorpusBuilder) -> Any:
    """Return a builder that is `Headers` as well; it shares the files of the one given."""
    kind = type(builder)
    reader = object.__new__(type(kind.__name__, (Headers, kind), {"__module__": kind.__module__}))
    reader.__dict__ = dict(builder.__dict__)
    return reader


def parts(row: Mapping[str, Any]) -> list[Part]:
    """Return the parts of its member, seconds, that a row of the listing is made of."""
    return [tuple(part) for part in row["parts"]] or [(row["start"], row["end"])]


def further(builder: CorpusBuilder, row: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield column, member and, where it is not the first, sound stream of a row's further audio."""
    members, streams = dict(row["audios"]), dict(row.get("streams") or ())
    for name in builder.FACTS.audio_columns:
        if name in members:
            yield name, members[name], (streams[name],) if streams.get(name) else ()


def _has(header: Header, channel: str) -> bool:
    return header.channels == 1 or channel == "mean" or (channel.isdigit() and int(channel) < header.channels)
