"""What is trained for: an utterance is nearer to its own text than to others, as a whole and character by character.

The visually grounded model is trained on pictures and their spoken captions; here the other side is the utterance's
own text. In place of the paper's margin loss it is the cross-entropy of picking the right partner out of the batch,
both ways (van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018; Radford et al.,
"Learning Transferable Visual Models", ICML 2021), which learns more from a small batch.

Vectors of whole utterances alone are soon learnt by heart from a hundred utterances, and frames then tell which
utterance they are of and no longer which phone. So most of the loss compares characters, with their neighbours, to
frames: a character's score is that of the frames that fit it best (Harwath et al., "Jointly Discovering Visual Objects
and Spoken Words from Raw Sensory Input", ECCV 2018), preferably at the same share of the way through (Tachibana et al.,
"Efficiently Trainable Text-to-Speech System Based on Deep Convolutional Networks with Guided Attention", ICASSP 2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from features.training.pairs import Batch
from features.vgs_network import Attention, Config, Network, unit

# isort: split
import mlx.core as mx
import mlx.nn as nn

CHARACTER, TEXT, KERNEL = 32, 128, 5
TEMPERATURE = 0.07
SHARP = 0.1  # temperature of the choice among frames
NEAR = 0.1  # of an utterance's length: how far from its place a character may be
WHOLE = 0.1  # weight of the vectors of whole utterances
FAR = -1e9  # score of what is not there


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

    def __call__(self, characters: mx.array, lengths: np.ndarray) -> tuple[mx.array, mx.array]:
        """Map characters (batch, longest) to vectors of texts (batch, width) and characters (batch, longest, width)."""
        real = (mx.arange(characters.shape[1]) < mx.array(lengths)[:, None])[..., None]
        x = single = mx.where(real, self.embedding(characters), 0)
        for conv in (self.conv1, self.conv2):
            x = mx.where(real, nn.relu(conv(x)), 0)
        return unit(self.out(self.att(x, lengths))), unit(self.local(single))


class Sides(NamedTuple):
    """Vectors of length 1 of utterances and texts (batch, width), of their frames and characters (batch, n, width)."""

    spoken: mx.array
    written: mx.array
    frames: mx.array
    characters: mx.array


class Pairing(nn.Module):
    """Both sides."""

    def __init__(self, config: Config, characters: int) -> None:
        super().__init__()
        self.speech = Network(config)
        self.text = TextEncoder(characters, config.width)

    def __call__(self, batch: Batch, *, traced: bool = False) -> Sides:
        """Return the vectors of a batch."""
        *_, (_, top), (_, spoken) = self.speech(mx.array(batch.mfcc), batch.frames, traced=traced)
        written, characters = self.text(mx.array(batch.characters), batch.lengths)
        return Sides(spoken[:, 0], written, unit(top), characters)


def loss(model: Pairing, batch: Batch) -> mx.array:
    """Return the mean cross-entropy of both choices; another reading of the same text is no wrong choice."""
    sides = model(batch, traced=True)
    local = choice(local_scores(sides.frames, sides.characters, batch.frames, batch.lengths), batch.texts)
    return local + WHOLE * choice(sides.spoken @ sides.written.T, batch.texts)


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


def local_scores(
    frames: mx.array, characters: mx.array, frame_counts: np.ndarray, lengths: np.ndarray
) -> mx.array:  # fmt: skip
    """Return how well each text fits each utterance (utterances, texts), the mean over the text's characters.

    A character's score is the soft maximum over the utterance's frames of the cosine, less what it is out of place.
    """
    utterances, steps, width = frames.shape
    texts, longest, _ = characters.shape
    cosines = (frames.reshape(-1, width) @ characters.reshape(-1, width).T).reshape(utterances, steps, texts, longest)
    places = [
        (mx.arange(size) + 0.5) / mx.array(counts.astype(np.float32))[:, None]
        for size, counts in ((steps, frame_counts), (longest, lengths))
    ]  # (utterances, steps), (texts, longest); above 1 behind the end
    away = places[0][:, :, None, None] - places[1]
    fits = mx.where((places[0] < 1)[:, :, None, None], cosines / SHARP - (away / NEAR) ** 2 / 2, FAR)
    best = SHARP * mx.logsumexp(fits, axis=1)  # (utterances, texts, longest)
    real = places[1] < 1
    return mx.where(real, best, 0).sum(axis=-1) / mx.array(lengths.astype(np.float32))


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
