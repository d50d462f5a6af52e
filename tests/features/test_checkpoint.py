"""Where configurations and weights come from, and what is said when they don't."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from features import variants
from features.checkpoint import CheckpointError, resolve
from features.encoders import families, known, load

SMALL = Path(__file__).parent / "references" / "whisper_2x32"


@pytest.fixture
def checkpoint(tmp_path):
    """Return a writable copy of the small checkpoint."""
    folder = tmp_path / "small"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copy(SMALL / name, folder / name)
    return folder


def rewrite(folder, change):
    """Change the checkpoint's tensors in place."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def message(*args, **options):
    with pytest.raises(CheckpointError) as caught:
        load(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def parameters(encoder):
    from mlx.utils import tree_flatten

    return {name: np.array(value) for name, value in tree_flatten(encoder.network.parameters())}


def test_a_folder_gives_its_base_name_and_a_hash(checkpoint, monkeypatch):
    spec = resolve(str(checkpoint))
    assert (spec.name, spec.init, spec.folder) == ("small", "trained", checkpoint)
    assert len(spec.revision) == 64
    monkeypatch.chdir(checkpoint.parent)
    assert resolve("small") == spec == resolve("./small/")
    monkeypatch.chdir(checkpoint)
    assert resolve(".") == spec  # "." is no name for a column


def test_the_revision_follows_the_contents_and_not_the_place(checkpoint, tmp_path):
    before = resolve(str(checkpoint)).revision
    copy = shutil.copytree(checkpoint, tmp_path / "elsewhere" / "other")
    assert resolve(str(copy)).revision == before
    rewrite(copy, lambda weights: weights["model.encoder.layer_norm.bias"].__iadd__(1))
    assert resolve(str(copy)).revision != before
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, "encoder_attention_heads": 2}))
    assert resolve(str(checkpoint)).revision != before


def test_random_weights_of_a_folder_need_its_config_only(checkpoint):
    (checkpoint / "model.safetensors").unlink()
    spec = resolve(str(checkpoint), init="random", seed=3)
    assert (spec.folder, spec.seed, spec.config["d_model"]) == (None, 3, 32)


def test_random_weights_of_a_known_size_need_no_download(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **options: pytest.fail("download"))
    hub, bare = (load(name, init="random", seed=2) for name in ("openai/whisper-tiny.en", "whisper-tiny.en"))
    assert (
        (hub.name, hub.init, hub.revision)
        == (bare.name, bare.init, bare.revision)
        == ("whisper-tiny.en", "random2", "")
    )


def test_the_hub_gives_name_and_commit(checkpoint, monkeypatch):
    asked = {}
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = checkpoint.rename(checkpoint.parent / commit)

    def download(repo_id, *, revision, allow_patterns):
        asked.update(repo_id=repo_id, revision=revision, allow_patterns=allow_patterns)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    encoder = load("some-one/small-whisper", revision="v1")
    assert (encoder.name, encoder.revision) == ("small-whisper", commit)
    assert (asked["repo_id"], asked["revision"]) == ("some-one/small-whisper", "v1")
    assert not any(pattern in ("*", "*.bin", "*.safetensors") for pattern in asked["allow_patterns"])


def test_the_hub_is_asked_for_pickles_only_where_it_has_nothing_better(tmp_path, monkeypatch):
    asked = []
    source = SMALL.parent / "hubert_2x32"
    shutil.copy(source / "config.json", tmp_path)

    def download(repo_id, *, revision, allow_patterns):
        asked.append(allow_patterns)
        if "pytorch_model.bin" in allow_patterns:
            shutil.copy(source / "pytorch_model.bin", tmp_path)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert load("some-one/old-hubert").layers["embed"] == 32
    assert [any(name.endswith(".bin") for name in patterns) for patterns in asked] == [False, True]


def test_offline_without_a_copy_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert message("nobody/no-such-model").startswith("nobody/no-such-model: neither a folder here nor")


def test_unknown_names_list_the_known_ones():
    text = message("whisper-gigantic")
    assert "expected one of" in text and "whisper-tiny" in text and "log_mel" in text
    assert {"log_mel", "mfcc", "whisper-large-v3-turbo", "whisper-small.en"} <= set(known())


def test_unknown_model_types_list_the_families(checkpoint):
    (checkpoint / "config.json").write_text('{"model_type": "t5"}')
    assert f"'t5' is not supported, expected one of {families()}" in message(str(checkpoint))


def test_a_size_without_weights_names_the_ways_to_get_some():
    text = message("whisper-tiny")
    assert "openai/whisper-tiny" in text and "init='random'" in text


@pytest.mark.parametrize("name", ["log_mel", "mfcc"])
def test_no_weights_cannot_be_random(name):
    assert message(name, init="random") == f"{name} has no weights to draw at random: leave init='random' out"


def test_init_is_checked():
    assert "expected one of ['trained', 'random']" in message("log_mel", init="Random")


def test_folders_that_are_no_checkpoints(tmp_path, checkpoint):
    assert "no such folder" in message(str(tmp_path / "missing" / "folder"))
    assert "no config.json" in message(str(tmp_path))
    (checkpoint / "config.json").write_text("{")
    assert message(str(checkpoint)).startswith(f"{checkpoint}/config.json: not JSON")
    (checkpoint / "config.json").write_text("[]")
    assert "expected a JSON object, found a list" in message(str(checkpoint))


def test_a_config_that_lacks_a_field(checkpoint):
    (checkpoint / "config.json").write_text('{"model_type": "whisper", "d_model": 32}')
    assert "num_mel_bins" in message(str(checkpoint))


@pytest.mark.parametrize(
    "change, expected",
    [({"activation_function": "relu"}, "expected one of ['gelu']"), ({"encoder_attention_heads": 5}, "5 heads")],
)
def test_a_config_that_asks_for_something_else(checkpoint, change, expected):
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps({**config, **change}))
    assert expected in message(str(checkpoint))


def test_missing_weights(checkpoint):
    rewrite(checkpoint, lambda weights: weights.pop("model.encoder.layers.1.fc1.bias"))
    text = message(str(checkpoint))
    assert text.startswith(f"{checkpoint}/model.safetensors: no weight layers.1.fc1.bias (1 missing of ")
    (checkpoint / "model.safetensors").unlink()
    assert message(str(checkpoint)).startswith(f"{checkpoint}: no model.safetensors")
    (checkpoint / "pytorch_model.bin").write_bytes(b"")
    assert message(str(checkpoint)).startswith(f"{checkpoint}/pytorch_model.bin: not a file that torch")


def test_wrong_shapes(checkpoint):
    def halve(weights):
        name = "model.encoder.layers.0.fc1.weight"
        weights[name] = weights[name][:24].copy()

    rewrite(checkpoint, halve)
    assert "layers.0.fc1.weight is (24, 32), config.json says (48, 32)" in message(str(checkpoint))


@pytest.mark.parametrize("kept", [0, 4, 1000, 100_000])
def test_truncated_weights(checkpoint, kept):
    file = checkpoint / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    assert message(str(checkpoint)).startswith(f"{file}: damaged")


def shard(folder):
    """Split the checkpoint into two files and an index, as `transformers` saves large models."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    files = [f"model-0000{part}-of-00002.safetensors" for part in (1, 2)]
    for part, file in enumerate(files):
        save_file({name: weights[name] for name in names[part::2]}, folder / file)
    index = {"metadata": {}, "weight_map": {name: files[n % 2] for n, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    return files


def test_shards_hold_the_same_weights(checkpoint):
    whole = parameters(load(str(checkpoint)))
    shard(checkpoint)
    parts = parameters(load(str(checkpoint)))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name])


def test_a_missing_shard(checkpoint):
    files = shard(checkpoint)
    (checkpoint / files[1]).unlink()
    assert message(str(checkpoint)).startswith(f"{checkpoint}/{files[1]}: missing")


def test_weights_that_another_library_quantised(checkpoint):
    # bitsandbytes, `load_in_8bit`: whole numbers under the names of the weights, their scales beside them
    def change(weights):
        name = "model.encoder.layers.0.fc1.weight"
        name = name if name in weights else next(n for n in weights if n.endswith("layers.0.fc1.weight"))
        weights[name] = np.rint(127 * weights[name] / np.abs(weights[name]).max()).astype(np.int8)
        weights[name.replace("weight", "SCB")] = np.ones(len(weights[name]), np.float32)

    rewrite(checkpoint, change)
    assert re.search(
        r"model\.safetensors: layers\.0\.fc1\.weight is stored as int8, .* not quantised", message(str(checkpoint))
    )


def test_a_checkpoint_for_another_sampling_rate(checkpoint):
    (checkpoint / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 8000}))
    assert "made for audio at 8000 Hz, expected 16000" in message(str(checkpoint))
    (checkpoint / "preprocessor_config.json").write_text(json.dumps({"sampling_rate": 16000}))
    assert resolve(str(checkpoint)).config["d_model"] == 32


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_are_those_that_mlx_takes(seed):
    assert f"seed={seed}, expected a number from 0 to 4294967295" in message("whisper-tiny", init="random", seed=seed)


def test_a_folder_that_changed_is_loaded_again(checkpoint):
    options = {"init": "trained", "seed": 0, "revision": None}
    first = variants.load(str(checkpoint), **options)
    assert variants.load(str(checkpoint), **options) is first
    rewrite(checkpoint, lambda weights: weights.update({name: 2 * value for name, value in weights.items()}))
    second = variants.load(str(checkpoint), **options)
    assert second.revision == resolve(str(checkpoint)).revision != first.revision
    for name, value in parameters(second).items():
        np.testing.assert_array_equal(value, 2 * parameters(first)[name])
