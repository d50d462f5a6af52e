"""The network over word stamps against sums written out, and its weights' distribution."""

from __future__ import annotations

import json

import features  # noqa: F401  before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
from mlx.utils import tree_flatten
from safetensors.numpy import save_file

from builders.spoken_words.stamps import stamp
from features import cards, encode
from features.checkpoint import CheckpointError
from features.columns import matrices
from features.encoders import load
from features.step import Encode
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise

LAYERS = {"conv1": 8192, "conv2": 2048, "dense": 32, "logits": 10}


def parameters(encoder):
    return {name: np.array(value) for name, value in tree_flatten(encoder.network.parameters())}


def reference(wave, weights):
    """Return the layers, every value a sum written out in NumPy."""
    x = stamp(wave)[..., None] / 255.0
    found = {}
    for name in ("conv1", "conv2"):
        kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]  # (out, 5, 5, in)
        padded = np.pad(x, ((2, 2), (2, 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(0, 1))  # (time, mel, in, 5, 5)
        x = np.maximum(np.einsum("tmihw,ohwi->tmo", windows, kernel) + bias, 0)
        x = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, 16).max(axis=(1, 3))
        found[name] = x.ravel()
    found["dense"] = np.maximum(weights["dense.weight"] @ x.ravel() + weights["dense.bias"], 0)
    found["logits"] = weights["logits.weight"] @ found["dense"] + weights["logits.bias"]
    return found


@pytest.fixture(scope="module")
def encoder():
    made = load("word_cnn", init="random", seed=3)
    made.network.load_weights([(f"{name}.bias", mx.arange(16) / 20 - 0.3) for name in ("conv1", "conv2")], strict=False)
    return made


@pytest.mark.parametrize("samples", [1, 399, 8000, 16_001])
def test_every_layer_is_its_sum(encoder, samples):
    wave = noise(samples, seed=samples).astype(np.float32) / 32768
    found = encoder.encode(wave[None], np.array([samples]), list(LAYERS))
    for layer, expected in reference(wave, parameters(encoder)).items():
        assert found[layer].shape == (1, 1, LAYERS[layer])
        np.testing.assert_allclose(found[layer][0, 0], expected, atol=1e-5)


def test_rows_of_a_table(encoder, tmp_path):
    table = manifest({"a": noise(8000, seed=1), "c": noise(12_000, seed=2)}, tmp_path / "table")
    made = encode(table, encoder, dtype="float32")
    assert {name: card.axis for name, card in cards(made).items()} == {
        f"word_cnn.random3.{layer}": "utterance" for layer in LAYERS
    }
    values, rows = matrices(made, "word_cnn.random3.logits", slice(None))
    assert rows.tolist() == [1, 1]
    for row, samples, seed in ((0, 8000, 1), (1, 12_000, 2)):
        expected = reference(noise(samples, seed=seed).astype(np.float32) / 32768, parameters(encoder))["logits"]
        np.testing.assert_allclose(values[row], expected, atol=1e-4)
    assert Encode(encoder).encode([np.zeros(0, np.float32)])["conv2"][0].shape == (0, 2048)
    with pytest.raises(ValueError, match="no frames to pool by segment"):
        Encode(encoder, pool="segments:phones")


def test_random_weights_are_glorots(encoder):
    weights = parameters(load("word_cnn", init="random", seed=3))
    fans = {"conv1": 25 * 17, "conv2": 25 * 32, "dense": 2080, "logits": 42}
    for name, fan in fans.items():
        value, bound = weights[f"{name}.weight"], np.sqrt(6 / fan)
        assert not weights[f"{name}.bias"].any()
        assert 0.97 * bound < abs(value).max() <= bound
        assert abs(value.std() - bound / np.sqrt(3)) < 5 * bound / np.sqrt(2 * value.size), name


def test_weights_of_ours_and_of_tensorflow(encoder, tmp_path):
    weights = parameters(encoder)
    renamed = {}
    for name, value in weights.items():
        module, part = name.split(".")
        kernel = np.ascontiguousarray(np.moveaxis(value, 0, -1))
        renamed[f"{module}/bias:0" if part == "bias" else f"{module}/kernel:0"] = value if part == "bias" else kernel
    for folder, stored in (("ours", weights), ("theirs", renamed)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps({"model_type": "word_cnn"}))
        save_file(stored, tmp_path / folder / "model.safetensors")
        found = parameters(load(str(tmp_path / folder)))
        for name, value in weights.items():
            np.testing.assert_array_equal(found[name], value)


def test_another_number_of_words(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "word_cnn", "num_labels": 4}))
    assert load(str(tmp_path), init="random").layers["logits"] == 4
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "word_cnn", "num_labels": "4"}))
    with pytest.raises(CheckpointError, match="num_labels '4', expected a whole number above 0"):
        load(str(tmp_path), init="random")
    with pytest.raises(CheckpointError, match=r"names a size, not weights: .* or init='random'"):
        load("word_cnn")
