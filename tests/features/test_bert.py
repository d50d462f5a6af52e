"""BERT against `transformers`, layer by layer (outputs stored by make_text_references.py)."""

from __future__ import annotations

import json
import re
import shutil
import warnings
import zlib
from pathlib import Path

from features import kernels  # before MLX, which takes the BLAS that it finds

# isort: split
import numpy as np
import pytest
from mlx.utils import tree_flatten
from safetensors.numpy import load_file, save_file

from features.checkpoint import CheckpointError
from features.encoders import bert, load

REFERENCES = Path(__file__).parent / "references"
SMALL = REFERENCES / "bert_2x32"
TEXTS = ("The cat sat on the mat.", "Überall Cats, unaffable!", "sat", "zzz the 猫 mat " * 7)
LAYERS = ["embeddings", "block1", "block2"]
BASE = {
    "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512, "hidden_act": "gelu",
}  # fmt: skip


@pytest.fixture(scope="module")
def small():
    return load(str(SMALL))


@pytest.fixture(scope="module")
def states():
    return np.load(SMALL / "hidden_states.npz")


@pytest.fixture
def folder(tmp_path):
    """Return a writable copy of the small checkpoint."""
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        shutil.copy(SMALL / name, tmp_path / name)
    return tmp_path


def encode(encoder, *ids, layers=None, **options):
    lengths = np.array([len(row) for row in ids])
    batch = np.full((len(ids), lengths.max()), 5, np.int32)  # what is behind the end must not matter
    for row, own in zip(batch, ids, strict=True):
        row[: len(own)] = own
    return encoder.encode(batch, lengths, layers or list(encoder.layers), **options)


def tokenize(encoder, *texts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return encoder.tokenize(texts)


def relative(ours, reference):
    """Return the largest difference relative to the layer's scale."""
    return np.abs(ours - reference).max() / reference.std()


# Hidden states


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_every_layer_equals_transformers(small, states, number):
    ids = states[f"ids_{number}"]
    found = encode(small, ids)
    assert list(found) == list(small.layers) == LAYERS
    for k, layer in enumerate(LAYERS):
        reference = states[f"hs{k}_{number}"]
        assert found[layer].shape == (1, *reference.shape) == (1, len(ids), 32)
        assert found[layer].dtype == np.float32
        assert relative(found[layer][0], reference) < 1e-4


@pytest.mark.parametrize("short", [0, 64])
@pytest.mark.parametrize("slow_cpu", [True, False])
def test_neighbours_do_not_matter(small, states, slow_cpu, short, monkeypatch):
    monkeypatch.setattr(kernels, "SLOW_CPU", slow_cpu)
    monkeypatch.setattr(kernels, "SHORT", short)
    ids = [states[f"ids_{number}"] for number in range(len(TEXTS))]
    together = encode(small, *ids)
    for row, own in enumerate(ids):
        alone = encode(small, own)
        for layer in LAYERS:
            np.testing.assert_allclose(together[layer][row, : len(own)], alone[layer][0], atol=1e-4)
        assert relative(alone["block2"][0], states[f"hs2_{row}"]) < 1e-4


def test_second_sentence_has_a_type_of_its_own(small, states):
    ids, types = states["ids_pair"], states["types_pair"]
    assert set(types) == {0, 1}
    both = encode(small, ids, layers=["block2"], type_ids=types[None])["block2"][0]
    assert relative(both, states["hs2_pair"]) < 1e-4
    assert relative(encode(small, ids, layers=["block2"])["block2"][0], states["hs2_pair"]) > 0.1


def test_only_the_layers_asked_for(small, states, monkeypatch):
    everything = encode(small, states["ids_0"])
    calls = []
    forward = kernels.feed_forward
    monkeypatch.setattr(kernels, "feed_forward", lambda *args: calls.append(1) or forward(*args))
    some = encode(small, states["ids_0"], layers=["block1", "embeddings"])
    assert (list(some), len(calls)) == (["block1", "embeddings"], 1)  # the second block is not computed
    for layer, values in some.items():
        np.testing.assert_array_equal(values, everything[layer])


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Return a random encoder of the shape of bert-base."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "config.json").write_text(json.dumps(BASE))
    shutil.copy(SMALL / "tokenizer.json", folder)
    return load(str(folder), init="random", seed=3)


def hugging_face(name):
    """Return what the reference calls one of our parameters."""
    for ours, theirs in (
        (r"^(\w+_embeddings)", r"embeddings.\1"), (r"^norm", "embeddings.LayerNorm"), (r"^layers", "encoder.layer"),
        (r"attention\.output", "attention.output.dense"), (r"attention\.(query|key|value)", r"attention.self.\1"),
        (r"attention_norm", "attention.output.LayerNorm"), (r"output_norm", "output.LayerNorm"),
        (r"fc1", "intermediate.dense"), (r"fc2", "output.dense"),
    ):  # fmt: skip
        name = re.sub(ours, theirs, name)
    return name


def drawn(name, shape):
    """Return a parameter that make_text_references.py draws as well, seeded by its name."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    return values * np.float32(0.05) + np.float32("LayerNorm.weight" in name)


def test_random_weights_are_distributed_as_in_transformers(base):
    reference = json.loads((REFERENCES / "bert_init.json").read_text())
    ours = {hugging_face(name): np.array(value) for name, value in tree_flatten(base.network.parameters())}
    assert {name for name in reference if not name.startswith("pooler")} == set(ours)
    for name, value in ours.items():
        expected = reference[name]
        assert list(value.shape) == expected["shape"], name
        if expected["std"] == 0:
            assert (value == expected["mean"]).all(), name
            continue
        # both are samples: five standard errors of their difference
        error = 5 * np.sqrt(2 / value.size) * expected["std"]
        assert abs(value.mean() - expected["mean"]) < error, name
        assert abs(value.std() - expected["std"]) < error / np.sqrt(2), name
    assert not ours["embeddings.word_embeddings.weight"][0].any()  # the padding


def test_features_of_the_shape_of_bert_base_equal_the_reference(base):
    import mlx.core as mx

    reference = np.load(REFERENCES / "bert_base.npz")
    before = tree_flatten(base.network.parameters())
    given = [(name, mx.array(drawn(hugging_face(name), value.shape))) for name, value in before]
    base.network.load_weights(given)
    try:
        found = encode(base, reference["ids"])
    finally:
        base.network.load_weights(before)
    assert list(found) == ["embeddings", *(f"block{n}" for n in range(1, 13))]
    for k, values in enumerate(found.values()):
        assert values.shape == (1, 10, 768)
        assert values.std() == pytest.approx(reference["std"][k], rel=1e-4)
        if k % 3 == 0:
            assert np.abs(values[0, :, ::16] - reference[f"hs{k}"]).max() < 1e-3 * reference["std"][k]


def test_random_weights_follow_the_seed(base):
    config = base.config

    def word(seed):
        return np.array(bert.draw({"word_embeddings.weight": (100, 8)}, config, seed)["word_embeddings.weight"])

    np.testing.assert_array_equal(word(1), word(1))
    assert not np.array_equal(word(1), word(2))
    assert base.init == "random3"


# Tokens


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_tokens_equal_the_reference(small, states, number):
    (tokens,) = tokenize(small, TEXTS[number])
    np.testing.assert_array_equal(tokens.ids, states[f"ids_{number}"])
    np.testing.assert_array_equal(tokens.offsets, states[f"offsets_{number}"])
    assert (tokens.mask == 1).all() and (tokens.type_ids == 0).all()
    assert all(part.dtype == np.int32 for part in tokens)


def test_offsets_are_characters_of_the_text(small):
    (tokens,) = tokenize(small, TEXTS[1])
    pieces = [TEXTS[1][first:last] for first, last in tokens.offsets]
    assert pieces == ["", "Über", "all", "Cat", "s", ",", "un", "aff", "able", "!", ""]


def test_longer_texts_are_cut_with_a_warning(small):
    with pytest.warns(UserWarning, match=r"bert_2x32: 1 of 2 texts are longer than 24 tokens and were cut there"):
        short, long = small.tokenize(["the cat", TEXTS[3]])
    assert (len(short.ids), len(long.ids), small.window) == (4, 24, 24)
    assert (long.ids[0], long.ids[-1]) == (2, 3)  # [CLS] and [SEP] stay


def test_text_of_exactly_the_window_is_whole(small):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (tokens,) = small.tokenize(["mat " * 22])
    assert len(tokens.ids) == 24


def test_null_and_empty_texts(small):
    nothing, empty = small.tokenize([None, ""])
    assert [part.shape for part in nothing] == [(0,), (0,), (0,), (0, 2)]
    assert empty.ids.tolist() == [2, 3]


@pytest.mark.parametrize("lower", [True, False])
def test_checkpoint_with_vocab_txt_only(small, folder, lower):
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    if not lower:
        (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    for ours, theirs in zip(tokenize(load(str(folder)), *TEXTS), tokenize(small, *TEXTS), strict=True):
        same = np.array_equal(ours.ids, theirs.ids) and np.array_equal(ours.offsets, theirs.offsets)
        assert same == (lower or len(theirs.ids) in (3, 24))  # the texts without a capital


def test_a_token_that_unicode_calls_the_end_of_a_line(folder):
    # as bert-base-chinese has it: a line of vocab.txt is what ends in a line feed, and nothing else
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "\u2028", "\u0085", "今", "天"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    (tokens,) = load(str(folder)).tokenize(["今天"])
    assert tokens.ids.tolist() == [2, 7, 8, 3]


def test_a_tokenizer_of_more_tokens_than_the_network_has(small, folder):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{n}" for n in range(small.config.vocab_size))]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    encoder = load(str(folder))
    (tokens,) = encoder.tokenize([f"w{small.config.vocab_size - 1}"])
    with pytest.raises(CheckpointError, match=f"the tokenizer gives token {small.config.vocab_size + 4}, config.json"):
        encoder.encode(tokens.ids[None], np.array([len(tokens.ids)]), ["embeddings"])


# Checkpoints


def first_names(weights):
    """Rename as the checkpoints that were converted from TensorFlow."""
    return {k.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): v for k, v in weights.items()}


def without_prefix(weights):
    return {k.removeprefix("bert."): v for k, v in weights.items()}


@pytest.mark.parametrize("rename", [first_names, without_prefix])
def test_other_names_of_the_same_weights(small, states, folder, rename):
    head = {"cls.predictions.bias": np.zeros(3, np.float32)}
    save_file({**rename(load_file(folder / "model.safetensors")), **head}, folder / "model.safetensors")
    found, ours = (encode(encoder, states["ids_0"]) for encoder in (load(str(folder)), small))
    for layer in LAYERS:
        np.testing.assert_array_equal(found[layer], ours[layer])


def test_random_weights_keep_the_tokenizer(folder):
    (folder / "model.safetensors").unlink()
    encoder = load(str(folder), init="random", seed=1)
    assert tokenize(encoder, "the cat")[0].ids.tolist() == [2, 5, 6, 3]


def test_tokenizer_is_part_of_the_revision(folder):
    before = load(str(folder)).revision
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"lowercase": true', '"lowercase": false'))
    assert load(str(folder)).revision != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "swish"}, r"hidden_act 'swish', expected one of \['gelu', 'relu'\]"),
        ({"position_embedding_type": "relative_key"}, r"expected one of \['absolute'\]"),
        ({"is_decoder": True}, r"is_decoder True, expected one of \[False\]"),
        ({"num_attention_heads": 5}, "width 32 is no multiple of the 5 heads"),
        ({"hidden_size": 16}, r"\(22, 32\), config.json says \(22, 16\)|config.json says"),
    ],
)
def test_configurations_that_are_not_implemented(folder, change, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(CheckpointError, match=message):
        load(str(folder))


def test_missing_and_damaged_tokenizer(folder):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: damaged .*fetch it again"):
        load(str(folder))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json and no vocab\.txt beside config\.json"):
        load(str(folder))
