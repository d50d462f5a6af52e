"""The visually grounded model against torch, layer by layer (outputs stored by make_vgs_references.py)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from safetensors.numpy import save_file

from features import cards, encode
from features.checkpoint import CheckpointError, Spec, read_weights
from features.clock import FrameClock
from features.columns import matrices
from features.encoders import load, vgs
from features.step import Encode
from features.vgs_mfcc import vgs_mfcc
from tests.conftest import REPOSITORY
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise as pcm

REFERENCES = Path(__file__).parent / "references"
SMALL = REFERENCES / "vgs_4x16"
LAYERS = {"conv": 8, "rnn0": 32, "rnn1": 32, "rnn2": 32, "rnn3": 32, "att": 32}


def noise(samples):
    """As the script makes it."""
    wave = np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


def run(encoder, *waves, layers=None):
    lengths = np.array([len(wave) for wave in waves])
    batch = np.zeros((len(waves), lengths.max()), np.float32)
    for row, wave in zip(batch, waves, strict=True):
        row[: len(wave)] = wave
    return encoder.encode(batch, lengths, layers or list(encoder.layers))


def relative(ours, reference):
    """Return the largest difference relative to the layer's scale."""
    return np.abs(ours - reference).max() / reference.std()


@pytest.fixture(scope="module")
def model():
    return load(str(SMALL))


@pytest.mark.parametrize("slow_cpu", [True, False])
@pytest.mark.parametrize("samples", [960, 8000, 20_007])
def test_every_layer_equals_torch(model, monkeypatch, samples, slow_cpu):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    states = np.load(SMALL / "hidden_states.npz")
    assert model.layers == LAYERS
    for layer, ours in run(model, noise(samples)).items():
        reference = states[f"{layer}_{samples}"]
        assert ours[0].shape == reference.shape
        assert relative(ours[0], reference) < 1e-4, layer


@pytest.mark.slow
def test_every_layer_equals_torch_on_fresh_weights(tmp_path):
    python = REPOSITORY / ".venv-reference" / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-reference with torch: `make test-all` makes it")
    script = REFERENCES / "make_vgs_references.py"
    for seed in (1, 2):
        subprocess.run([python, script, "--out", tmp_path, "--seed", str(seed)], check=True,
                       env={**os.environ, "PYTHONPATH": str(REPOSITORY)})  # fmt: skip
        states = np.load(tmp_path / "vgs_4x16" / "hidden_states.npz")
        for layer, ours in run(load(str(tmp_path / "vgs_4x16")), noise(20_007)).items():
            assert relative(ours[0], states[f"{layer}_20007"]) < 1e-3, (layer, seed)


@pytest.mark.parametrize("slow_cpu", [True, False])
def test_neighbours_do_not_matter(model, monkeypatch, slow_cpu):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    waves = [noise(8000), noise(30_001), noise(0), noise(959), noise(960), 10 * noise(8000)]
    together = run(model, *waves)
    for n, wave in enumerate(waves):
        for layer, values in run(model, wave).items():
            frames = model.clock.frames(len(wave)) if layer != "att" else int(len(wave) >= 960)
            assert values.shape == (1, frames, LAYERS[layer])
            if frames:
                assert relative(together[layer][n, :frames], values[0]) < 1e-4, (layer, len(wave))


@settings(max_examples=40)
@given(st.integers(0, 40_000))
def test_frames_are_those_of_an_unpadded_convolution_over_the_mfcc(samples):
    steps = len(vgs_mfcc(noise(samples)))
    expected = max(0, (steps - 6) // 2 + 1)
    clock = vgs.Config().clock()
    assert clock == FrameClock(hop=320, offset=480, field=960, padded=False)
    assert clock.frames(samples) == expected


def test_random_weights_are_distributed_as_in_torch():
    reference = json.loads((REFERENCES / "vgs_init.json").read_text())["vgs"]
    encoder = vgs.Model(Spec("wide", reference["config"], None, "random", 7, ""))
    ours = vgs.as_stored(dict(tree_flatten(encoder.network.parameters())))
    ours = {name.removeprefix(vgs.PREFIX): np.array(value) for name, value in ours.items()}
    assert ours.keys() == reference["parameters"].keys()
    for name, expected in reference["parameters"].items():
        value = ours[name]
        assert list(value.shape) == expected["shape"], name
        # both are samples: five standard errors of their difference
        error = 5 * np.sqrt(2 / value.size) * expected["std"] + 1e-7
        assert abs(value.mean() - expected["mean"]) < error, name
        assert abs(value.std() - expected["std"]) < error, name
        if "att.hidden.weight" not in name:  # uniform: never past its bound
            assert abs(value).max() < 1.01 * np.sqrt(3) * expected["std"] + error, name


@pytest.mark.parametrize("shape", [(6, 32), (32, 6), (8, 8)])
def test_orthogonal(shape):
    q = np.array(vgs.orthogonal(shape, mx.random.key(3)))
    assert q.shape == shape
    product = q @ q.T if shape[0] <= shape[1] else q.T @ q
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-6)


def test_random_weights_follow_the_seed():
    made = [run(load(str(SMALL), init="random", seed=seed), noise(8000))["rnn3"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(made[0], made[1])
    assert relative(made[0], made[2]) > 0.1


def test_safetensors_hold_the_same_weights(model, tmp_path):
    shutil.copy(SMALL / "config.json", tmp_path)
    stored = {name: np.array(value) for name, value in read_weights(SMALL).items()}
    save_file(stored, tmp_path / "model.safetensors")
    for layer, values in run(load(str(tmp_path)), noise(8000)).items():
        np.testing.assert_array_equal(values, run(model, noise(8000))[layer])
    ours = vgs.as_stored(dict(tree_flatten(model.network.parameters())))
    assert ours.keys() == {name for name in stored if name.startswith("SpeechEncoder.")}
    for name, value in ours.items():
        np.testing.assert_array_equal(np.array(value), stored[name])


def test_a_layer_of_utterances_in_a_table(model, tmp_path):
    table = manifest({"a": pcm(16_000, seed=1), "b": pcm(100, seed=2), "c": pcm(24_000, seed=3)}, tmp_path / "table")
    made = encode(table, model, dtype="float32")
    card = cards(made)["vgs_4x16.att"]
    assert (card.axis, cards(made)["vgs_4x16.rnn3"].axis, card.clock.hop) == ("utterance", "frame", 320)
    values, rows = matrices(made, "vgs_4x16.att", slice(None))
    assert rows.tolist() == [1, 0, 1]
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1, atol=1e-6)
    assert matrices(made, "vgs_4x16.rnn3", slice(None))[1].tolist() == [48, 0, 73]
    pooled = encode(table, model, dtype="float32", pool="mean", layers=["att"])
    np.testing.assert_allclose(matrices(pooled, "vgs_4x16.mean.att", slice(None))[0], values, atol=1e-6)
    with pytest.raises(ValueError, match=r"no frames of \['att'\] to pool by segment"):
        Encode(model, pool="segments:phones")


def test_long_audio_is_cut_and_its_vector_the_mean_of_the_windows(model):
    wave = np.concatenate([noise(20_007)] * 60)  # 75 s
    found = Encode(model, layers=["rnn3", "att"], dtype="float32").encode([wave])
    assert found["rnn3"][0].shape == (model.clock.frames(len(wave)), 32)
    parts = [run(model, wave[:960_000])["att"][0], run(model, wave[896_000:])["att"][0]]
    np.testing.assert_allclose(found["att"][0], np.mean(parts, axis=0), atol=1e-5)


def test_one_direction_and_normalised_input(tmp_path):
    config = {"model_type": "vgs", "conv_width": 8, "hidden_size": 16, "bidirectional": False, "normalize": True}
    encoder = vgs.Model(Spec("one", config, None, "random", 0, ""))
    assert encoder.layers["rnn0"] == encoder.layers["att"] == 16
    wave = noise(20_007)
    states = run(encoder, wave)["rnn3"][0]
    cut = run(vgs.Model(Spec("one", {**config, "normalize": False}, None, "random", 0, "")), wave[:8000], wave)["rnn3"]
    np.testing.assert_allclose(
        cut[0, :18], cut[1, :18], atol=1e-5
    )  # what comes later is heard by the last differences only
    assert relative(run(encoder, 3 * wave)["rnn3"][0], states) < 1e-2  # the energy's mean is taken off


@pytest.mark.parametrize("change", [{"hidden_size": 0}, {"hidden_size": "16"}, {"conv_bias": 1}])
def test_a_config_that_makes_no_sense(change):
    with pytest.raises(CheckpointError, match=rf"{next(iter(change))} .*, expected"):
        vgs.Model(Spec("odd", {"model_type": "vgs", **change}, None, "random", 0, ""))


def test_a_size_without_weights_names_the_ways_to_get_some():
    with pytest.raises(CheckpointError, match=r"features train vgs.*init='random'"):
        load("vgs")
