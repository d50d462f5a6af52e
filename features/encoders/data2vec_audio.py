"""data2vec for speech in MLX, every layer of it: wav2vec 2.0 with five smaller positional convolutions.

Baevski et al., "data2vec: A General Framework for Self-supervised Learning in Speech, Vision and
Language", ICML 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

from features import kernels
from features.conv_transformer.config import Config
from features.conv_transformer.encoder import ConvTransformer
from features.conv_transformer.transformer import without_padding

# isort: split
import mlx.core as mx
import mlx.nn as nn

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

CONFIGS = {
    "data2vec-audio-base": {"model_type": "data2vec-audio"},
    "data2vec-audio-large": {"model_type": "data2vec-audio", **LARGE},
}


class PositionalLayer(nn.Module):
    """A convolution in groups, a norm without parameters, and GELU."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.conv = kernels.GroupedConv1d(
            config.hidden_size, config.conv_pos_kernel_size, config.num_conv_pos_embedding_groups
        )
        self.norm = nn.LayerNorm(config.hidden_size, affine=False)

    def __call__(self, x: mx.array) -> mx.array:
        """Map (batch, frames, width) to the same shape."""
        return kernels.gelu(kernels.layer_norm(self.conv(x), self.norm), overwrite=True)


class StackedPositions(nn.Module):
    """Several positional convolutions, one after another."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = [PositionalLayer(config) for _ in range(config.num_conv_pos_embeddings)]

    def __call__(self, x: mx.array, lengths: Sequence[int]) -> mx.array:
        """Map (batch, frames, width), zeros behind the lengths, to the same shape."""
        for layer in self.layers:
            x = without_padding(layer(x), lengths)
        return x


class Data2VecAudio(ConvTransformer):
    """data2vec: see `features.conv_transformer.encoder.ConvTransformer` for layers and windows."""

    prefix = "data2vec_audio"
    example = "facebook/data2vec-audio-base"
    defaults = {"feat_extract_norm": "layer", "num_conv_pos_embeddings": 5}
    positions = StackedPositions


Model = Data2VecAudio
