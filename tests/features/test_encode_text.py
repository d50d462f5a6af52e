"""The map step with an encoder of texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from features import Encode, cards, encode, open_table
from features.columns import matrices
from features.encode import feature_table
from features.encoder import Tokens
from features.step import PIECES
from features.store import write_features
from features.tokens import NONE

TEXTS = ["a cat", None, "", "the longer text of them", "a cat", "b", "c d", "e", "f g h", "i"]
TOKENS = ["fake.token_ids", "fake.token_type_ids", "fake.attention_mask", "fake.char_offsets"]


class FakeTextEncoder:
    """A token per character, between 1 and 2; a state is the id, its place and the id of its neighbour."""

    name, init, revision, version, input, axis, clock = "fake", "none", "r1", 1, "text", "token", None
    window = 100
    calls: ClassVar[list[tuple[int, int]]] = []

    def __init__(self) -> None:
        self.layers = {"low": 3, "high": 1}

    def tokenize(self, texts: Sequence[str | None]) -> list[Tokens]:
        return [NONE if text is None else self._tokens(text) for text in texts]

    def _tokens(self, text: str) -> Tokens:
        ids = np.array([1, *map(ord, text), 2], np.int32)
        places = [(0, 0), *((place, place + 1) for place in range(len(text))), (0, 0)]
        return Tokens(ids, np.zeros_like(ids), np.ones_like(ids), np.array(places, np.int32))

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        self.calls.append(inputs.shape)
        assert np.issubdtype(inputs.dtype, np.integer) and len(inputs) <= PIECES and inputs.shape[1] == lengths.max()
        out = np.full((*inputs.shape, 3), 1e4, np.float32)
        for row, ids, length in zip(out, inputs, lengths, strict=True):
            row[:length] = states(ids[:length])
        return {layer: {"low": out, "high": out[..., :1] * 2}[layer] for layer in layers}


def states(ids: np.ndarray) -> np.ndarray:
    return np.stack([ids, np.arange(len(ids)), np.append(ids, 0)[1:]], axis=1).astype(np.float32)


def ids_of(text: str | None) -> list[int]:
    return [] if text is None else [1, *map(ord, text), 2]


@pytest.fixture
def table() -> Dataset:
    return Dataset.from_dict({"id": [f"u{n}" for n in range(len(TEXTS))], "text": TEXTS})


def test_a_row_per_token(table):
    made = encode(table, FakeTextEncoder())
    assert made.column_names == ["id", "text", *TOKENS, "fake.low", "fake.high"]
    for number, text in enumerate(TEXTS):
        values, lengths = matrices(made, "fake.low", slice(number, number + 1))
        assert lengths.tolist() == [len(ids_of(text))]
        np.testing.assert_array_equal(values, states(np.array(ids_of(text), int)).astype(np.float16))
        np.testing.assert_array_equal(matrices(made, "fake.high", slice(number, number + 1))[0], values[:, :1] * 2)


def test_null_text_has_a_matrix_without_rows(table):
    made = encode(table, FakeTextEncoder())
    assert (made[1]["fake.low"], matrices(made, "fake.low", slice(1, 2))[0].shape) == ([], (0, 3))
    assert [made[1][name] for name in TOKENS] == [[]] * 4
    assert made.data.column("fake.low").null_count == made.data.column("fake.token_ids").null_count == 0
    nothing = encode(table.select([1]), FakeTextEncoder())
    assert matrices(nothing, "fake.low", slice(0, 1))[1].tolist() == [0]


def test_tokens_beside_the_layers(table):
    made = encode(table, FakeTextEncoder(), layers=["high"])
    assert list(made["fake.token_ids"]) == [ids_of(text) for text in TEXTS]
    assert made[2]["fake.char_offsets"] == [[0, 0], [0, 0]]
    assert made[5]["fake.char_offsets"] == [[0, 0], [0, 1], [0, 0]]
    assert (made[5]["fake.token_type_ids"], made[5]["fake.attention_mask"]) == ([0] * 3, [1] * 3)
    types = {name: str(made.data.schema.field(name).type) for name in TOKENS}
    assert types["fake.token_ids"].endswith("int32>") and types["fake.attention_mask"].endswith("int8>")


def test_cards_say_token_and_have_no_clock(table):
    made = encode(table, FakeTextEncoder())
    assert list(cards(made)) == ["fake.low", "fake.high"]
    assert {(card.axis, card.clock, card.pool) for card in cards(made).values()} == {("token", None, "none")}


def test_mean_over_the_tokens(table):
    made = encode(table, FakeTextEncoder(), pool="mean", dtype="float32")
    assert made.column_names == ["id", "text", "fake.mean.low", "fake.mean.high"]  # no row is a token
    values, lengths = matrices(made, "fake.mean.low", slice(0, len(TEXTS)))
    assert lengths.tolist() == [int(text is not None) for text in TEXTS]
    expected = [states(np.array(ids_of(text))).mean(axis=0) for text in TEXTS if text is not None]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_text_has_no_frames_to_pool_by_segment():
    with pytest.raises(ValueError, match=r"fake\.segments-words has no frames to pool by segment: expected pool none"):
        Encode(FakeTextEncoder(), pool="segments:words")


def test_streaming_and_plain_map_give_the_same_rows(table):
    made = encode(table, FakeTextEncoder())
    stream = encode(table.to_iterable_dataset(), FakeTextEncoder())
    assert stream.features == made.features
    assert list(stream) == list(made)
    step = Encode(FakeTextEncoder())
    plain = table.map(step, batched=True, batch_size=3, features=step.features(table.features))
    assert list(plain) == list(made)


def test_two_encoders_and_splits_beside_one_table(table):
    other = FakeTextEncoder()
    other.init = "random1"
    both = encode(encode(DatasetDict({"train": table}), FakeTextEncoder()), other)["train"]
    assert [name for name in both.column_names if name.endswith("token_ids")] == [
        "fake.token_ids",
        "fake.random1.token_ids",
    ]


def test_batches_are_bounded_by_the_bytes_of_the_longest_text(table):
    step, wide = Encode(FakeTextEncoder()), FakeTextEncoder()
    assert step.batch_size(table) == 1000
    wide.layers = {"low": 768 * 13}
    assert Encode(wide).batch_size(table) == 16_000_000 // (768 * 13 * 2 * 25)  # 23 characters, begin and end
    long = Dataset.from_dict({"id": ["a"], "text": ["x" * 10_000]})
    assert Encode(wide).batch_size(long) == 16_000_000 // (768 * 13 * 2 * 100)  # the window
    assert Encode(wide).batch_size(table.to_iterable_dataset()) == 16_000_000 // (768 * 13 * 2 * 100)


def test_second_call_is_a_cache_hit(tmp_path):
    Dataset.from_dict({"id": ["a"], "text": ["cat"]}).save_to_disk(str(tmp_path / "t"))
    from datasets import load_from_disk

    first = encode(load_from_disk(str(tmp_path / "t")), FakeTextEncoder())
    FakeTextEncoder.calls.clear()
    assert encode(load_from_disk(str(tmp_path / "t")), FakeTextEncoder())[0] == first[0]
    assert FakeTextEncoder.calls == []


def test_only_text_is_read_and_copied(table):
    made = feature_table(table.add_column("audio", ["x"] * len(table)), Encode(FakeTextEncoder()))
    assert made.column_names == ["id", *TOKENS, "fake.low", "fake.high"]


def test_table_without_texts(table):
    with pytest.raises(ValueError, match=r"no column 'text', only \['id'\]: load it with a corpus builder"):
        encode(table.remove_columns("text"), FakeTextEncoder())
    made = encode(table, FakeTextEncoder())
    with pytest.raises(ValueError, match=r"has the columns \['fake.token_ids'.* already"):
        encode(made.remove_columns(["fake.low", "fake.high"]), FakeTextEncoder())


def test_table_on_disk(table, tmp_path):
    table.save_to_disk(str(tmp_path / "table"))
    folder = write_features(tmp_path / "table", Encode(FakeTextEncoder()))
    assert folder.endswith("/features/fake")
    opened = open_table(tmp_path / "table")["train"]
    assert list(opened) == list(encode(table, FakeTextEncoder()))
    assert '"clock": null' in Path(folder, "card.json").read_text()


def test_probes_refuse_token_features_in_one_line(table):
    from probes.errors import ProbeError
    from probes.frames import check
    from probes.tables import feature_columns

    made = encode(table, FakeTextEncoder())
    with pytest.raises(ProbeError, match="the table has no frame features, only one row per token: run `python -m"):
        feature_columns(made, None, None)
    made = made.add_column("speaker_id", ["s"] * 10).add_column("corpus", ["c"] * 10).add_column("segments", [[]] * 10)
    with pytest.raises(ProbeError, match=r"column 'fake\.low' has no frames \(axis token, pool none\)"):
        check(made, "fake.low")


def test_bert_beside_a_table(tmp_path):
    texts = ["The cat sat on the mat.", None, "cats"]
    table = Dataset.from_dict({"id": list("abc"), "text": texts})
    made = encode(table, str(Path(__file__).parent / "references" / "bert_2x32"), dtype="float32")
    reference = np.load(Path(__file__).parent / "references" / "bert_2x32" / "hidden_states.npz")
    values, lengths = matrices(made, "bert_2x32.block2", slice(0, 3))
    assert lengths.tolist() == [9, 0, 4]
    assert np.abs(values[:9] - reference["hs2_0"]).max() < 1e-4
    assert made[0]["bert_2x32.token_ids"] == reference["ids_0"].tolist()
