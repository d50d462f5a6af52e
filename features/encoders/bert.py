"""BERT in MLX, every layer of it: features of the tokens of a text.

Layers: ``embeddings``, the input of the first block (words, positions and sentence types, normed);
``block1`` to ``blockN``, the outputs of the blocks; the hidden states of `transformers`' BertModel.
Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features import kernels
from features.blas import import_mlx
from features.checkpoint import CheckpointError, Spec
from features.encoder import Axis, Input, Tokens
from features.network import fill, init_name, single
from features.tokenizer import TextTokenizer, read_tokenizer

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.nn as nn  # noqa: E402

CONFIGS: dict[str, dict[str, Any]] = {}  # a name alone has no tokenizer

WEIGHTS = [
    (r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias"),  # of the first checkpoints
    (r"^(bert\.)?embeddings\.(\w+)_embeddings\.", r"\2_embeddings."), (r"^(bert\.)?embeddings\.LayerNorm\.", "norm."),
    (r"^(bert\.)?encoder\.layer\.", "layers."), (r"\.attention\.self\.", ".attention."),
    (r"\.attention\.output\.dense\.", ".attention.output."), (r"\.attention\.output\.LayerNorm\.", ".attention_norm."),
    (r"\.intermediate\.dense\.", ".fc1."), (r"\.output\.dense\.", ".fc2."), (r"\.output\.LayerNorm\.", ".output_norm."),
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """The part of ``config.json`` that the encoder needs."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int | None = 0
    position_embedding_type: str = "absolute"
    is_decoder: bool = False

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], name: str) -> Config:
        """Read ``config.json``.

        Raises
        ------
        CheckpointError
            If a field is missing or asks for what is not implemented.
        """
        try:
            found = cls(**{field: value for field, value in config.items() if field in cls.__dataclass_fields__})
        except TypeError as error:
            raise CheckpointError(f"{name}: config.json is not of a BERT model ({error})") from error
        for field, expected in (
            ("hidden_act", ["gelu", "relu"]), ("position_embedding_type", ["absolute"]), ("is_decoder", [False]),
        ):  # fmt: skip
            if getattr(found, field) not in expected:
                raise CheckpointError(f"{name}: {field} {getattr(found, field)!r}, expected one of {expected}")
        if found.hidden_size % found.num_attention_heads:
            raise CheckpointError(
                f"{name}: width {found.hidden_size} is no multiple of the {found.num_attention_heads} heads"
            )
        return found


class Attention(nn.Module):
    """Self-attention over the tokens of each text."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.heads = config.num_attention_heads
        self.query, self.key, self.value, self.output = (
            nn.Linear(config.hidden_size, config.hidden_size) for _ in range(4)
        )

    def __call__(self, x: mx.array, lengths: Sequence[int]) -> mx.array:
        """Map (batch, tokens, width) to the same shape; no token sees what is behind its text's `lengths`."""
        q, k, v = (
            kernels.split_heads(kernels.linear(x, project), self.heads)
            for project in (self.query, self.key, self.value)
        )
        x = kernels.attention(q, k, v, scale=q.shape[-1] ** -0.5, lengths=lengths)
        return kernels.linear(kernels.join_heads(x), self.output)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each beside a residual path and before a layer norm."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self._gelu = config.hidden_act == "gelu"

    def __call__(self, x: mx.array, lengths: Sequence[int]) -> mx.array:
        """Map (batch, tokens, width) to the same shape."""
        x = self.attention_norm(x + self.attention(x, lengths))  # not `+=`: a layer that was kept would change
        if self._gelu:
            return self.output_norm(x + kernels.feed_forward(x, self.fc1, self.fc2))
        return self.output_norm(x + kernels.linear(nn.relu(kernels.linear(x, self.fc1)), self.fc2))


class TextNetwork(nn.Module):
    """The network; `sanitize` translates the weight names of Hugging Face."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.layers = [Block(config) for _ in range(config.num_hidden_layers)]

    def __call__(self, ids: mx.array, type_ids: mx.array, lengths: Sequence[int]) -> Iterator[tuple[str, mx.array]]:
        """Yield each layer's name and its output (batch, tokens, width), given ids and types (batch, tokens)."""
        x = self.word_embeddings(ids) + self.token_type_embeddings(type_ids)
        x = self.norm(x + self.position_embeddings(mx.arange(ids.shape[1])))
        yield "embeddings", x
        for number, block in enumerate(self.layers, 1):
            x = block(x, lengths)
            yield f"block{number}", x


def sanitize(weights: Mapping[str, mx.array]) -> dict[str, mx.array]:
    """Return the weights with our names, in single precision; those of the heads and the pooler are left over."""
    renamed = {}
    for name, value in weights.items():
        for pattern, replacement in WEIGHTS:
            name = re.sub(pattern, replacement, name)
        renamed[name] = single(value)
    return renamed


def draw(shapes: Mapping[str, tuple[int, ...]], config: Config, seed: int) -> dict[str, mx.array]:
    """Return random weights, distributed as `transformers` draws them for a new model.

    Linear and embedding weights are normal with standard deviation `initializer_range`, biases and
    the embedding of the padding 0, norms 1 and 0.
    """
    keys = mx.random.split(mx.random.key(seed), len(shapes))
    drawn = {}
    for key, (name, shape) in zip(keys, sorted(shapes.items()), strict=True):
        if name.endswith(".bias"):
            drawn[name] = mx.zeros(shape)
        elif name.endswith("norm.weight"):
            drawn[name] = mx.ones(shape)
        else:
            drawn[name] = config.initializer_range * mx.random.normal(shape, key=key)
    if config.pad_token_id is not None:
        drawn["word_embeddings.weight"][config.pad_token_id] = 0
    return drawn


class Bert:
    """A BERT checkpoint, or a random model of its shape with its tokenizer, as an encoder of texts.

    `window` tokens is what the positions allow; longer texts are cut there, with a warning.
    """

    version = 2
    input: Input = "text"
    axis: Axis = "token"
    clock = None
    computes = ("float16", "bfloat16")

    def __init__(self, spec: Spec) -> None:
        self.name, self.revision = spec.name, spec.revision
        self.init = init_name(spec)
        self.config = Config.from_dict(spec.config or {}, spec.name)
        self.window: int | None = self.config.max_position_embeddings
        self.tokenizer: TextTokenizer = read_tokenizer(spec, self.config.max_position_embeddings)
        self.network = TextNetwork(self.config)
        names = ["embeddings", *(f"block{n + 1}" for n in range(self.config.num_hidden_layers))]
        self.layers: Mapping[str, int] = dict.fromkeys(names, self.config.hidden_size)
        fill(
            self.network, spec, expected="a checkpoint folder or hub id",
            drawn=lambda shapes: draw(shapes, self.config, spec.seed),
            sanitize=sanitize,
        )  # fmt: skip

    def tokenize(self, texts: Sequence[str | None]) -> list[Tokens]:
        """Return the tokens of each text; see `features.encoder.TextEncoder`."""
        return self.tokenizer(texts)

    def encode(
        self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str], *, type_ids: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Return the hidden states of the named layers; see `features.encoder.TextEncoder`.

        Parameters
        ----------
        inputs : np.ndarray [shape=(batch, tokens), int32]
            Token ids, anything behind the end of each text.
        lengths : np.ndarray [shape=(batch,), int64]
        layers : sequence of str
        type_ids : np.ndarray [shape=(batch, tokens), int32], optional
            The sentence that each token belongs to; 0 where left out.

        Returns
        -------
        dict of str to np.ndarray [shape=(batch, tokens, width), float32]
        """
        if inputs.max(initial=0) >= self.config.vocab_size:
            raise CheckpointError(
                f"{self.name}: the tokenizer gives token {inputs.max()}, config.json tells of {self.config.vocab_size}"
            )
        wanted, out = set(layers), {}
        types = np.zeros_like(inputs) if type_ids is None else type_ids
        for layer, values in self.network(mx.array(inputs), mx.array(types), lengths.tolist()):
            if layer in wanted:
                out[layer] = kernels.to_numpy(values)
            if len(out) == len(wanted):  # deeper blocks are not computed
                break
        return {layer: out[layer] for layer in layers}


Model = Bert
