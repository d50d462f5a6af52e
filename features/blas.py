"""A fast BLAS for MLX on Linux CPUs, full float32 elsewhere, and an import that says what is missing.

The `mlx-cpu` wheel carries netlib's reference BLAS, 20 to 40 times slower than MKL or OpenBLAS. A
BLAS that is loaded with global symbols before the first ``import mlx.core`` is taken instead of it:
the dynamic linker binds ``cblas_sgemm`` to the first library that offers it. So `prepare` must run
before anything imports MLX; `features/__init__.py` calls it first thing.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib
import importlib.metadata
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

EXTRA = "pip install 'phonelayers[cpu]'"
CUDA_BACKENDS = ("mlx-cuda", "mlx-cuda-12", "mlx-cuda-13")
# Only names of complete libraries: Debian's `libblas.so.3` may be the reference BLAS again.
OPENBLAS_NAMES = ("libopenblas.so.0", "libopenblasp.so.0", "libopenblas.so")
MLX_CACHE_BYTES = 1 << 30
CPU_CACHE_BYTES = 1 << 27  # fresh pages cost a fifth of an attention; no more is used again


@functools.cache
def prepare() -> str | None:
    """Load a fast BLAS where MLX would compute with the reference one; run before MLX is imported.

    On a Mac and where MLX has its CUDA backend it only asks for full float32 products
    (``MLX_ENABLE_TF32=0``, unless that is set already). Threads of MKL wait 1 ms for the next
    product (``KMP_BLOCKTIME``, likewise). The number of BLAS threads is read when
    the library loads (``OMP_NUM_THREADS``, ``MKL_NUM_THREADS``, ``OPENBLAS_NUM_THREADS``).

    Returns
    -------
    str or None
        File name of the library that was loaded.

    Warns
    -----
    RuntimeWarning
        Once, where no library was found or MLX was imported already, with the remedy.
    """
    # On CUDA and on M5 Macs MLX multiplies float32 with 10 bits by default: 1e-3 off the reference.
    os.environ.setdefault("MLX_ENABLE_TF32", "0")
    # Milliseconds for which MKL's threads wait for the next product; its 200 keep a core from all other threads.
    os.environ.setdefault("KMP_BLOCKTIME", "1")
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_renew_stream)
    if sys.platform != "linux" or has_cuda_backend():
        return None
    if "mlx.core" in sys.modules:
        warnings.warn(
            "mlx was imported before features, too late to give it a fast BLAS: "
            "import features first (matrix products are 20 to 40 times slower otherwise)",
            RuntimeWarning, stacklevel=2,
        )  # fmt: skip
        return None
    for path in candidates():
        try:
            ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        except OSError:  # another architecture, or a library that it needs is missing
            continue
        return Path(path).name
    warnings.warn(
        "MLX computes with the slow reference BLAS here, expected MKL or OpenBLAS: "
        f"{EXTRA} or apt install libopenblas0",
        RuntimeWarning, stacklevel=2,
    )  # fmt: skip
    return None


def candidates() -> Iterator[str]:
    """Yield paths or names of BLAS libraries to try: MKL of this environment, then a system OpenBLAS."""
    try:
        files = importlib.metadata.files("mkl") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    yield from (str(file.locate().resolve()) for file in files if file.name.startswith("libmkl_rt.so"))
    yield from sorted(str(path) for path in Path(sys.prefix, "lib").glob("libmkl_rt.so*"))  # conda
    found = ctypes.util.find_library("openblas")
    yield from ([found] if found else [])
    yield from OPENBLAS_NAMES


def has_cuda_backend() -> bool:
    """Return whether MLX's CUDA backend is installed, which brings its own matrix products."""
    for name in CUDA_BACKENDS:
        try:
            importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return True
    return False


def import_mlx() -> ModuleType:
    """Return ``mlx.core`` with the fast BLAS below it and a bounded cache.

    Raises
    ------
    ImportError
        One line that names the extra to install, where MLX or its Linux backend is missing.
    """
    prepare()
    try:
        mx = importlib.import_module("mlx.core")
    except ImportError as error:
        # On Linux the package `mlx` alone lacks its backend, `libmlx.so`.
        raise ImportError(
            f"MLX cannot be imported ({error}): {EXTRA}, or 'phonelayers[cuda]' with an NVIDIA GPU"
        ) from error
    _bound_cache(mx)
    return mx


def on_gpu() -> bool:
    """Return whether MLX, where it is in use, computes on a GPU."""
    mx = sys.modules.get("mlx.core")
    return mx is not None and mx.default_device().type == mx.DeviceType.gpu


@functools.cache
def _bound_cache(mx: ModuleType) -> None:
    # Without a limit MLX keeps every buffer size that it ever needed.
    mx.set_cache_limit(MLX_CACHE_BYTES if on_gpu() else CPU_CACHE_BYTES)


def _renew_stream() -> None:
    """Give a forked child a stream with a living thread; the parent's one would never answer."""
    if "mlx.core" in sys.modules:
        mx = sys.modules["mlx.core"]
        mx.set_default_stream(mx.new_stream(mx.default_device()))
