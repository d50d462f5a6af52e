"""The map step with pooling, and stored as int8."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from builders.schema import Segment
from features import Encode, cards, encode, open_table
from features.__main__ import main
from features.clock import FrameClock
from features.columns import matrices
from features.store import statistics, write_features
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise

RATE = 16_000
LENGTHS = {"a": 1_600, "b": 100, "c": 100_000, "d": 640}
SEGMENTS = {
    "a": [
        Segment("words", 0.0, 0.05, "one"), Segment("phones", 0.0, 0.02, "w"), Segment("words", 0.05, 0.1, "two"),
    ],
    "c": [Segment("words", 2.9, 3.1, "seam"), Segment("words", 0.001, 0.002, "short")],
}  # fmt: skip


class Ramp:
    """A frame every 10 ms holds its mean sample and the mean's square; the window is 3 s."""

    name, init, revision, version, axis = "ramp", "none", "", 1, "frame"
    clock = FrameClock(hop=160, offset=0, field=160, padded=True)
    window = 48_000
    layers = {"out": 2}

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        out = np.zeros((len(inputs), self.clock.frames(inputs.shape[1]), 2), np.float32)
        for row, wave, length in zip(out, inputs, lengths, strict=True):
            own = frames(wave[:length])
            row[: len(own)] = own
        return dict.fromkeys(layers, out)


def frames(wave: np.ndarray) -> np.ndarray:
    means = np.array([wave[start : start + 160].mean() for start in range(0, len(wave), 160)])
    return np.stack([means, means**2], axis=1).reshape(-1, 2).astype(np.float32)


@pytest.fixture
def table(tmp_path: Path) -> Dataset:
    waves = {name: noise(length, seed=number) for number, (name, length) in enumerate(LENGTHS.items())}
    return manifest(waves, tmp_path / "table", SEGMENTS)


@pytest.fixture
def whole(table) -> list[np.ndarray]:
    made = encode(table, Ramp(), dtype="float32")
    return [matrices(made, "ramp.out", slice(row, row + 1))[0] for row in range(4)]


def rows(dataset: Dataset, column: str) -> list[np.ndarray]:
    values, lengths = matrices(dataset, column, slice(0, len(dataset)))
    return np.split(values, np.cumsum(lengths)[:-1])


def test_mean_over_the_utterance(table, whole):
    made = encode(table, Ramp(), pool="mean", dtype="float32")
    assert made.column_names[-1] == "ramp.mean.out"
    for found, states in zip(rows(made, "ramp.mean.out"), whole, strict=True):
        np.testing.assert_allclose(found, states.mean(axis=0, keepdims=True), atol=1e-7)


def test_mean_of_each_segment_over_the_windows_seams_too(table, whole):
    made = encode(table, Ramp(), pool="segments:words", dtype="float32")
    a, b, c, d = rows(made, "ramp.segments-words.out")
    np.testing.assert_allclose(a, [whole[0][0:5].mean(axis=0), whole[0][5:10].mean(axis=0)], atol=1e-7)
    np.testing.assert_allclose(c, [whole[2][290:310].mean(axis=0), [np.nan] * 2], atol=1e-7)
    assert b.shape == d.shape == (0, 2)


def test_centre_frame_of_each_segment(table, whole):
    made = encode(table, Ramp(), pool="centre:words", dtype="float32")
    a, _, c, _ = rows(made, "ramp.centre-words.out")
    np.testing.assert_array_equal(a, whole[0][[2, 7]])  # 25 ms lies between two frames: the earlier
    np.testing.assert_array_equal(c, [whole[2][300], [np.nan] * 2])


@pytest.mark.parametrize(
    ("pool", "axis"), [("mean", "utterance"), ("segments:words", "segment"), ("centre:phones", "segment")]
)
def test_card(table, pool, axis):
    (card,) = cards(encode(table, Ramp(), pool=pool)).values()
    assert (card.pool, card.axis, card.dtype, card.clock) == (pool, axis, "float16", Ramp.clock)


def test_streaming_and_plain_map_give_the_same_rows(table):
    made = encode(table, Ramp(), pool="centre:words", dtype="int8").select([0, 1])
    stream = encode(table.to_iterable_dataset(), Ramp(), pool="centre:words", dtype="int8")
    assert stream.features == made.features
    assert list(stream)[:2] == list(made)
    step = Encode(Ramp(), pool="centre:words", dtype="int8")
    plain = table.map(step, batched=True, features=step.features(table.features))
    assert list(plain)[:2] == list(made)


def test_frames_and_means_side_by_side(table):
    made = encode(encode(encode(table, Ramp()), Ramp(), pool="mean"), Ramp(), pool="segments:phones")
    assert [card.pool for card in cards(made).values()] == ["none", "mean", "segments:phones"]


def test_unknown_tier(table):
    with pytest.raises(ValueError, match=r"of the tier 'wrods': expected one of \['phones', 'words'\]"):
        encode(table, Ramp(), pool="segments:wrods")
    with pytest.raises(ValueError, match="no column 'segments'"):
        encode(table.remove_columns("segments"), Ramp(), pool="segments:words")
    with pytest.raises(ValueError, match="can't be pooled by 'max'"):
        Encode(Ramp(), pool="max")


def test_moments_leave_out_segments_without_a_frame(table):
    made = encode(table, Ramp(), pool="segments:words", dtype="float32")
    moments = statistics(made, "ramp.segments-words.out")
    assert moments["frames"] == 3
    assert np.isfinite(moments["mean"]).all() and np.isfinite(moments["std"]).all()


def test_keys_and_folders_differ_by_pooling_and_type(table, tmp_path):
    keys = [
        json.dumps(Encode(Ramp(), pool=pool, dtype=dtype).key)
        for pool in ("none", "mean", "segments:words", "centre:words", "centre:phones")
        for dtype in ("float16", "int8")
    ]
    assert len(set(keys)) == len(keys)
    DatasetDict({"train": table}).save_to_disk(str(tmp_path / "on_disk"))
    names = [
        write_features(tmp_path / "on_disk", Encode(Ramp(), pool=pool)).rsplit("/", 1)[-1]
        for pool in ("none", "mean", "segments:words")
    ]
    assert names == ["ramp", "ramp.mean", "ramp.segments-words"]
    assert list(cards(open_table(tmp_path / "on_disk")["train"])) == [
        "ramp.out",
        "ramp.mean.out",
        "ramp.segments-words.out",
    ]


def test_int8_on_disk_is_the_float32_within_its_bound(table, whole, tmp_path):
    DatasetDict({"train": table}).save_to_disk(str(tmp_path / "on_disk"))
    write_features(tmp_path / "on_disk", Encode(Ramp(), dtype="int8"))
    made = open_table(tmp_path / "on_disk")["train"]
    assert made.column_names[-2:] == ["ramp.out", "ramp.out.scale"]
    for found, states in zip(rows(made, "ramp.out"), whole, strict=True):
        assert found.dtype == np.float32
        assert (np.abs(found - states) <= np.abs(states).max(axis=1, keepdims=True) / 254 * 1.0001).all()


def test_command(table, tmp_path, capsys):
    DatasetDict({"train": table}).save_to_disk(str(tmp_path / "on_disk"))
    command = [str(tmp_path / "on_disk"), "--encoder", "log_mel", "--dtype", "int8", "--pool", "segments:words"]
    assert main(command) == 0
    assert "log_mel.segments-words.mel" in capsys.readouterr().out
    (card,) = cards(open_table(tmp_path / "on_disk")["train"]).values()
    assert (card.pool, card.dtype, card.axis) == ("segments:words", "int8", "segment")
    assert main([*command[:-1], "words"]) == 2
    assert "can't be pooled by 'words': expected none, mean, segments:TIER" in capsys.readouterr().err
