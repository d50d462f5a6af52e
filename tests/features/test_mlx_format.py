"""`with_format("mlx")` gives the numbers that the table holds."""

from __future__ import annotations

import mlx.core as mx
import numpy as np
import pytest
from datasets import Dataset, Features, List, Value, load_dataset

import features
from builders.audio import decode
from tests.corpora import timit


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> Dataset:
    corpus = timit.write(tmp_path_factory.mktemp("format") / "corpus")
    return features.encode(load_dataset("builders/timit", data_dir=str(corpus), split="train"), "log_mel")


def test_a_row(table):
    row, plain = table.with_format("mlx")[1], table[1]
    assert isinstance(row["audio"], mx.array)
    np.testing.assert_array_equal(np.asarray(row["audio"]), decode(plain["audio"]))
    (column,) = features.cards(table)
    assert row[column].dtype == mx.float16
    np.testing.assert_array_equal(np.asarray(row[column]), np.asarray(plain[column], np.float16))
    assert row["id"] == plain["id"]
    assert row["segments"] == plain["segments"]
    assert row["duration"].item() == pytest.approx(plain["duration"])


def test_a_batch_and_a_column(table):
    batch = table.with_format("mlx")[:3]
    assert [wave.size for wave in batch["audio"]] == [len(decode(cell)) for cell in table[:3]["audio"]]
    assert batch["duration"].shape == (3,)
    (column,) = features.cards(table)
    matrices = list(table.with_format("mlx")[column])
    assert [matrix.shape for matrix in matrices] == [np.shape(matrix) for matrix in table[column]]


def test_slices_and_shuffles_take_the_right_rows(table):
    (column,) = features.cards(table)
    picked = table.select([2, 0]).with_format("mlx")[:]
    for matrix, index in zip(picked[column], [2, 0], strict=True):
        np.testing.assert_array_equal(np.asarray(matrix), np.asarray(table[index][column], np.float16))


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_stream(table, shuffled):
    (column,) = features.cards(table)
    stream = table.to_iterable_dataset(num_shards=2)
    stream = stream.shuffle(seed=1, buffer_size=2) if shuffled else stream
    rows = {row["id"]: row for row in stream.with_format("mlx")}
    assert set(rows) == set(table["id"])
    for plain in table:
        row = rows[plain["id"]]
        assert isinstance(row["audio"], mx.array)
        np.testing.assert_array_equal(np.asarray(row["audio"]), decode(plain["audio"]))
        np.testing.assert_array_equal(np.asarray(row[column]), np.asarray(plain[column], np.float16))


def test_a_stream_of_a_corpus(tmp_path):
    corpus = timit.write(tmp_path / "corpus")
    stream = load_dataset("builders/timit", data_dir=str(corpus), split="train", streaming=True).with_format("mlx")
    plain = load_dataset("builders/timit", data_dir=str(corpus), split="train")
    for row, wanted in zip(stream, plain, strict=True):
        np.testing.assert_array_equal(np.asarray(row["audio"]), decode(wanted["audio"]))


def test_lists_and_nulls():
    columns = {"numbers": [[1, 2], [3]], "words": [["a"], []], "score": [0.5, None], "flag": [True, False]}
    kinds = Features({"numbers": List(Value("int64")), "words": List(Value("string")), "score": Value("float64"),
                      "flag": Value("bool")})  # fmt: skip
    batch = Dataset.from_dict(columns, features=kinds).with_format("mlx")[:]
    assert [part.tolist() for part in batch["numbers"]] == [[1, 2], [3]]
    assert batch["words"] == [["a"], []]
    assert batch["score"][0].item() == 0.5
    assert batch["score"][1] is None
    assert batch["flag"].tolist() == [True, False]


def test_no_audio_is_none():
    table = Dataset.from_list([{"audio": {"bytes": None, "path": "a.flac"}}])
    assert table.with_format("mlx")[0]["audio"] is None
