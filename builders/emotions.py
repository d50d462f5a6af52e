"""Words for emotions: what corpora write, and the one word that the `emotion` column has for it."""

from __future__ import annotations

from builders.errors import CorpusError

SPELLINGS = {
    "neutral": ("neutral", "neu", "n"),
    "calm": ("calm",),
    "happy": ("happy", "happiness", "joy", "hap", "h"),
    "sad": ("sad", "sadness", "s"),
    "angry": ("angry", "anger", "ang", "a"),
    "fearful": ("fearful", "fear", "fea", "f"),
    "disgust": ("disgust", "disgusted", "dis", "d"),
    "surprised": ("surprised", "surprise"),
}
WORDS = {spelling: word for word, spellings in SPELLINGS.items() for spelling in spellings}


def emotion(written: str) -> str:
    """Return the word that all corpora share: ``emotion("joy") == emotion("HAP") == "happy"``.

    Raises
    ------
    CorpusError
        If no corpus writes an emotion so.
    """
    if (word := WORDS.get(written.strip().lower())) is None:
        raise CorpusError(f"unknown emotion {written!r}: expected one of {list(SPELLINGS)} or a code of theirs")
    return word
