"""Half precision against single precision, which is equal to `transformers`; and that the two are never mixed up."""

from __future__ import annotations

from pathlib import Path

from features import Encode, cards, encode, kernels, open_table  # before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
from datasets import DatasetDict
from mlx.utils import tree_flatten

from builders.errors import CorpusError
from features.__main__ import main
from features.encoders import load
from features.manifests import open_manifest
from features.precision import lowered
from features.store import write_features
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise as quiet_noise

REFERENCES = Path(__file__).parent / "references"
AUDIO = ["whisper_2x32", "wav2vec2_2x32", "wav2vec2_stable_2x32", "hubert_2x32", "hubert_batch_norm_2x32",
         "wavlm_2x32", "wavlm_stable_2x32", "data2vec_audio_2x32"]  # fmt: skip
# Relative to a layer's scale, see docs/performance.md. float16 has 11 bits and bfloat16 8: off by 2^3 times as
# much. The largest are behind seven convolutions with a layer norm each.
LARGEST = {"float16": 3e-2, "bfloat16": 8 * 3e-2}
MEAN = {"float16": 3e-3, "bfloat16": 8 * 3e-3}


def waves():
    random = np.random.RandomState(0)
    return (random.randn(2, 12_000) * np.linspace(0.01, 0.2, 12_000)).astype(np.float32), np.array([12_000, 9_000])


def off(whole, less):
    """Return the largest and the mean difference relative to the scale."""
    differences = np.abs(less.astype(float) - whole) / whole.std()
    return differences.max(), differences.mean()


@pytest.mark.parametrize("compute", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", AUDIO)
def test_every_layer_is_near_that_of_single_precision(name, compute):
    encoder = load(str(REFERENCES / name))
    inputs, lengths = waves()
    inputs[1, 9_000:] = 0
    whole, less = (one.encode(inputs, lengths, list(encoder.layers)) for one in (encoder, lowered(encoder, compute)))
    assert list(less) == list(encoder.layers)
    for layer in encoder.layers:
        for row, length in enumerate(lengths):
            frames = encoder.clock.frames(int(length))
            assert less[layer].dtype == np.float32
            largest, mean = off(whole[layer][row, :frames], less[layer][row, :frames])
            assert 0 < largest < LARGEST[compute], (layer, largest)
            assert mean < MEAN[compute], (layer, mean)


@pytest.mark.parametrize("compute", ["float16", "bfloat16"])
def test_texts_as_well(compute):
    encoder = load(str(REFERENCES / "bert_2x32"))
    ids, lengths = np.array([[2, 5, 7, 9, 3]], np.int32), np.array([5])
    whole, less = (one.encode(ids, lengths, list(encoder.layers)) for one in (encoder, lowered(encoder, compute)))
    for layer in encoder.layers:
        largest, _ = off(whole[layer], less[layer])
        assert 0 < largest < LARGEST[compute], (layer, largest)


@pytest.mark.parametrize("fast_path", [True, False])
def test_activations_are_in_half_precision_on_either_path(monkeypatch, fast_path):
    monkeypatch.setattr(kernels, "SLOW_CPU", fast_path)
    encoder = lowered(load(str(REFERENCES / "wavlm_2x32")), "float16")
    frames = [encoder.clock.frames(12_000)]
    for _, values in encoder.network(waves()[0][:1], np.array([12_000]), frames):
        assert values.dtype == mx.float16


def test_the_encoder_itself_stays_as_it_is():
    encoder = load(str(REFERENCES / "wav2vec2_2x32"))
    inputs, lengths = waves()
    before = encoder.encode(inputs, lengths, ["block2"])["block2"]
    assert lowered(encoder, "float32") is encoder
    half = lowered(encoder, "bfloat16")
    assert {value.dtype for _, value in tree_flatten(half.network.parameters())} == {mx.bfloat16}
    assert {value.dtype for _, value in tree_flatten(encoder.network.parameters())} == {mx.float32}
    np.testing.assert_array_equal(encoder.encode(inputs, lengths, ["block2"])["block2"], before)


@pytest.fixture
def path(tmp_path):
    table = manifest({f"u{n}": quiet_noise(4000 + 3100 * n, n) for n in range(3)}, tmp_path / "one")
    DatasetDict({"train": table}).save_to_disk(str(tmp_path / "table"))
    return tmp_path / "table"


def test_columns_cards_and_keys_tell(path):
    small = str(REFERENCES / "whisper_2x32")
    table = open_manifest(path)["train"]
    both = encode(encode(table, small, layers="last"), small, layers="last", compute="float16", trim_context=True)
    assert list(cards(both)) == ["whisper_2x32.norm", "whisper_2x32.compute-float16.trimmed.norm"]
    assert len({str(Encode(small, compute=compute).key) for compute in ("float32", "float16", "bfloat16")}) == 3


def test_a_run_does_not_go_on_in_another_type(path, tmp_path):
    small, out = str(REFERENCES / "wav2vec2_2x32"), tmp_path / "features"
    write_features(path, Encode(small), out=out)
    with pytest.raises(CorpusError, match=r"encoder was 'wav2vec2_2x32', is 'wav2vec2_2x32.compute-float16' now"):
        write_features(path, Encode(small, compute="float16"), out=out)


def test_the_command(path, capsys):
    assert main([str(path), "--encoder", str(REFERENCES / "wav2vec2_2x32"), "--compute", "float16"]) == 0
    printed = capsys.readouterr().out
    assert "wav2vec2_2x32.compute-float16 is not exact:" in printed
    assert "largest deviation" in printed
    assert "wav2vec2_2x32.compute-float16.block2" in cards(open_table(path)["train"])


@pytest.mark.parametrize("encoder", ["log_mel", "mfcc"])
def test_an_encoder_that_computes_in_single_precision_only(path, capsys, encoder):
    assert main([str(path), "--encoder", encoder, "--compute", "float16"]) == 2
    printed = capsys.readouterr().err
    assert printed == f"error: {encoder} computes in float32 only: leave --compute float16 out\n"


def test_unknown_type():
    with pytest.raises(ValueError, match="can't compute in 'float8': expected one of"):
        Encode("log_mel", compute="float8")
