"""The aligner of one English utterance: pocketsphinx, whose package carries model and dictionary."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np

from builders.schema import SAMPLING_RATE, Segment

HOP = 0.010  # seconds between frames
WINDOW = 0.025625  # seconds that a frame sees, from its begin on
# The border between two frames is where the centre of the earlier window and that of the later one
# are equally far: 7.8 ms behind the begin of the later one.
BORDER = (WINDOW - HOP) / 2
BEAM = 1e-200  # keeps every path: with the usual 1e-48 a third of clean synthetic speech fails; a sixth slower
PUNCTUATION = re.compile(r"[.,;:!?\"()\[\]\u2013\u2014\u2026\u201c\u201d-]+")  # dashes and curly quotes among them
QUOTES = str.maketrans("\u2018\u2019", "''")


class CannotAlignError(ValueError):
    """One utterance cannot be aligned; the message is the reason that is counted."""


def align_one(samples: np.ndarray, text: str | None) -> list[Segment]:
    """Align one utterance.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,), float32, 16 kHz, -1 to 1]
    text : str
        What is said, in English.

    Returns
    -------
    list of Segment
        Tier ``phones``, which covers the utterance, then tier ``words``.

    Raises
    ------
    CannotAlignError
        If the text has words that the dictionary lacks, or does not fit the audio, or there is none.
    """
    words = spoken_words(text)
    if not len(samples):
        raise CannotAlignError("no audio")
    pcm = np.rint(samples * 32_768).clip(-32_768, 32_767).astype("<i2").tobytes()
    decoder = _decoder()
    try:
        decoder.set_align_text(" ".join(words))
        _run(decoder, pcm)
        decoder.set_alignment()  # from words to phones
        _run(decoder, pcm)
        found = _read(decoder.get_alignment())
    except RuntimeError:
        raise CannotAlignError("text does not fit the audio") from None
    if [name for name, _, _ in found if name] != words:
        raise CannotAlignError("text does not fit the audio")
    return _segments(found, len(samples) / SAMPLING_RATE)


def spoken_words(text: str | None) -> list[str]:
    """Return the words of a text as the dictionary spells them.

    Raises
    ------
    CannotAlignError
        If there are none, or some are not in the dictionary.
    """
    words = PUNCTUATION.sub(" ", (text or "").translate(QUOTES).lower()).split()
    if not words:
        raise CannotAlignError("no text")
    if any(character.isdigit() for word in words for character in word):
        raise CannotAlignError("figures in the text")
    spelt = [word if _known(word) else word.strip("'") for word in words]  # 'quoted'
    missing = [word for word in spelt if not _known(word)]
    if missing:
        raise CannotAlignError(f"not in the dictionary: {', '.join(sorted(set(missing)))}")
    return spelt


def _known(word: str) -> bool:
    # The dictionary also has entries that nobody writes: <sil>, your(2).
    return word.replace("'", "").isalpha() and _decoder().lookup_word(word) is not None


def _run(decoder: Any, pcm: bytes) -> None:
    decoder.reinit_feat()  # forgets the noise of the last utterance: results must not depend on the order
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()


def _read(alignment: Any) -> list[tuple[str, int, list[tuple[str, int]]]]:
    """Return (word, first frame, [(phone, first frame)]); the word is empty for silence.

    Only plain values leave the loop: an item of these iterators that outlives it crashes the interpreter.
    """
    found = []
    for word in alignment or ():
        name = "" if word.name.startswith("<") else re.sub(r"\(\d+\)$", "", word.name)  # your(2), <sil>
        found.append((name, int(word.start), [(str(phone.name), int(phone.start)) for phone in word]))
    return found


def _segments(found: list[tuple[str, int, list[tuple[str, int]]]], duration: float) -> list[Segment]:
    def time(frame: int) -> float:
        return min(round(frame * HOP + BORDER, 6), duration) if frame else 0.0

    phones = [phone for _, _, phones in found for phone in phones]
    ends = [*(time(start) for _, start in phones[1:]), duration]
    word_ends = [*(time(start) for _, start, _ in found[1:]), duration]
    return [Segment("phones", time(start), end, name) for (name, start), end in zip(phones, ends, strict=True)] + [
        Segment("words", time(start), end, name) for (name, start, _), end in zip(found, word_ends, strict=True) if name
    ]


def load() -> Any:
    """Return the package.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import pocketsphinx
    except ImportError:
        raise ImportError("alignment needs the package pocketsphinx: pip install 'phonelayers[align]'") from None
    return pocketsphinx


@functools.cache
def _decoder() -> Any:
    """Return this process' decoder."""
    return load().Decoder(
        samprate=SAMPLING_RATE,
        frate=round(1 / HOP),
        wlen=WINDOW,
        lm=None,
        bestpath=False,  # with it one TIMIT sentence in ten fails
        beam=BEAM,
        pbeam=BEAM,
        wbeam=BEAM,
        loglevel="FATAL",
    )
