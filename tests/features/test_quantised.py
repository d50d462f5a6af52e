"""Checkpoints as `mlx-community` has them: MLX' names, npz, half precision, quantised groups."""

from __future__ import annotations

import json
from pathlib import Path

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from features.checkpoint import CheckpointError
from features.encoders import load
from features.quantised import dequantise
from tests.features.test_whisper import mlx_names

assert kernels
SMALL = Path(__file__).parent / "references" / "whisper_2x32"
BERT = Path(__file__).parent / "references" / "bert_2x32"
GROUP = 32
MLX_CONFIG = {
    "model_type": "whisper", "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": 32, "n_audio_head": 4,
    "n_audio_layer": 2, "encoder_ffn_dim": 48,
}  # fmt: skip


def packed(weights, bits, dtype=np.float32):
    """Quantise the matrices whose rows are whole groups, as `mlx.nn.quantize` does; return them multiplied out too."""
    stored, plain, steps = {}, {}, {}
    for name, value in weights.items():
        stored[name] = plain[name] = value.astype(dtype)
        if value.ndim == 2 and value.shape[1] % GROUP == 0 and "positions" not in name and "embeddings" not in name:
            layer = name.removesuffix(".weight")
            q, scales, biases = mx.quantize(mx.array(value.astype(dtype)), group_size=GROUP, bits=bits)
            stored |= {name: np.array(q), f"{layer}.scales": np.array(scales), f"{layer}.biases": np.array(biases)}
            whole = [part.astype(mx.float32) for part in (scales, biases)]
            plain[name] = np.array(mx.dequantize(q, *whole, group_size=GROUP, bits=bits))
            steps[name] = np.abs(np.array(scales, np.float32)).max()
    return stored, plain, steps


def write(folder, weights, config):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: np.ascontiguousarray(value) for name, value in weights.items()}, folder / "model.safetensors")
    return load(str(folder))


def encode(encoder):
    wave = (0.1 * np.random.RandomState(0).randn(1, 8000)).astype(np.float32)
    return encoder.encode(wave, np.array([8000]), list(encoder.layers))


def relative(ours, other):
    return max(np.abs(ours[layer] - other[layer]).max() / other[layer].std() for layer in ours)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("bits", "bound"), [(8, 0.05), (4, 0.5)])
def test_quantised_whisper(tmp_path, bits, bound, dtype):
    weights = mlx_names(load_file(SMALL / "model.safetensors"))
    stored, plain, steps = packed(weights, bits, dtype)
    assert len(steps) == 10  # five of each block; fc2's rows are no whole groups
    for name, step in steps.items():
        assert np.abs(plain[name] - weights[name]).max() <= step  # MLX moves the grid so that it holds zero
    config = {**MLX_CONFIG, "quantization": {"group_size": GROUP, "bits": bits}}
    quantised = encode(write(tmp_path / "quantised", stored, config))
    multiplied_out = encode(write(tmp_path / "plain", plain, MLX_CONFIG))
    whole = encode(write(tmp_path / "whole", weights, MLX_CONFIG))
    for layer in whole:
        np.testing.assert_array_equal(quantised[layer], multiplied_out[layer])
    assert 0 < relative(quantised, whole) < bound


def test_quantised_bert(tmp_path):
    stored, plain, steps = packed(load_file(BERT / "model.safetensors"), 8)
    config = json.loads((BERT / "config.json").read_text())
    assert len(steps) == 11  # five of each block, the pooler
    for folder in (tmp_path / "quantised", tmp_path / "plain"):
        folder.mkdir()
        (folder / "tokenizer.json").write_bytes((BERT / "tokenizer.json").read_bytes())
    made = [
        write(tmp_path / "quantised", stored, {**config, "quantization": {"group_size": GROUP, "bits": 8}}),
        write(tmp_path / "plain", plain, config),
    ]
    one, two = (encoder.encode(np.array([[2, 5, 6, 3]]), np.array([4]), list(encoder.layers)) for encoder in made)
    for layer in one:
        np.testing.assert_array_equal(one[layer], two[layer])


def test_half_precision_npz_with_the_names_of_mlx(tmp_path):
    weights = {
        name: value.astype(np.float16) for name, value in mlx_names(load_file(SMALL / "model.safetensors")).items()
    }
    (tmp_path / "config.json").write_text(json.dumps(MLX_CONFIG))
    np.savez(tmp_path / "weights.npz", **weights)
    half = encode(load(str(tmp_path)))
    single = encode(write(tmp_path / "single", {k: v.astype(np.float32) for k, v in weights.items()}, MLX_CONFIG))
    for layer in half:
        assert half[layer].dtype == np.float32
        np.testing.assert_array_equal(half[layer], single[layer])


def test_damaged_npz(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(MLX_CONFIG))
    (tmp_path / "weights.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CheckpointError, match=r"weights\.npz: damaged .*fetch it again"):
        load(str(tmp_path))


def test_plain_weights_stay_as_they_are():
    weights = {"a.weight": mx.ones((2, 3)), "a.bias": mx.ones(3)}
    assert dequantise(weights, {"quantization": {"group_size": 64, "bits": 4}}, "x") == weights


def test_a_layer_with_a_scheme_of_its_own():
    value = mx.random.normal((4, 64), key=mx.random.key(0))
    weights = {}
    for layer, bits in (("a", 4), ("b", 8)):
        weights |= dict(zip((f"{layer}.weight", f"{layer}.scales", f"{layer}.biases"),
                            mx.quantize(value, group_size=32, bits=bits), strict=True))  # fmt: skip
    config = {"quantization": {"group_size": 32, "bits": 4, "b": {"group_size": 32, "bits": 8}}}
    found = dequantise(weights, config, "x")
    assert list(found) == ["a.weight", "b.weight"]
    assert mx.abs(found["b.weight"] - value).max() < mx.abs(found["a.weight"] - value).max() / 4


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "config.json has no quantization group_size and bits"),
        ({"quantization": {"mode": "mxfp4", "group_size": 32, "bits": 4}}, r"by 'mxfp4', expected one of \['affine'\]"),
        ({"quantization": {"group_size": 64, "bits": 4}}, "a does not fit group_size 64 and bits 4 of config.json"),
    ],
)
def test_schemes_that_do_not_fit(config, message):
    parts = mx.quantize(mx.ones((4, 64)), group_size=32, bits=4)
    weights = dict(zip(("a.weight", "a.scales", "a.biases"), parts, strict=True))
    with pytest.raises(CheckpointError, match=message):
        dequantise(weights, config, "x")
