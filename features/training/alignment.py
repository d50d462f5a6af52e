"""How well a text fits an utterance frame by frame, all alignments of the two summed.

Every frame picks one symbol out of all: the text's characters in their order, each for one frame or more, or none.
Graves et al., "Connectionist Temporal Classification", ICML 2006, equations 5 to 16, in logarithms. The sums over
beginnings and over ends of an alignment, of which the gradient is made, are one recursion over both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# isort: split
import mlx.core as mx

BLANK = 0  # number of the symbol that is none
FAR = -1e9  # logarithm of what cannot be


class Sums(NamedTuple):
    """Logarithms of sums over alignments.

    total : np.ndarray [shape=(batch,), float32]
        Over all of them.
    through : np.ndarray [shape=(batch, frames, states), float32]
        The share of those that are in a state at a frame: sums to 1 at each real frame, 0 behind the utterance.
    """

    total: np.ndarray
    through: np.ndarray


def with_blanks(characters: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return texts with a blank before, between and behind the characters.

    Parameters
    ----------
    characters : np.ndarray [shape=(batch, longest), int32]
    lengths : np.ndarray [shape=(batch,), int64]

    Returns
    -------
    np.ndarray [shape=(batch, 2 * longest + 1), int32]
        Blanks behind each text.
    """
    batch, longest = characters.shape
    states = np.full((batch, 2 * longest + 1), BLANK, np.int32)
    states[:, 1::2] = np.where(np.arange(longest) < lengths[:, None], characters, BLANK)
    return states


def log_likelihood(picks: mx.array, states: np.ndarray, frames: np.ndarray, lengths: np.ndarray) -> mx.array:
    """Return the logarithm of the probability of each text, given what each frame picks [shape=(batch,)].

    A text that needs more frames than there are gives less than ``FAR / 2``, and no gradient.

    Parameters
    ----------
    picks : mx.array [shape=(batch, frames, symbols), float32]
        Logarithms of the probability of each symbol.
    states : np.ndarray [shape=(batch, 2 * longest + 1), int32]
        Of `with_blanks`.
    frames, lengths : np.ndarray [shape=(batch,), int64]
        Real frames, at least 1, and characters.
    """
    wanted = np.broadcast_to(states[:, None], (*picks.shape[:2], states.shape[1]))

    @mx.custom_function
    def likelihood(fits: mx.array) -> mx.array:
        mx.eval(fits)
        found.append(sums(np.asarray(fits), states, frames, lengths))
        return mx.array(found[-1].total)

    @likelihood.vjp
    def _gradient(fits: mx.array, change: mx.array, output: mx.array) -> mx.array:
        return change[:, None, None] * mx.array(found[-1].through)

    found: list[Sums] = []
    return likelihood(mx.take_along_axis(picks, mx.array(wanted), axis=2))


def sums(fits: np.ndarray, states: np.ndarray, frames: np.ndarray, lengths: np.ndarray) -> Sums:
    """Return what alignments sum to, given how well each state fits each frame (batch, frames, states), in logarithms.

    An utterance turned round is aligned with its text turned round: the same recursion gives the sums over beginnings
    and over ends.
    """
    batch, steps, count = fits.shape
    turned_frames = turned(np.arange(steps), frames)[..., None]
    turned_states = turned(np.arange(count), 2 * lengths + 1)
    there_and_back = np.concatenate(
        [fits, np.take_along_axis(np.take_along_axis(fits, turned_frames, 1), turned_states[:, None], 2)]
    )
    both = recursion(there_and_back, np.concatenate([states, np.take_along_axis(states, turned_states, 1)]))
    begun, ended = both[:batch], both[batch:]
    ended = np.take_along_axis(np.take_along_axis(ended, turned_states[:, None], 2), turned_frames, 1)
    last = begun[np.arange(batch), frames - 1]
    total = log_sum([last[np.arange(batch), 2 * lengths], last[np.arange(batch), 2 * lengths - 1]])
    through = np.where(np.arange(count) <= 2 * lengths[:, None, None], begun + ended - fits, FAR)
    through = np.exp(through - through.max(axis=2, keepdims=True))
    through /= through.sum(axis=2, keepdims=True)
    real = (np.arange(steps) < frames[:, None]) & (total > FAR / 2)[:, None]
    return Sums(total, np.where(real[..., None], through, 0).astype(np.float32))


def recursion(fits: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the log-sum over alignments of all frames up to each with a beginning of the text [shape of `fits`]."""
    # a blank may be passed over between two characters that differ
    passed = (states != BLANK) & (states != np.pad(states, ((0, 0), (2, 0)))[:, :-2])
    barrier = np.where(passed, 0, FAR).astype(np.float32)
    out = np.full((fits.shape[1], len(fits), fits.shape[2] + 2), FAR, np.float32)  # two states before the first
    out[0, :, 2:4] = fits[:, 0, :2]
    for step, fit in enumerate(fits.transpose(1, 0, 2)[1:], 1):
        before = out[step - 1]
        out[step, :, 2:] = log_sum([before[:, 2:], before[:, 1:-1], before[:, :-2] + barrier]) + fit
    return out[..., 2:].transpose(1, 0, 2)


def log_sum(terms: Sequence[np.ndarray]) -> np.ndarray:
    """Return the logarithm of the sum of terms that are logarithms."""
    most = np.maximum.reduce(terms)
    return most + np.log(sum(np.exp(term - most) for term in terms))


def turned(place: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return places [shape=(batch, n)], the first `counts` of each row turned round, the others as they are."""
    return np.where(place < counts[:, None], counts[:, None] - 1 - place, place)
