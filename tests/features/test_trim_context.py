"""Short utterances with less silence behind them: what changes, what does not, and what is told about it."""

from __future__ import annotations

import re
from pathlib import Path

from features import Encode, cards, encode, kernels, open_table  # before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
import soundfile
from datasets import DatasetDict

from builders.audio import decode
from builders.errors import CorpusError
from features.__main__ import main
from features.encoder import trimmed
from features.encoders import load
from features.encoders.log_mel import log_mel
from features.manifests import open_manifest
from features.store import write_features
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise as quiet_noise

SMALL = Path(__file__).parent / "references" / "whisper_2x32"
BLOCKS = ["conv", "block1", "block2", "norm"]


def noise(samples):
    wave = np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


def states(encoder, *waves):
    lengths = np.array([len(wave) for wave in waves])
    batch = np.zeros((len(waves), lengths.max()), np.float32)
    for row, wave in zip(batch, waves, strict=True):
        row[: len(wave)] = wave
    return encoder.encode(batch, lengths, list(encoder.layers))


@pytest.fixture(scope="module")
def small():
    return load(str(SMALL))


@pytest.fixture
def path(tmp_path):
    table = manifest({f"u{n}": quiet_noise(4000 + 3100 * n, n) for n in range(4)}, tmp_path / "one")
    DatasetDict({"train": table}).save_to_disk(str(tmp_path / "table"))
    return tmp_path / "table"


@pytest.mark.parametrize("samples", [1, 8000, 100_000])
def test_without_the_option_all_of_the_window_is_computed(small, samples):
    wave = noise(samples)
    frames = -(-samples // 320)
    whole = small.network(mx.array(log_mel(wave, 80, frames=3000)[None]))
    found = states(small, wave)
    for layer, values in whole:
        np.testing.assert_array_equal(found[layer][0], np.asarray(values)[0, :frames])
    assert Encode(str(SMALL)).encoder.name == "whisper_2x32"


@pytest.mark.parametrize("samples", [480_000, 479_681, 450_000])
def test_an_utterance_that_fills_the_window_stays_as_it_is(small, samples):
    whole, less = states(small, noise(samples)), states(trimmed(small), noise(samples))
    for layer in BLOCKS:
        np.testing.assert_array_equal(less[layer], whole[layer])


def test_few_shapes_and_always_two_seconds_of_silence(small, monkeypatch):
    computed = {}
    less = trimmed(small)

    def mel(wave, bands, *, frames, window):
        assert window == 480_000
        computed[len(wave)] = frames
        return np.zeros((frames, bands), np.float32)

    monkeypatch.setattr("features.encoders.whisper.log_mel", mel)
    for samples in range(0, 480_001, 16_000):
        states(less, np.zeros(samples, np.float32))
    seconds = {samples / 16_000: frames / 100 for samples, frames in computed.items()}
    assert len(set(seconds.values())) <= 12
    assert all(min(own + 2, 30) <= all_of_it <= min(own + 4.5, 30) for own, all_of_it in seconds.items())


def test_only_what_attends_to_the_silence_changes(small):
    """The convolutions see 40 ms: without attention nothing changes."""
    whole, less = states(small, noise(20_007)), states(trimmed(small), noise(20_007))
    np.testing.assert_allclose(less["conv"], whole["conv"], atol=1e-5)
    for layer in BLOCKS[1:]:
        assert less[layer].shape == whole[layer].shape == (1, 63, 32)
        assert np.abs(less[layer] - whole[layer]).max() > 1e-3


@pytest.mark.parametrize("batch", [1, 8])
def test_neighbours_do_not_matter(small, monkeypatch, batch):
    monkeypatch.setattr(kernels, "BATCH", batch)
    less = trimmed(small)
    waves = [noise(8000), noise(300_000), noise(0), noise(60_000), noise(9000)]
    together = states(less, *waves)
    for n, wave in enumerate(waves):
        for layer, values in states(less, wave).items():
            np.testing.assert_allclose(together[layer][n, : values.shape[1]], values[0], atol=1e-4)


def test_as_many_frames_also_of_audio_beyond_the_window():
    lengths = (0, 1, 320, 321, 16_000, 480_000, 480_001, 500_000)
    whole, less = (Encode(str(SMALL), trim_context=trim, layers=["block1"]) for trim in (False, True))
    waves = [noise(samples) for samples in lengths]
    counts = [[len(matrix) for matrix in step.encode(waves)["block1"]] for step in (whole, less)]
    assert counts[0] == counts[1] == [-(-samples // 320) for samples in lengths]


def test_columns_cards_and_keys_tell(path):
    table = open_manifest(path)["train"]
    whole = encode(table, str(SMALL))
    both = encode(whole, str(SMALL), trim_context=True, pool="mean")
    assert list(cards(both)) == [
        *(f"whisper_2x32.{layer}" for layer in BLOCKS),
        *(f"whisper_2x32.trimmed.mean.{layer}" for layer in BLOCKS),
    ]
    assert cards(both)["whisper_2x32.trimmed.mean.conv"].encoder == "whisper_2x32.trimmed"
    assert Encode(str(SMALL)).key != Encode(str(SMALL), trim_context=True).key
    random = Encode("whisper-tiny", init="random", seed=3, trim_context=True)
    assert random.name == "whisper-tiny.trimmed.random3"


def test_an_encoder_that_is_given_itself(small):
    step = Encode(small, trim_context=True)
    assert (step.name, small.name) == ("whisper_2x32.trimmed", "whisper_2x32")
    found = step.encode([noise(8000)])["block2"][0]
    np.testing.assert_array_equal(found, states(trimmed(small), noise(8000))["block2"][0].astype(np.float16))


@pytest.mark.parametrize("first", [False, True])
def test_a_run_does_not_go_on_with_the_other_setting(path, tmp_path, first):
    out = tmp_path / "features"
    write_features(path, Encode(str(SMALL), trim_context=first), out=out)
    before = {item.name: item.stat().st_mtime_ns for item in (out / "data").iterdir()}
    with pytest.raises(CorpusError, match="begun otherwise: encoder was 'whisper_2x32"):
        write_features(path, Encode(str(SMALL), trim_context=not first), out=out)
    assert {item.name: item.stat().st_mtime_ns for item in (out / "data").iterdir()} == before


def test_the_command_prints_how_far_each_layer_is_off(path, small, capsys):
    assert main([str(path), "--encoder", str(SMALL), "--trim-context"]) == 0
    printed = capsys.readouterr().out
    assert "whisper_2x32.trimmed is not exact:" in printed
    assert re.search(r"^speed: [\d.]+ times that of the exact encoder", printed, re.MULTILINE)
    waves = [decode(row["audio"]) for row in open_manifest(path)["train"]]
    whole, less = ([states(encoder, wave) for wave in waves] for encoder in (small, trimmed(small)))
    for layer in BLOCKS:
        exact, other = (np.concatenate([found[layer][0] for found in part]).astype(float) for part in (whole, less))
        off = np.abs(other - exact) / exact.std()
        told = re.search(rf"^{layer} +([\d.]+) +([\d.]+)$", printed, re.MULTILINE)
        np.testing.assert_allclose([float(value) for value in told.groups()], [off.max(), off.mean()], atol=6e-5)
    folder = path / "features" / "whisper_2x32.trimmed"
    assert list(cards(open_table(path, [folder])["train"])) == [f"whisper_2x32.trimmed.{layer}" for layer in BLOCKS]


def test_the_exact_command_prints_no_deviation(path, capsys):
    assert main([str(path), "--encoder", str(SMALL), "--layers", "conv"]) == 0
    assert "deviation" not in capsys.readouterr().out
    assert (path / "features" / "whisper_2x32").is_dir()


@pytest.mark.parametrize(("encoder", "init"), [("log_mel", "trained"), ("mfcc", "trained")])
def test_an_encoder_without_a_fixed_window_is_refused(path, capsys, encoder, init):
    assert main([str(path), "--encoder", encoder, "--init", init, "--trim-context"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: {encoder} computes no silence behind an utterance")
    assert printed.count("\n") == 1
    assert not (path / "features").exists()


def test_the_convolutional_family_is_refused():
    with pytest.raises(ValueError, match="wav2vec2_2x32 computes no silence behind an utterance"):
        Encode(str(SMALL.parent / "wav2vec2_2x32"), trim_context=True)


def test_real_weights_on_speech(shared_data):
    encoder = load(str(shared_data("whisper_tiny_en")))
    wave, _ = soundfile.read(shared_data("whisper_jfk/jfk_16k.wav"), dtype="float32")
    whole, less = states(encoder, wave[:80_000]), states(trimmed(encoder), wave[:80_000])
    for layer, values in whole.items():
        off = np.abs(less[layer] - values) / values.std()
        assert off.mean() < 0.2, layer
