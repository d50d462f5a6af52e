"""Arrays of a saved probe, read whole or not at all."""

from __future__ import annotations

from pathlib import Path

from features.blas import import_mlx
from probes.errors import ProbeError

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check


def read_arrays(path: Path) -> dict[str, mx.array]:
    """Return what ``<path>.safetensors`` holds; `path` has no suffix.

    Raises
    ------
    ProbeError
        If the file is missing, or cut short.
    """
    file = path.with_name(path.name + ".safetensors")
    if not file.exists():
        raise ProbeError(f"no {file.name} beside {path.name}.json in {path.parent}: train the probe again")
    try:
        found = mx.load(str(file))
        mx.eval(found)  # it is read when it is used
    except RuntimeError as error:
        raise ProbeError(f"{file} is damaged: train the probe again ({str(error).splitlines()[0]})") from None
    return found
