"""What shares its pieces among threads, against the definitions in double precision."""

from __future__ import annotations

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import functools
import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, softmax

from features import cpu

ROOT = Path(cpu.__file__).parent.parent


@pytest.fixture(params=[1, 3])
def threads(request, monkeypatch):
    """Share among so many threads."""
    monkeypatch.setattr(cpu, "threads", functools.cache(lambda: request.param))
    cpu._pool.cache_clear()
    yield request.param
    cpu._pool.cache_clear()


def draw(*shape):
    return np.random.RandomState(len(shape) + shape[0]).randn(*shape).astype(np.float32)


def layer(inputs, outputs, *, bias=True):
    found = nn.Linear(inputs, outputs, bias=bias)
    found.weight = mx.array(draw(outputs, inputs) / inputs**0.5)
    if bias:
        found.bias = mx.array(draw(outputs))
    return found


def exact(x, linear):
    out = np.asarray(x, np.float64) @ np.array(linear.weight, np.float64).T
    return out + np.array(linear.bias, np.float64) if "bias" in linear else out


@given(st.integers(0, 20_000), st.integers(1, 64))
def test_the_parts_are_all_rows_once_and_use_all_threads(rows, count):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "threads", lambda: count)
        slices = [part for (part,) in cpu.parts(rows)]
    assert [n for part in slices for n in range(part.start, part.stop)] == list(range(rows))
    sizes = [part.stop - part.start for part in slices]
    assert max(sizes) <= max(cpu.ROWS, 2 * cpu.LEAST_ROWS)
    if rows >= count * cpu.LEAST_ROWS:
        assert len(slices) >= count
    assert len(slices) == 1 or min(sizes) >= cpu.LEAST_ROWS


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (2, 128), (1, 1500), (3, 501)])  # on both sides of what MLX computes
def test_linear(threads, shape, bias):
    x, linear = draw(*shape, 24), layer(24, 40, bias=bias)
    np.testing.assert_allclose(np.array(kernels.linear(mx.array(x), linear)), exact(x, linear), atol=1e-5)


def test_linear_of_a_view(threads):
    x, linear = draw(24, 700), layer(24, 8)
    np.testing.assert_allclose(np.array(kernels.linear(mx.array(x).T, linear)), exact(x.T, linear), atol=1e-5)


@pytest.mark.parametrize("rows", [5, 1500])
def test_feed_forward(threads, rows):
    x, first, second = draw(rows, 24), layer(24, 96), layer(96, 24)
    hidden = exact(x, first)
    expected = exact(hidden * (1 + erf(hidden / 2**0.5)) / 2, second)
    given_ = mx.array(x)
    np.testing.assert_allclose(np.array(kernels.feed_forward(given_, first, second)), expected, atol=1e-5)
    np.testing.assert_array_equal(np.array(given_), x)


@pytest.mark.parametrize("kernel, stride", [(3, 2), (2, 2), (4, 2), (5, 3), (3, 1), (9, 2)])
@pytest.mark.parametrize("samples, padding", [(9, 0), (10, 1), (57, 2), (1500, 1)])
def test_convolution(threads, kernel, stride, samples, padding):
    conv = nn.Conv1d(6, 5, kernel, stride=stride, padding=padding)
    conv.bias = mx.arange(5.0)
    x = draw(2, samples, 6)
    padded = np.pad(x, ((0, 0), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=1)[:, ::stride]
    expected = np.einsum("btik,oki->bto", windows, np.array(conv.weight)) + np.arange(5)
    np.testing.assert_allclose(np.array(kernels.conv1d(mx.array(x), conv)), expected, atol=2e-5)


@pytest.mark.parametrize("slow_cpu", [True, False])
def test_fewer_samples_than_the_kernel_has_are_refused(slow_cpu, monkeypatch):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    with pytest.raises(ValueError, match="cannot be smaller than weight"):
        kernels.conv1d(mx.zeros((1, 3, 6)), nn.Conv1d(6, 5, 4))


@pytest.mark.parametrize("slow_cpu", [True, False])
@pytest.mark.parametrize("relative", [True, False])
def test_attention_to_the_frames_that_are_there(threads, slow_cpu, relative, monkeypatch):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    frames, lengths = 900, [900, 401, 1]
    q, k, v = (draw(3, 2, frames, 8) + n for n in range(3))
    gate, values = draw(3, 2, frames), draw(2, 2 * frames - 1)
    bias = kernels.Bias(mx.array(gate), mx.array(values)) if relative else None
    ours = kernels.attention(*map(mx.array, (q, k, v)), scale=0.5, lengths=lengths, bias=bias)
    place = np.arange(frames)
    for b, n in enumerate(lengths):
        scores = 0.5 * q[b].astype(np.float64) @ k[b].swapaxes(1, 2)
        if relative:
            scores = scores + gate[b][:, :, None] * values[:, frames - 1 - place[:, None] + place]
        expected = softmax(scores[:, :n, :n], axis=-1) @ v[b, :, :n]
        np.testing.assert_allclose(np.array(ours)[b, :, :n], expected, atol=1e-5)


def test_what_fails_in_a_thread_fails(threads):
    def work(number):
        if number == 4:
            raise ValueError("piece 4")

    with pytest.raises(ValueError, match="piece 4"):
        cpu.share(work, [(n,) for n in range(9)])


def test_calls_from_two_threads_leave_the_blas_as_it_was():
    def blas():
        return [pool["num_threads"] for pool in cpu.blas_pools().select(user_api="blas").info()]

    inside, ended = threading.Event(), threading.Event()
    second = threading.Thread(target=cpu.share, args=(lambda: inside.set() or ended.wait(5), [()]))

    def work():
        second.start()
        inside.wait(0.3)  # the second waits; if it did not, it would begin within this limit and end after it

    before = blas()
    cpu.share(work, [()])
    ended.set()
    second.join()
    assert inside.is_set() and blas() == before


COUNTS = """
import numpy, threadpoolctl
print(max((pool["num_threads"] for pool in threadpoolctl.threadpool_info()), default=1))
from features import cpu
cpu.share(lambda n: None, [(1,), (2,)])
print(cpu.threads(), cpu._pool()._max_workers)
"""


def test_as_many_threads_as_the_blas_has_of_itself():
    done = subprocess.run([sys.executable, "-c", COUNTS], cwd=ROOT, capture_output=True, check=True, text=True)
    assert len(set(done.stdout.split())) == 1  # not the one of the limit for each piece


@pytest.mark.skipif(sys.platform != "linux", reason="forks with threads around are for Linux")
def test_forks_get_their_part_of_the_threads():
    most = cpu.threads()
    with cpu.shared_by(2), multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(cpu.threads) == max(1, most // 2)
    with cpu.shared_by(1), multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(cpu.threads) == most == cpu.threads()


def total(seed):
    x, linear = draw(1500 + seed, 24), layer(24, 8)
    out = np.empty((len(x), 8), np.float32)
    cpu.linear(x, np.asarray(linear.weight), np.asarray(linear.bias), out)
    return float(out.sum(dtype=np.float64))


@pytest.mark.skipif(sys.platform != "linux", reason="forks with threads around are for Linux")
def test_a_fork_shares_anew(threads):
    before = total(0)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply_async(total, (0,)).get(timeout=60) == pytest.approx(before)
