"""Recurrent units: the compiled loops and their gradient against the graph of MLX."""

from __future__ import annotations

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten

from features.recurrent import GRU
from features.recurrent_scan import compiled_scan, graph_scan, scan

DIRECTIONS, BATCH, FRAMES, HIDDEN = 2, 3, 7, 5


def drawn(*shape, seed=0):
    return mx.array(np.random.RandomState(seed).randn(*shape).astype(np.float32))


@pytest.fixture
def arrays():
    return (
        drawn(DIRECTIONS, BATCH, FRAMES, 3 * HIDDEN, seed=1),
        drawn(DIRECTIONS, HIDDEN, 3 * HIDDEN, seed=2),
        drawn(DIRECTIONS, 1, HIDDEN, seed=3),
    )


def test_loops_equal_the_graph(arrays):
    np.testing.assert_allclose(np.array(compiled_scan(*arrays)), np.array(graph_scan(*arrays)), atol=1e-6)


def test_gradients_equal_the_graphs(arrays):
    weight = drawn(DIRECTIONS, BATCH, FRAMES, HIDDEN, seed=4)
    ours, theirs = (
        mx.grad(lambda *given, run=run: (run(*given) * weight).sum(), argnums=(0, 1, 2))(*arrays)
        for run in (compiled_scan, graph_scan)
    )
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.shape == other.shape
        np.testing.assert_allclose(np.array(mine), np.array(other), atol=1e-5)


@pytest.mark.parametrize("slow_cpu", [True, False])
def test_the_device_decides(arrays, monkeypatch, slow_cpu):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    np.testing.assert_allclose(np.array(scan(*arrays)), np.array(graph_scan(*arrays)), atol=1e-6)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("lengths", [[9, 9, 9], [3, 9, 1], [9, 1, 4]])
def test_with_and_without_gradient_and_whatever_lies_behind_an_utterance(lengths, bidirectional):
    gru = GRU(4, HIDDEN, 2, bidirectional=bidirectional)
    names = sorted(name for name, _ in tree_flatten(gru.parameters()))
    gru.load_weights([(name, drawn(*gru[name].shape, seed=n)) for n, name in enumerate(names)])
    x = drawn(3, 9, 4)
    plain, traced = (list(gru(x, np.array(lengths), traced=traced)) for traced in (False, True))
    assert [layer.shape for layer in plain] == [(3, 9, HIDDEN * (1 + bidirectional))] * 2
    for layer, other in zip(plain, traced, strict=True):
        for row, length in enumerate(lengths):
            alone = list(gru(x[row : row + 1, :length], np.array([length])))
            np.testing.assert_allclose(layer[row, :length], other[row, :length], atol=1e-6)
            np.testing.assert_allclose(alone[-1][0], plain[-1][row, :length], atol=1e-6)


def test_extreme_gates_saturate():
    gates = mx.array(np.array([[[[100, -100, 100], [-100, 100, -100]]]], np.float32))
    states = np.array(compiled_scan(gates, mx.zeros((1, 1, 3)), mx.zeros((1, 1, 1))))
    np.testing.assert_allclose(states.ravel(), [1, 1], atol=1e-6)  # taken over, then kept
