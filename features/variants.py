"""Encoders that compute less than exactly, for speed: each under a name of its own.

Columns, cards, caches, runs and the results of probes all go by an encoder's name. So what a variant
makes is nowhere taken for what the encoder itself makes.
"""

from __future__ import annotations

import functools

from features import encoders
from features.checkpoint import Stamp, stamp
from features.encoder import Encoder, Init, trimmed
from features.precision import lowered


def variant(encoder: Encoder, *, trim_context: bool = False, compute: str = "float32") -> Encoder:
    """Return a variant of an encoder, the encoder itself where none is asked for.

    Parameters
    ----------
    trim_context : bool
        See `features.encoder.trimmed`.
    compute : "float32", "float16" or "bfloat16"
        See `features.precision.lowered`.

    Raises
    ------
    ValueError
        If the encoder has no such variant.
    """
    made = lowered(encoder, compute)
    made = trimmed(made) if trim_context else made
    if made is not encoder:
        made.exact = encoder
    return made


def exact(encoder: Encoder) -> Encoder:
    """Return the encoder that another is a variant of; itself where it is none."""
    return getattr(encoder, "exact", encoder)


def load(name: str, *, init: Init, seed: int, revision: str | None, **options: bool | str) -> Encoder:
    """Return an encoder by name, see `features.encoders.load`, or a variant of it.

    Loaded once per process, and again when files of a checkpoint's folder have changed.
    """
    return _variant(name, stamp(name), init=init, seed=seed, revision=revision, **options)


@functools.lru_cache(maxsize=2)
def _variant(
    name: str, held: Stamp, *, init: Init, seed: int, revision: str | None, **options: bool | str
) -> Encoder:  # fmt: skip
    return variant(_load(name, held, init=init, seed=seed, revision=revision), **options)


@functools.lru_cache(maxsize=2)  # a trained and a random one
def _load(name: str, held: Stamp, *, init: Init, seed: int, revision: str | None) -> Encoder:
    return encoders.load(name, init=init, seed=seed, revision=revision)
