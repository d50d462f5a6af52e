from __future__ import annotations

import json

import numpy as np
import pytest
from datasets import Array2D, Dataset, Features, Value, concatenate_datasets, load_dataset, load_from_disk
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData

from features.card import FeatureCard, cards, encoder_cards
from features.clock import FrameClock
from features.columns import attach, matrices

CLOCK = FrameClock(hop=320, offset=200, field=400, padded=False)
CARD = FeatureCard("whisper-tiny.en", "trained", "abc123", 2, "2", 2, 3, "frame", CLOCK)
VALUES = [np.arange(6, dtype=np.float16).reshape(2, 3), np.zeros((0, 3), np.float16), np.ones((1, 3), np.float16)]


@pytest.fixture
def table() -> Dataset:
    return attach(Dataset.from_dict({"id": ["a", "b", "c"]}), CARD.column, VALUES, CARD)


def check(dataset, expected=VALUES) -> None:
    assert cards(dataset) == {CARD.column: CARD}
    for row, matrix in zip(dataset, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(row[CARD.column], np.float16).reshape(-1, 3), matrix)


def test_names_of_columns():
    assert CARD.column == "whisper-tiny.en.2"
    random = FeatureCard("whisper-tiny", "random7", "", 1, "conv", 0, 3, "frame", CLOCK)
    assert random.column == "whisper-tiny.random7.conv"
    assert FeatureCard("log_mel", "none", "", 1, "mel", 0, 80, "frame", CLOCK).column == "log_mel.mel"


def test_json_and_back():
    fields = json.loads(CARD.to_json())
    assert fields["feature_card"] == 1
    assert fields["clock"] == {"hop": 320, "offset": 200, "field": 400, "padded": False}
    assert FeatureCard.from_json(CARD.to_json()) == CARD
    assert "\n" not in CARD.to_json()


def test_fields_of_a_newer_version_are_ignored():
    newer = json.dumps({**json.loads(CARD.to_json()), "feature_card": 9, "colour": "blue"})
    assert FeatureCard.from_json(newer) == CARD


def test_feature_type():
    feature = CARD.feature()
    assert isinstance(feature, Array2D)
    assert (feature.shape, feature.dtype) == ((None, 3), "float16")


def test_card_survives_saving(table, tmp_path):
    check(table)
    table.save_to_disk(str(tmp_path / "saved"))
    check(load_from_disk(str(tmp_path / "saved")))


def test_card_survives_parquet(table, tmp_path):
    table.to_parquet(str(tmp_path / "table.parquet"))
    options = {"data_files": str(tmp_path / "table.parquet"), "split": "train"}
    check(load_dataset("parquet", **options))
    stream = load_dataset("parquet", streaming=True, **options)
    assert cards(stream) == {CARD.column: CARD}
    assert [len(row[CARD.column]) for row in stream] == [2, 0, 1]


def test_card_survives_concatenation(table):
    both = concatenate_datasets([table, table])
    check(both, VALUES * 2)
    beside = concatenate_datasets([table, Dataset.from_dict({"x": [1, 2, 3]})], axis=1)
    assert cards(beside) == {CARD.column: CARD}


def test_card_survives_rows_being_chosen_and_columns_being_added(table):
    check(table.select([2, 0]), [VALUES[2], VALUES[0]])
    check(table.filter(lambda name: name != "b", input_columns="id"), [VALUES[0], VALUES[2]])
    assert cards(table.map(lambda row: {"n": len(row["id"])})) == {CARD.column: CARD}
    assert cards(table.to_iterable_dataset()) == {CARD.column: CARD}
    assert cards(table.rename_column("id", "name")) == {CARD.column: CARD}


@pytest.mark.parametrize("streaming", [False, True])
def test_card_survives_a_repository_of_the_hub(table, tmp_path, streaming):
    """The features are in the Parquet's metadata and, in YAML, in the repository's README."""
    folder = tmp_path / "repository"
    (folder / "data").mkdir(parents=True)
    table.to_parquet(str(folder / "data" / "train-00000-of-00001.parquet"))
    data = DatasetCardData()
    DatasetInfosDict({"default": table.info}).to_dataset_card_data(data)
    (folder / "README.md").write_text(f"---\n{data}\n---\n")
    assert "feature_card" in (folder / "README.md").read_text()
    check(load_dataset(str(folder), split="train", streaming=streaming))


def test_cards_are_in_the_order_of_the_columns(table):
    more = FeatureCard("log_mel", "none", "", 1, "mel", 0, 3, "frame", CLOCK)
    both = attach(table, more.column, VALUES, more)
    assert list(cards(both)) == ["whisper-tiny.en.2", "log_mel.mel"]
    values, _ = matrices(both, more.column, slice(0, 3))
    assert len(values) == 3


def test_tables_without_cards():
    plain = Features(
        {"x": Array2D((None, 3), "float16"), "y": Value("string"), "z": Array2D((None, 3), "float16", id="?")}
    )
    assert cards(Dataset.from_dict({"x": [], "y": [], "z": []}, features=plain)) == {}

    class NoFeatures:
        features = None

    assert cards(NoFeatures()) == {}


def test_cards_of_an_encoder():
    class Encoder:
        name, init, revision, version, axis, clock = "enc", "none", "r1", 3, "frame", CLOCK
        layers = {"in": 2, "out": 4}

    found = encoder_cards(Encoder(), ["out"], "float32")
    assert found == {"out": FeatureCard("enc", "none", "r1", 3, "out", 1, 4, "frame", CLOCK, "float32")}
