"""The network that knows words by their stamps, pictures of 64 by 32 grey values.

The layers are those of https://github.com/mdda/cnn-speech-mnist: two convolutions of 16 filters of 5 by 5,
each halved by its maximum, a layer of 32, dropout, one number (logit) a word. As there, the number of epochs is fixed:
among a handful of speakers, the one or two of a validation would choose an epoch that suits nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from features.blas import import_mlx

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.nn as nn  # noqa: E402
import mlx.optimizers as optim  # noqa: E402

BATCH = 20
RATE = 1e-3
EPOCHS = 40  # the workflow has 200 with one library and 20 with another
GREYS = 255.0


class StampNetwork(nn.Module):
    """Maps stamps to one logit a word."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 5, padding=2)
        self.second = nn.Conv2d(16, 16, 5, padding=2)
        self.halve = nn.MaxPool2d(2)
        self.dense = nn.Linear(16 * 8 * 16, 32)
        self.dropout = nn.Dropout(0.5)
        self.out = nn.Linear(32, words)

    def __call__(self, pictures: mx.array) -> mx.array:
        """Return logits (n, words) of pictures (n, 64, 32, 1) between 0 and 1."""
        found = self.halve(nn.relu(self.first(pictures)))
        found = self.halve(nn.relu(self.second(found)))
        found = nn.relu(self.dense(found.reshape(len(found), -1)))
        return self.out(self.dropout(found))

    def logits(self, stamps: np.ndarray) -> np.ndarray:
        """Return logits [shape=(n, words), float32] of stamps [shape=(n, 64, 32), uint8], without dropout."""
        self.eval()
        parts = [np.asarray(self(_pictures(stamps[i : i + 256]))) for i in range(0, len(stamps), 256)]
        return np.concatenate(parts) if parts else np.zeros((0, self.out.weight.shape[0]), np.float32)


def untrained(words: int, seed: int) -> StampNetwork:
    """Return a network with random weights: Glorot's, as the workflow's; smaller ones barely begin to learn."""
    mx.random.seed(seed)
    network = StampNetwork(words)
    draw = nn.init.glorot_uniform()
    for layer in (network.first, network.second, network.dense, network.out):
        layer.weight, layer.bias = draw(layer.weight), mx.zeros_like(layer.bias)
    mx.eval(network.parameters())
    return network


def train(stamps: np.ndarray, labels: np.ndarray, *, words: int, seed: int = 0) -> StampNetwork:
    """Train a network.

    Parameters
    ----------
    stamps : np.ndarray [shape=(n, 64, 32), uint8]
    labels : np.ndarray [shape=(n,), int64]
    words : int
        Number of classes.
    seed : int
        Of the first weights, the batches and the dropout.
    """
    network, draw = untrained(words, seed), np.random.default_rng(seed)
    optimiser = optim.Adam(learning_rate=RATE)
    step = nn.value_and_grad(network, _loss)
    network.train()
    for _ in range(EPOCHS):
        for batch in _batches(len(stamps), draw):
            _, gradient = step(network, _pictures(stamps[batch]), mx.array(labels[batch]))
            optimiser.update(network, gradient)
            mx.eval(network.parameters(), optimiser.state)
    return network


def _loss(network: StampNetwork, pictures: mx.array, labels: mx.array) -> mx.array:
    return nn.losses.cross_entropy(network(pictures), labels, reduction="mean")


def _pictures(stamps: np.ndarray) -> mx.array:
    return mx.array(stamps.astype(np.float32)[..., None] / GREYS)


def _batches(examples: int, draw: np.random.Generator) -> Iterator[np.ndarray]:
    order = draw.permutation(examples)
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]
