"""The fast BLAS below MLX: found, warned about, alive after a fork. Each case in a fresh interpreter."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from features import blas

ROOT = Path(blas.__file__).parent.parent

linux_cpu = pytest.mark.skipif(
    sys.platform != "linux" or blas.has_cuda_backend(), reason="only MLX on a Linux CPU needs another BLAS"
)

# `features/__init__.py` prepares the BLAS at once: load the module alone, to see it do so.
LOAD = """
import importlib.util, sys, warnings
spec = importlib.util.spec_from_file_location("blas", "features/blas.py")
blas = importlib.util.module_from_spec(spec)
spec.loader.exec_module(blas)
warnings.simplefilter("always")
"""


def run(code, timeout=60):
    done = subprocess.run(
        [sys.executable, "-c", LOAD + code], cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def mkl_installed():
    try:
        return bool(importlib.metadata.files("mkl"))
    except importlib.metadata.PackageNotFoundError:
        return False


@linux_cpu
@pytest.mark.skipif(not mkl_installed(), reason="needs the package mkl (extra cpu, x86-64)")
def test_mlx_multiplies_with_mkl():
    out, _ = run("""
def mapped():
    return "libmkl_core" in open("/proc/self/maps").read()
print(blas.prepare())
import mlx.core as mx
a = mx.ones((256, 256))
mx.eval(a)
print(mapped())
mx.eval(a @ a)
print(mapped())
print((a @ a)[0, 0].item())
""")
    library, before, after, value = out.split()
    assert library.startswith("libmkl_rt.so")
    # MKL opens its kernels at its first product, so this product was MKL's
    assert (before, after, value) == ("False", "True", "256.0")


@linux_cpu
def test_warns_once_with_the_remedy_where_there_is_no_library():
    out, err = run("""
blas.candidates = lambda: iter(["/nowhere/libopenblas.so.0"])
print(blas.prepare(), blas.prepare())
""")
    assert out.split() == ["None", "None"]
    assert err.count("RuntimeWarning") == 1
    assert "pip install 'phonelayers[cpu]'" in err and "apt install libopenblas0" in err


@linux_cpu
def test_says_when_mlx_came_first():
    out, err = run("""
import mlx.core
print(blas.prepare(), blas.prepare())
""")
    assert out.split() == ["None", "None"]
    assert err.count("RuntimeWarning") == 1 and "import features first" in err


@linux_cpu
def test_takes_the_next_library_when_one_does_not_load(tmp_path):
    (tmp_path / "libmkl_rt.so.9").write_bytes(b"not a library")
    out, err = run(f"""
import ctypes.util
blas.candidates = lambda: iter(["{tmp_path}/libmkl_rt.so.9", ctypes.util.find_library("c")])
print(blas.prepare())
""")
    assert out.startswith("libc.so") and not err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_can_compute_after_its_parent_did():
    # a child without a new stream waits for ever: the time limit of `run` is the assertion
    out, _ = run("""
import os
mx = blas.import_mlx()
if mx.default_device() != mx.Device(mx.cpu):
    print("49.0"); sys.exit()
a = mx.full((7, 7), 7.0)
mx.eval(a @ a)
child = os.fork()
if child == 0:
    print((a @ a).max().item() / 7, flush=True)
    os._exit(0)
os.waitpid(child, 0)
""")
    assert out.split() == ["49.0"]


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_a_gpu_is_where_mlx_computes_on_one(monkeypatch, kind):
    import mlx.core as mx

    device = types.SimpleNamespace(type=getattr(mx.DeviceType, kind))
    monkeypatch.setattr(mx, "default_device", lambda: device)
    assert blas.on_gpu() == (kind == "gpu")
    monkeypatch.delitem(sys.modules, "mlx.core")
    assert not blas.on_gpu()  # and MLX is not imported to find out
    assert "mlx.core" not in sys.modules


def test_a_missing_backend_is_one_line_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlx.core", None)  # `import mlx.core` raises ImportError
    with pytest.raises(ImportError, match=r"phonelayers\[cpu\].*phonelayers\[cuda\]") as caught:
        blas.import_mlx()
    assert "\n" not in str(caught.value)


def test_nothing_is_loaded_with_the_cuda_backend(monkeypatch):
    monkeypatch.setattr(blas, "has_cuda_backend", lambda: True)
    monkeypatch.setattr(blas, "candidates", lambda: pytest.fail("looked for a library"))
    assert blas.prepare.__wrapped__() is None


@pytest.mark.parametrize(
    "name, given, used",
    [
        ("MLX_ENABLE_TF32", None, "0"),
        ("MLX_ENABLE_TF32", "1", "1"),
        ("KMP_BLOCKTIME", None, "1"),
        ("KMP_BLOCKTIME", "200", "200"),
    ],
)
def test_full_precision_and_sleeping_threads_unless_the_user_decides(monkeypatch, name, given, used):
    if given is None:
        monkeypatch.delenv(name, raising=False)
    else:
        monkeypatch.setenv(name, given)
    out, _ = run(f"import os; blas.prepare(); print(os.environ['{name}'])")
    assert out.split() == [used]


def test_encoders_do_not_import_torch():
    out, _ = run("""
import features.encoders.whisper
print("torch" in sys.modules)
""")
    assert out.split() == ["False"]
