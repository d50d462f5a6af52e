from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, load_dataset, load_from_disk

from builders.errors import CorpusError
from builders.materialise import as_wav
from builders.prepare import prepare
from features import Encode, cards, encode, open_table
from features.clock import FrameClock
from features.columns import matrices
from features.run import encode_job
from features.store import TableError, open_manifest, statistics, write_features
from tests.corpora import timit
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
    assert folder == str(path / "features" / "count")
    assert sorted(item.name for item in Path(folder).iterdir()) == [".run", "README.md", "card.json", "data"]
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
    alone = load_dataset(folder)  # nothing of ours is needed
    assert list(alone["train"].features) == ["id", "count.0", "count.1"]
    assert alone["test"]["id"] == table["test"]["id"]


def stamps(folder: str) -> dict[str, int]:
    return {item.name: item.stat().st_mtime_ns for item in Path(folder, "data").iterdir()}


def test_a_second_run_does_nothing(path, seen):
    folder = write_features(path, Encode(CountingEncoder()))
    before = stamps(folder)
    assert len(seen) == 8
    write_features(path, Encode(CountingEncoder()))
    assert len(seen) == 8
    assert stamps(folder) == before


def test_interrupted_run_leaves_nothing_that_looks_finished_and_goes_on(path, seen):
    CountingEncoder.stop_at = 3200
    with pytest.raises(KeyboardInterrupt):
        write_features(path, Encode(CountingEncoder()))
    folder = path / "features" / "count"
    assert not (folder / "card.json").exists()
    with pytest.raises(TableError, match="count holds no finished features: run `python -m features` again"):
        open_table(path)
    CountingEncoder.stop_at = None
    seen.clear()
    write_features(path, Encode(CountingEncoder()))
    assert sorted(seen) == [3200, 3201, 3202]  # the finished shard is not done again
    assert len(open_table(path)["test"]) == 3


def test_another_version_of_the_encoder_does_not_go_on_with_the_run(path):
    write_features(path, Encode(CountingEncoder()))
    newer = CountingEncoder()
    newer.version = 2
    with pytest.raises(CorpusError, match=r"count was begun otherwise: .*version was 1, is 2 now"):
        write_features(path, Encode(newer))
    assert cards(open_table(path)["train"])["count.0"].version == 1


@pytest.mark.parametrize(("before", "after"), [(["0"], "all"), ("all", ["1"]), (["0"], ["1"])])
def test_other_layers_are_another_run(path, before, after):
    folder = write_features(path, Encode(CountingEncoder(), layers=before))
    with pytest.raises(CorpusError, match="layers was "):
        write_features(path, Encode(CountingEncoder(), layers=after))
    shutil.rmtree(folder)
    step = Encode(CountingEncoder(), layers=after)
    write_features(path, step)
    for part in open_table(path).values():
        assert list(cards(part)) == [f"count.{layer}" for layer in step.layers]


def test_deleted_shards_are_made_again(path, seen):
    folder = write_features(path, Encode(CountingEncoder()))
    (name,) = [item for item in Path(folder, "data").iterdir() if item.name.startswith("test")]
    name.unlink()
    with pytest.raises(TableError, match="no features of split 'test'"):
        open_table(path)
    write_features(path, Encode(CountingEncoder()))
    assert len(seen) == 8 + 3
    assert len(open_table(path)["test"]) == 3


def test_features_of_a_changed_manifest_are_another_run(path, tmp_path):
    write_features(path, Encode(CountingEncoder()), out=tmp_path / "features")
    other = manifest({f"t{number}": noise(4800, number) for number in range(2)}, tmp_path / "other")
    DatasetDict({"train": other}).save_to_disk(str(tmp_path / "again"))
    with pytest.raises(CorpusError, match="table was "):
        write_features(tmp_path / "again", Encode(CountingEncoder()), out=tmp_path / "features")


def test_features_of_another_manifest_are_refused(path, tmp_path):
    write_features(path, Encode(CountingEncoder()), out=tmp_path / "features")
    other = manifest({f"x{number}": noise(1600 + number, number) for number in range(5)}, tmp_path / "other")
    DatasetDict({"train": other, "test": other}).save_to_disk(str(tmp_path / "again"))
    with pytest.raises(TableError, match=r"split 'train': the feature table does not belong .* ids differ"):
        open_table(tmp_path / "again", [tmp_path / "features"])


def wave_table(folder: Path, rows: int = 40) -> Path:
    table = manifest({f"u{row:02}": noise(1600 + 160 * row, row) for row in range(rows)}, folder / "one")
    DatasetDict({"train": table}).save_to_disk(str(folder / "table"))
    return folder / "table"


def test_several_workers_write_the_same_bytes(tmp_path):
    path = wave_table(tmp_path)
    one = write_features(path, Encode("log_mel"), out=tmp_path / "a")
    two = write_features(path, Encode("log_mel"), out=tmp_path / "b", workers=2)
    held = [{item.name: item.read_bytes() for item in Path(folder, "data").iterdir()} for folder in (one, two)]
    assert held[0] == held[1]
    assert len(held[0]) == 3  # of at least sixteen rows


def test_small_shards_and_large_ones_hold_the_same_rows(tmp_path):
    path = wave_table(tmp_path)
    for name, size in (("a", 500_000_000), ("b", 20_000)):
        write_features(path, Encode("log_mel"), out=tmp_path / name, max_shard_size=size)
    assert len(list((tmp_path / "b" / "data").iterdir())) >= 10
    one, other = (open_table(path, [tmp_path / name])["train"] for name in ("a", "b"))
    assert list(one) == list(other)


def test_parquet_beside_parquet(tmp_path):
    corpus = timit.write(tmp_path / "corpus")
    prepare({"path": "builders/timit", "name": None, "data_dir": str(corpus)}, tmp_path / "o")
    folder = write_features(tmp_path / "o", Encode("log_mel"), workers=2)
    assert {item.suffix for item in Path(folder, "data").iterdir()} == {".parquet"}
    direct = encode(load_dataset("builders/timit", data_dir=str(corpus)), "log_mel")
    opened = open_table(tmp_path / "o")
    assert set(opened) == set(direct)
    for split, part in direct.items():
        assert opened[split].features == part.features
        assert list(opened[split]) == list(part)
    stream = load_dataset(folder, split="train", streaming=True)
    assert [row["id"] for row in stream] == direct["train"]["id"]
    assert cards(stream) == cards(direct["train"])


def test_a_parquet_table_is_not_copied_to_be_encoded(tmp_path, monkeypatch):
    corpus = timit.write(tmp_path / "corpus")
    prepare({"path": "builders/timit", "name": None, "data_dir": str(corpus)}, tmp_path / "o")

    def copied(*_, **__):
        raise AssertionError("the table is loaded into the cache")

    with monkeypatch.context() as patch:
        patch.setattr("features.manifests.load_dataset", copied)
        write_features(tmp_path / "o", Encode("log_mel"))
    table = open_table(tmp_path / "o", audio=False)["train"]
    assert "audio" not in table.column_names
    assert table["id"] == open_table(tmp_path / "o")["train"]["id"]
    assert list(cards(table)) == ["log_mel.mel"]


def test_other_audio_in_a_parquet_table_of_the_same_size_is_another_table(tmp_path, seen):
    def write(seed):  # PCM of noise: no byte more or less
        rows = {f"{n}": noise(16_000, seed + n) for n in range(3)}
        table = manifest(rows, tmp_path / f"made{seed}")
        path = tmp_path / "table" / "data" / "train-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        wavs = [as_wav(cell["bytes"]) for cell in table["audio"]]
        table = table.remove_columns("audio").add_column("audio", [{"bytes": wav, "path": "a.wav"} for wav in wavs])
        pq.write_table(table.data.table, path, compression="none")
        return path.stat().st_size

    size = write(0)
    write_features(tmp_path / "table", Encode(CountingEncoder()))
    assert len(seen) == 3 and write(50) == size
    with pytest.raises((CorpusError, TableError), match="table"):
        write_features(tmp_path / "table", Encode(CountingEncoder()))


def test_rows_without_a_duration_are_encoded(tmp_path):
    table = manifest({f"{n}": noise(1600 + n, n) for n in range(3)}, tmp_path / "made")
    lengths = pa.array([0.1, None, 0.1], pa.float64())
    table = table.remove_columns("duration").add_column("duration", lengths)
    table.save_to_disk(str(tmp_path / "table"))
    write_features(tmp_path / "table", Encode(CountingEncoder()))
    assert [len(row["count.0"]) for row in open_table(tmp_path / "table")["train"]] == [10, 11, 11]


def test_a_manifest_with_a_missing_shard_is_refused(tmp_path):
    corpus = timit.write(tmp_path / "corpus")
    prepare({"path": "builders/timit", "name": None, "data_dir": str(corpus)}, tmp_path / "o")
    next((tmp_path / "o" / "data").glob("train*")).unlink()
    with pytest.raises(TableError, match=r"of \d+ shards of split 'train' are there: finish its run"):
        write_features(tmp_path / "o", Encode("log_mel"))


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
    card = json.loads(Path(folder, "card.json").read_text())
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
    with pytest.raises(TableError, match="nothing holds no finished features"):
        open_table(path, [path / "features" / "nothing"])


def test_table_without_audio(tmp_path):
    Dataset.from_dict({"id": ["a"]}).save_to_disk(str(tmp_path / "table"))
    with pytest.raises(ValueError, match="no column 'audio'"):
        write_features(tmp_path / "table", Encode(CountingEncoder()))


@pytest.mark.parametrize(("encoder", "gpus"), [("log_mel", 0), ("whisper-tiny", 1)])
def test_encoders_with_weights_ask_for_a_gpu(path, encoder, gpus):
    assert encode_job(path, Encode(encoder, init="random" if gpus else "trained"), max_shard_size=10**9).gpus == gpus
