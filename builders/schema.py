"""The manifest schema: the only place where the columns of a manifest table are named.

Every corpus has the core columns in this order, then its own labels. A label that several
corpora have is declared in `SHARED_LABELS` with one type, so that any two tables concatenate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
from datasets import Audio, Features, List, Value

from builders.errors import CorpusError

SAMPLING_RATE = 16_000


class Segment(NamedTuple):
    """One time-aligned annotation.

    tier : str
        ``phones``, ``words``, ``speakers``, ``events``, ...
    start, end : float
        Seconds from the begin of the row's audio, end exclusive.
    label : str
        As the corpus gives it.
    speaker : str or None
    score : float or None
    """

    tier: str
    start: float
    end: float
    label: str
    speaker: str | None = None
    score: float | None = None


SEGMENTS = List(
    {
        "tier": Value("string"),
        "start": Value("float64"),
        "end": Value("float64"),
        "label": Value("string"),
        "speaker": Value("string"),
        "score": Value("float64"),
    }
)

CORE = Features(
    {
        "id": Value("string"),
        "audio": Audio(sampling_rate=SAMPLING_RATE, decode=False),
        "audio_path": Value("string"),
        "offset": Value("float64"),
        "duration": Value("float64"),
        "text": Value("string"),
        "speaker_id": Value("string"),
        "language": Value("string"),
        "corpus": Value("string"),
        "source": {
            "format": Value("string"),
            "sampling_rate": Value("int32"),
            "channels": Value("int32"),
        },
        "segments": SEGMENTS,
    }
)

# Labels that several corpora have. Strings, not ClassLabel: ClassLabels with other names do not concatenate.
SHARED_LABELS = Features(
    {
        "gender": Value("string"),  # male, female, other; null where the corpus does not say
        "age": Value("string"),  # years or a class of years, as the corpus gives it
        "accent": Value("string"),
        "dialect": Value("string"),
        "emotion": Value("string"),
        "chapter": Value("string"),
        "book": Value("string"),
        "subset": Value("string"),  # the corpus' own name of the part that a row comes from
        "category": Value("string"),
        "events": List(Value("string")),
        "fold": Value("int32"),
    }
)


def manifest_features(
    labels: Iterable[str] = (), own: Mapping[str, Any] | None = None, audio_columns: Iterable[str] = ()
) -> Features:
    """Return the columns of a corpus: the core, shared labels, labels of its own, further audio.

    Parameters
    ----------
    labels : iterable of str
        Names out of `SHARED_LABELS`.
    own : mapping of str to datasets feature
        Labels that only this corpus has.
    audio_columns : iterable of str
        Stems and sources.

    Raises
    ------
    CorpusError
        If a shared label is unknown, or an own label takes the name of a core column or shared label.
    """
    labels, own = list(labels), {**(own or {}), **dict.fromkeys(audio_columns, CORE["audio"])}
    unknown = [name for name in labels if name not in SHARED_LABELS]
    if unknown:
        raise CorpusError(f"unknown shared labels {unknown}: expected some of {list(SHARED_LABELS)}")
    taken = [name for name in own if name in CORE or name in SHARED_LABELS]
    if taken:
        raise CorpusError(f"own labels {taken} take names of the common schema: rename them or share them")
    return Features({**CORE, **{name: SHARED_LABELS[name] for name in labels}, **own})


def arrow_schema(features: Features) -> pa.Schema:
    """Return the storage types of the columns, without the metadata that `datasets` adds."""
    return features.arrow_schema.remove_metadata()
