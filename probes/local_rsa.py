"""Local RSA in closed form: r over all pairs of frames from sums over frames.

With unit vectors u the cosine of two frames is ``<u_i, u_j>``. So over all pairs the sum of the cosines is
``|sum u|^2``, that of their squares ``|sum u u'|^2`` (Frobenius), and that of the cosines between frames of one label
the sum over labels of ``|sum u|^2``, each less what a frame has with itself. No matrix of pairs is needed; memory is
bounded by the square of the width.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.sparse import csr_array

from probes.pairs import PairSums

Batches = Iterable[tuple[slice, np.ndarray]]


def unit(values: np.ndarray) -> np.ndarray:
    """Return rows of length 1, float64; a row of zeros stays one, and its cosine with all others is 0."""
    values = values.astype(np.float64)
    lengths = np.sqrt((values**2).sum(axis=1, keepdims=True))
    return values / np.where(lengths > 0, lengths, 1)


def local_sums(batches: Batches, labels: np.ndarray, speakers: np.ndarray, groups: np.ndarray, number: int) -> PairSums:
    """Return the sums over all pairs of frames of cosine, same label, and same speaker.

    Parameters
    ----------
    batches : iterable of (slice, np.ndarray [shape=(part, width), float32])
        Parts of the frames.
    labels, speakers : np.ndarray [shape=(frames,), int64]
    groups : np.ndarray [shape=(frames,), int64, 0 <= group < number]
        All frames of a speaker in one group.
    number : int > 0

    Returns
    -------
    PairSums
        Of the variables "cosine", "label", "speaker".
    """
    keys = [groups, _codes(groups, labels), speakers, _codes(speakers, labels)]
    known = [np.unique(key, return_inverse=True) for key in keys]
    sums: list[np.ndarray] = []
    squares = np.zeros((0, 0, 0))
    own = np.zeros((2, number))  # of each frame with itself: the cosine, and its square
    for part, values in batches:
        u = unit(values)
        squares = squares if squares.size else np.zeros((number, u.shape[1], u.shape[1]))
        for group in np.unique(groups[part]):
            some = u[groups[part] == group]
            squares[group] += some.T @ some
        alone = (u**2).sum(axis=1)
        own += [np.bincount(groups[part], weights, minlength=number) for weights in (alone, alone**2)]
        found = [_totals(u, which[part], len(names)) for names, which in known]
        sums = [a + b for a, b in zip(sums, found, strict=True)] if sums else found
    return _assembled(squares, own, sums, [names for names, _ in known], labels, speakers, groups, number)


def _assembled(
    squares: np.ndarray, own: np.ndarray, sums: list[np.ndarray], names: list[np.ndarray],
    labels: np.ndarray, speakers: np.ndarray, groups: np.ndarray, number: int,
) -> PairSums:  # fmt: skip
    """Put the sums over pairs together, variables cosine (c), same label (l), same speaker (s)."""
    classes = int(labels.max(initial=0)) + 1
    place = np.zeros((number, classes, sums[0].shape[1]))
    place[np.divmod(names[1], classes)] = sums[1]
    frames = np.bincount(groups, minlength=number).astype(np.float64)
    counted = np.bincount(_codes(groups, labels), minlength=number * classes).reshape(number, classes).astype(float)
    group_of = np.zeros(int(speakers.max(initial=0)) + 1, dtype=np.int64)
    group_of[speakers] = groups

    def within(per_speaker: np.ndarray, who: np.ndarray, alone: np.ndarray) -> np.ndarray:
        """Sum what pairs of one speaker have: they are in one group."""
        return np.diag(np.bincount(group_of[who], per_speaker, minlength=number) - alone)

    both, pairs_of_both = names[3], np.unique(_codes(speakers, labels), return_counts=True)[1]
    by_speaker = np.bincount(speakers, minlength=len(group_of)).astype(float)
    total = np.zeros((number, sums[0].shape[1]))
    total[names[0]] = sums[0]
    flat, flat_place = squares.reshape(number, -1), place.reshape(number, -1)
    c, cc = total @ total.T - np.diag(own[0]), flat @ flat.T - np.diag(own[1])
    l, cl = counted @ counted.T - np.diag(frames), flat_place @ flat_place.T - np.diag(own[0])  # noqa: E741
    s = within(by_speaker**2, np.arange(len(group_of)), frames)
    cs = within((sums[2] ** 2).sum(axis=1), names[2], own[0])
    ls = within(pairs_of_both.astype(float) ** 2, both // classes, frames)
    second = np.array([[cc, cl, cs], [cl, l, ls], [cs, ls, s]])  # same label and speaker are their own squares
    pairs = np.outer(frames, frames) - np.diag(frames)
    return PairSums(("cosine", "label", "speaker"), pairs, np.stack([c, l, s]), second)


def _codes(first: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return first * (int(labels.max(initial=0)) + 1) + labels


def _totals(values: np.ndarray, which: np.ndarray, number: int) -> np.ndarray:
    """Sum the rows of each key, (number, width)."""
    ones = np.ones(len(which))
    return csr_array((ones, (which, np.arange(len(which)))), shape=(number, len(which))) @ values
