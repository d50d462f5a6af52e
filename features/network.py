"""An encoder's network gets its weights: those of a checkpoint, or random ones; one way for all families."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from features import checkpoint
from features.blas import import_mlx
from features.checkpoint import CheckpointError, Spec
from features.quantised import dequantise

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
import mlx.nn as nn  # noqa: E402
from mlx.utils import tree_flatten  # noqa: E402

Shapes = Mapping[str, tuple[int, ...]]
Weights = Mapping[str, mx.array]


def fill(
    network: nn.Module, spec: Spec, *, drawn: Callable[[Shapes], Weights], sanitize: Callable[[Weights], Weights],
    expected: str,
) -> None:  # fmt: skip
    """Give a network its weights and freeze it.

    Parameters
    ----------
    network : nn.Module
    spec : Spec
        `init` says whether the weights are random.
    drawn : callable
        Random weights, given the shapes of all parameters by name.
    sanitize : callable
        A checkpoint's weights under the network's names, given those under its own; what the network lacks may stay.
    expected : str
        What a user should have named, where `spec` names a shape without weights.

    Raises
    ------
    CheckpointError
        If there are no weights, or they do not fit.
    """
    shapes = {name: value.shape for name, value in tree_flatten(network.parameters())}
    if spec.init == "random":
        weights = drawn(shapes)
    elif spec.folder is None:
        raise CheckpointError(f"{spec.name} names a size, not weights: expected {expected}, or init='random'")
    else:
        found = dequantise(checkpoint.read_weights(spec.folder), spec.config or {}, spec.name)
        weights = checkpoint.match(sanitize(found), shapes, spec.folder)
    network.load_weights(list(weights.items()))
    mx.eval(network.parameters())  # here, so that a fork finds values and not a plan
    network.freeze()


def single(value: mx.array) -> mx.array:
    """Return a checkpoint's weight in float32; whole numbers stay as they are, for `match` to refuse them."""
    return value.astype(mx.float32) if mx.issubdtype(value.dtype, mx.floating) else value


def init_name(spec: Spec) -> str:
    """Return what feature cards call the weights: ``trained`` or ``random<seed>``."""
    return f"random{spec.seed}" if spec.init == "random" else "trained"
