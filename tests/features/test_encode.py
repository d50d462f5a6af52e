from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, IterableDatasetDict

from builders.audio import decode
from builders.errors import AudioError
from features import Encode, blas, cards, cpu, encode
from features.columns import matrices
from features.encode import feature_table, join
from features.step import PIECES, select
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise
from tests.features.fake_encoder import LAYERS, LENGTHS, FakeEncoder, reference, waves


@pytest.fixture(autouse=True)
def calls() -> list[tuple[int, int]]:
    FakeEncoder.calls.clear()
    return FakeEncoder.calls


@pytest.fixture
def table(tmp_path: Path) -> Dataset:
    return manifest(waves(), tmp_path / "table")


def expected(row: dict, padded: bool = True) -> dict[str, np.ndarray]:
    return reference(decode(row["audio"]), FakeEncoder(padded=padded).clock)


def matrix(cell: list, width: int) -> np.ndarray:
    return np.asarray(cell, np.float16).reshape(-1, width)


# Values


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("window", [None, 48_000, 100_000])
def test_values_are_those_of_each_utterance_alone_and_whole(table, padded, window):
    encoder = FakeEncoder(padded=padded, window=window)
    made = encode(table, encoder)
    assert made.column_names == [*table.column_names, "fake-1.5.low", "fake-1.5.high"]
    assert made["id"][:] == list(LENGTHS)
    for number, row in enumerate(table):
        for layer, width in LAYERS.items():
            values, lengths = matrices(made, f"fake-1.5.{layer}", slice(number, number + 1))
            assert lengths.tolist() == [encoder.clock.frames(LENGTHS[row["id"]])]
            assert values.shape[1] == width
            # windows sum the same samples in the same order
            np.testing.assert_array_equal(values, expected(row, padded)[layer].astype(np.float16))


def test_utterance_too_short_for_a_frame_has_a_matrix_without_rows(table):
    made = encode(table, FakeEncoder(padded=False))
    lengths = dict(zip(LENGTHS, matrices(made, "fake-1.5.low", slice(0, 10))[1].tolist(), strict=True))
    assert (lengths["b"], lengths["c"], lengths["j"], lengths["d"]) == (0, 0, 0, 1)
    assert made.data.column("fake-1.5.low").null_count == 0


def test_cards_of_the_columns(table):
    found = cards(encode(table, FakeEncoder(), layers=["high"], dtype="float32"))
    assert list(found) == ["fake-1.5.high"]
    card = found["fake-1.5.high"]
    assert (card.encoder, card.layer, card.index, card.width, card.dtype) == ("fake-1.5", "high", 1, 2, "float32")
    assert card.clock == FakeEncoder().clock
    assert (card.init, card.revision, card.version, card.axis, card.pool) == ("none", "r1", 1, "frame", "none")


def test_float32_is_stored_unrounded(table):
    made = encode(table, FakeEncoder(), dtype="float32")
    values, _ = matrices(made, "fake-1.5.low", slice(0, 1))
    np.testing.assert_array_equal(values, expected(table[0])["low"])
    assert values.dtype == np.float32


def test_audio_is_not_copied(table):
    made = feature_table(table, Encode(FakeEncoder()))
    assert made.column_names == ["id", "fake-1.5.low", "fake-1.5.high"]
    assert made.format["type"] is None


def test_random_weights_have_a_name_of_their_own(table):
    encoder = FakeEncoder()
    encoder.init = "random3"
    assert encode(table, encoder).column_names[-2:] == ["fake-1.5.random3.low", "fake-1.5.random3.high"]


def test_two_encoders_side_by_side(table):
    other = FakeEncoder(padded=False)
    other.name = "other"
    made = encode(encode(table, FakeEncoder(), layers=[0]), other, layers=[1])
    assert list(cards(made)) == ["fake-1.5.low", "other.high"]
    assert cards(made)["other.high"].clock.padded is False


# Tables of all kinds


def test_chosen_rows(table):
    for part in (
        table.select([6, 2, 0]),
        table.filter(lambda name: name in "gd", input_columns="id"),
        table.shuffle(1),
    ):
        made = encode(part, FakeEncoder())
        assert made["id"][:] == part["id"][:]
        for row, source in zip(made, part, strict=True):
            np.testing.assert_array_equal(matrix(row["fake-1.5.low"], 3), expected(source)["low"].astype(np.float16))


def test_streaming_equals_map(table):
    plain = encode(table, FakeEncoder())
    stream = encode(table.to_iterable_dataset(num_shards=3), FakeEncoder())
    assert stream.features == plain.features
    assert list(cards(stream)) == list(cards(plain))
    assert list(stream) == list(plain)


def test_splits(table):
    both = encode(DatasetDict({"train": table.select(range(3)), "test": table.select([3])}), FakeEncoder())
    assert isinstance(both, DatasetDict)
    assert [len(part) for part in both.values()] == [3, 1]
    assert list(cards(both["test"])) == ["fake-1.5.low", "fake-1.5.high"]
    streams = encode(IterableDatasetDict({"train": table.select([1, 0]).to_iterable_dataset()}), FakeEncoder())
    assert isinstance(streams, IterableDatasetDict)
    assert [row["id"] for row in streams["train"]] == ["b", "a"]


def test_plain_map_with_the_callable(table):
    step = Encode(FakeEncoder())
    made = table.map(step, batched=True, batch_size=4, features=step.features(table.features))
    assert made.features == encode(table, FakeEncoder()).features
    for row in made:
        np.testing.assert_array_equal(matrix(row["fake-1.5.high"], 2), expected(row)["high"].astype(np.float16))


def test_empty_table(table):
    made = encode(table.select([]), FakeEncoder())
    assert (len(made), list(cards(made))) == (0, ["fake-1.5.low", "fake-1.5.high"])


# Batches


def test_neighbours_in_length_are_encoded_together(table, calls):
    step = Encode(FakeEncoder(window=None))
    step.encode([decode(row["audio"]) for row in table])
    assert [shape[0] for shape in calls] == [PIECES, len(LENGTHS) - PIECES]
    assert calls[0][1] == sorted(LENGTHS.values())[PIECES - 1]


@pytest.mark.parametrize(("seconds", "rows"), [(1.0, 250), (30.0, 8), (3_000.0, 1)])
def test_batches_are_bounded_by_the_bytes_of_audio(table, seconds, rows):
    longest = table.remove_columns("duration").add_column("duration", [0.1] * 9 + [seconds])
    # 64 MB over 4 bytes a sample: 1000 s; the features are smaller here
    assert Encode(FakeEncoder()).batch_size(longest) == rows
    assert Encode(FakeEncoder()).batch_size(longest.remove_columns("duration")) == 8


def test_batches_are_bounded_by_the_bytes_of_features(table):
    wide = FakeEncoder()
    wide.layers = {str(layer): 1280 for layer in range(33)}  # whisper-large
    step = Encode(wide)
    longest = table.remove_columns("duration").add_column("duration", [30.0] * 10)
    per_row = 33 * 1280 * 2 * 1500
    assert step.batch_size(longest) == max(1, 16_000_000 // per_row) == 1
    assert Encode(wide, layers=["0"]).batch_size(longest) == 16_000_000 // (1280 * 2 * 1500)


def test_a_gpu_gets_more_rows_at_once(table, monkeypatch):
    longest = table.remove_columns("duration").add_column("duration", [30.0] * 10)
    monkeypatch.setattr(blas, "on_gpu", lambda: True)
    assert Encode(FakeEncoder()).batch_size(longest) == 8 * 16_000_000 // (30 * 64_000)


# Storage and processes


@pytest.mark.parametrize("pool", ["none", "mean"])
def test_values_that_the_type_does_not_hold_are_refused(table, pool):
    class Loud(FakeEncoder):
        def encode(self, inputs, lengths, layers):
            return {layer: 1e6 + found for layer, found in super().encode(inputs, lengths, layers).items()}

    (layer, *_) = LAYERS
    with pytest.raises(ValueError, match=rf"{layer}: values beyond 65,504, which float16 does not hold: store float32"):
        encode(table, Loud(), pool=pool)
    for dtype in ("float32", "int8"):
        assert np.isfinite(matrices(encode(table, Loud(), dtype=dtype), f"fake-1.5.{layer}", slice(None))[0]).all()


def test_two_processes_give_the_same_rows(table):
    one = encode(table, "log_mel")
    two = encode(table, "log_mel", num_proc=2)
    assert one["id"][:] == two["id"][:]
    assert list(one.select_columns(["log_mel.mel"])) == list(two.select_columns(["log_mel.mel"]))


# Choosing layers

NAMES = ["conv", "1", "2", "final"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("all", NAMES), ("last", ["final"]), ("conv", ["conv"]), (["final", "conv"], ["conv", "final"]),
        ([0, -1], ["conv", "final"]), (["1"], ["1"]), ([1], ["1"]), ([2], ["2"]), (["3", 3], ["final"]), ([], []),
    ],
)  # fmt: skip
def test_layers_by_name_and_number(wanted, found):
    assert select(NAMES, wanted) == found


@pytest.mark.parametrize("wanted", ["nothing", [4], [-5], ["conv", "x"]])
def test_unknown_layers(wanted):
    with pytest.raises(ValueError, match=r"expected some of \['conv', '1', '2', 'final'\]"):
        select(NAMES, wanted)


# Errors


def test_table_without_audio(table):
    with pytest.raises(ValueError, match=r"no column 'audio', only \['id'.*load it with a corpus builder"):
        encode(table.remove_columns("audio"), FakeEncoder())
    with pytest.raises(ValueError, match="no column 'id'"):
        encode(table.remove_columns("id").to_iterable_dataset(), FakeEncoder())


def test_columns_that_are_there_already(table):
    made = encode(table, FakeEncoder(), layers=["low"])
    with pytest.raises(ValueError, match=r"has the columns \['fake-1.5.low'\] already"):
        encode(made, FakeEncoder())


def test_unknown_storage_type():
    with pytest.raises(ValueError, match=r"'int4': expected one of \['float16', 'float32', 'int8'\]"):
        Encode(FakeEncoder(), dtype="int4")


class CountsThreads(FakeEncoder):
    """Every value is how many threads this process computes with."""

    name = "threads"

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        frames = self.clock.frames(inputs.shape[1])
        return {layer: np.full((len(inputs), frames, LAYERS[layer]), cpu.threads(), np.float32) for layer in layers}


@pytest.mark.skipif(sys.platform != "linux", reason="datasets forks on Linux")
@pytest.mark.parametrize("processes", [None, 2])
def test_processes_share_the_threads(table, processes):
    made = encode(table, CountsThreads(), layers=["low"], num_proc=processes)
    found = set(np.unique(matrices(made, "threads.low", slice(None))[0]))
    assert found == {max(1, cpu.threads() // (processes or 1))}


def test_utterance_without_audio_is_named(tmp_path):
    broken = manifest({"a": noise(100), "b": noise(0)}, tmp_path / "broken")
    for given in (broken, broken.to_iterable_dataset()):
        with pytest.raises(AudioError, match="utterance b: this audio cell holds no bytes"):
            list(encode(given, FakeEncoder()))
    with pytest.raises(AudioError, match="row 1 of a batch: this audio cell holds no bytes"):  # without ids
        Encode(FakeEncoder())({"audio": [broken.with_format("arrow")[0]["audio"][0].as_py(), {"bytes": b""}]})


def test_features_of_another_table_are_refused(table):
    made = feature_table(table, Encode(FakeEncoder()))
    with pytest.raises(ValueError, match="their ids differ: encode the table again"):
        join(table.select([1, 0, *range(2, 10)]), made)
    with pytest.raises(ValueError, match="their ids differ"):
        join(table.select(range(9)), made)
    assert join(table, made)["id"][:] == list(LENGTHS)
