"""The speech side of the visually grounded model of Chrupała et al. in MLX, every layer of it.

MFCC, a convolution that halves the frame rate, bidirectional gated recurrent units, and attention that makes one
unit vector of an utterance. Chrupała, Higy and Alishahi, "Analyzing analytical methods: The case of phonology in
neural models of spoken language", ACL 2020; the names of the weights are those of
https://github.com/spokenlanguage/platalea, ``SpeechEncoder``.

Layers: ``conv``; ``rnn0`` to ``rnnN``; ``att``, one row per utterance.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from features.checkpoint import Spec
from features.encoder import Axis
from features.network import fill, init_name, single
from features.vgs_network import Config, Network, inputs_of, stacked

# isort: split
import mlx.core as mx

CONFIGS = {"vgs": {"model_type": "vgs"}}
SECOND = 16_000
PREFIX = "SpeechEncoder."
# platalea's names of modules are ours, but for these
OTHER_NAMES = {"Conv.": "conv.", "RNN.": "rnn."}


def sanitize(weights: Mapping[str, mx.array]) -> dict[str, mx.array]:
    """Return the encoder's weights with our names, axes and precision; the only place that renames."""
    renamed = {}
    for name, value in weights.items():
        short = name.removeprefix(PREFIX)
        for theirs, ours in OTHER_NAMES.items():
            short = re.sub(f"^{re.escape(theirs)}", ours, short)
        value = value.transpose(0, 2, 1) if short == "conv.weight" else value  # torch: (out, in, taps)
        renamed[short] = single(value)
    return renamed


def as_stored(weights: Mapping[str, mx.array]) -> dict[str, mx.array]:
    """Return weights of ours with platalea's names and torch's axes: what `sanitize` undoes."""
    renamed = {}
    for name, value in weights.items():
        for theirs, ours in OTHER_NAMES.items():
            name = re.sub(f"^{re.escape(ours)}", theirs, name)
        renamed[PREFIX + name] = mx.contiguous(value.transpose(0, 2, 1)) if name == "Conv.weight" else value
    return renamed


def draw(shapes: Mapping[str, tuple[int, ...]], config: Config, seed: int) -> dict[str, mx.array]:
    """Return random weights, distributed as in a new model of platalea.

    Torch's defaults, uniform within ``1 / sqrt(fan in)`` and for recurrent layers within
    ``1 / sqrt(hidden)``, but for ``att.hidden.weight``, which is orthogonal.
    """
    keys = mx.random.split(mx.random.key(seed), len(shapes))
    drawn = {}
    for key, (name, shape) in zip(keys, sorted(shapes.items()), strict=True):
        if name == "att.hidden.weight":
            drawn[name] = orthogonal(shape, key)
            continue
        module = name.rpartition(".")[0]
        fan_in = config.hidden_size if module == "rnn" else math.prod(shapes[f"{module}.weight"][1:])
        drawn[name] = mx.random.uniform(-(fan_in**-0.5), fan_in**-0.5, shape, key=key)
    return drawn


def orthogonal(shape: tuple[int, int], key: mx.array) -> mx.array:
    """Return a random matrix whose rows or, where it is higher than wide, columns are orthonormal."""
    rows, columns = max(shape), min(shape)
    q, r = np.linalg.qr(np.asarray(mx.random.normal((rows, columns), key=key)))
    q = q * np.sign(np.diag(r))  # without it the directions are not equally likely
    return mx.array(q if shape[0] == rows else q.T)


class Vgs:
    """A checkpoint of the family, or a random model of its shape, as an encoder.

    Up to 60 s are encoded in one piece. Longer audio goes through windows that overlap by 4 s: the recurrent layers
    and the attention then see one window, and ``att`` is the mean of the windows'. (The published features are those
    of the first 20.48 s.)
    """

    version = 1
    axis: Axis = "frame"
    axes: Mapping[str, Axis] = {"att": "utterance"}
    window: int | None = 60 * SECOND
    overlap = 4 * SECOND

    def __init__(self, spec: Spec) -> None:
        self.name, self.revision = spec.name, spec.revision
        self.init = init_name(spec)
        self.config = Config.from_dict(spec.config or {}, spec.name)
        self.clock = self.config.clock()
        self.network = Network(self.config)
        names = [f"rnn{number}" for number in range(self.config.num_hidden_layers)] + ["att"]
        self.layers: Mapping[str, int] = {"conv": self.config.conv_width, **dict.fromkeys(names, self.config.width)}
        fill(
            self.network, spec, expected="a checkpoint folder, which `python -m features train vgs` makes",
            drawn=lambda shapes: draw(shapes, self.config, spec.seed),
            sanitize=sanitize,
        )  # fmt: skip

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the hidden states of the named layers; see `features.encoder.Encoder`."""
        frames = np.array([self.clock.frames(int(length)) for length in lengths], np.int64)
        rows = np.flatnonzero(frames)  # an utterance that is too short has no frame
        out = {
            layer: np.zeros(
                (len(inputs), min(1, len(rows)) if layer in self.axes else frames.max(initial=0), self.layers[layer]),
                np.float32,
            )
            for layer in layers
        }
        if len(rows):
            # All at once: a few rows take as long as one, the weights come from memory once per frame.
            waves = [inputs[row, : lengths[row]] for row in rows]
            for layer, values in self._forward(waves, frames[rows], set(layers)):
                out[layer][rows, : values.shape[1]] = values
        return out

    def _forward(
        self, waves: Sequence[np.ndarray], frames: np.ndarray, wanted: set[str]
    ) -> Iterator[tuple[str, np.ndarray]]:  # fmt: skip
        for layer, values in self.network(mx.array(stacked([inputs_of(w, self.config) for w in waves])), frames):
            if layer in wanted:
                yield layer, np.asarray(values)
                wanted = wanted - {layer}
            if not wanted:  # deeper layers are not computed
                return


Model = Vgs
