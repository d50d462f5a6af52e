"""Features stored as int8 with a scale per frame."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets, load_dataset, load_from_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.card import FeatureCard, cards
from features.clock import FrameClock
from features.columns import attach, column_types, matrices, quantise, to_columns
from features.store import statistics

CLOCK = FrameClock(hop=320, offset=0, field=400, padded=True)
CARD = FeatureCard("enc", "none", "", 1, "out", 0, 4, "frame", CLOCK, "int8")
LENGTHS = [3, 0, 5, 1]


def values() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [(generator.normal(size=(length, 4)) * 10.0 ** generator.integers(-3, 4, (length, 1))).astype(np.float32)
            for length in LENGTHS]  # fmt: skip


@pytest.fixture
def table() -> Dataset:
    return attach(Dataset.from_dict({"id": list("abcd")}), "enc.out", values(), CARD)


def check(dataset: Dataset, expected: list[np.ndarray]) -> None:
    found, lengths = matrices(dataset, "enc.out", slice(0, len(dataset)))
    assert (found.dtype, lengths.tolist()) == (np.float32, [len(matrix) for matrix in expected])
    sent = np.concatenate([np.empty((0, 4), np.float32), *expected])
    assert (np.abs(found - sent) <= np.abs(sent).max(axis=1, keepdims=True) / 254 * 1.0001).all()


NUMBERS = st.floats(-(2.0**127), 2.0**127, width=32)


@settings(max_examples=300)
@given(arrays.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 6)), elements=NUMBERS))
def test_error_is_at_most_half_a_step_of_its_own_frame(matrix):
    stored, scales = quantise(matrix)
    assert (stored.dtype, scales.dtype, scales.shape) == (np.int8, np.float32, (len(matrix), 1))
    bound = np.abs(matrix.astype(np.float64)).max(axis=1, keepdims=True) / 254
    off = np.abs(stored * scales.astype(np.float64) - matrix)
    assert (off <= bound * 1.0001 + 1e-43).all()  # numbers so small have few digits


def test_values_by_hand():
    stored, scales = quantise(np.array([[254, -127, 3.1, 0], [0, 0, 0, 0], [-1, 0.5, 0.25, 1]], np.float32))
    assert stored.tolist() == [[127, -64, 2, 0], [0] * 4, [-127, 64, 32, 127]]
    np.testing.assert_allclose(scales[:, 0], [2, 0, 1 / 127], rtol=1e-6)


def test_segments_without_a_frame_stay_nan():
    stored, scales = quantise(np.array([[np.nan, np.nan], [1, 2], [np.inf, 1]], np.float32))
    np.testing.assert_array_equal(np.isnan(stored * scales), [[True] * 2, [False] * 2, [True] * 2])


def test_the_columns_are_a_pair(table):
    assert table.column_names == ["id", "enc.out", "enc.out.scale"]
    assert list(cards(table)) == ["enc.out"]
    assert cards(table)["enc.out"].dtype == "int8"
    assert list(column_types(CARD)) == list(to_columns(values(), CARD)) == ["enc.out", "enc.out.scale"]
    assert np.asarray(table[0]["enc.out"]).shape == (3, 4)
    assert np.asarray(table[0]["enc.out.scale"]).shape == (3, 1)
    plain = FeatureCard("enc", "none", "", 1, "out", 0, 4, "frame", CLOCK)
    assert list(column_types(plain)) == list(to_columns([], plain)) == ["enc.out"]
    assert list(to_columns([], CARD).values()) == [[], []]


def test_reads_back_from_every_kind_of_table(table, tmp_path):
    sent = values()
    check(table, sent)
    check(table.select([3, 2]), [sent[3], sent[2]])
    check(concatenate_datasets([table, table]), sent * 2)
    check(concatenate_datasets([table, Dataset.from_dict({"x": [1, 2, 3, 4]})], axis=1), sent)
    table.save_to_disk(str(tmp_path / "saved"))
    check(load_from_disk(str(tmp_path / "saved")), sent)
    table.to_parquet(str(tmp_path / "table.parquet"))
    check(load_dataset("parquet", data_files=str(tmp_path / "table.parquet"), split="train"), sent)


def test_a_column_without_its_scales_is_an_error(table):
    with pytest.raises(ValueError, match=r"'enc\.out' is int8 and 'enc\.out\.scale' is missing: keep the two together"):
        matrices(table.remove_columns("enc.out.scale"), "enc.out", slice(0, 4))


def test_moments_are_those_of_the_values(table):
    moments, sent = statistics(table, "enc.out"), np.concatenate(values())
    assert moments["frames"] == 9
    np.testing.assert_allclose(moments["mean"], sent.mean(axis=0), atol=np.abs(sent).max() / 254)
