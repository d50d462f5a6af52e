"""The control task: labels that mean nothing, one per type, that a probe can only learn by heart.

Hewitt and Liang (2019), Designing and interpreting probes with control tasks, EMNLP. There a type is a word
and its label is a part of speech drawn at random. Here it is a phone between two phones: a label drawn for the
phone alone would be a renaming of the classes, which is learnt as well as they are. Of utterances it is the
speaker. What a probe is better at than at this, its selectivity, is what the features make easy.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from probes.errors import ProbeError
from probes.frames import FrameTable


def control_table(table: FrameTable, seed: int) -> FrameTable:
    """Return the same examples with the labels of the control task.

    Raises
    ------
    ProbeError
        If the examples have no types.
    """
    if table.types is None:
        raise ProbeError("these examples have no types that a control task could give labels to")
    return replace(table, labels=control_labels(table.types, table.labels, len(table.classes), seed))


def control_labels(types: np.ndarray, labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Draw a label for each type so that labels are about as frequent as the true ones.

    Types get theirs in order of size, each with a probability proportional to what is still missing of a
    label: so the control task is about as uneven as the real one, and guessing is worth the same in both.

    Parameters
    ----------
    types : np.ndarray [shape=(n,), int64]
    labels : np.ndarray [shape=(n,), int64, 0 <= label < classes]
    classes : int > 0
    seed : int

    Returns
    -------
    np.ndarray [shape=(n,), int64]
        Equal for all examples of a type.
    """
    different, which, sizes = np.unique(types, return_inverse=True, return_counts=True)
    draw = np.random.default_rng(seed)
    missing = np.bincount(labels, minlength=classes).astype(np.float64)
    drawn = np.zeros(len(different), dtype=np.int64)
    for kind in np.lexsort((draw.random(len(different)), -sizes)):
        room = np.maximum(missing, 0)
        if not room.any():
            room = np.bincount(labels, minlength=classes).astype(np.float64)
        drawn[kind] = np.searchsorted(np.cumsum(room), draw.random() * room.sum(), side="right")
        missing[drawn[kind]] -= sizes[kind]
    return drawn[which]
