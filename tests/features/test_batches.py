"""Batches for training: every row once, little padding, and the same rest after an interruption."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Audio, Dataset, Features, Value, load_dataset

import features
from builders.audio import decode, encode
from features.card import FeatureCard
from features.clock import FrameClock
from features.columns import column_types, to_arrow, to_arrows
from tests.corpora.sound import noise

ROWS = 57
CARD = FeatureCard("toy", "none", "", 1, "x", 0, 3, "frame", FrameClock(hop=160, offset=0, field=400, padded=True))
KINDS = Features({"id": Value("string"), "audio": Audio(16_000, decode=False), "duration": Value("float64"),
                  "text": Value("string"), "number": Value("int64"), "toy.x": CARD.feature()})  # fmt: skip


def make() -> Dataset:
    lengths = [1600 + 320 * (7 * row % 23) for row in range(ROWS)]
    cells = [{"bytes": encode(noise(length, row)), "path": f"{row}.flac"} for row, length in enumerate(lengths)]
    frames = [np.full((length // 160, 3), row, np.float16) for row, length in enumerate(lengths)]
    table = pa.table({
        "id": [f"u{row}" for row in range(ROWS)],
        "audio": cells, "duration": [length / 16_000 for length in lengths],
        "text": [f"text {row}" for row in range(ROWS)], "number": list(range(ROWS)),
        "toy.x": to_arrow(frames, CARD),
    })  # fmt: skip
    return Dataset(pa.table(table.columns, schema=KINDS.arrow_schema))


@pytest.fixture(scope="module")
def table() -> Dataset:
    return make()


@pytest.fixture(scope="module")
def parquet(table, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("batches")
    for shard in range(4):
        table.shard(4, shard, contiguous=True).to_parquet(str(folder / f"train-{shard}.parquet"), batch_size=5)
    return str(folder)


def forms(table, parquet):
    return {"map": table, "stream": load_dataset("parquet", data_dir=parquet, split="train", streaming=True)}


@pytest.fixture(params=["map", "stream"])
def source(request, table, parquet):
    return forms(table, parquet)[request.param]


def ids(batches) -> list[list[str]]:
    return [batch["id"] for batch in batches]


def flat(parts: list[list[str]]) -> list[str]:
    return [name for part in parts for name in part]


def test_every_row_once_in_batches_of_bounded_length(source, table):
    made = list(features.batches(source, ["id", "audio"], max_seconds=2.0, buffer=20))
    assert sorted(flat(ids(made))) == sorted(table["id"])
    assert all(batch["audio"].size <= 2.0 * 16_000 for batch in made)
    assert len(made) < ROWS / 3


def test_rows_are_padded_and_masked(source, table):
    by_id = {row["id"]: row for row in table}
    for batch in features.batches(source, ["id", "audio", "toy.x", "number", "text"], max_seconds=2.0):
        assert isinstance(batch["audio"], mx.array)
        for place, name in enumerate(batch["id"]):
            row = by_id[name]
            wave, length = decode(row["audio"]), batch["audio_lengths"][place].item()
            np.testing.assert_array_equal(np.asarray(batch["audio"][place][:length]), wave)
            assert not np.asarray(batch["audio"][place][length:]).any()
            assert batch["audio_mask"][place].sum().item() == length == len(wave)
            frames = batch["toy.x_lengths"][place].item()
            np.testing.assert_array_equal(np.asarray(batch["toy.x"][place][:frames]), np.asarray(row["toy.x"]))
            assert batch["toy.x_mask"][place].sum().item() == frames
            assert batch["number"][place].item() == row["number"]
            assert batch["text"][place] == row["text"]


def test_a_row_that_is_too_long_is_a_batch_of_its_own(table):
    made = list(features.batches(table, ["id", "audio"], max_seconds=0.05))
    assert len(made) == ROWS


def test_padding_is_little(table):
    made = list(features.batches(table, ["audio"], max_seconds=3.0))
    used = sum(batch["audio_lengths"].sum().item() for batch in made)
    assert used / sum(batch["audio"].size for batch in made) > 0.85


def test_order_follows_from_the_seed_and_the_epoch(source):
    one = features.batches(source, ["id"], max_seconds=2.0, seed=3)
    first, second = ids(one), ids(one)
    assert first != second
    assert sorted(flat(first)) == sorted(flat(second))
    assert first == ids(features.batches(source, ["id"], max_seconds=2.0, seed=3))
    assert first != ids(features.batches(source, ["id"], max_seconds=2.0, seed=4))


@pytest.mark.parametrize("stop", [1, 4, 9, 13])
def test_goes_on_with_the_batches_that_are_left(source, stop):
    options = {"max_seconds": 1.0, "buffer": 13, "seed": 1}
    whole = features.batches(source, ["id"], **options)
    list(whole)  # the second epoch
    wanted = ids(whole)
    broken = features.batches(source, ["id"], **options)
    list(broken)
    loop = iter(broken)
    got = [next(loop)["id"] for _ in range(stop)]
    state = json.loads(json.dumps(broken.state_dict()))
    loop.close()
    other = features.batches(source, ["id"], **options)
    other.load_state_dict(state)
    assert got + ids(other) == wanted


def test_goes_on_in_another_process(parquet):
    script = """
import sys, json, features
from datasets import load_dataset
stream = load_dataset("parquet", data_dir=sys.argv[1], split="train", streaming=True)
loop = features.batches(stream, ["id"], max_seconds=1.0, buffer=13)
loop.load_state_dict(json.loads(sys.argv[2]))
print(json.dumps([batch["id"] for batch in loop]))
"""
    stream = load_dataset("parquet", data_dir=parquet, split="train", streaming=True)
    wanted = ids(features.batches(stream, ["id"], max_seconds=1.0, buffer=13))
    loop = features.batches(stream, ["id"], max_seconds=1.0, buffer=13)
    running = iter(loop)
    got = [next(running)["id"] for _ in range(5)]
    state = json.dumps(loop.state_dict())
    running.close()
    done = subprocess.run([sys.executable, "-c", script, parquet, state], check=True, capture_output=True, text=True)
    assert got + json.loads(done.stdout.splitlines()[-1]) == wanted


@pytest.mark.parametrize("parts", [2, 4])
def test_nodes_and_workers_share_the_rows(source, table, parts):
    seen = [
        name
        for rank in range(2)
        for worker in range(parts // 2)
        for batch in features.batches(
            source, ["id"], max_seconds=2.0, rank=rank, world=2, worker=worker, workers=parts // 2
        )
        for name in batch["id"]
    ]
    assert sorted(seen) == sorted(table["id"])


def test_a_missing_column(source):
    with pytest.raises(ValueError, match="no column 'words'"):
        features.batches(source, ["words"], max_seconds=1.0)


@pytest.mark.parametrize("changed", [{"max_seconds": 1.0}, {"buffer": 10}, {"seed": 1}, {"world": 2}])
def test_a_place_in_an_epoch_is_one_of_its_settings_only(table, changed):
    settings = {"max_seconds": 2.0, "buffer": 20, "seed": 0}
    loop = features.batches(table, ["id"], **settings)
    running = iter(loop)
    next(running)
    state = json.loads(json.dumps(loop.state_dict()))
    other = features.batches(table, ["id"], **{**settings, **changed})
    (name,) = changed
    with pytest.raises(ValueError, match=rf"{name} was .*, is {changed[name]} now.*begin it again"):
        other.load_state_dict(state)
    deque(running, maxlen=0)
    other.load_state_dict(loop.state_dict())  # where an epoch begins all settings do
    assert other.state_dict()["epoch"] == 1


def test_a_place_in_a_table_is_none_in_a_stream(table, parquet):
    both = forms(table, parquet)
    loop = features.batches(both["map"], ["id"], max_seconds=2.0)
    next(iter(loop))
    with pytest.raises(ValueError, match=r"rows was 57, is None now"):
        features.batches(both["stream"], ["id"], max_seconds=2.0).load_state_dict(loop.state_dict())


@pytest.mark.parametrize("wrong", [{"rank": 2, "world": 2}, {"rank": -1}, {"worker": 1}, {"buffer": 0}])
def test_ranks_that_there_are_not(source, wrong):
    with pytest.raises(ValueError, match="expected ranks and workers counted from 0"):
        features.batches(source, ["id"], max_seconds=2.0, **wrong)


def test_a_block_may_hold_more_than_arrow_puts_into_one_array(monkeypatch):
    # 70 recordings of 32 MB: offsets of one array of bytes end at 2 GB
    audio = {"bytes": bytes(32_000_000), "path": "a.flac"}
    kinds = Features({"audio": Audio(16_000, decode=False), "duration": Value("float64")})
    one = Dataset(pa.table([[audio], [1.0]], schema=kinds.arrow_schema))
    table = Dataset(pa.concat_tables([one.data.table] * 70), fingerprint="many")  # told: it would take all at once
    monkeypatch.setattr(
        sys.modules["features.batches"], "decode", lambda cell: np.zeros(len(cell["bytes"]) // 10**6, np.float32)
    )
    made = list(features.batches(table, ["audio"], max_seconds=1, prefetch=1))
    assert sum(len(batch["audio"]) for batch in made) == 70


@pytest.mark.parametrize("kind", [pa.large_string(), pa.binary(), pa.date32()])
def test_what_is_no_number_is_a_list(kind, tmp_path):
    values = pa.array(["a", "b"]) if kind != pa.date32() else pa.array([1, 2], pa.int32())
    pq.write_table(pa.table({"x": values.cast(kind), "duration": [1.0, 1.0]}), tmp_path / "a.parquet")
    stream = load_dataset("parquet", data_files=str(tmp_path / "a.parquet"), split="train", streaming=True)
    (batch,) = features.batches(stream, ["x"], max_seconds=9)
    assert sorted(batch["x"]) == sorted(pa.array(values).cast(kind).to_pylist())


def test_features_of_int8_are_multiplied_by_their_scales():
    card = replace(CARD, dtype="int8")
    values = [np.random.RandomState(row).randn(4 + row, 3).astype(np.float32) * 10.0**row for row in range(3)]
    columns = to_arrows(values, card)
    kinds = Features({"duration": Value("float64"), **column_types(card)})
    table = Dataset(pa.table({"duration": [1.0] * 3, **columns}).cast(kinds.arrow_schema))
    (batch,) = features.batches(table, ["toy.x"], max_seconds=99)
    for found, length in zip(np.asarray(batch["toy.x"]), np.asarray(batch["toy.x_lengths"]), strict=True):
        wanted = values[length - 4]
        np.testing.assert_allclose(found[:length], wanted, atol=np.abs(wanted).max() / 250)
    with pytest.raises(ValueError, match=r"int8 without 'toy\.x\.scale': keep the two together"):
        features.batches(table.remove_columns("toy.x.scale"), ["toy.x"], max_seconds=99)
