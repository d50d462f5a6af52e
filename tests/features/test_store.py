from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, load_from_disk

from features import Encode, cards, encode, open_table
from features.clock import FrameClock
from features.columns import matrices
from features.store import TableError, open_manifest, statistics, write_features
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise


class CountingEncoder:
    """Two small layers; counts the utterances that it sees and stops where it is told to."""

    name, init, revision, version, axis = "count", "none", "", 1, "frame"
    clock = FrameClock(hop=160, offset=0, field=160, padded=True)
    window = None
    seen: ClassVar[list[int]] = []
    stop_at: ClassVar[int | None] = None

    def __init__(self) -> None:
        self.layers = {"0": 1, "1": 2}

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        if self.stop_at is not None and int(lengths.max()) >= self.stop_at:
            raise KeyboardInterrupt
        self.seen.extend(lengths.tolist())
        frames = self.clock.frames(inputs.shape[1])
        means = np.pad(inputs, ((0, 0), (0, frames * 160 - inputs.shape[1]))).reshape(len(inputs), frames, 160).mean(2)
        return {layer: np.stack([means] * (int(layer) + 1), axis=2) for layer in layers}


@pytest.fixture(autouse=True)
def seen() -> list[int]:
    CountingEncoder.seen.clear()
    CountingEncoder.stop_at = None
    return CountingEncoder.seen


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A manifest table of two splits on disk."""
    train = manifest({f"t{number}": noise(1600 + number, number) for number in range(5)}, tmp_path / "train")
    test = manifest({f"e{number}": noise(3200 + number, number) for number in range(3)}, tmp_path / "test")
    DatasetDict({"train": train, "test": test}).save_to_disk(str(tmp_path / "table"))
    return tmp_path / "table"


def test_written_features_open_beside_the_manifest(path):
    folder = write_features(path, Encode(CountingEncoder()))
    assert folder == path / "features" / "count"
    assert sorted(item.name for item in folder.iterdir()) == ["card.json", "test.arrow", "train.arrow"]
    table = open_table(path)
    direct = encode(open_manifest(path), CountingEncoder())
    for split, count in (("train", 5), ("test", 3)):
        assert len(table[split]) == count
        assert table[split].column_names == direct[split].column_names
        assert list(cards(table[split])) == ["count.0", "count.1"]
        for column in ("count.0", "count.1"):
            one, two = (matrices(part[split], column, slice(0, count)) for part in (table, direct))
            np.testing.assert_array_equal(one[0], two[0])
            np.testing.assert_array_equal(one[1], two[1])
    assert list(Dataset.from_file(str(folder / "train.arrow")).features) == ["id", "count.0", "count.1"]


def test_a_second_run_does_nothing(path, seen):
    folder = write_features(path, Encode(CountingEncoder()))
    before = {item.name: item.stat().st_mtime_ns for item in folder.iterdir()}
    assert len(seen) == 8
    write_features(path, Encode(CountingEncoder()))
    assert len(seen) == 8
    assert {item.name: item.stat().st_mtime_ns for item in folder.iterdir()} == before


def test_interrupted_run_leaves_nothing_that_looks_finished_and_goes_on(path, seen):
    CountingEncoder.stop_at = 3200
    with pytest.raises(KeyboardInterrupt):
        write_features(path, Encode(CountingEncoder()))
    folder = path / "features" / "count"
    assert sorted(item.name for item in folder.iterdir()) == ["card.json", "train.arrow"]
    with pytest.raises(TableError, match="no finished features of split 'test': run `python -m features` again"):
        open_table(path)
    CountingEncoder.stop_at = None
    seen.clear()
    write_features(path, Encode(CountingEncoder()))
    assert sorted(seen) == [3200, 3201, 3202]  # the finished split is not done again
    assert len(open_table(path)["test"]) == 3


def test_run_that_is_interrupted_while_replacing_makes_the_old_features_unusable(path):
    write_features(path, Encode(CountingEncoder()))
    newer = CountingEncoder()
    newer.version = 2
    CountingEncoder.stop_at = 0
    with pytest.raises(KeyboardInterrupt):
        write_features(path, Encode(newer))
    with pytest.raises(TableError, match="no finished features of split 'train'"):
        open_table(path)
    CountingEncoder.stop_at = None
    write_features(path, Encode(newer))
    assert cards(open_table(path)["train"])["count.0"].version == 2


@pytest.mark.parametrize(("before", "after"), [(["0"], "all"), ("all", ["1"]), (["0"], ["1"])])
def test_other_layers_replace_the_table(path, seen, before, after):
    write_features(path, Encode(CountingEncoder(), layers=before))
    step = Encode(CountingEncoder(), layers=after)
    write_features(path, step)
    assert len(seen) == 16
    for part in open_table(path).values():
        assert list(cards(part)) == [f"count.{layer}" for layer in step.layers]


def test_deleted_files_are_made_again(path, seen):
    folder = write_features(path, Encode(CountingEncoder()))
    for split in ("train", "test"):
        (folder / f"{split}.arrow").unlink()
        with pytest.raises(TableError, match=f"no finished features of split '{split}'"):
            open_table(path)
        write_features(path, Encode(CountingEncoder()))
    for split in ("train", "test"):
        (folder / f"{split}.arrow").unlink()
    write_features(path, Encode(CountingEncoder()))
    assert len(seen) == 8 + 5 + 3 + 8
    assert len(open_table(path)["train"]) == 5


def test_changed_manifest_is_encoded_anew(path, seen, tmp_path):
    write_features(path, Encode(CountingEncoder()), out=tmp_path / "features")
    other = manifest({f"t{number}": noise(4800, number) for number in range(2)}, tmp_path / "other")
    DatasetDict({"train": other}).save_to_disk(str(tmp_path / "again"))
    seen.clear()
    write_features(tmp_path / "again", Encode(CountingEncoder()), out=tmp_path / "features")
    assert seen == [4800, 4800]
    assert len(open_table(tmp_path / "again", [tmp_path / "features"])["train"]) == 2


def test_features_of_another_manifest_are_refused(path, tmp_path):
    write_features(path, Encode(CountingEncoder()), out=tmp_path / "features")
    other = manifest({f"x{number}": noise(1600 + number, number) for number in range(5)}, tmp_path / "other")
    DatasetDict({"train": other}).save_to_disk(str(tmp_path / "again"))
    with pytest.raises(TableError, match=r"train\.arrow: the feature table does not belong .* ids differ"):
        open_table(tmp_path / "again", [tmp_path / "features"])


def test_several_processes_write_one_file(path):
    write_features(path, Encode(CountingEncoder()))
    one = {split: part.to_list() for split, part in open_table(path).items()}
    newer = CountingEncoder()
    newer.revision = "r2"
    folder = write_features(path, Encode(newer), num_proc=2)
    assert sorted(item.name for item in folder.iterdir()) == ["card.json", "test.arrow", "train.arrow"]
    assert {split: part.to_list() for split, part in open_table(path).items()} == one
    assert cards(open_table(path)["test"])["count.1"].revision == "r2"


def test_several_encoders_side_by_side(path):
    write_features(path, Encode(CountingEncoder()))
    other = CountingEncoder()
    other.name = "other"
    folder = write_features(path, Encode(other, layers=["1"]))
    assert list(cards(open_table(path)["train"])) == ["count.0", "count.1", "other.1"]
    assert list(cards(open_table(path, [folder])["train"])) == ["other.1"]
    assert list(cards(open_table(path, [])["train"])) == []


def test_table_without_splits(tmp_path, seen):
    manifest({"a": noise(1600), "b": noise(3200)}, tmp_path / "table")
    write_features(tmp_path / "table", Encode(CountingEncoder()))
    table = open_table(tmp_path / "table")
    assert list(table) == ["train"]
    assert list(cards(table["train"])) == ["count.0", "count.1"]
    write_features(tmp_path / "table", Encode(CountingEncoder()))
    assert len(seen) == 2


def test_manifest_still_opens_without_us(path):
    write_features(path, Encode(CountingEncoder()))
    assert len(load_from_disk(str(path))["train"]) == 5


def test_card_beside_the_table_has_the_moments_of_each_layer(path):
    folder = write_features(path, Encode(CountingEncoder()))
    card = json.loads((folder / "card.json").read_text())
    assert set(card["keys"]) == {"train", "test"}
    assert [layer["column"] for layer in card["layers"]] == ["count.0", "count.1"]
    values, _ = matrices(open_table(path)["train"], "count.1", slice(0, 5))
    wide = values.astype(np.float64)
    moments = card["layers"][1]["statistics"]["train"]
    assert moments["frames"] == len(wide) == 54  # 10 frames of 1600 samples, 11 of each of the others
    np.testing.assert_allclose(moments["mean"], wide.mean(0), atol=1e-6)
    np.testing.assert_allclose(moments["std"], wide.std(0), atol=1e-6)
    assert card["layers"][1]["clock"] == CountingEncoder.clock.to_dict()


def test_moments_of_no_frames():
    table = encode(Dataset.from_dict({"id": [], "audio": []}), CountingEncoder())
    assert statistics(table, "count.1") == {"frames": 0, "mean": [0.0, 0.0], "std": [0.0, 0.0]}


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_missing_table(tmp_path, make):
    make(tmp_path / "nothing")
    with pytest.raises(TableError, match=r"nothing holds no table: write one with `python -m builders load"):
        open_table(tmp_path / "nothing")


def test_missing_feature_table(path):
    with pytest.raises(TableError, match="no finished features of split 'train'"):
        open_table(path, [path / "features" / "nothing"])


def test_table_without_audio(tmp_path):
    Dataset.from_dict({"id": ["a"]}).save_to_disk(str(tmp_path / "table"))
    with pytest.raises(ValueError, match="no column 'audio'"):
        write_features(tmp_path / "table", Encode(CountingEncoder()))
