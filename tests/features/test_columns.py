from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, concatenate_datasets, load_from_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.card import FeatureCard, cards
from features.clock import FrameClock
from features.columns import attach, matrices, read, to_arrow

CLOCK = FrameClock(hop=320, offset=0, field=400, padded=True)


def card(width: int, dtype: str = "float16") -> FeatureCard:
    return FeatureCard("enc", "none", "", 1, "out", 0, width, "frame", CLOCK, dtype)


def random(lengths: list[int], width: int, dtype: str = "float16") -> list[np.ndarray]:
    generator = np.random.default_rng(len(lengths))
    return [generator.normal(size=(length, width)).astype(dtype) for length in lengths]


def table(lengths: list[int], width: int = 4) -> tuple[Dataset, list[np.ndarray]]:
    values = random(lengths, width)
    names = Dataset.from_dict({"id": [f"u{number}" for number in range(len(lengths))]})
    return attach(names, "enc.out", values, card(width)), values


def matrix(width: int) -> st.SearchStrategy[np.ndarray]:
    numbers = st.floats(-9, 9, width=16)
    return st.integers(0, 6).flatmap(lambda frames: arrays.arrays(np.float16, (frames, width), elements=numbers))


MATRICES = st.integers(1, 5).flatmap(lambda width: st.tuples(st.just(width), st.lists(matrix(width), max_size=8)))


@settings(max_examples=200)
@given(MATRICES)
def test_written_matrices_read_back(case):
    width, sent = case
    values, lengths = read(to_arrow(sent, card(width)), width)
    assert lengths.tolist() == [len(matrix) for matrix in sent]
    np.testing.assert_array_equal(values, np.concatenate([np.empty((0, width), np.float16), *sent]))


@settings(max_examples=100)
@given(MATRICES, st.integers(0, 8), st.integers(0, 8))
def test_slices_of_an_array_read_back(case, first, count):
    width, sent = case
    values, lengths = read(to_arrow(sent, card(width)).slice(min(first, len(sent)), count), width)
    expected = sent[first : first + count]
    assert lengths.tolist() == [len(matrix) for matrix in expected]
    np.testing.assert_array_equal(values, np.concatenate([np.empty((0, width), np.float16), *expected]))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_reading_copies_nothing_and_keeps_the_type(dtype):
    array = to_arrow(random([3, 0, 2], 4, dtype), card(4, dtype))
    values, _ = read(array, 4)
    assert values.dtype == dtype
    buffer = array.storage.values.values.buffers()[1]
    assert buffer.address <= values.ctypes.data < buffer.address + buffer.size
    again, _ = read(array, 4)
    assert np.shares_memory(values, again)
    part, _ = read(array.slice(2, 1), 4)
    assert np.shares_memory(values, part)
    with pytest.raises(ValueError, match="read-only"):
        values[0] = 0  # the table's own memory


def test_float32_values_are_rounded_to_the_stored_type():
    values, _ = read(to_arrow([np.array([[1 / 3]], np.float32)], card(1)), 1)
    assert values[0, 0] == np.float16(1 / 3)


def test_other_memory_layouts():
    base = np.arange(24, dtype=np.float16).reshape(6, 4)
    sent = [base[::2], np.asfortranarray(base), base[:, ::-1]]
    values, lengths = read(to_arrow(sent, card(4)), 4)
    assert lengths.tolist() == [3, 6, 6]
    np.testing.assert_array_equal(values, np.concatenate(sent))


@pytest.mark.parametrize("shape", [(2, 3), (4,), (1, 2, 4)])
def test_wrong_shape_names_column_and_shapes(shape):
    with pytest.raises(ValueError, match=r"enc\.out: matrix of shape .*expected \(frames, 4\)"):
        to_arrow([np.zeros(shape, np.float16)], card(4))


def test_type_is_the_one_of_datasets():
    array = to_arrow(random([1, 2], 4), card(4))
    assert array.type == card(4).feature()()
    assert array.null_count == 0


# Tables


@pytest.mark.parametrize("rows", [slice(0, 5), slice(1, 3), slice(2, 3), slice(4, 9), slice(5, 9), slice(3, 3)])
def test_rows_of_a_table(rows):
    dataset, sent = table([3, 0, 5, 1, 2])
    values, lengths = matrices(dataset, "enc.out", rows)
    expected = sent[rows]
    assert lengths.tolist() == [len(matrix) for matrix in expected]
    np.testing.assert_array_equal(values, np.concatenate([np.empty((0, 4), np.float16), *expected]))
    assert (values.dtype, lengths.dtype) == (np.float16, np.int64)


def test_rows_chosen_by_number_keep_their_matrices():
    dataset, sent = table([3, 0, 5, 1, 2])
    values, lengths = matrices(dataset.select([4, 2, 0]), "enc.out", slice(0, 3))
    assert lengths.tolist() == [2, 5, 3]
    np.testing.assert_array_equal(values, np.concatenate([sent[4], sent[2], sent[0]]))
    few = dataset.filter(lambda name: name in ("u1", "u3"), input_columns="id")
    values, lengths = matrices(few, "enc.out", slice(0, 2))
    assert lengths.tolist() == [0, 1]
    np.testing.assert_array_equal(values, sent[3])


def test_rows_over_several_chunks():
    one, first = table([3, 1])
    two, second = table([2, 0, 4])
    both = concatenate_datasets([one, two])
    values, lengths = matrices(both, "enc.out", slice(1, 5))
    assert lengths.tolist() == [1, 2, 0, 4]
    np.testing.assert_array_equal(values, np.concatenate([first[1], *second]))


def test_table_on_disk_is_read_in_place(tmp_path):
    dataset, sent = table([3, 0, 5])
    dataset.save_to_disk(str(tmp_path / "t"))
    opened = load_from_disk(str(tmp_path / "t"))
    before = pa.total_allocated_bytes()
    values, lengths = matrices(opened, "enc.out", slice(0, 3))
    assert pa.total_allocated_bytes() - before < values.nbytes + lengths.nbytes + 1
    np.testing.assert_array_equal(values, np.concatenate(sent))
    again, _ = matrices(opened, "enc.out", slice(0, 3))
    assert np.shares_memory(values, again)


def test_numpy_format_of_datasets_agrees():
    dataset, sent = table([3, 2])
    rows = dataset.with_format("numpy", dtype=np.float16)[:]["enc.out"]
    for row, matrix in zip(rows, sent, strict=True):
        np.testing.assert_array_equal(row, matrix)


def test_attach_to_chosen_rows():
    dataset = Dataset.from_dict({"id": ["a", "b", "c"]}).select([2, 0])
    made = attach(dataset, "enc.out", random([1, 2], 4), card(4))
    assert made["id"][:] == ["c", "a"]
    assert matrices(made, "enc.out", slice(0, 2))[1].tolist() == [1, 2]
    assert list(cards(made)) == ["enc.out"]


def test_attach_of_too_few_rows_is_an_error():
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        attach(Dataset.from_dict({"id": ["a", "b"]}), "enc.out", random([1], 4), card(4))
