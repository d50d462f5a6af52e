from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, IterableDatasetDict
from datasets.fingerprint import Hasher
from safetensors.numpy import load_file, save_file

from builders.audio import decode
from builders.errors import AudioError
from features import Encode, blas, cards, cpu, encode, step
from features.checkpoint import CheckpointError
from features.clock import FrameClock
from features.columns import matrices
from features.encode import feature_table, join
from features.step import PIECES, select
from tests.conftest import REPOSITORY
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise

LAYERS = {"low": 3, "high": 2}


def reference(wave: np.ndarray, clock: FrameClock) -> dict[str, np.ndarray]:
    """Return what the fake encoder's layers are for one whole utterance, frame by frame."""
    half = clock.field // 2
    padded = np.concatenate([np.zeros(half, np.float32), wave, np.zeros(half, np.float32)])
    rows = []
    for frame in range(clock.frames(len(wave))):
        centre = frame * clock.hop + clock.offset
        seen = padded[centre : centre + clock.field]
        rows.append([seen.sum(), (seen**2).sum(), seen[half] * 100])
    low = np.array(rows, np.float32).reshape(-1, 3)
    return {"low": low, "high": low[:, :2] * 2 + 1}


class FakeEncoder:
    """Sums over the receptive field: what a frame holds does not depend on the window it was seen in."""

    name = "fake-1.5"
    init = "none"
    revision = "r1"
    version = 1
    axis = "frame"
    calls: ClassVar[list[tuple[int, int]]] = []

    def __init__(self, *, padded: bool = True, window: int | None = 48_000, version: int = 1) -> None:
        self.layers = dict(LAYERS)
        self.clock = FrameClock(hop=320, offset=0 if padded else 200, field=400, padded=padded)
        self.window = window
        self.version = version

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        self.calls.append(inputs.shape)
        assert inputs.dtype == np.float32 and lengths.dtype == np.int64
        assert len(inputs) <= PIECES and inputs.shape[1] == lengths.max()
        assert self.window is None or inputs.shape[1] <= self.window
        for row, length in zip(inputs, lengths, strict=True):
            assert not row[length:].any()
        frames = self.clock.frames(inputs.shape[1]) + 3  # encoders may give more than asked for
        states = np.full((len(inputs), frames, 3), 1e4, np.float32)
        for row, (wave, length) in enumerate(zip(inputs, lengths, strict=True)):
            own = reference(wave[:length], self.clock)["low"]
            states[row, : len(own)] = own
        made = {"low": states, "high": states[..., :2] * 2 + 1}
        return {layer: made[layer] for layer in layers}


@pytest.fixture(autouse=True)
def calls() -> list[tuple[int, int]]:
    FakeEncoder.calls.clear()
    return FakeEncoder.calls


LENGTHS = {
    "a": 16_000,
    "b": 1,
    "c": 399,
    "d": 640,
    "e": 47_999,
    "f": 48_001,
    "g": 160_123,
    "h": 5_000,
    "i": 8_000,
    "j": 7,
}


def waves() -> dict[str, np.ndarray]:
    return {name: noise(length, seed=number) for number, (name, length) in enumerate(LENGTHS.items())}


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


# Cache


def test_second_call_is_a_cache_hit(table, calls):
    first = encode(table, FakeEncoder())
    assert calls
    calls.clear()
    second = encode(table, FakeEncoder())
    assert calls == []
    assert second[0]["fake-1.5.low"] == first[0]["fake-1.5.low"]
    third = encode(table, FakeEncoder(), layers=["low"])
    assert calls
    assert third.column_names[-1] == "fake-1.5.low"


def test_changes_are_cache_misses(table, calls, tmp_path):
    def encoded(dataset: Dataset, encoder: FakeEncoder, **options) -> bool:
        calls.clear()
        encode(dataset, encoder, **options)
        return bool(calls)

    assert encoded(table, FakeEncoder())
    assert not encoded(table, FakeEncoder())
    assert encoded(table, FakeEncoder(version=2))
    assert encoded(table, FakeEncoder(padded=False))
    assert encoded(table, FakeEncoder(), dtype="float32")
    assert encoded(table.select(range(5)), FakeEncoder())
    changed = FakeEncoder()
    changed.revision = "r2"
    assert encoded(table, changed)
    other = manifest({**waves(), "z": noise(100)}, tmp_path / "other")
    assert encoded(other, FakeEncoder())
    assert not encoded(table, FakeEncoder())


def test_step_version_is_in_the_key(monkeypatch, table, calls):
    encode(table, FakeEncoder())
    calls.clear()
    monkeypatch.setattr(step, "STEP_VERSION", 99)
    encode(table, FakeEncoder())
    assert calls


PROGRAM = """
import sys
import features.encoders.log_mel as family
from datasets import load_from_disk
from features import encode
if sys.argv[2] == "break":
    def broken(*args): raise RuntimeError("encoded again")
    family.Model.encode = broken
made = encode(load_from_disk(sys.argv[1]), "log_mel")
print(len(made), made.column_names[-1])
"""


def test_cache_hit_in_another_process(table):
    def run(what: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", PROGRAM, str(Path(table.cache_files[0]["filename"]).parent), what]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)

    assert "encoded again" in run("break").stderr
    first = run("work")
    assert first.stdout == "10 log_mel.mel\n", first.stderr
    again = run("break")
    assert again.stdout == "10 log_mel.mel\n", again.stderr


def test_named_encoder_is_pickled_without_its_weights():
    step = Encode("log_mel")
    before = Hasher.hash(step)
    step.encode([np.zeros(1600, np.float32)])
    assert Hasher.hash(step) == before == Hasher.hash(Encode("log_mel"))
    assert len(pickle.dumps(step)) < 2_000
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(step)).encode([np.ones(1600, np.float32)])["mel"][0],
        step.encode([np.ones(1600, np.float32)])["mel"][0],
    )


def test_a_checkpoint_that_changes_is_another_one(table, tmp_path):
    folder = shutil.copytree(Path(__file__).parent / "references" / "whisper_2x32", tmp_path / "model")
    begun = Encode(str(folder), layers="last")
    first = encode(table, str(folder), layers="last")
    weights = load_file(folder / "model.safetensors")
    save_file({name: 2 * value for name, value in weights.items()}, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="the checkpoint has changed since this began: begin again"):
        begun(table[:1])
    with pytest.raises(CheckpointError, match="has changed"):
        pickle.loads(pickle.dumps(begun))(table[:1])  # as a worker would go on with it
    second = encode(table, str(folder), layers="last")
    assert cards(first)["model.norm"].revision != cards(second)["model.norm"].revision
    assert not np.array_equal(first[0]["model.norm"], second[0]["model.norm"])


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
