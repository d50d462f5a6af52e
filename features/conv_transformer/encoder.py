"""An encoder of the family from a configuration and weights; the modules of `features.encoders` fill in the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from features import kernels
from features.checkpoint import Spec
from features.conv_transformer import weights
from features.conv_transformer.config import Config
from features.conv_transformer.transformer import Attention, Positions, Projection, Transformer
from features.conv_transformer.waveform import FeatureExtractor, normalise
from features.encoder import Axis
from features.network import fill, init_name

# isort: split
import mlx.core as mx
import mlx.nn as nn

SECOND = 16_000


class Network(nn.Module):
    """Convolutions, projection and transformer, with the weight names of Hugging Face."""

    def __init__(self, config: Config, attention: type[Attention], positions: type[nn.Module]) -> None:
        super().__init__()
        self.feature_extractor = FeatureExtractor(config)
        self.feature_projection = Projection(config)
        self.encoder = Transformer(config, attention, positions)

    def __call__(
        self, inputs: np.ndarray, lengths: np.ndarray, frames: Sequence[int]
    ) -> Iterator[tuple[str, mx.array]]:
        """Yield each layer's name and its output (batch, frames, width), given waves (batch, samples)."""
        x = self.feature_extractor(inputs, lengths)
        yield "conv", x
        yield from self.encoder(self.feature_projection(x), frames)


class ConvTransformer:
    """A checkpoint of the family, or a random model of its shape, as an encoder.

    Layers: ``conv``, the output of the convolutions; ``embed``, the input of the first block, which
    is ``hidden_states[0]`` of `transformers`; ``block1`` to ``blockN``; and ``norm``, where a norm
    follows the last block.

    Up to 60 s are encoded in one piece, as the reference encodes them. Longer audio goes through
    windows that overlap by 4 s: at a seam a frame has 2 s of context, more than the 1.3 s that the
    positional convolution sees. Normalisation over time (of the waveform, and of the first
    convolution where it has a group norm) and attention then see one window.
    """

    version = 1
    axis: Axis = "frame"
    window: int | None = 60 * SECOND
    overlap = 4 * SECOND
    computes = ("float16", "bfloat16")
    prefix: str  # of the weights' names in models with a head
    example: str  # a hub id
    defaults: Mapping[str, Any] = {}
    rules: weights.Rules = weights.RULES
    attention: type[Attention] = Attention
    positions: type[nn.Module] = Positions

    def __init__(self, spec: Spec) -> None:
        self.name, self.revision = spec.name, spec.revision
        self.init = init_name(spec)
        self.config = Config.from_dict({**self.defaults, **(spec.config or {})}, spec.name)
        self.clock = self.config.clock()
        self.network = Network(self.config, self.attention, self.positions)
        names = ["embed", *(f"block{n + 1}" for n in range(self.config.num_hidden_layers))]
        names += ["norm"] if self.config.do_stable_layer_norm else []
        self.layers: Mapping[str, int] = {
            "conv": self.config.conv_dim[-1], **dict.fromkeys(names, self.config.hidden_size)
        }  # fmt: skip
        rules = [*(weights.PLAIN_POSITIONS if self.config.conv_pos_batch_norm else ()), *self.rules]
        fill(
            self.network, spec, expected=f"a hub id such as {self.example}, a checkpoint folder",
            drawn=lambda shapes: weights.draw(shapes, rules, self.config.initializer_range, spec.seed),
            sanitize=lambda found: weights.sanitize(found, self.prefix),
        )  # fmt: skip
        self.network.eval()  # a batch norm has fixed statistics

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the hidden states of the named layers; see `features.encoder.Encoder`."""
        frames = np.array([self.clock.frames(int(length)) for length in lengths], np.int64)
        shape = (len(inputs), frames.max(initial=0))
        out = {layer: np.zeros((*shape, self.layers[layer]), np.float32) for layer in layers}
        rows = np.flatnonzero(frames)  # an utterance that is too short has no frame
        for start in range(0, len(rows), kernels.BATCH):
            some = rows[start : start + kernels.BATCH]
            for layer, values in self._forward(inputs[some], lengths[some], frames[some], set(layers)):
                out[layer][some, : values.shape[1]] = values
        return out

    def _forward(
        self, inputs: np.ndarray, lengths: np.ndarray, frames: np.ndarray, wanted: set[str]
    ) -> Iterator[tuple[str, np.ndarray]]:
        waves = np.zeros((len(inputs), int(lengths.max())), np.float32)
        for row, wave, length in zip(waves, inputs, lengths, strict=True):
            row[:length] = normalise(wave[:length]) if self.config.do_normalize else wave[:length]
        for layer, values in self.network(waves, lengths, frames.tolist()):
            if layer in wanted:
                yield layer, kernels.to_numpy(values)
                wanted = wanted - {layer}
            if not wanted:  # deeper blocks are not computed
                return
