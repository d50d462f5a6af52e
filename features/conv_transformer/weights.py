"""Names and values of the parameters: from a checkpoint, or random as the reference draws them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from features.blas import import_mlx
from features.network import single

import_mlx()
import mlx.core as mx  # noqa: E402  with the BLAS that it needs

Rules = Sequence[tuple[str, str]]
POSITIONS = "encoder.pos_conv_embed.conv."
# Weight norm keeps a direction and a length: names of torch's two implementations.
NORMED = {
    "weight_g": "length", "weight_v": "direction",
    "parametrizations.weight.original0": "length", "parametrizations.weight.original1": "direction",
}  # fmt: skip

# Which parameter is drawn how, first match: what a new model of `transformers` 5 has.
RULES: Rules = [
    (r"norm\.weight$|running_var$|gru_rel_pos_const$", "ones"),
    (r"^feature_extractor.*conv\.weight$", "kaiming"),
    (r"^feature_extractor.*conv\.bias$|^feature_projection\.projection\.", "uniform"),
    (r"pos_conv_embed\.conv\.weight$", "uniform"),  # torch's default: weight norm hides it from the model's own
    (r"conv\.weight$", "kaiming"),
    (r"\.bias$|running_mean$", "zeros"),
    (r"", "normal"),
]
PLAIN_POSITIONS: Rules = [(r"pos_conv_embed\.conv\.weight$", "kaiming")]  # where there is no weight norm


def sanitize(weights: Mapping[str, mx.array], prefix: str) -> dict[str, mx.array]:
    """Return the encoder's weights with our names, axes and precision.

    Models with a head have the encoder's names below ``<prefix>.``; weight norm of the positional
    convolution is applied once, here.
    """
    renamed, normed = {}, {}
    for name, value in weights.items():
        short = name.removeprefix(prefix + ".")
        part = NORMED.get(short.removeprefix(POSITIONS)) if short.startswith(POSITIONS) else None
        value = single(value)
        if part:
            normed[part] = value
            continue
        renamed[short] = value.transpose(0, 2, 1) if _is_convolution(short, value) else value
    if len(normed) == 2:
        renamed[POSITIONS + "weight"] = weight_norm(normed["length"], normed["direction"]).transpose(0, 2, 1)
    return renamed


def weight_norm(length: mx.array, direction: mx.array) -> mx.array:
    """Return ``length * direction / |direction|`` (out, in, taps), the norm taken for each tap."""
    norm = mx.sqrt(mx.sum(mx.square(direction), axis=(0, 1), keepdims=True))
    return length.reshape(1, 1, -1) * direction / norm


def draw(shapes: Mapping[str, tuple[int, ...]], rules: Rules, std: float, seed: int) -> dict[str, mx.array]:
    """Return random weights, distributed as `transformers` draws them for a new model.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Convolutions are (out, taps, in).
    rules : sequence of (str, str)
        Pattern of names, and ``ones``, ``zeros``, ``normal`` (standard deviation `std`), ``uniform``
        (within ``1 / sqrt(fan in)``) or ``kaiming`` (normal, standard deviation ``sqrt(2 / fan in)``).
    """
    keys = mx.random.split(mx.random.key(seed), len(shapes))
    return {
        name: _values(_kind(name, rules), shape, _fan_in(name, shapes), std, key)
        for key, (name, shape) in zip(keys, sorted(shapes.items()), strict=True)
    }


def _values(kind: str, shape: tuple[int, ...], fan_in: int, std: float, key: mx.array) -> mx.array:
    if kind in ("zeros", "ones"):
        return mx.full(shape, float(kind == "ones"))
    if kind == "uniform":
        bound = 1 / math.sqrt(fan_in)
        return mx.random.uniform(-bound, bound, shape, key=key)
    return (math.sqrt(2 / fan_in) if kind == "kaiming" else std) * mx.random.normal(shape, key=key)


def _kind(name: str, rules: Rules) -> str:
    return next(kind for pattern, kind in rules if re.search(pattern, name))


def _fan_in(name: str, shapes: Mapping[str, tuple[int, ...]]) -> int:
    weight = shapes.get(re.sub(r"bias$", "weight", name), (1, 1))
    return math.prod(weight[1:]) or 1


def _is_convolution(name: str, value: mx.array) -> bool:
    return name.endswith("conv.weight") and value.ndim == 3
