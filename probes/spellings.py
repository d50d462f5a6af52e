"""Utterances as strings of phones, and how far apart two strings are."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

from features.phone_text import ipa
from features.vgs_export import phones_of
from probes.errors import ProbeError
from probes.labels import SILENCE_CLASS
from probes.measuring import Asked
from probes.segments import tier_segments

compiled = numba.njit(cache=True, nogil=True)


def spellings(asked: Asked, rows: np.ndarray) -> list[str]:
    """Return what is said in each row as a string.

    Of the tier ``phones`` it is IPA without boundaries, silences and deleted labels, as the exported pickles have it
    (two letters for a diphthong or an affricate); a table's own column ``ipa`` goes before. Of other tiers it is one
    letter per label.
    """
    table = asked.table
    if asked.tier == "phones" and "ipa" in table.column_names:
        return table.select_columns(["ipa"]).select(rows)["ipa"]
    if asked.tier == "phones":
        plain = table.select_columns(["corpus", "segments"]).select(rows)
        return [ipa(name for _, _, name in phones_of(row, asked.phone_set)) for row in plain]
    return ["".join(map(chr, codes)) for codes in classes_of_rows(asked, rows)[0]]


def classes_of_rows(asked: Asked, rows: np.ndarray) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """Return the classes of each row's segments in order of time, and the names of the classes."""
    plain = asked.table.select_columns(["corpus", "segments"]).select(rows).with_format("arrow")[:]
    segments, labeller = tier_segments(plain["segments"], asked.tier), asked.labeller()
    codes = labeller.codes(segments, [name or "" for name in plain["corpus"].to_pylist()])
    bounds = np.searchsorted(segments.rows, np.arange(len(rows) + 1))
    found = [part[part >= 0] for part in np.split(codes, bounds[1:-1])]
    return found, labeller.classes


def occurrences(asked: Asked, rows: np.ndarray, letters: bool = False) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return which classes occur in each row, (rows, classes) bool, and their names.

    Silence is none of them, nor is what occurs nowhere.

    Parameters
    ----------
    letters : bool
        Whether the classes are the characters of the `spellings` instead.
    """
    if letters:
        texts = spellings(asked, rows)
        names = tuple(sorted(set("".join(texts))))
        return np.array([[name in text for name in names] for text in texts]), names
    found, classes = classes_of_rows(asked, rows)
    there = np.zeros((len(rows), len(classes)), dtype=bool)
    for row, codes in enumerate(found):
        there[row, codes] = True
    silent = [asked.tier == "phones" and name == SILENCE_CLASS for name in classes]
    kept = np.flatnonzero(there.any(axis=0) & ~np.array(silent, dtype=bool))
    return there[:, kept], tuple(classes[n] for n in kept)


def edit_similarities(texts: Sequence[str]) -> np.ndarray:
    """Return ``1 - distance / longer length`` of all pairs, distance after Levenshtein, (texts, texts) float64.

    Raises
    ------
    ProbeError
        If a text is empty: its similarity with another empty one is not defined.
    """
    if not all(texts):
        raise ProbeError("an utterance has no phones to compare: leave it out")
    letters = [np.array([ord(letter) for letter in text], dtype=np.int32) for text in texts]
    ends = np.cumsum([len(one) for one in letters])
    return _similarities(np.concatenate(letters), np.concatenate([[0], ends]))


@compiled
def _similarities(letters: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    count = len(bounds) - 1
    out = np.ones((count, count))
    row = np.empty(np.max(bounds[1:] - bounds[:-1]) + 1, dtype=np.int32)
    for i in range(count):
        a = letters[bounds[i] : bounds[i + 1]]
        for j in range(i):
            b = letters[bounds[j] : bounds[j + 1]]
            out[i, j] = 1 - _distance(a, b, row) / max(len(a), len(b))
            out[j, i] = out[i, j]
    return out


@compiled
def _distance(a: np.ndarray, b: np.ndarray, row: np.ndarray) -> int:
    """Return the fewest letters to insert, delete, or replace; `row` is room for ``len(b) + 1`` numbers."""
    for j in range(len(b) + 1):
        row[j] = j
    for i in range(len(a)):
        diagonal = row[0]
        row[0] = i + 1
        for j in range(len(b)):
            replaced = diagonal + (a[i] != b[j])
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, diagonal + 1, row[j] + 1)
    return row[len(b)]
