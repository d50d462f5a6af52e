"""Small tables with known answers, made without audio or encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Value

from builders.schema import SEGMENTS
from features.card import FeatureCard
from features.clock import FrameClock
from features.columns import attach

WHISPER = FrameClock(hop=320, offset=0, field=400, padded=True)
WAV2VEC = FrameClock(hop=320, offset=200, field=400, padded=False)
PHONES = ("aa", "b", "s", "sil")


def segment(start: float, end: float, label: str, tier: str = "phones") -> dict[str, Any]:
    return {"tier": tier, "start": start, "end": end, "label": label, "speaker": None, "score": None}


def manifest(rows: Sequence[dict[str, Any]]) -> Dataset:
    """Return a table of the manifest columns that probes read; what a row lacks is null."""
    features = Features(
        {
            "id": Value("string"),
            "speaker_id": Value("string"),
            "corpus": Value("string"),
            "segments": SEGMENTS,
            "sentence_type": Value("string"),
        }
    )
    filled = [{"corpus": "timit", "segments": [], **row} for row in rows]
    return Dataset(pa.Table.from_pylist(filled, schema=features.arrow_schema))


def card(encoder: str = "toy", layer: str = "l0", **changes: Any) -> FeatureCard:
    options = {"init": "none", "revision": "", "version": 1, "index": 0, "width": 2, "axis": "frame", "clock": WHISPER}
    return FeatureCard(encoder=encoder, layer=layer, **{**options, **changes})


def with_column(table: Dataset, values: Sequence[np.ndarray], **options: Any) -> Dataset:
    made = card(width=values[0].shape[1], **options)
    return attach(table, made.column, [matrix.astype(made.dtype) for matrix in values], made)


def speech(
    *, speakers: int = 6, utterances: int = 4, frames: int = 60, seed: int = 0, sentence_types: Sequence[str] = ("SX",)
) -> tuple[Dataset, list[np.ndarray]]:
    """Return a table whose frames have random phones, and the class of each frame.

    Phones last 3 frames of 20 ms, so that a boundary lies on every third frame centre.
    """
    draw = np.random.default_rng(seed)
    rows, truth = [], []
    for speaker in range(speakers):
        for number in range(utterances):
            classes = draw.choice(len(PHONES), size=frames // 3, p=[0.2, 0.2, 0.2, 0.4])
            spans = [segment(0.06 * i, 0.06 * (i + 1), PHONES[c]) for i, c in enumerate(classes)]
            kind = sentence_types[number % len(sentence_types)]
            row = {"id": f"s{speaker}-u{number}", "speaker_id": f"s{speaker}", "sentence_type": kind}
            rows.append({**row, "segments": spans})
            truth.append(np.repeat(classes, 3))
    return manifest(rows), truth


def clouds(truth: Sequence[np.ndarray], *, known: float = 1.0, width: int = 8, seed: int = 0) -> list[np.ndarray]:
    """Return frames that give their class away by a linear rule, except for a share that points elsewhere.

    With `known` = 1 every frame can be classified; with 0 the values don't depend on the classes.
    """
    draw = np.random.default_rng(seed)
    centres = 6 * np.eye(len(PHONES), width)
    values = []
    for classes in truth:
        shown = np.where(draw.random(len(classes)) < known, classes, draw.integers(0, len(PHONES), len(classes)))
        noise = draw.normal(size=(len(classes), width))
        values.append((centres[shown] if known else 0) + noise)
    return values
