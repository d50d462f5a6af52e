"""Half precision: the weights and activations of any MLX encoder in float16 or bfloat16.

The weights are cast here. A network brings its input to the type of its weights, so that all that follows is of that
type, and gives its layers back in float32. The compiled loops of `features.kernels` take float32 only: in half
precision MLX's own operations compute, which a Linux CPU emulates, many times slower than float32.
"""

from __future__ import annotations

import copy

from features.blas import import_mlx
from features.encoder import Encoder

COMPUTE = ("float32", "float16", "bfloat16")


def lowered(encoder: Encoder, compute: str) -> Encoder:
    """Return a copy of an encoder that computes in another type, named ``<name>.compute-<type>``.

    Parameters
    ----------
    encoder : Encoder
        With a `network` of MLX, and the type among its `computes`.
    compute : str
        One of `COMPUTE`; of float32 the encoder itself comes back.

    Raises
    ------
    ValueError
        If there is no such type or the encoder cannot compute in it.
    """
    if compute not in COMPUTE:
        raise ValueError(f"encoders can't compute in {compute!r}: expected one of {list(COMPUTE)}")
    if compute == "float32":
        return encoder
    if compute not in getattr(encoder, "computes", ()):
        raise ValueError(f"{encoder.name} computes in float32 only: leave --compute {compute} out")
    mx = import_mlx()
    other = copy.copy(encoder)
    other.name, other.network = f"{encoder.name}.compute-{compute}", copy.deepcopy(encoder.network)
    other.network.set_dtype(getattr(mx, compute))
    mx.eval(other.network.parameters())  # here, so that a fork finds values and not a plan
    return other
