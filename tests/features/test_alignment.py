"""The fit of a text to an utterance: every alignment written out, and torch's own loss."""

from __future__ import annotations

import itertools

import features  # noqa: F401  before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest

from features.training.alignment import log_likelihood, with_blanks


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))


def collapse(path):
    """Return what a path of symbols spells: repetitions once, then without blanks."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def by_enumeration(picks, text):
    """Return the log-probability of a text as the sum over all paths that spell it."""
    frames, symbols = picks.shape
    paths = [path for path in itertools.product(range(symbols), repeat=frames) if collapse(path) == tuple(text)]
    return np.log(sum(np.exp(picks[np.arange(frames), path].sum()) for path in map(list, paths)))


def fits(picks, texts, frames):
    lengths = np.array([len(text) for text in texts])
    characters = np.zeros((len(texts), lengths.max()), np.int32)
    for row, text in zip(characters, texts, strict=True):
        row[: len(text)] = text
    return log_likelihood(mx.array(picks), with_blanks(characters, lengths), np.asarray(frames), lengths)


@pytest.mark.parametrize("text", [[1], [1, 2], [2, 2], [1, 2, 1], [3, 3, 1]])
@pytest.mark.parametrize("frames", [3, 5, 6])
def test_all_alignments_are_summed(text, frames):
    picks = log_softmax(np.random.RandomState(frames).randn(1, frames, 4)).astype(np.float32)
    if frames == 3 and text == [3, 3, 1]:  # a blank has no room between the two
        assert fits(picks, [text], [3]).item() < -1e8
        return
    assert fits(picks, [text], [frames]).item() == pytest.approx(by_enumeration(picks[0], text), abs=1e-5)


def test_what_is_behind_an_utterance_or_its_text_is_not_looked_at():
    draw = np.random.RandomState(0)
    picks = log_softmax(draw.randn(3, 7, 4)).astype(np.float32)
    texts, frames = [[1, 2, 3], [2], [3, 1]], [7, 4, 1 + 4]
    together = np.array(fits(picks, texts, frames))
    alone = [fits(picks[row : row + 1, :count], [texts[row]], [count]).item() for row, count in enumerate(frames)]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_gradients_are_the_chances_of_each_symbol_at_each_frame():
    """The derivative by a frame's log-probabilities is what all alignments together give each symbol there."""
    picks = log_softmax(np.random.RandomState(4).randn(1, 4, 3)).astype(np.float32)
    found = np.array(mx.grad(lambda values: fits(values, [[1, 2]], [4]).sum())(mx.array(picks)))[0]
    expected = np.zeros((4, 3))
    for path in itertools.product(range(3), repeat=4):
        if collapse(path) == (1, 2):
            expected[np.arange(4), path] += np.exp(picks[0, np.arange(4), path].sum())
    expected /= expected[0].sum()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


def test_as_torch_has_it():
    """Torch 2.13, ``ctc_loss(log_probs, targets, frames, lengths, reduction="none")`` in float64."""
    draw = np.random.RandomState(0)
    picks = log_softmax(draw.randn(3, 40, 12)).astype(np.float32)
    texts = [draw.randint(1, 12, length).tolist() for length in (9, 5, 12)]
    expected = [66.63716035508158, 54.34700859087294, 49.56508418728492]
    np.testing.assert_allclose(-np.array(fits(picks, texts, [40, 31, 26])), expected, rtol=1e-6)
