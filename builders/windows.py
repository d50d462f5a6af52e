"""Cutting long recordings into windows of one length, for corpora of recordings that nobody segmented."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import soundfile as sf

from builders.corpus import CorpusConfig
from builders.errors import CorpusError, MemberError
from builders.files import Files
from builders.listing import Utterance


@dataclass
class WindowConfig(CorpusConfig):
    """A configuration whose recordings can be cut.

    window : float > 0 or None
        Seconds; the last window of a recording is shorter. None leaves recordings whole.
    """

    window: float | None = None


def cut(utterances: Iterable[Utterance], files: Files, window: float | str | None) -> Iterator[Utterance]:
    """Yield each recording in windows, ``<id>_0000``, ``<id>_0001``, ...; as it is where `window` is None.

    Window ``n`` holds the frames from ``n * round(window * rate)`` on. The length is that of the header, which is
    true for uncompressed files and FLAC. What cannot be opened is yielded whole: it is quarantined when it is read.

    utterances : iterable of Utterance
        Whole recordings without segments.

    Raises
    ------
    CorpusError
        If the window is no positive length.
    """
    if window is None:
        yield from utterances
        return
    try:
        seconds = float(window)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise CorpusError(f"window={window}: expected a number of seconds above 0")
    for utterance in utterances:
        frames, rate = _length(files, utterance.audio)
        step = max(1, round(seconds * rate))
        for number, first in enumerate(range(0, frames, step)):
            end = (first + step) / rate if first + step < frames else None
            yield replace(utterance, id=f"{utterance.id}_{number:04}", start=first / rate, end=end)
        if not frames:
            yield utterance


def _length(files: Files, member: str) -> tuple[int, int]:
    """Return frames and rate in Hz of a recording, by its header; no frames where there is none."""
    if member not in files:
        return 0, 1
    try:
        with files.open(member) as file, sf.SoundFile(file) as sound:
            return sound.frames, sound.samplerate
    except (sf.LibsndfileError, MemberError):
        return 0, 1
