"""The encoder of OpenAI's Whisper in MLX, every layer of it.

Layers: ``conv``, the input of the first block (two convolutions and positions); ``block1`` to
``blockN``, the outputs of the blocks; ``norm``, the last block after the final layer norm, which is
what `transformers` calls the last hidden state.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features import kernels
from features.blas import import_mlx
from features.checkpoint import CheckpointError, Spec
from features.clock import FrameClock
from features.encoder import Axis
from features.encoders.log_mel import HOP, N_FFT, log_mel
from features.network import fill, init_name, single
from features.windows import OVERLAP

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.nn as nn  # noqa: E402

# Of `Whisper.trimmed`, in frames of 20 ms; docs/performance.md has what they were chosen by.
SILENCE = 100  # behind an utterance at least, where the window has room
SHAPE = 125  # lengths are whole multiples: twelve shapes

# (blocks, width, heads)
SIZES = {
    "tiny": (4, 384, 6), "base": (6, 512, 8), "small": (12, 768, 12), "medium": (24, 1024, 16),
    "large-v3": (32, 1280, 20), "large-v3-turbo": (32, 1280, 20),
}  # fmt: skip


def _config(size: str) -> dict[str, Any]:
    blocks, width, heads = SIZES[size]
    return {
        "model_type": "whisper", "num_mel_bins": 128 if size.startswith("large") else 80, "d_model": width,
        "encoder_layers": blocks, "encoder_attention_heads": heads, "encoder_ffn_dim": 4 * width,
    }  # fmt: skip


CONFIGS = {
    **{f"whisper-{size}": _config(size) for size in SIZES},
    **{f"whisper-{size}.en": _config(size) for size in ("tiny", "base", "small", "medium")},
}

# How mlx-community and OpenAI call what Hugging Face calls otherwise.
OTHER_CONFIG = {
    "n_mels": "num_mel_bins", "n_audio_ctx": "max_source_positions", "n_audio_state": "d_model",
    "n_audio_head": "encoder_attention_heads", "n_audio_layer": "encoder_layers",
}  # fmt: skip
OTHER_WEIGHTS = [
    (r"^blocks\.", "layers."), (r"\.attn\.query\.", ".self_attn.q_proj."), (r"\.attn\.key\.", ".self_attn.k_proj."),
    (r"\.attn\.value\.", ".self_attn.v_proj."), (r"\.attn\.out\.", ".self_attn.out_proj."),
    (r"\.attn_ln\.", ".self_attn_layer_norm."), (r"\.mlp_ln\.", ".final_layer_norm."), (r"\.mlp(\.0|1)\.", ".fc1."),
    (r"\.mlp(\.2|2)\.", ".fc2."), (r"^ln_post\.", "layer_norm."), (r"^positional_embedding$", "embed_positions.weight"),
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """The part of ``config.json`` that the encoder needs."""

    num_mel_bins: int
    d_model: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    max_source_positions: int = 1500
    activation_function: str = "gelu"
    init_std: float = 0.02

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], name: str) -> Config:
        """Read Hugging Face's field names or OpenAI's.

        Raises
        ------
        CheckpointError
            If a field is missing or asks for what is not implemented.
        """
        fields = {OTHER_CONFIG.get(field, field): value for field, value in config.items()}
        if "n_audio_state" in config:
            fields.setdefault("encoder_ffn_dim", 4 * config["n_audio_state"])
        try:
            found = cls(**{field: value for field, value in fields.items() if field in cls.__dataclass_fields__})
        except TypeError as error:
            raise CheckpointError(f"{name}: config.json is not of a Whisper model ({error})") from error
        if found.activation_function != "gelu":
            raise CheckpointError(f"{name}: activation {found.activation_function!r}, expected one of ['gelu']")
        if found.d_model % found.encoder_attention_heads:
            raise CheckpointError(
                f"{name}: width {found.d_model} is no multiple of the {found.encoder_attention_heads} heads"
            )
        return found


class Attention(nn.Module):
    """Self-attention over the whole window."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.encoder_attention_heads
        self.q_proj = nn.Linear(config.d_model, config.d_model)
        self.k_proj = nn.Linear(config.d_model, config.d_model, bias=False)
        self.v_proj = nn.Linear(config.d_model, config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def __call__(self, x: mx.array) -> mx.array:
        """Map (batch, frames, width) to the same shape."""
        width = x.shape[-1]
        q, k, v = (
            kernels.split_heads(kernels.linear(x, project), self.heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        x = kernels.attention(q, k, v, scale=(width // self.heads) ** -0.5)
        return kernels.linear(kernels.join_heads(x), self.out_proj)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each behind a layer norm and beside a residual path."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(config.d_model)
        self.self_attn = Attention(config)
        self.final_layer_norm = nn.LayerNorm(config.d_model)
        self.fc1 = nn.Linear(config.d_model, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, config.d_model)

    def __call__(self, x: mx.array) -> mx.array:
        """Map (batch, frames, width) to the same shape."""
        # not `+=`: a layer that was kept would change
        x = x + self.self_attn(kernels.layer_norm(x, self.self_attn_layer_norm))
        return x + kernels.feed_forward(kernels.layer_norm(x, self.final_layer_norm), self.fc1, self.fc2)


class AudioEncoder(nn.Module):
    """The network, with the weight names of Hugging Face below ``model.encoder.``."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.d_model, kernel_size=3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, kernel_size=3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_source_positions, config.d_model)
        self.layers = [Block(config) for _ in range(config.encoder_layers)]
        self.layer_norm = nn.LayerNorm(config.d_model)

    def __call__(self, mel: mx.array) -> Iterator[tuple[str, mx.array]]:
        """Yield each layer's name and its output (batch, frames, width), given mel (batch, 2 * frames, bands)."""
        x = kernels.gelu(kernels.conv1d(mel.astype(self.conv1.weight.dtype), self.conv1), overwrite=True)
        x = kernels.gelu(kernels.conv1d(x, self.conv2), overwrite=True)
        x = x + self.embed_positions.weight[: x.shape[1]]
        yield "conv", x
        for number, block in enumerate(self.layers, 1):
            x = block(x)
            yield f"block{number}", x
        yield "norm", kernels.layer_norm(x, self.layer_norm)


def sanitize(weights: Mapping[str, mx.array], config: Config) -> dict[str, mx.array]:
    """Return the encoder's weights with our names, axes and precision; the only place that renames.

    Takes the names of Hugging Face (``model.encoder.layers.0.self_attn.q_proj.weight``) and of
    OpenAI and mlx-community (``encoder.blocks.0.attn.query.weight``).
    """
    renamed = {"embed_positions.weight": sinusoids(config.max_source_positions, config.d_model)}
    for name, value in weights.items():
        short = re.sub(r"^(model\.)?encoder\.", "", name)
        if short == name:  # of the decoder
            continue
        for pattern, replacement in OTHER_WEIGHTS:
            short = re.sub(pattern, replacement, short)
        if re.fullmatch(r"conv\d\.weight", short) and value.ndim == 3 and value.shape[1] != 3:
            value = value.transpose(0, 2, 1)  # torch: (out, in, 3); MLX: (out, 3, in)
        renamed[short] = single(value)
    return renamed


def draw(shapes: Mapping[str, tuple[int, ...]], config: Config, seed: int) -> dict[str, mx.array]:
    """Return random weights, distributed as `transformers` draws them for a new model.

    Linear and convolution weights are normal with standard deviation `init_std`, biases 0, norms 1
    and 0; the positions are sinusoids.
    """
    keys = mx.random.split(mx.random.key(seed), len(shapes))
    drawn = {}
    for key, (name, shape) in zip(keys, sorted(shapes.items()), strict=True):
        if name == "embed_positions.weight":
            drawn[name] = sinusoids(*shape)
        elif name.endswith(".bias"):
            drawn[name] = mx.zeros(shape)
        elif "layer_norm" in name:
            drawn[name] = mx.ones(shape)
        else:
            drawn[name] = config.init_std * mx.random.normal(shape, key=key)
    return drawn


def sinusoids(length: int, width: int) -> mx.array:
    """Return Whisper's fixed positions (length, width): sines, then cosines, of geometric periods."""
    rates = np.exp(-np.log(10_000.0) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(length)[:, None] * rates
    return mx.array(np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32))


class Whisper:
    """A Whisper checkpoint, or a random model of its shape, as an encoder.

    The window is that of training, 30 s: shorter utterances are followed by silence, which
    the blocks attend to; `trimmed` gives the encoder without most of it. A frame sees 5 mel frames
    through the two convolutions (3 wide; 3 wide, 2 apart): a receptive field of ``4 * 160 + 400``
    samples around sample ``320 * t``.
    """

    version = 1
    axis: Axis = "frame"
    clock = FrameClock(hop=2 * HOP, offset=0, field=4 * HOP + N_FFT, padded=True)
    computes = ("float16", "bfloat16")

    def __init__(self, spec: Spec) -> None:
        self.name, self.revision = spec.name, spec.revision
        self.init = init_name(spec)
        self.config = Config.from_dict(spec.config or {}, spec.name)
        self.window: int | None = self.config.max_source_positions * self.clock.hop
        self.overlap = min(OVERLAP, self.window // 4)
        self.network = AudioEncoder(self.config)
        names = ["conv", *(f"block{n + 1}" for n in range(self.config.encoder_layers)), "norm"]
        self.layers: Mapping[str, int] = dict.fromkeys(names, self.config.d_model)
        fill(
            self.network, spec, expected=f"openai/{spec.name}, a checkpoint folder",
            drawn=lambda shapes: draw(shapes, self.config, spec.seed),
            sanitize=lambda weights: sanitize(weights, self.config),
        )  # fmt: skip
        self._trimmed = False

    def trimmed(self) -> Whisper:
        """Return this encoder with 2 to 4.5 s of silence behind an utterance, no more; the weights are shared."""
        other = copy.copy(self)
        other.name, other._trimmed = f"{self.name}.trimmed", True
        return other

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the hidden states of the named layers; see `features.encoder.Encoder`."""
        frames = self.clock.frames(max(lengths, default=0))
        out = {layer: np.zeros((len(inputs), frames, self.layers[layer]), np.float32) for layer in layers}
        positions = self._positions(lengths)
        for length in np.unique(positions):  # together only what is as long: neighbours don't change the silence
            same = np.flatnonzero(positions == length)
            for start in range(0, len(same), kernels.BATCH):
                rows = same[start : start + kernels.BATCH]
                for layer, values in self._forward(inputs[rows], lengths[rows], int(length), set(layers)):
                    out[layer][rows, : values.shape[1]] = values[:, :frames]
        return out

    def _positions(self, lengths: np.ndarray) -> np.ndarray:
        """Return how many frames are computed for each utterance (batch,), silence included."""
        whole = self.config.max_source_positions
        if not self._trimmed:
            return np.full(len(lengths), whole)
        own = -(-np.asarray(lengths) // self.clock.hop)
        return np.minimum(whole, -(-(own + SILENCE) // SHAPE) * SHAPE)

    def _forward(
        self, inputs: np.ndarray, lengths: np.ndarray, positions: int, wanted: set[str]
    ) -> Iterator[tuple[str, np.ndarray]]:
        bands = self.config.num_mel_bins
        mel = [
            log_mel(wave[:n], bands, frames=2 * positions, window=self.window)
            for wave, n in zip(inputs, lengths, strict=True)
        ]
        for layer, values in self.network(mx.array(np.stack(mel))):
            if layer in wanted:
                yield layer, kernels.to_numpy(values)
                wanted = wanted - {layer}
            if not wanted:  # deeper blocks are not computed
                return


Model = Whisper
