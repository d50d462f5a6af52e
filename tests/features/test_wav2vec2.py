"""The wav2vec 2.0 family against `transformers`, layer by layer (outputs stored by make_wav2vec2_references.py)."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx.utils import tree_flatten
from safetensors.numpy import load_file, save_file

from features.checkpoint import CheckpointError, Spec, read_weights
from features.clock import FrameClock
from features.conv_transformer.waveform import moments
from features.encoders import data2vec_audio, hubert, load, wav2vec2, wavlm
from features.step import Encode

REFERENCES = Path(__file__).parent / "references"
SMALL = REFERENCES / "wav2vec2_2x32"
VARIANTS = [
    "wav2vec2_2x32", "wav2vec2_stable_2x32", "hubert_2x32", "hubert_batch_norm_2x32", "wavlm_2x32",
    "wavlm_stable_2x32", "data2vec_audio_2x32",
]  # fmt: skip
STATES = {"conv": "conv", "embed": "hs0", "block1": "hs1", "block2": "hs2", "norm": "last"}


def noise(samples):
    """As the script makes it."""
    wave = 0.05 + np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
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


@pytest.fixture(scope="module")
def models():
    return {name: load(str(REFERENCES / name)) for name in VARIANTS}


@pytest.mark.parametrize("slow_cpu", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_every_layer_equals_transformers(models, monkeypatch, name, slow_cpu):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    states = np.load(REFERENCES / name / "hidden_states.npz")
    assert models[name].layers == {"conv": 16, **dict.fromkeys(list(models[name].layers)[1:], 32)}
    for samples in (400, 8000, 20_007):
        for layer, ours in encode(models[name], noise(samples)).items():
            reference = states[f"{STATES[layer]}_{samples}"]
            assert ours[0].shape == reference.shape
            assert relative(ours[0], reference) < 1e-4, (layer, samples)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_norm_is_a_layer_only_where_one_follows_the_last_block(models, name):
    assert ("norm" in models[name].layers) == ("stable" in name)
    if "stable" not in name:  # there the last block is the last hidden state
        states = np.load(REFERENCES / name / "hidden_states.npz")
        np.testing.assert_array_equal(states["hs2_8000"], states["last_8000"])


@pytest.mark.parametrize("slow_cpu", [True, False])
@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("name", VARIANTS)
def test_neighbours_do_not_matter(models, monkeypatch, name, batch, slow_cpu):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    monkeypatch.setattr(kernels, "BATCH", batch)
    encoder = models[name]
    waves = [noise(8000), noise(30_001), noise(0), noise(399), noise(400), 10 * noise(8000)]
    together = encode(encoder, *waves)
    for n, wave in enumerate(waves):
        for layer, values in encode(encoder, wave).items():
            frames = encoder.clock.frames(len(wave))
            assert values.shape == (1, frames, encoder.layers[layer])
            if frames:
                assert relative(together[layer][n, :frames], values[0]) < 1e-4, (layer, len(wave))


@pytest.mark.parametrize("samples", [0, 1, 399])
def test_an_utterance_too_short_for_a_frame_has_none(models, samples):
    for layer, values in encode(models["wav2vec2_2x32"], noise(samples)).items():
        assert values.shape == (1, 0, models["wav2vec2_2x32"].layers[layer])


@settings(max_examples=40)
@given(st.integers(0, 40_000))
def test_frames_are_as_many_as_the_reference_has(samples):
    counts = np.load(REFERENCES / "wav2vec2_frames.npz")["frames"]
    encoder = small()
    expected = counts[samples - 400] if samples >= 400 else 0
    length = samples  # and by the arithmetic of unpadded convolutions
    for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        length = max(0, (length - kernel) // stride + 1)
    assert encoder.clock.frames(samples) == expected == length
    assert encode(encoder, noise(samples), layers=["conv"])["conv"].shape == (1, expected, 16)


def test_the_clock_counts_as_the_reference_for_every_length():
    counts = np.load(REFERENCES / "wav2vec2_frames.npz")["frames"]
    assert [small().clock.frames(samples) for samples in range(400, 40_001)] == counts.tolist()


def test_the_clock_follows_the_configuration(models):
    for encoder in models.values():
        assert encoder.clock == FrameClock(hop=320, offset=200, field=400, padded=False)
    config = {"model_type": "wav2vec2", "conv_dim": [8, 8], "conv_kernel": [10, 3], "conv_stride": [5, 2],
              "num_hidden_layers": 0, "hidden_size": 16, "num_attention_heads": 2}  # fmt: skip
    encoder = wav2vec2.Model(Spec("two", config, None, "random", 0, ""))
    assert encoder.clock == FrameClock(hop=10, offset=10, field=20, padded=False)


def test_a_frame_sees_its_receptive_field_and_no_more(models):
    encoder = models["wav2vec2_stable_2x32"]  # no norm over time
    quiet = encode(encoder, np.zeros(8000, np.float32), layers=["conv"])["conv"][0]
    for sample in (200, 3999, 4000, 7000):
        wave = np.zeros(8000, np.float32)
        wave[sample] = 1.0
        changed = np.flatnonzero(np.abs(encode(encoder, wave, layers=["conv"])["conv"][0] - quiet).max(axis=1) > 1e-5)
        assert changed.tolist() == [t for t in range(24) if 320 * t <= sample < 320 * t + 400]


def test_681600_samples_give_2129_frames_of_768():
    encoder = load("wav2vec2-base", init="random")
    out = encode(encoder, noise(681_600), layers=["embed"])
    assert out["embed"].shape == (1, 2129, 768)
    assert list(encoder.layers) == ["conv", "embed", *(f"block{n}" for n in range(1, 13))]


def test_deeper_blocks_than_asked_for_are_not_computed(models, monkeypatch):
    calls = []
    attention = kernels.attention
    monkeypatch.setattr(kernels, "attention", lambda *args, **options: calls.append(1) or attention(*args, **options))
    encode(models["wavlm_2x32"], noise(8000), layers=["block1"])
    assert len(calls) == 1


@pytest.mark.parametrize("normalised", [True, False])
def test_do_normalize_is_read_from_the_checkpoint(tmp_path, normalised):
    folder = shutil.copytree(SMALL, tmp_path / "copy")
    (folder / "preprocessor_config.json").write_text(json.dumps({"do_normalize": normalised}))
    encoder = load(str(folder))
    soft, loud = (encode(encoder, gain * noise(8000) + shift)["conv"] for gain, shift in ((1, 0), (3, 0.5)))
    # The group norm undoes a gain and a shift anyway; the epsilons of the two differ.
    assert encoder.config.do_normalize is normalised
    assert relative(loud, soft) < (1e-3 if normalised else 0.2)
    (folder / "preprocessor_config.json").unlink()
    assert load(str(folder)).config.do_normalize is True  # the default of the reference


def test_do_normalize_as_transformers_5_saves_it(tmp_path):
    folder = shutil.copytree(SMALL, tmp_path / "copy")
    (folder / "preprocessor_config.json").unlink(missing_ok=True)
    whole = {"feature_extractor": {"do_normalize": False}, "processor_class": "Wav2Vec2Processor"}
    (folder / "processor_config.json").write_text(json.dumps(whole))
    assert load(str(folder)).config.do_normalize is False
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"do_normalize": True})
    )  # of the feature extractor alone
    assert load(str(folder)).config.do_normalize is True


def test_old_and_new_names_of_weight_norm(tmp_path):
    folder = shutil.copytree(SMALL, tmp_path / "copy")
    weights = load_file(SMALL / "model.safetensors")
    assert any(name.endswith("weight_g") for name in weights) and all(name.startswith("wav2vec2.") for name in weights)
    new = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    renamed = {re.sub("weight_[gv]", lambda m: new[m[0]], name)[9:]: value for name, value in weights.items()}
    save_file({**renamed, "lm_head.weight": np.zeros((3, 32), np.float32)}, folder / "model.safetensors")
    ours, old = (encode(load(str(path)), noise(8000)) for path in (folder, SMALL))
    for layer in ours:
        np.testing.assert_array_equal(ours[layer], old[layer])


def shard(folder, weights, suffix, save, index):
    files = [f"{suffix.split('.')[0]}-0000{part}-of-00002.{suffix.split('.')[1]}" for part in (1, 2)]
    names = sorted(weights)
    for part, file in enumerate(files):
        save({name: weights[name] for name in names[part::2]}, folder / file)
    weight_map = {name: files[n % 2] for n, name in enumerate(names)}
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


def test_shards_and_pickles_hold_the_same_weights(tmp_path, models):
    source = REFERENCES / "hubert_2x32"
    assert [path.name for path in source.iterdir() if path.suffix in (".bin", ".safetensors")] == ["pytorch_model.bin"]
    folder = tmp_path / "sharded"
    folder.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(source / name, folder / name)
    weights = {name: np.array(value) for name, value in read_weights(source).items()}
    shard(folder, weights, "model.safetensors", save_file, "model.safetensors.index.json")
    for layer, values in encode(load(str(folder)), noise(8000)).items():
        np.testing.assert_array_equal(values, encode(models["hubert_2x32"], noise(8000))[layer])


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "hubert_batch_norm", "wavlm", "data2vec_audio"])
def test_random_weights_are_distributed_as_in_transformers(family):
    reference = json.loads((REFERENCES / "wav2vec2_init.json").read_text())[family]
    modules = {"wav2vec2": wav2vec2, "hubert": hubert, "wavlm": wavlm, "data2vec-audio": data2vec_audio}
    encoder = modules[reference["config"]["model_type"]].Model(Spec("wide", reference["config"], None, "random", 7, ""))
    ours = {name: np.array(value) for name, value in tree_flatten(encoder.network.parameters())}
    assert ours.keys() == reference["parameters"].keys()
    for name, expected in reference["parameters"].items():
        value = ours[name].transpose(0, 2, 1) if ours[name].ndim == 3 else ours[name]
        assert list(value.shape) == expected["shape"], name
        # both are samples: five standard errors of their difference
        error = 5 * np.sqrt(2 / value.size) * expected["std"] + 1e-7
        assert abs(value.mean() - expected["mean"]) < error, name
        assert abs(value.std() - expected["std"]) < error, name


def test_uniform_and_normal_are_told_apart():
    encoder = load("wav2vec2-base", init="random", seed=3)
    projection = np.array(encoder.network.feature_projection.projection.weight)
    assert abs(projection).max() <= 512**-0.5 < 1.01 * abs(projection).max()  # uniform: full up to its bound
    dense = np.array(encoder.network.encoder.layers[0].feed_forward.output_dense.weight)
    assert abs(dense).max() > 4 * dense.std()


def test_buckets_of_distances_are_the_references():
    expected = np.load(REFERENCES / "wavlm_buckets.npz")["buckets"]
    np.testing.assert_array_equal(wavlm.buckets(np.arange(-3000, 3001), 320, 800), expected)


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(0, 1000), st.floats(-100, 100))
def test_moments_of_windows(frames, seed, offset):
    windows = np.random.RandomState(seed).randn(frames, 10).astype(np.float32) + np.float32(offset)
    mean, covariance = moments(windows)
    np.testing.assert_allclose(mean, windows.astype(np.float64).mean(axis=0), atol=1e-9)
    np.testing.assert_allclose(covariance, np.cov(windows.astype(np.float64), rowvar=False, bias=True), atol=1e-9)


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"hidden_act": "relu"}, "expected one of ['gelu']"), ({"num_attention_heads": 5}, "5 heads"),
        ({"feat_extract_norm": "batch"}, "expected one of ['group', 'layer']"),
        ({"conv_dim": [16]}, "differ in length"),
        ({"adapter_attn_dim": 16}, "language adapters"), ({"num_conv_pos_embedding_groups": 5}, "5 groups"),
    ],
)  # fmt: skip
def test_a_config_that_asks_for_something_else(tmp_path, change, expected):
    folder = shutil.copytree(SMALL, tmp_path / "copy")
    config = json.loads((SMALL / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=re.escape(expected)):
        load(str(folder))


@pytest.mark.parametrize("name", ["wav2vec2-base", "hubert-base-ls960", "wavlm-base", "data2vec-audio-base"])
def test_a_size_without_weights_names_the_ways_to_get_some(name):
    with pytest.raises(CheckpointError, match=rf"a hub id such as \w+/{name}, .*init='random'"):
        load(name)


def small():
    if not hasattr(small, "encoder"):
        small.encoder = load(str(SMALL))
    return small.encoder


class Cut:
    """An encoder with shorter windows, that keeps the lengths it was given."""

    def __init__(self, encoder, window, overlap):
        self.__dict__.update(encoder.__dict__, window=window, overlap=overlap, axis="frame", version=1, seen=[])
        self.inner = encoder

    def encode(self, inputs, lengths, layers):
        self.seen += lengths.tolist()
        return self.inner.encode(inputs, lengths, layers)


@pytest.mark.parametrize("name", ["wav2vec2_stable_2x32", "wavlm_2x32"])
def test_long_audio_is_stitched_by_the_clock(models, name):
    encoder = models[name]
    wave = np.random.RandomState(1).randn(400_123).astype(np.float32)
    whole = encode(encoder, wave)
    cut = Cut(encoder, window=96_000, overlap=32_000)
    step = Encode(cut, dtype="float32")
    pieces = step.encode([wave])
    assert max(cut.seen) <= 96_000 and len(cut.seen) == 6
    for layer, (values,) in pieces.items():
        assert values.shape == whole[layer][0].shape
    if "stable" in name:  # nothing before the blocks sees farther than the overlap
        for layer in ("conv", "embed"):
            assert relative(pieces[layer][0], whole[layer][0]) < 1e-4
    for layer in pieces:  # attention and a group norm see a window instead of the whole
        ours, theirs = pieces[layer][0].ravel(), whole[layer][0].ravel()
        assert np.corrcoef(ours, theirs)[0, 1] > 0.98, layer


def test_long_audio_has_no_seam_where_the_overlap_begins_or_ends(models):
    """Frames beside a seam are as near to the whole as those in the middle of a window."""
    encoder = models["wav2vec2_stable_2x32"]
    wave = np.random.RandomState(2).randn(400_123).astype(np.float32)
    whole = encode(encoder, wave, layers=["block2"])["block2"][0]
    pieces = Encode(Cut(encoder, window=96_000, overlap=32_000), layers=["block2"], dtype="float32").encode([wave])
    error = np.abs(pieces["block2"][0] - whole).mean(axis=1)
    seams = [250 + 200 * n for n in range(5)]  # half an overlap, 50 frames, before each window's end
    beside = np.mean([error[seam - 3 : seam + 3].mean() for seam in seams])
    assert beside < 1.5 * error.mean()
    assert np.abs(np.diff(error)).max() < 10 * error.mean()


def test_windows_are_a_minute_and_overlap_by_four_seconds():
    encoder = small()
    assert (encoder.window, encoder.overlap) == (960_000, 64_000)
    # half of the overlap is more than the positional convolution of any size sees: 64 frames
    assert encoder.overlap / 2 > 64 * encoder.clock.hop + encoder.clock.field
