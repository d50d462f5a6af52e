"""Utterances and their texts as a network takes them, and which of them are trained on."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from datasets import Dataset, DatasetDict

from builders.audio import decode
from features.manifests import ONE_SPLIT
from features.vgs_network import Config, inputs_of, stacked

VALIDATION = ("validation", "dev", "valid")
HELD_OUT = 8  # one text in so many is held out where the table has no such split
MOST_HELD_OUT = 1000  # utterances
LONGEST = 30.0  # seconds; longer utterances are left out
CACHE_BYTES = 1_000_000_000
POOL = 8  # batches whose utterances are sorted by length together
UNKNOWN = 1  # character that training has not seen; 0 is none


class Batch(NamedTuple):
    """Utterances and texts, zeros behind each.

    mfcc : np.ndarray [shape=(batch, steps, 39), float32]
    frames : np.ndarray [shape=(batch,), int64]
        Behind the convolution.
    characters : np.ndarray [shape=(batch, longest), int32]
    lengths : np.ndarray [shape=(batch,), int64]
        Characters of each text.
    texts : np.ndarray [shape=(batch,), int64]
        Number of the text: that of two readings is the same.
    """

    mfcc: np.ndarray
    frames: np.ndarray
    characters: np.ndarray
    lengths: np.ndarray
    texts: np.ndarray


class Pairs:
    """The utterances of a table that have a text and at least one frame.

    Parameters
    ----------
    table : Dataset
        With the columns `audio` and `text`, and `duration` if there is one.
    config : Config
        Of the speech side.
    """

    def __init__(self, table: Dataset, config: Config) -> None:
        texts = [plain(text) for text in table["text"]]
        seconds = table["duration"] if "duration" in table.column_names else [0.0] * len(table)
        rows = [row for row, text in enumerate(texts) if text and (seconds[row] or 0.0) <= LONGEST]
        self._audio = table.select_columns(["audio"])
        self._config, self._clock = config, config.clock()
        self._cache: dict[int, np.ndarray] = {}
        self._left = CACHE_BYTES
        self.seconds = {row: seconds[row] or 0.0 for row in rows}
        self.texts = {row: texts[row] for row in rows}

    def mfcc(self, row: int) -> np.ndarray:
        """Return the input of one utterance, (steps, 39) float32, of at least one frame; kept while there is room."""
        if row in self._cache:
            return self._cache[row]
        found = inputs_of(decode(self._audio[row]["audio"]), self._config)
        found = np.pad(found, ((0, max(0, self._config.conv_kernel - len(found))), (0, 0)))
        if found.nbytes <= self._left:
            self._cache[row] = found
            self._left -= found.nbytes
        return found

    def batch(self, rows: Sequence[int], alphabet: Alphabet) -> Batch:
        """Return some utterances."""
        mfcc = [self.mfcc(row) for row in rows]
        frames = [(len(m) - self._config.conv_kernel) // self._config.conv_stride + 1 for m in mfcc]
        texts = [self.texts[row] for row in rows]
        numbers = [alphabet.numbers(text)[:, None] for text in texts]
        return Batch(
            stacked(mfcc),
            np.array(frames, np.int64),
            stacked(numbers)[..., 0],
            np.array([len(text) for text in texts], np.int64),
            np.unique(texts, return_inverse=True)[1],
        )


class Alphabet:
    """The characters of texts, each a number.

    Parameters
    ----------
    characters : str
        In the order of their numbers.
    """

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self._places = {character: number for number, character in enumerate(characters, UNKNOWN + 1)}

    def __len__(self) -> int:
        return len(self.characters) + UNKNOWN + 1

    def numbers(self, text: str) -> np.ndarray:
        """Return the numbers of a text's characters [shape=(characters,), int32]."""
        return np.array([self._places.get(character, UNKNOWN) for character in text], np.int32)


def plain(text: str | None) -> str:
    """Return a text in lower case, composed (NFC), letters, digits and apostrophes with single blanks between."""
    kept = (c if c.isalnum() or c == "'" or unicodedata.combining(c) else " " for c in (text or "").lower())
    return " ".join(unicodedata.normalize("NFC", "".join(kept)).split())


def divide(table: DatasetDict) -> tuple[Dataset, Dataset | None]:
    """Return what is trained on and, if the table has such a split, what is held out.

    Raises
    ------
    ValueError
        If there are splits, and none is ``train``, or a column is missing.
    """
    if len(table) > 1 and ONE_SPLIT not in table:
        raise ValueError(f"the table has no split {ONE_SPLIT!r}, only {list(table)}: which one is to be trained on?")
    held = next((name for name in VALIDATION if name in table), None)
    part = table[ONE_SPLIT] if ONE_SPLIT in table else next(iter(table.values()))
    missing = [name for name in ("audio", "text") if name not in part.column_names]
    if missing:
        raise ValueError(
            f"the table has no column {missing[0]!r}, only {part.column_names}: texts and audio are needed"
        )
    return part, table[held] if held else None


def hold_out(texts: dict[int, str]) -> tuple[list[int], list[int]]:
    """Divide the rows of a table into those to train on and those to hold out: no text is in both.

    The texts are ranked by a hash of their own, so that the same are held out of a longer table.
    """
    ranked = sorted(set(texts.values()), key=lambda text: sha256(text.encode()).digest())
    held: set[str] = set(ranked[: len(ranked) // HELD_OUT])
    return [row for row, text in texts.items() if text not in held], [
        row for row, text in texts.items() if text in held
    ][:MOST_HELD_OUT]


def batches(rows: Sequence[int], seconds: dict[int, float], size: int, seed: int, epoch: int) -> Iterator[list[int]]:
    """Yield the rows of each batch of an epoch, in an order that depends on `seed` and `epoch` alone.

    Neighbours in length are together; a last batch of one, which compares nothing, is left out.
    """
    draw = np.random.default_rng([seed, epoch])
    order = draw.permutation(rows).tolist()
    pools = [order[first : first + POOL * size] for first in range(0, len(order), POOL * size)]
    cut = [
        sorted(pool, key=lambda row: (seconds[row], row))[first : first + size]
        for pool in pools
        for first in range(0, len(pool), size)
    ]
    for number in draw.permutation(len(cut)):
        if len(cut[number]) > 1:
            yield cut[number]
