"""Speech from text with espeak-ng, with the phones and words that are in it.

The same text and voice give the same bytes in every process and order. Each process that asks has
one helper process (`builders.espeak.engine`), started with its first utterance.
"""

from __future__ import annotations

import atexit
import itertools
import os
import subprocess
import sys
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from builders.errors import AudioError, CorpusError
from builders.espeak.engine import PHONEME, WORD, read, receive, send

RATE = 22_050
PAUSE = "_"  # label of silence
CLOSURE = 110  # samples of silence, 5 ms, that make a pause of their own
STRESS = str.maketrans("", "", "ˈˌ")
PUNCTUATION = '.,;:!?"()'
ENGINE = Path(__file__).with_name("engine.py")


class Interval(NamedTuple):
    """A labelled stretch of an utterance, seconds, end exclusive."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Speech:
    """A synthesised utterance.

    samples : np.ndarray [shape=(n,), int16]
        At 22,050 Hz.
    phones : list of Interval
        IPA labels without stress marks, `PAUSE` for silence; they cover the audio without gaps.
    words : list of Interval
        From the start of a word's first phone to the end of its last; lower case, no punctuation.
    """

    samples: np.ndarray
    phones: list[Interval]
    words: list[Interval]


def synthesise(text: str, voice: str) -> Speech:
    """Speak a text.

    Parameters
    ----------
    text : str
        One or more sentences.
    voice : str
        Accent and variant of espeak-ng, e.g. ``en-us+f1``.

    Raises
    ------
    CorpusError
        If espeak-ng is not installed or has no such voice.
    AudioError
        If there is nothing to say in the text, or espeak-ng dies of it.
    """
    words = text.split()
    # espeak-ng makes one word of pairs such as "of the"; not across a no-break space.
    joined = "\u00a0".join(words)
    header, pcm = _server.ask({"text": joined, "voice": voice})
    if "error" in header:
        raise CorpusError(f"{header['error']}: expected an accent and a variant such as en-us+f1")
    samples = np.frombuffer(pcm, np.int16)
    first = list(itertools.accumulate((len(word) + 1 for word in words), initial=1))  # positions count from 1
    phones = _phones(header["events"], samples, first)
    if not phones:
        raise AudioError(f"espeak-ng has nothing to say for {text!r}")
    return Speech(samples, list(_cover(phones, len(samples))), _words(phones, words))


class _Phone(NamedTuple):
    """A phone in samples; `word` is the number of its word in the text."""

    start: int
    end: int
    label: str
    word: int


def _phones(events: Sequence[Sequence[Any]], samples: np.ndarray, words: Sequence[int]) -> list[_Phone]:
    """Turn events, which are starts, into intervals, leaving gaps where there is silence.

    espeak-ng gives the closure of a stop no event of its own and puts the stop's event behind it: silence
    up to an event is no part of the phone before. An empty name is a pause or the glide between
    two vowels; the glide, which sounds, is left with the vowel before it.
    """
    sounding = np.flatnonzero(samples)  # the voices have no echo: pauses are zeros
    starts = [event[3] for event in events if event[0] == PHONEME]
    ends = iter([*starts[1:], len(samples)])
    phones: list[_Phone] = []
    word = 0
    for kind, position, _, start, name in events:
        if kind == WORD:
            word = bisect_right(words, position) - 1
            continue
        end = next(ends)
        before = int(np.searchsorted(sounding, end))
        quiet = int(sounding[before - 1]) + 1 if before else 0
        if end - quiet >= CLOSURE or not name:
            end = max(start, quiet)
        label = name.translate(STRESS)
        if not label and phones and phones[-1].end == start:
            phones[-1] = phones[-1]._replace(end=end)
        elif label and end > start:
            phones.append(_Phone(start, end, label, word))
    return phones


def _cover(phones: Sequence[_Phone], samples: int) -> Iterator[Interval]:
    """Yield the phones in seconds, with pauses in the gaps."""
    last = 0
    for phone in phones:
        if phone.start > last:
            yield Interval(last / RATE, phone.start / RATE, PAUSE)
        yield Interval(phone.start / RATE, phone.end / RATE, phone.label)
        last = phone.end
    if samples > last:
        yield Interval(last / RATE, samples / RATE, PAUSE)


def _words(phones: Sequence[_Phone], words: Sequence[str]) -> list[Interval]:
    """Return the words; one that espeak-ng spoke together with the next has both in its label."""
    groups = [list(group) for _, group in itertools.groupby(phones, key=lambda phone: phone.word)]
    bounds = [*(group[0].word for group in groups), len(words)]
    labels = [" ".join(words[first:last]) for first, last in itertools.pairwise(bounds)]
    return [
        Interval(group[0].start / RATE, group[-1].end / RATE, label.lower().strip(PUNCTUATION))
        for group, label in zip(groups, labels, strict=True)
    ]


class _Server:
    """The helper process of this process; a fork starts one of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Return the header and the samples of an answer.

        Raises
        ------
        AudioError
            If the helper dies of the request: twice, for the first time it may have been killed.
        """
        with self._lock:
            answer = self._exchange(request) or self._exchange(request)
        if answer is None:
            raise AudioError(f"espeak-ng died of {request}")
        return answer

    def _exchange(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes] | None:
        self._process = self._process or _start()
        try:
            send(self._process.stdin, request)
            header = receive(self._process.stdout)
            size = 2 * (header or {}).get("samples", 0)
            pcm = read(self._process.stdout, size)
        except BrokenPipeError:
            header = None
        except BaseException:  # interrupted: what is still in the pipe answers no later request
            self._stop()
            raise
        if header is None or len(pcm) < size:
            self._stop()
            return None
        return header, pcm

    def close(self) -> None:
        """End the helper process; the next request starts another."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.communicate()  # closes the pipes and waits

    def _forget(self) -> None:
        """After a fork: the process and the lock are the parent's."""
        self._lock = threading.Lock()
        if self._process is not None:
            process, self._process = self._process, None
            process.returncode = 0  # not our child: nothing to wait for
            process.stdin.close()
            process.stdout.close()


def _start() -> subprocess.Popen[bytes]:
    try:
        import espeakng_loader
    except ImportError:
        raise CorpusError("espeak needs the package espeakng-loader: pip install 'phonelayers[synth]'") from None
    command = [sys.executable, "-I", "-S", "-W", "ignore", str(ENGINE)]
    paths = [espeakng_loader.get_library_path(), espeakng_loader.get_data_path()]
    # Unbuffered: a buffer that another thread was filling must not be flushed by a fork of this process.
    return subprocess.Popen([*command, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)


_server = _Server()
