"""Checkpoints with group-quantised weights, as `mlx-community` has them, back to single precision.

A quantised matrix is three tensors: ``<name>.weight``, whole numbers of a few bits packed into uint32,
and ``<name>.scales`` and ``<name>.biases``, one per group of neighbours in a row. A weight is
``scale * number + bias``. How many bits and how large a group ``config.json`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.blas import import_mlx
from features.checkpoint import CheckpointError

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check

GROUP_SIZE, BITS = 64, 4  # where the configuration names one of the two only, as MLX


def dequantise(weights: Mapping[str, mx.array], config: Mapping[str, Any], name: str) -> dict[str, mx.array]:
    """Return a checkpoint's weights with the quantised ones multiplied out; a plain checkpoint as it is.

    The product is float32, whatever the scales are: features are those of the numbers that the
    checkpoint stores. Nothing is computed for weights that are never used, such as a decoder's.

    Parameters
    ----------
    weights : mapping of str to mx.array
    config : mapping
        Contents of ``config.json``.
    name : str
        Of the checkpoint, for errors.

    Raises
    ------
    CheckpointError
        If the configuration does not say how, or names another scheme than MLX' affine groups.
    """
    packed = [scales.removesuffix(".scales") for scales in weights if scales.endswith(".scales")]
    if not packed:
        return dict(weights)
    scheme = config.get("quantization") or config.get("quantization_config") or {}
    if not {"group_size", "bits"} & set(scheme):
        raise CheckpointError(f"{name}: weights are quantised, but config.json has no quantization group_size and bits")
    plain = {key: value for key, value in weights.items() if not key.endswith((".scales", ".biases"))}
    for layer in packed:
        # a layer may have a scheme of its own, under its name
        own = {**scheme, **(scheme.get(layer) if isinstance(scheme.get(layer), dict) else {})}
        plain[f"{layer}.weight"] = _multiplied_out(weights, layer, own, name)
    return plain


def _multiplied_out(weights: Mapping[str, mx.array], layer: str, scheme: Mapping[str, Any], name: str) -> mx.array:
    if scheme.get("mode", "affine") != "affine" or f"{layer}.biases" not in weights:
        raise CheckpointError(
            f"{name}: {layer} is quantised by {scheme.get('mode', 'another scheme')!r}, expected one of ['affine']"
        )
    scales, biases = (weights[f"{layer}.{part}"].astype(mx.float32) for part in ("scales", "biases"))
    group_size, bits = scheme.get("group_size", GROUP_SIZE), scheme.get("bits", BITS)
    try:
        return mx.dequantize(weights[f"{layer}.weight"], scales, biases, group_size=group_size, bits=bits)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"{name}: {layer} does not fit group_size {group_size} and bits {bits} of config.json"
        ) from error
