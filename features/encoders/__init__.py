"""The encoders, one file per family: a file's name is the ``model_type`` of its checkpoints ("_" for "-").

A module has `Model`, a class made from a `features.checkpoint.Spec`, and `CONFIGS`, configurations
by name (``whisper-tiny``). Nothing else lists the encoders: a new family is a new file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from features.checkpoint import CheckpointError, resolve
from features.encoder import Encoder, Init


def load(spec: str, *, init: Init = "trained", seed: int = 0, revision: str | None = None) -> Encoder:
    """Build an encoder with trained or random weights.

    Parameters
    ----------
    spec : str
        A checkpoint folder, a hub id (``openai/whisper-base``), or a name (``log_mel``,
        ``whisper-tiny`` with ``init="random"``).
    init : {"trained", "random"}
        Random weights are drawn as the reference library draws them; an encoder that has no weights
        refuses them.
    seed : int
        Of random weights.
    revision : str or None
        Hub branch, tag or commit.

    Raises
    ------
    CheckpointError
        If there is no such encoder or its checkpoint cannot be used.

    Examples
    --------
    >>> load("log_mel").layers
    {'mel': 80}
    """
    found = resolve(spec, init=init, seed=seed, revision=revision, find_config=find_config)
    if found.config is None:
        raise CheckpointError(
            f"{spec}: no such encoder, expected one of {known()}, a checkpoint folder or a hub id organisation/name"
        )
    family = found.config.get("model_type")
    module = str(family).replace("-", "_")
    if module not in families():
        raise CheckpointError(f"{spec}: model type {family!r} is not supported, expected one of {families()}")
    return importlib.import_module(f"{__name__}.{module}").Model(found)


def families() -> list[str]:
    """Return the model types, which are the modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def known() -> list[str]:
    """Return the names that need no checkpoint."""
    return [name for module in _modules() for name in module.CONFIGS]


def find_config(name: str) -> dict[str, Any] | None:
    """Return the configuration of a named size, None where no family knows it."""
    for module in _modules():
        if name in module.CONFIGS:
            return module.CONFIGS[name]
    return None


def _modules() -> Iterator[ModuleType]:
    # One at a time: who asks for `log_mel` does not wait for MLX.
    for family in families():
        yield importlib.import_module(f"{__name__}.{family}")
