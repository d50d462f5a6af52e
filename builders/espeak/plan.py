"""Who reads what: a dozen voices, a few hundred sentences, and how the sentences are dealt."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from builders.cache import digest
from builders.errors import CorpusError

SENTENCES = Path(__file__).with_name("sentences.txt")

# An accent and a variant of espeak-ng, which sets pitch and formants. Only variants without echo: with
# one there is no silence in which a closure could be found. All can be told apart by their spectrum.
VOICES = {
    "en-us+f1": "female",
    "en-us+m4": "male",
    "en+Andrea": "female",
    "en+m3": "male",
    "en-gb-scotland+steph": "female",
    "en-gb-scotland+m7": "male",
    "en-us-nyc+Annie": "female",
    "en-us-nyc+m1": "male",
    "en-029+belinda": "female",
    "en-029+m8": "male",
    "en-gb-x-rp+aunty": "female",
    "en-gb-x-rp+robert": "male",
}


class Reading(NamedTuple):
    """One utterance to be."""

    id: str
    text: str
    voice: str


def plan(utterances: int, seed: int) -> list[Reading]:
    """Deal sentences to the voices in turn, so that each voice has nearly as many as any other.

    No voice reads a sentence twice. With more utterances the first ones stay the same.

    Parameters
    ----------
    utterances : int, 1 to voices x sentences
    seed : int
        Decides the order in which each voice reads the sentences.

    Raises
    ------
    CorpusError
        If there can't be that many utterances.
    """
    most = len(VOICES) * len(sentences())
    if not isinstance(utterances, int) or not 1 <= utterances <= most:
        raise CorpusError(f"espeak can't make utterances={utterances!r}: expected a number from 1 to {most}")
    orders = {voice: _shuffled(voice, seed) for voice in list(VOICES)[:utterances]}
    readings = []
    for number in range(utterances):
        turn, index = divmod(number, len(VOICES))
        voice = list(VOICES)[index]
        readings.append(Reading(f"{voice}-{turn:04d}", orders[voice][turn], voice))
    return readings


@functools.cache
def sentences() -> tuple[str, ...]:
    """Return the sentences."""
    return tuple(SENTENCES.read_text(encoding="ascii").splitlines())


def accent(voice: str) -> str:
    """Return the accent of a voice, e.g. ``en-us``."""
    return voice.partition("+")[0]


def gender(voice: str) -> str:
    """Return ``female`` or ``male``.

    Raises
    ------
    CorpusError
        If it is none of `VOICES`.
    """
    if voice not in VOICES:
        raise CorpusError(f"unknown voice {voice!r}: expected one of {list(VOICES)}")
    return VOICES[voice]


def fingerprint() -> str:
    """Return what changes when the same plan would sound otherwise: sentences, voices, espeak-ng itself."""
    try:
        release = version("espeakng-loader")
    except PackageNotFoundError:
        release = "none"
    return digest([release, *VOICES, *sentences()])


def _shuffled(voice: str, seed: int) -> list[str]:
    # By hash: `random` does not promise the same order in every release of Python.
    return sorted(sentences(), key=lambda sentence: digest([seed, voice, sentence]))
