"""What follows the convolutions: projection, positions from a convolution, and blocks of attention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from features import kernels
from features.conv_transformer.config import Config

# isort: split
import mlx.core as mx
import mlx.nn as nn


class Projection(nn.Module):
    """From the channels of the convolutions to the width of the transformer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.feat_proj_layer_norm:
            self.layer_norm = nn.LayerNorm(config.conv_dim[-1], eps=config.layer_norm_eps)
        self.projection = nn.Linear(config.conv_dim[-1], config.hidden_size)

    def __call__(self, x: mx.array) -> mx.array:
        """Map (batch, frames, channels) to (batch, frames, width)."""
        return kernels.linear(kernels.layer_norm(x, self.layer_norm) if "layer_norm" in self else x, self.projection)


class Positions(nn.Module):
    """Relative positions: one wide convolution in groups (wav2vec 2.0, section 2)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.conv_pos_batch_norm:
            self.batch_norm = nn.BatchNorm(config.hidden_size)
        self.conv = kernels.GroupedConv1d(
            config.hidden_size, config.num_conv_pos_embeddings, config.num_conv_pos_embedding_groups
        )

    def __call__(self, x: mx.array, lengths: Sequence[int]) -> mx.array:
        """Map (batch, frames, width), zeros behind the lengths, to the same shape."""
        if "batch_norm" in self:
            x = without_padding(self.batch_norm(x), lengths)
        return kernels.gelu(self.conv(x), overwrite=True)


class Attention(nn.Module):
    """Self-attention over the whole piece."""

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(config.hidden_size, config.hidden_size))

    def distances(self, frames: int) -> mx.array | None:
        """Return what the first block's attention adds by distance, for all blocks: nothing here."""
        return None

    def bias(self, x: mx.array, distances: mx.array | None) -> kernels.Bias | None:
        """Return what is added to the scores, given the block's input (batch, frames, width)."""
        return None

    def __call__(self, x: mx.array, lengths: Sequence[int], distances: mx.array | None) -> mx.array:
        """Map (batch, frames, width) to the same shape."""
        width = x.shape[-1]
        q, k, v = (
            kernels.split_heads(kernels.linear(x, project), self.heads)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        scale = (width // self.heads) ** -0.5
        x = kernels.attention(q, k, v, scale=scale, lengths=lengths, bias=self.bias(x, distances))
        return kernels.linear(kernels.join_heads(x), self.out_proj)


class FeedForward(nn.Module):
    """A perceptron of two layers."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.intermediate_dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.output_dense = nn.Linear(config.intermediate_size, config.hidden_size)

    def __call__(self, x: mx.array) -> mx.array:
        """Map (batch, frames, width) to the same shape."""
        return kernels.feed_forward(x, self.intermediate_dense, self.output_dense)


class Block(nn.Module):
    """Attention and perceptron beside residual paths; norms behind both, or (stable) before both."""

    def __init__(self, config: Config, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.final_layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._stable = config.do_stable_layer_norm

    def __call__(self, x: mx.array, lengths: Sequence[int], distances: mx.array | None) -> mx.array:
        """Map (batch, frames, width) to the same shape."""
        if self._stable:
            x = x + self.attention(kernels.layer_norm(x, self.layer_norm), lengths, distances)
            return x + self.feed_forward(kernels.layer_norm(x, self.final_layer_norm))
        x = kernels.layer_norm(x + self.attention(x, lengths, distances), self.layer_norm)
        return kernels.layer_norm(x + self.feed_forward(x), self.final_layer_norm)


class Transformer(nn.Module):
    """The blocks and what is before and behind them, with the weight names of Hugging Face."""

    def __init__(self, config: Config, attention: type[Attention], positions: type[nn.Module]) -> None:
        super().__init__()
        self.pos_conv_embed = positions(config)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layers = [Block(config, attention(config, index)) for index in range(config.num_hidden_layers)]
        self._stable = config.do_stable_layer_norm

    def __call__(self, x: mx.array, lengths: Sequence[int]) -> Iterator[tuple[str, mx.array]]:
        """Yield each layer's name and its output (batch, frames, width), given the projection's."""
        x = without_padding(x, lengths)
        x = x + self.pos_conv_embed(x, lengths)
        x = x if self._stable else kernels.layer_norm(x, self.layer_norm)
        yield "embed", x
        distances = self.layers[0].attention.distances(x.shape[1])
        for number, block in enumerate(self.layers, 1):
            x = block(x, lengths, distances)
            yield f"block{number}", x
        if self._stable:
            yield "norm", kernels.layer_norm(x, self.layer_norm)


def without_padding(x: mx.array, lengths: Sequence[int]) -> mx.array:
    """Return x (batch, frames, width) with zeros behind each row's length, as beyond the end of one alone."""
    if min(lengths) == x.shape[1]:
        return x
    return mx.where(mx.arange(x.shape[1])[:, None] < mx.array(list(lengths))[:, None, None], x, 0.0)
