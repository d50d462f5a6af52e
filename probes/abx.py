"""ABX phone discrimination: how often a phone is nearer to another phone than to another token of itself.

Measured by fastabx (https://github.com/bootphon/fastabx), which needs Python 3.12 and torch. Tokens are the runs
of frames of one phone; X and A are the same phone, B another one. Within: all three of one speaker. Across: X is of
another speaker (Schatz et al. 2013, Interspeech).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from probes.errors import ProbeError
from probes.frames import FrameTable, frame_table
from probes.measuring import Asked, about

CONTEXTS = ("any", "within")
NEIGHBOURS = ("before", "after")
MOST_X = 5  # speakers of X for given A and B, as in the ZeroSpeech ABX
MISSING = "ABX needs fastabx, which needs Python 3.12 or later (this is {}): pip install fastabx"
METRICS = ("abx_within_speaker", "abx_across_speakers")


@dataclass(frozen=True)
class Tokens:
    """Runs of frames of one phone.

    vectors : np.ndarray [shape=(tokens, width), float32]
        Mean of the frames of each.
    phone, before, after, speaker : np.ndarray [shape=(tokens,), int64]
        The phone, its neighbours in the utterance (-1: none), and who says it.
    """

    vectors: np.ndarray
    phone: np.ndarray
    before: np.ndarray
    after: np.ndarray
    speaker: np.ndarray

    def labels(self, frames: FrameTable) -> dict[str, list[Any]]:
        """Return the columns that fastabx groups tokens by."""
        return {
            "phone": [frames.classes[code] for code in self.phone],
            "speaker": [frames.speakers[code] for code in self.speaker],
            "before": self.before.tolist(),
            "after": self.after.tolist(),
        }


def measure(
    asked: Asked, *, context: str = "any", distance: str = "angular", max_tokens: int = 10
) -> Iterator[dict[str, Any]]:
    """Yield the ABX errors of each layer; the options are those of `errors`.

    Raises
    ------
    ProbeError
        If fastabx is not installed, or frames are left out: a token is a run of frames.
    """
    if asked.max_frames is not None:
        raise ProbeError("ABX joins the frames of a phone: leave --max-frames out")
    for column, card in asked.columns.items():
        frames = frame_table(
            asked.table, column, rows=asked.rows, tier=asked.tier, silence=asked.silence, phone_set=asked.phone_set
        )
        for row in errors(frames, seed=asked.seed, context=context, distance=distance, max_tokens=max_tokens):
            shared = {"split": "none", "classes": len(frames.classes), "note": asked.note}
            yield {**about(card), **shared, **row}


def errors(
    frames: FrameTable, *, seed: int = 0, context: str = "any", distance: str = "angular", max_tokens: int = 10
) -> Iterator[dict[str, Any]]:
    """Yield the ABX error within and across speakers, shares between 0 and 1 (chance: 0.5).

    Parameters
    ----------
    frames : FrameTable
    seed : int
        Of the tokens that are drawn.
    context : "any" or "within"
        ``within``: A, B and X stand between the same two phones.
    distance : str
        As fastabx names it: angular, euclidean, kl_symmetric or identical.
    max_tokens : int
        Of A, B or X in a cell, as in the ZeroSpeech ABX.

    Raises
    ------
    ProbeError
        If fastabx is not installed, or there are too few tokens.
    """
    if context not in CONTEXTS:
        raise ProbeError(f"unknown context={context!r}: expected one of {list(CONTEXTS)}")
    try:
        from fastabx import Dataset, EmptyScoreError, Score, Subsampler, Task
    except ImportError as error:
        raise ProbeError(MISSING.format(".".join(map(str, sys.version_info[:2])))) from error
    found = tokens(frames)
    data = Dataset.from_numpy(found.vectors, found.labels(frames), device="cpu")
    around = list(NEIGHBOURS) if context == "within" else []
    conditions = ({"by": [*around, "speaker"]}, {"by": around or None, "across": ["speaker"]})
    for metric, options in zip(METRICS, conditions, strict=True):
        try:
            task = Task(data, on="phone", subsampler=Subsampler(max_tokens, MOST_X, seed), **options)
            score = Score(task, distance, progress=False)
            value = score.collapse(levels=[*([NEIGHBOURS] if around else []), "speaker"])
        except (ValueError, EmptyScoreError) as error:
            raise ProbeError(f"no ABX triplets ({error}): more utterances are needed, or context=any") from None
        sizes = {"n_test": len(found.phone), "test_speakers": len(np.unique(found.speaker))}
        yield {"metric": metric, "value": value, **sizes}


def tokens(frames: FrameTable) -> Tokens:
    """Join the neighbouring frames of one phone; frames of all utterances are in order of time."""
    phone, row = frames.labels, frames.utterance
    if not len(phone):
        raise ProbeError("no frames to measure ABX on")
    fresh = np.append(True, (phone[1:] != phone[:-1]) | (row[1:] != row[:-1]))
    starts = np.flatnonzero(fresh)
    lengths = np.diff(np.append(starts, len(phone)))
    sums = np.add.reduceat(frames.values.astype(np.float32), starts, axis=0)
    own, rows = phone[starts], row[starts]
    same = rows[1:] == rows[:-1]
    before = np.append(-1, np.where(same, own[:-1], -1))
    after = np.append(np.where(same, own[1:], -1), -1)
    return Tokens(sums / lengths[:, None], own, before, after, frames.speaker[starts])
