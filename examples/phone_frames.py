"""What both examples share: the table as two streams, and the class of each frame.

python -m builders prepare espeak --option utterances=240 --max-shard-size 4MB --out tables   # or timit
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import IterableDataset, load_dataset

import builders  # noqa: F401  makes builders/<corpus> loadable
from builders.phones import CLASSES39, fold, phone_set

NONE = -1  # class of frames that count for nothing: padding, deleted phones
HOP_SECONDS = 0.01


def streams(table: str, held_out: int = 2) -> tuple[IterableDataset, IterableDataset]:
    """Return training and test stream of a prepared table: the last speakers, in the order of names, are for tests."""
    whole = load_dataset(table, split="train", streaming=True)
    speakers = sorted({row["speaker_id"] for row in whole.select_columns(["speaker_id"])})
    kept = set(speakers[:-held_out])
    train = whole.filter(lambda speaker: speaker in kept, input_columns=["speaker_id"])
    test = whole.filter(lambda speaker: speaker not in kept, input_columns=["speaker_id"])
    return train, test


def classes(segments: Sequence[dict[str, Any]], frames: int, corpus: str) -> np.ndarray:
    """Return the class of each frame [shape=(frames,), int32]: frame ``t`` belongs to what is said at ``t / 100`` s."""
    name = phone_set(corpus)
    made = np.full(frames, NONE, np.int32)
    for part in segments:
        phone = fold(part["label"], name) if part["tier"] == "phones" else None
        if phone is not None:
            first, last = (int(np.ceil(round(part[edge] / HOP_SECONDS, 6))) for edge in ("start", "end"))
            made[first:last] = CLASSES39.index(phone)
    return made


def batch_classes(batch: dict[str, Any], frames: int) -> np.ndarray:
    """Return the classes of a padded batch [shape=(rows, frames), int32]."""
    return np.stack([classes(row, frames, name) for row, name in zip(batch["segments"], batch["corpus"], strict=True)])
