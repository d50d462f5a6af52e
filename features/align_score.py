"""How well two alignments of the same utterances agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, Literal

import numpy as np

from builders.phones import fold

# TIMIT labels the closure of a stop by itself; what follows may be its release, which then is one phone with it.
CLOSURES = {"bcl": "b", "dcl": "d", "gcl": "g", "kcl": "k", "pcl": "p", "tcl": "t"}
RELEASES = {("d", "jh"), ("t", "ch")}  # affricates begin with the closure of a stop
SILENCE = "sil"


Scored = Literal["utterances", "matches"]
SCORED: tuple[Scored, ...] = ("utterances", "matches")
Starts = list[tuple[str, float]]  # label and start in seconds
Pairs = Iterable[tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True)
class Agreement:
    """Agreement of the starts of one tier.

    utterances, equal : int
        Compared, and of these with the same sequence of labels on both sides.
    starts, scored : int
        Starts in the reference, and of these scored.
    within_20, within_50 : float
        Share of the scored starts, 0 to 1, that lie at most 20 and 50 ms apart; nan if there are none.
    median : float
        Of hypothesis minus reference, seconds.
    """

    utterances: int
    equal: int
    starts: int
    scored: int
    within_20: float
    within_50: float
    median: float

    @property
    def coverage(self) -> float:
        """Share of the starts that are scored."""
        return self.scored / self.starts if self.starts else float("nan")


def phone_agreement(
    pairs: Pairs, *, reference_set: str, hypothesis_set: str = "arpabet", scored: Scored = "utterances"
) -> Agreement:
    """Compare the ``phones`` tiers of utterances.

    Both sides are folded to the 39 classes; a closure is one phone with its release, equal neighbours
    are one phone, silence and deleted labels are left out.

    Parameters
    ----------
    pairs : iterable of (reference, hypothesis)
        The `segments` of an utterance, twice.
    reference_set, hypothesis_set : str
        Phone sets, see `builders.phones`.
    scored : "utterances" or "matches"
        Only utterances with equal sequences, or the equal stretches of all: a dictionary has
        few whole sentences as they were said.

    Raises
    ------
    CorpusError
        If a label is not in its phone set.
    ValueError
        If `scored` is something else.
    """
    folded = ((phone_starts(one, reference_set), phone_starts(other, hypothesis_set)) for one, other in pairs)
    return _agreement(folded, scored)


def word_agreement(pairs: Pairs, *, scored: Scored = "utterances") -> Agreement:
    """Compare the ``words`` tiers of utterances; letter case does not matter."""
    return _agreement(((word_starts(one), word_starts(other)) for one, other in pairs), scored)


def word_starts(segments: Sequence[Mapping[str, Any]]) -> Starts:
    """Return (word, start in seconds) of each word."""
    return [(segment["label"].lower(), segment["start"]) for segment in tier(segments, "words")]


def tier(segments: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    """Return the segments of a tier in the order of time."""
    return sorted((s for s in segments if s["tier"] == name), key=lambda s: s["start"])


def phone_starts(segments: Sequence[Mapping[str, Any]], phone_set: str) -> Starts:
    """Return (class, start in seconds) of each phone after folding and merging."""
    starts: Starts = []
    last = SILENCE
    for segment in _releases(tier(segments, "phones")):
        name = fold(segment["label"], phone_set)
        if name is None:
            continue
        if name not in (last, SILENCE):
            starts.append((name, segment["start"]))
        last = name
    return starts


def _releases(segments: Sequence[Mapping[str, Any]]) -> Iterable[Mapping[str, Any]]:
    """Yield the segments with each closure renamed to what it is the closure of."""
    labels = [segment["label"] for segment in segments]
    for segment, after in zip_longest(segments, labels[1:]):
        stop = CLOSURES.get(segment["label"])
        yield segment if stop is None else {**segment, "label": after if (stop, after) in RELEASES else stop}


def _agreement(pairs: Iterable[tuple[Starts, Starts]], scored: str) -> Agreement:
    if scored not in SCORED:
        raise ValueError(f"unknown scored={scored!r}: expected one of {list(SCORED)}")
    utterances = equal = starts = 0
    found: list[float] = []
    for reference, hypothesis in pairs:
        sides = [[name for name, _ in side] for side in (reference, hypothesis)]
        utterances += 1
        starts += len(reference)
        equal += sides[0] == sides[1]
        if scored == "matches" or sides[0] == sides[1]:
            for one, other, size in SequenceMatcher(None, *sides, autojunk=False).get_matching_blocks():
                matches = zip(reference[one : one + size], hypothesis[other : other + size], strict=True)
                found += [theirs - ours for (_, ours), (_, theirs) in matches]
    if not found:
        return Agreement(utterances, equal, starts, 0, *[float("nan")] * 3)
    distance = np.array(found)
    # Times are multiples of a sample: rounding noise must not decide at the limit.
    shares = [float(np.mean(np.abs(distance) <= limit + 1e-9)) for limit in (0.020, 0.050)]
    return Agreement(utterances, equal, starts, len(found), *shares, float(np.median(distance)))
