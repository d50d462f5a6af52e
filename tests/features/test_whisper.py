"""The Whisper encoder against `transformers`, layer by layer (outputs stored by make_references.py)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
import soundfile
from mlx.utils import tree_flatten
from safetensors.numpy import load_file, save_file

from features import Encode
from features.encoders import load

REFERENCES = Path(__file__).parent / "references"
SMALL = REFERENCES / "whisper_2x32"
LENGTHS = (8000, 20_007)


def noise(samples):
    wave = np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


def encode(encoder, *waves, layers=None):
    lengths = np.array([len(wave) for wave in waves])
    batch = np.zeros((len(waves), lengths.max()), np.float32)
    for row, wave in zip(batch, waves, strict=True):
        row[: len(wave)] = wave
    return encoder.encode(batch, lengths, layers or list(encoder.layers))


def relative(ours, reference):
    """Return the largest difference relative to the layer's scale."""
    return np.abs(ours - reference).max() / reference.std()


def layer_norm(x, weights, eps=1e-5):
    x = x.astype(np.float64)
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    return x * weights["layer_norm.weight"] + weights["layer_norm.bias"]


@pytest.fixture(scope="module")
def small():
    return load(str(SMALL))


@pytest.fixture(scope="module")
def states():
    return np.load(SMALL / "hidden_states.npz")


@pytest.mark.parametrize("samples", LENGTHS)
@pytest.mark.parametrize("layer, state", [("conv", "hs0"), ("block1", "hs1"), ("norm", "hs2")])
def test_every_layer_equals_transformers(small, states, samples, layer, state):
    ours = encode(small, noise(samples))[layer][0]
    reference = states[f"{state}_{samples}"]
    assert ours.shape == reference.shape == (-(-samples // 320), 32)
    assert relative(ours, reference) < 1e-4


def test_every_layer_equals_transformers_on_speech_with_real_weights(shared_data):
    encoder = load(str(shared_data("whisper_tiny_en")))
    reference = np.load(shared_data("whisper_tiny_en/jfk_reference.npz"))
    wave, _ = soundfile.read(shared_data("whisper_jfk/jfk_16k.wav"), dtype="float32")
    out = encode(encoder, np.pad(wave, (0, 560 * 320 - len(wave))))  # the silence that follows anyway
    for layer, state in zip(("conv", "block1", "block2", "block3", "norm"), range(5), strict=True):
        assert out[layer].shape == (1, 560, 384)
        assert relative(out[layer][0], reference[f"hs{state}"]) < 1e-3
    weights = {name: np.array(value) for name, value in tree_flatten(encoder.network.parameters())}
    np.testing.assert_allclose(layer_norm(out["block4"], weights), out["norm"], atol=1e-4)


def test_norm_is_the_layer_norm_of_the_last_block(small, states):
    out = encode(small, noise(8000))
    weights = {name: np.array(value) for name, value in tree_flatten(small.network.parameters())}
    np.testing.assert_allclose(layer_norm(out["block2"], weights), out["norm"], atol=1e-4)
    assert relative(layer_norm(out["block2"], weights)[0], states["hs2_8000"]) < 1e-4


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_neighbours_do_not_matter(small, monkeypatch, batch):
    monkeypatch.setattr(kernels, "BATCH", batch)
    waves = [noise(8000), noise(480_000), noise(0), noise(321)]
    together = encode(small, *waves)
    for n, wave in enumerate(waves):
        alone = encode(small, wave)
        for layer, values in alone.items():
            frames = small.clock.frames(len(wave))
            assert values.shape == (1, frames, 32)
            np.testing.assert_allclose(together[layer][n, :frames], values[0], atol=1e-4)


def test_only_the_layers_asked_for(small):
    everything = encode(small, noise(8000))
    assert list(everything) == ["conv", "block1", "block2", "norm"] == list(small.layers)
    some = encode(small, noise(8000), layers=["block2", "conv"])
    assert list(some) == ["block2", "conv"]
    np.testing.assert_array_equal(some["conv"], everything["conv"])
    np.testing.assert_array_equal(some["block2"], everything["block2"])


def test_deeper_blocks_than_asked_for_are_not_computed(small, monkeypatch):
    calls = []
    attention = kernels.attention
    monkeypatch.setattr(kernels, "attention", lambda *args, **options: calls.append(1) or attention(*args, **options))
    encode(small, noise(8000), layers=["block1"])
    assert len(calls) == 1


def test_the_window_is_30_seconds_and_the_clock_is_20_milliseconds(small):
    assert (small.window, small.clock.hop, small.clock.offset, small.clock.padded) == (480_000, 320, 0, True)
    assert encode(small, noise(480_000), layers=["conv"])["conv"].shape == (1, 1500, 32)


def test_a_checkpoint_for_shorter_clips_has_a_shorter_window(tmp_path, states):
    folder = shutil.copytree(SMALL, tmp_path / "short")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_source_positions": 500}))
    weights = load_file(folder / "model.safetensors")
    (name,) = (name for name in weights if "embed_positions" in name)
    save_file({**weights, name: weights[name][:500].copy()}, folder / "model.safetensors")
    step = Encode(str(folder), dtype="float32")
    wave = noise(20 * 16_000)
    assert step.encoder.window == 10 * 16_000
    short = encode(step.encoder, noise(20_007))
    for layer, state in (("conv", "hs0"), ("block1", "hs1"), ("norm", "hs2")):
        assert relative(short[layer][0], states[f"short_{state}_20007"]) < 1e-4
    found = step.encode([wave])["block2"][0]
    assert found.shape == (1000, 32) and np.abs(found).max(axis=1).min() > 0
    first = step.encode([wave[: 10 * 16_000]])["block2"][0]
    np.testing.assert_allclose(found[:450], first[:450], atol=1e-5)  # windows overlap by 2 s


def test_the_receptive_field_of_the_convolutions(small):
    """A click is heard by the frames whose field holds it, and no others."""
    quiet = 1e-3 * np.ones(32_000, np.float32)
    silence = encode(small, quiet, layers=["conv"])["conv"][0]
    click = quiet.copy()
    click[16_000] += 1e-3  # too soft to move the floor, which follows the loudest frame
    changed = np.flatnonzero(np.abs(encode(small, click, layers=["conv"])["conv"][0] - silence).max(axis=1) > 1e-4)
    half = small.clock.field // 2
    heard = [t for t in range(100) if abs(320 * t - 16_000) < half]
    assert set(changed) <= set(heard)
    assert {heard[0], heard[-1]} <= set(changed)


def openai_names(weights):
    """Rename a Hugging Face checkpoint as openai-whisper does."""
    pairs = [
        ("model.encoder.", "encoder."), ("layers.", "blocks."), ("self_attn.q_proj", "attn.query"),
        ("self_attn.k_proj", "attn.key"), ("self_attn.v_proj", "attn.value"), ("self_attn.out_proj", "attn.out"),
        ("self_attn_layer_norm", "attn_ln"), ("final_layer_norm", "mlp_ln"), ("fc1", "mlp.0"), ("fc2", "mlp.2"),
        ("encoder.layer_norm", "encoder.ln_post"), ("embed_positions.weight", "positional_embedding"),
    ]  # fmt: skip
    renamed = {}
    for name, value in weights.items():
        for theirs, openai in pairs:
            name = name.replace(theirs, openai)
        renamed[name] = value
    return renamed


def mlx_names(weights):
    """Rename as mlx-community does: OpenAI's names, MLX's axes, no stored positions."""
    renamed = {
        re.sub(r"mlp\.([02])", lambda m: f"mlp{int(m[1]) // 2 + 1}", k): v for k, v in openai_names(weights).items()
    }
    del renamed["encoder.positional_embedding"]
    return {k: v.transpose(0, 2, 1).copy() if re.search(r"conv\d.weight", k) else v for k, v in renamed.items()}


def drop_model(weights):
    return {name.removeprefix("model."): value for name, value in weights.items()}


@pytest.mark.parametrize("rename", [openai_names, mlx_names, drop_model])
def test_other_names_of_the_same_weights(small, tmp_path, rename):
    config = json.loads((SMALL / "config.json").read_text())
    if rename is not drop_model:
        pairs = {"n_mels": "num_mel_bins", "n_audio_ctx": "max_source_positions", "n_audio_state": "d_model",
                 "n_audio_head": "encoder_attention_heads", "n_audio_layer": "encoder_layers",
                 "encoder_ffn_dim": "encoder_ffn_dim", "model_type": "model_type"}  # fmt: skip
        config = {theirs: config[ours] for theirs, ours in pairs.items()}
    (tmp_path / "config.json").write_text(json.dumps(config))
    decoder = {"decoder.token_embedding.weight": np.zeros((3, 3), np.float32)}
    save_file({**rename(load_file(SMALL / "model.safetensors")), **decoder}, tmp_path / "model.safetensors")
    other, ours = encode(load(str(tmp_path)), noise(8000)), encode(small, noise(8000))
    for layer in ours:
        np.testing.assert_allclose(other[layer], ours[layer], atol=1e-4)


def test_half_precision_checkpoints_are_computed_in_single_precision(small, tmp_path):
    weights = {name: value.astype(np.float16) for name, value in load_file(SMALL / "model.safetensors").items()}
    for kind, folder in ((np.float16, tmp_path / "half"), (np.float32, tmp_path / "single")):
        folder.mkdir()
        (folder / "config.json").write_bytes((SMALL / "config.json").read_bytes())
        save_file({name: value.astype(kind) for name, value in weights.items()}, folder / "model.safetensors")
    half, single = (encode(load(str(tmp_path / name)), noise(8000)) for name in ("half", "single"))
    for layer in half:
        assert half[layer].dtype == np.float32
        np.testing.assert_array_equal(half[layer], single[layer])


@pytest.fixture(scope="module")
def tiny():
    return load("whisper-tiny", init="random", seed=7)


def test_random_weights_are_distributed_as_in_transformers(tiny):
    reference = json.loads((REFERENCES / "whisper_init.json").read_text())
    ours = {name: np.array(value) for name, value in tree_flatten(tiny.network.parameters())}
    assert ours.keys() == reference.keys()
    for name, expected in reference.items():
        value = ours[name].transpose(0, 2, 1) if name.startswith("conv") and name.endswith("weight") else ours[name]
        assert list(value.shape) == expected["shape"], name
        if expected["std"] == 0 or name == "embed_positions.weight":  # constants: no room for chance
            np.testing.assert_allclose([value.mean(), value.std()], [expected["mean"], expected["std"]], atol=1e-5)
            continue
        # both are samples: five standard errors of their difference
        error = 5 * np.sqrt(2 / value.size) * expected["std"]
        assert abs(value.mean() - expected["mean"]) < error, name
        assert abs(value.std() - expected["std"]) < error / np.sqrt(2), name


def test_random_weights_are_normal_and_independent(tiny):
    block, other = tiny.network.layers[0], tiny.network.layers[1]
    values = np.sort(np.array(block.fc1.weight).ravel() / 0.02)
    # the quantiles of the normal distribution: 2.275 %, 50 %, 97.725 %
    np.testing.assert_allclose(np.quantile(values, [0.02275, 0.5, 0.97725]), [-2, 0, 2], atol=0.02)
    q, k, deeper = (
        np.array(m.weight).ravel() for m in (block.self_attn.q_proj, block.self_attn.k_proj, other.self_attn.q_proj)
    )
    assert abs(np.corrcoef([q, k, deeper]) - np.eye(3)).max() < 0.02


def test_random_weights_are_the_same_in_every_process(tiny):
    code = (
        "import sys, numpy as np\n"
        "from features.encoders import load\n"
        "wave = np.linspace(-1, 1, 4000, dtype=np.float32)[None]\n"
        "for name, seed in (('whisper-tiny', 7), ('whisper-tiny', 8)):\n"
        "    out = load(name, init='random', seed=seed).encode(wave, np.array([4000]), ['norm'])['norm']\n"
        "    sys.stdout.buffer.write(out.tobytes())\n"
    )
    root = Path(kernels.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True, timeout=100)
    same, other = np.frombuffer(done.stdout, np.float32).reshape(2, 13, 384)
    ours = encode(tiny, np.linspace(-1, 1, 4000, dtype=np.float32), layers=["norm"])["norm"][0]
    np.testing.assert_allclose(same, ours, atol=1e-5)
    assert np.abs(other - ours).max() > 0.5
    assert tiny.init == "random7"


@pytest.mark.parametrize("fast_path", [True, False])
def test_gelu_equals_the_error_function(monkeypatch, fast_path):
    from scipy.special import erf

    monkeypatch.setattr(kernels, "SLOW_CPU", fast_path)
    x = np.concatenate([np.linspace(-12, 12, 70_001), [0.0, 1e-30, -1e-30, 1e4, -1e4]]).astype(np.float32)
    expected = x * (1 + erf(x.astype(np.float64) / np.sqrt(2))) / 2
    given = mx.array(x)
    np.testing.assert_allclose(np.array(kernels.gelu(given)), expected, atol=1e-6, rtol=1e-6)
    np.testing.assert_array_equal(np.array(given), x)  # the input is left as it was


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 130, 8), (1, 1, 1, 4)])
def test_attention_equals_its_definition(monkeypatch, fast_path, shape):
    monkeypatch.setattr(kernels, "SLOW_CPU", fast_path)
    # queries, keys and values as a model gives them: strided views, scores far above exp's range
    arrays = [
        np.random.RandomState(n).randn(shape[0], shape[2], shape[1], shape[3]).astype(np.float32) for n in range(3)
    ]
    arrays[0] *= 60
    given = [mx.array(a).transpose(0, 2, 1, 3) for a in arrays]
    q, k, v = (a.transpose(0, 2, 1, 3).astype(np.float64) for a in arrays)
    scores = q @ k.swapaxes(2, 3) * 0.7
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    expected = weights / weights.sum(axis=-1, keepdims=True) @ v
    np.testing.assert_allclose(np.array(kernels.attention(*given, scale=0.7)), expected, atol=1e-4)
    for array, before in zip(given, arrays, strict=True):
        np.testing.assert_array_equal(np.array(array), before.transpose(0, 2, 1, 3))


def test_numpy_and_mlx_paths_agree(small, monkeypatch):
    monkeypatch.setattr(kernels, "SLOW_CPU", True)
    fast = encode(small, noise(20_007))
    monkeypatch.setattr(kernels, "SLOW_CPU", False)
    plain = encode(small, noise(20_007))
    for layer in fast:
        assert relative(fast[layer], plain[layer]) < 1e-4
