"""What the numbers and markers of the frame labels stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from builders.errors import AudioError
from builders.frames import runs
from builders.schema import Segment

# The 46 phonemes of the Wall Street Journal generation, three states each: label = 3 * phoneme + state.
WSJ46 = (
    "+BREATH+ +COUGH+ +NOISE+ +SMACK+ +UH+ +UM+ AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY "
    "P R S SH SIL T TH UH UW V W Y Z ZH"
).split()
STATES = 3
VOWELS = frozenset("AA AE AH AO AW AY EH ER EY IH IY OW OY UH UW".split())
ARPABET39 = [name for name in WSJ46 if name[0] != "+" and name != "SIL"]
# Stressed ARPAbet of 2021: SIL, SPN, then 15 vowels with three stresses and 24 consonants, by name.
STRESSED71 = ["SIL", "SPN"] + [
    name + stress for name in ARPABET39 for stress in (("0", "1", "2") if name in VOWELS else ("",))
]
SUBPHONES = 346  # of Fall 2020; which is which is not published
MARKERS = {"[SOS]", "[EOS]", "<sos>", "<eos>", "SOS", "EOS"}
SILENCE = {"[SIL]": "SIL"}
HOP = 160  # samples: one frame every 10 ms


def states138(labels: np.ndarray) -> list[Segment]:
    """Return phonemes, and their states in a tier of their own."""
    names = np.array([f"{name}_{state}" for name in WSJ46 for state in range(STATES)])
    phones = np.array(WSJ46)[labels // STATES]
    return [*runs(phones, "phones", HOP), *runs(names[labels], "states", HOP)]


def subphones346(labels: np.ndarray) -> list[Segment]:
    """Return the numbers as they are, in a tier of their own: no table to phonemes is published."""
    return runs(labels, "subphones", HOP)


def stressed71(labels: np.ndarray) -> list[Segment]:
    """Return phonemes with stress."""
    return runs(np.array(STRESSED71)[labels], "phones", HOP)


INVENTORIES: dict[str, tuple[int, Callable[[np.ndarray], Sequence[Segment]]]] = {
    "states138": (STATES * len(WSJ46), states138),
    "subphones346": (SUBPHONES, subphones346),
    "stressed71": (len(STRESSED71), stressed71),
}


def numbered(labels: np.ndarray, frames: int, inventory: str) -> list[Segment]:
    """Return the segments of an utterance whose labels are numbers [shape=(frames,)].

    Raises
    ------
    AudioError
        If they don't fit the frames or the inventory.
    """
    size, segments = INVENTORIES[inventory]
    if labels.shape != (frames,) or labels.dtype.kind not in "iu":
        raise AudioError(f"labels of shape {labels.shape} and type {labels.dtype} for {frames} frames")
    if frames and not 0 <= labels.min() <= labels.max() < size:
        raise AudioError(f"labels from {labels.min()} to {labels.max()}: {inventory} has 0 to {size - 1}")
    return list(segments(labels.astype(np.int64)))


def spelt(transcript: np.ndarray, frames: int) -> list[Segment]:
    """Return the segments of a transcript of one phoneme a frame, with a marker before the first and behind the last.

    Raises
    ------
    AudioError
        If it does not fit the frames.
    """
    names = [str(name) for name in transcript.ravel().tolist()]
    if len(names) >= 2 and names[0] in MARKERS and names[-1] in MARKERS:
        names = names[1:-1]
    if len(names) != frames:
        raise AudioError(f"a transcript of {len(names)} phonemes without its markers, for {frames} frames")
    return runs(np.array([SILENCE.get(name, name) for name in names]), "phones", HOP)
