"""WavLM in MLX, every layer of it: attention with gated relative positions.

Chen et al., "WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing",
JSTSP 2022, section III-B; the buckets are those of T5 (Raffel et al., JMLR 2020).
"""

from __future__ import annotations

import numpy as np

from features.conv_transformer.config import Config
from features.conv_transformer.encoder import ConvTransformer
from features.conv_transformer.transformer import Attention
from features.kernels import Bias

# isort: split
import mlx.core as mx
import mlx.nn as nn

LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "do_normalize": True,
}  # fmt: skip

CONFIGS = {
    "wavlm-base": {"model_type": "wavlm", "do_normalize": False},
    "wavlm-base-plus": {"model_type": "wavlm", "do_normalize": False},
    "wavlm-large": {"model_type": "wavlm", **LARGE},
}


class GatedAttention(Attention):
    """Self-attention whose scores get a bias by distance, times a gate by query and head.

    The biases are of the first block and shared by all; each block has its own gates.
    """

    def __init__(self, config: Config, index: int) -> None:
        super().__init__(config, index)
        self.gru_rel_pos_const = mx.ones((1, self.heads, 1, 1))
        self.gru_rel_pos_linear = nn.Linear(config.hidden_size // self.heads, 8)
        if index == 0:
            self.rel_attn_embed = nn.Embedding(config.num_buckets, self.heads)
        self._buckets, self._farthest = config.num_buckets, config.max_bucket_distance

    def distances(self, frames: int) -> mx.array:
        """Return the biases (heads, 2 * frames - 1) by distance from query to key."""
        found = buckets(np.arange(1 - frames, frames), self._buckets, self._farthest)
        return self.rel_attn_embed(mx.array(found)).T

    def bias(self, x: mx.array, distances: mx.array | None) -> Bias:
        """Return gates and biases, given the block's input (batch, frames, width)."""
        batch, frames, _ = x.shape
        heads = x.reshape(batch, frames, self.heads, -1).transpose(0, 2, 1, 3)
        gates = mx.sigmoid(self.gru_rel_pos_linear(heads).reshape(batch, self.heads, frames, 2, 4).sum(axis=-1))
        update, reset = gates[..., 0], gates[..., 1]
        return Bias(update * (reset * self.gru_rel_pos_const[..., 0] - 1.0) + 2.0, mx.contiguous(distances))


def buckets(distances: np.ndarray, count: int, farthest: int) -> np.ndarray:
    """Return the bucket of each distance (key minus query): exact when near, logarithmic when far."""
    half = count // 2
    exact = half // 2
    size = np.abs(distances)
    # In single precision as the reference does: what is near a bucket's edge stays on its side.
    far = np.log(np.maximum(size, 1).astype(np.float32) / np.float32(exact)) / np.float32(np.log(farthest / exact))
    far = np.minimum((exact + far * np.float32(half - exact)).astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(size < exact, size, far)


class WavLM(ConvTransformer):
    """WavLM: see `features.conv_transformer.encoder.ConvTransformer` for layers and windows."""

    prefix = "wavlm"
    example = "microsoft/wavlm-base"
    attention = GatedAttention


Model = WavLM
