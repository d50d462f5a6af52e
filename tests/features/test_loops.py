"""The compiled loops against their definitions in double precision."""

from __future__ import annotations

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import mlx.nn as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import loops


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 300), st.floats(0.1, 50), st.integers(0, 100))
def test_exp_rows(rows, columns, scale, seed):
    scores = (np.random.RandomState(seed).randn(rows, columns) * scale).astype(np.float32)
    exact = scores.astype(np.float64)
    expected = np.exp(exact - exact.max(axis=1, keepdims=True))
    sums = np.empty(rows, np.float32)
    loops.exp_rows(scores, sums)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(sums, expected.sum(axis=1), rtol=1e-5)


@settings(max_examples=30)
@given(st.integers(1, 40), st.integers(0, 100))
def test_add_bias(frames, seed):
    draw = np.random.RandomState(seed)
    scores, gate, values = (draw.randn(*n).astype(np.float32) for n in ((frames, frames), (frames,), (2 * frames - 1,)))
    place = np.arange(frames)
    expected = scores + gate[:, None] * values[frames - 1 - place[:, None] + place]
    for first in range(0, frames, 16):  # some rows at a time
        loops.add_bias(scores[first : first + 16], gate[first : first + 16], values, frames - 1 - first)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("call", [lambda x: loops.gelu(x), lambda x: loops.exp_rows(x[None], np.empty(1, np.float32))])
def test_not_a_number_stays_one(call):
    x = np.array([0.5, np.nan, -0.5] * 50, np.float32)
    call(x)
    assert np.isnan(x[1::3]).all()


@pytest.mark.parametrize("slow_cpu", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm(monkeypatch, slow_cpu, affine):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    x = (np.random.RandomState(0).randn(2, 7, 48) * 30 + 100).astype(np.float32)
    norm = nn.LayerNorm(48, affine=affine)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(exact.var(-1, keepdims=True) + 1e-5)
    if affine:
        norm.weight, norm.bias = mx.arange(48.0), mx.arange(48.0) / 7
        expected = expected * np.arange(48) + np.arange(48) / 7
    given_ = mx.array(x)
    np.testing.assert_allclose(np.array(kernels.layer_norm(given_, norm)), expected, atol=2e-3)
    np.testing.assert_array_equal(np.array(given_), x)


@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 128), st.sampled_from([1, 2, 4]), st.integers(0, 100))
def test_grouped_convolution_by_transforms(frames, kernel, groups, seed):
    draw = np.random.RandomState(seed)
    conv = kernels.GroupedConv1d(8, kernel, groups)
    conv.weight, conv.bias = (mx.array(draw.randn(*shape).astype(np.float32)) for shape in (conv.weight.shape, (8,)))
    x = draw.randn(frames, 8)
    padded = np.pad(x, ((kernel // 2, kernel // 2), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=0)[:frames]  # (frames, 8, kernel)
    windows = windows.reshape(frames, groups, 8 // groups, kernel)
    weight = np.array(conv.weight).reshape(groups, 8 // groups, kernel, 8 // groups)
    expected = np.einsum("tgik,goki->tgo", windows, weight).reshape(frames, 8) + np.array(conv.bias)
    ours = np.array(conv(mx.array(x[None].astype(np.float32))))[0]
    np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max() + 1e-5)
