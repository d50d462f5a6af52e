"""The convolutional network over word stamps of a workshop on transfer learning, in MLX.

A word's log mel spectrogram as a picture of 64 by 32 grey values (`builders.spoken_words.stamps`), two 5 by 5
convolutions of 16 channels with ReLU, each behind it the largest of 2 by 2, and two dense layers: 32 wide with ReLU,
then a score per word. https://github.com/mdda/deep-learning-workshop, ``notebooks/2-CNN/8-Speech``, the version of 2017
with tf.layers.

Layers, each with one row per utterance: ``conv1`` and ``conv2``, behind ReLU and maximum, their values in the order
time, mel, channel; ``dense``; ``logits``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from builders.spoken_words.stamps import SHAPE, stamp
from features.checkpoint import CheckpointError, Spec
from features.clock import FrameClock
from features.encoder import Axis
from features.network import fill, init_name, single

# isort: split
import mlx.core as mx
import mlx.nn as nn

CHANNELS, DENSE, WORDS, KERNEL = 16, 32, 10, 5
CONFIGS = {"word_cnn": {"model_type": "word_cnn"}}
BATCH = 64  # stamps computed together: 8 MB


class Network(nn.Module):
    """The network over pictures (batch, 64, 32, 1)."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, CHANNELS, KERNEL, padding=KERNEL // 2)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, KERNEL, padding=KERNEL // 2)
        self.dense = nn.Linear(SHAPE[0] // 4 * (SHAPE[1] // 4) * CHANNELS, DENSE)
        self.logits = nn.Linear(DENSE, words)
        self.pool = nn.MaxPool2d(2)

    def __call__(self, x: mx.array) -> Iterator[tuple[str, mx.array]]:
        """Yield each layer's name and its output (batch, width)."""
        for name in ("conv1", "conv2"):
            x = self.pool(nn.relu(self[name](x)))
            yield name, x.flatten(1)
        x = nn.relu(self.dense(x.flatten(1)))
        yield "dense", x
        yield "logits", self.logits(x)


def sanitize(weights: Mapping[str, mx.array]) -> dict[str, mx.array]:
    """Return weights with our names, axes and precision.

    Takes ours, which are torch's names (``dense.weight``, outputs first, convolutions (out, 5, 5, in)), and those of
    TensorFlow (``dense/kernel:0``, outputs last).
    """
    renamed = {}
    for name, value in weights.items():
        short = name.removesuffix(":0").replace("/", ".")
        if short.endswith(".kernel"):
            short = short.removesuffix("kernel") + "weight"
            value = value.transpose(value.ndim - 1, *range(value.ndim - 1))
        renamed[short] = single(value)
    return renamed


def draw(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, mx.array]:
    """Return random weights, distributed as tf.layers draws them: Glorot's uniform, biases 0.

    Within ``sqrt(6 / (fan in + fan out))``, of a convolution times the 25 places. Glorot and Bengio, "Understanding
    the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """
    keys = mx.random.split(mx.random.key(seed), len(shapes))
    drawn = {}
    for key, (name, shape) in zip(keys, sorted(shapes.items()), strict=True):
        if name.endswith("bias"):
            drawn[name] = mx.zeros(shape)
            continue
        places = math.prod(shape[1:-1])
        bound = math.sqrt(6 / (places * (shape[0] + shape[-1])))
        drawn[name] = mx.random.uniform(-bound, bound, shape, key=key)
    return drawn


class WordCnn:
    """A checkpoint or a random model as an encoder; the utterance should be one word.

    ``config.json`` may say another number of words than ten: ``"num_labels": 4``.
    """

    version = 1
    axis: Axis = "utterance"
    clock: FrameClock | None = None
    window: int | None = None

    def __init__(self, spec: Spec) -> None:
        self.name, self.revision = spec.name, spec.revision
        self.init = init_name(spec)
        words = _words(spec.config or {}, spec.name)
        self.network = Network(words)
        values = SHAPE[0] * SHAPE[1] * CHANNELS
        self.layers: Mapping[str, int] = {"conv1": values // 4, "conv2": values // 16, "dense": DENSE, "logits": words}
        fill(
            self.network, spec, drawn=lambda shapes: draw(shapes, spec.seed),
            sanitize=sanitize,
            expected='a folder with config.json {"model_type": "word_cnn"} and model.safetensors',
        )  # fmt: skip

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return one row per utterance of the named layers; see `features.encoder.Encoder`."""
        out = {layer: np.zeros((len(inputs), 1, self.layers[layer]), np.float32) for layer in layers}
        rows = np.flatnonzero(lengths)  # no sample, no stamp
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            stamps = np.stack([stamp(inputs[row, : lengths[row]]) for row in some])
            for layer, values in self.network(mx.array(stamps.astype(np.float32) / 255)[..., None]):
                if layer in out:
                    out[layer][some, 0] = np.asarray(values)
        return out


def _words(config: Mapping[str, Any], name: str) -> int:
    words = config.get("num_labels", WORDS)
    if type(words) is not int or words < 1:
        raise CheckpointError(f"{name}: config.json has num_labels {words!r}, expected a whole number above 0")
    return words


Model = WordCnn
