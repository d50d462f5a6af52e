"""What is trained for: an utterance is nearer to its own text than to others, as a whole and frame by frame.

The visually grounded model is trained on pictures and their spoken captions; here the other side is the utterance's
own text. In place of the paper's margin loss it is the cross-entropy of picking the right partner out of the batch,
both ways (van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018; Radford et al.,
"Learning Transferable Visual Models", ICML 2021), which learns more from a small batch.

Vectors of whole utterances alone are soon learnt by heart from a hundred utterances, and frames then tell which
utterance they are of and no longer which phone. So most of the loss is each frame's choice of its character among all
characters, by the same cosines and cross-entropy. Which character is a frame's own is not known: the probabilities of
all ways to lay the text along the utterance are summed (`features.training.alignment`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.training.alignment import FAR, log_likelihood, with_blanks
from features.training.pairs import Batch
from features.vgs_network import Attention, Config, Network, unit

# isort: split
import mlx.core as mx
import mlx.nn as nn

CHARACTER, TEXT, KERNEL = 32, 128, 5
VERSION = 2  # raised when what is trained for changes: a run that was begun with another does not go on
TEMPERATURE = 0.07
SHARP = 0.1  # temperature of the choice among characters
WHOLE = 0.1  # weight of the vectors of whole utterances


class TextEncoder(nn.Module):
    """Two convolutions over characters and attention: a vector of length 1 of a text."""

    def __init__(self, characters: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, CHARACTER)
        self.conv1 = nn.Conv1d(CHARACTER, TEXT, KERNEL, padding=KERNEL // 2)
        self.conv2 = nn.Conv1d(TEXT, TEXT, KERNEL, padding=KERNEL // 2)
        self.att = Attention(TEXT, TEXT)
        self.out = nn.Linear(TEXT, width)
        self.local = nn.Linear(CHARACTER, width)

    def __call__(self, characters: mx.array, lengths: np.ndarray) -> mx.array:
        """Map characters (batch, longest) to vectors of texts (batch, width)."""
        real = (mx.arange(characters.shape[1]) < mx.array(lengths)[:, None])[..., None]
        x = mx.where(real, self.embedding(characters), 0)
        for conv in (self.conv1, self.conv2):
            x = mx.where(real, nn.relu(conv(x)), 0)
        return unit(self.out(self.att(x, lengths)))

    def symbols(self) -> mx.array:
        """Return the vectors of length 1 of all characters (characters, width); the first is that of none."""
        return unit(self.local(self.embedding.weight))


class Sides(NamedTuple):
    """Vectors of length 1 of utterances and texts (batch, width); what frames pick (batch, frames, characters), log."""

    spoken: mx.array
    written: mx.array
    picks: mx.array


class Pairing(nn.Module):
    """Both sides."""

    def __init__(self, config: Config, characters: int) -> None:
        super().__init__()
        self.speech = Network(config)
        self.text = TextEncoder(characters, config.width)

    def __call__(self, batch: Batch, *, traced: bool = False) -> Sides:
        """Return the vectors of a batch."""
        *_, (_, top), (_, spoken) = self.speech(mx.array(batch.mfcc), batch.frames, traced=traced)
        picks = nn.log_softmax(unit(top) @ self.text.symbols().T / SHARP, axis=-1)
        return Sides(spoken[:, 0], self.text(mx.array(batch.characters), batch.lengths), picks)


def loss(model: Pairing, batch: Batch) -> mx.array:
    """Return the mean cross-entropy of a frame's choice and of both choices among the batch."""
    sides = model(batch, traced=True)
    return frames_loss(sides.picks, batch) + WHOLE * choice(sides.spoken @ sides.written.T, batch.texts)


def frames_loss(picks: mx.array, batch: Batch) -> mx.array:
    """Return the mean, per frame, of how unlikely each text is; of those that their utterance has frames for."""
    states = with_blanks(batch.characters, batch.lengths)
    fits = log_likelihood(picks, states, batch.frames, batch.lengths)
    possible = fits > FAR / 2
    each = mx.where(possible, -fits / mx.array(batch.frames.astype(np.float32)), 0)
    return each.sum() / mx.maximum(possible.sum(), 1)


def choice(scores: mx.array, texts: np.ndarray) -> mx.array:
    """Return the mean cross-entropy of picking the text of each utterance and the utterance of each text.

    Parameters
    ----------
    scores : mx.array [shape=(utterances, texts)]
    texts : np.ndarray [shape=(n,), int64]
        Number of each text: pairs that have another's are compared with, equal ones are left out.
    """
    same = mx.array((texts[:, None] == texts) & ~np.eye(len(texts), dtype=bool))
    scores = mx.where(same, FAR, scores / TEMPERATURE)
    right = mx.arange(len(texts))
    return (nn.losses.cross_entropy(scores, right) + nn.losses.cross_entropy(scores.T, right)).mean() / 2


def recall_at_1(scores: np.ndarray, texts: np.ndarray) -> float:
    """Return the share of utterances whose nearest text is their own.

    Parameters
    ----------
    scores : np.ndarray [shape=(utterances, texts)]
    texts : np.ndarray [shape=(n,), int64]
        Two readings of one text have the same number, and either one's text is right.
    """
    if not len(texts):
        return float("nan")
    return float(np.mean(texts[scores.argmax(axis=1)] == texts))
