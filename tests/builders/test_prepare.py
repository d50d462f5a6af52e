"""`python -m builders prepare`: the table of `load_dataset` as Parquet that needs nothing of ours to be read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import Audio, load_dataset

from builders.__main__ import main
from builders.errors import CorpusError, TooManyBadFilesError
from builders.prepare import prepare
from tests.corpora import libri_mix, timit


@pytest.fixture
def corpus(tmp_path) -> Path:
    return timit.write(tmp_path / "corpus")


def call(corpus: Path, **options) -> dict:
    return {"path": "builders/timit", "name": None, "data_dir": str(corpus), **options}


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "data").iterdir())}


def run(*arguments: str) -> int:
    return main(["prepare", *arguments])


def test_rows_are_those_of_load_dataset(corpus, tmp_path, capsys):
    assert run("timit", "--data-dir", str(corpus), "--out", str(tmp_path / "o")) == 0
    made = load_dataset(str(tmp_path / "o" / "timit"))
    wanted = load_dataset("builders/timit", data_dir=str(corpus))
    assert set(made) == set(wanted)
    for split, table in wanted.items():
        assert made[split].features == table.features
        assert list(made[split]) == list(table)
    assert "rows" in capsys.readouterr().out


def test_other_readers_know_the_columns(corpus, tmp_path):
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    prepare(call(corpus), tmp_path / "o")
    wanted = load_dataset("builders/timit", data_dir=str(corpus), split="train")
    files = str(tmp_path / "o" / "data" / "train-*.parquet")
    frame = polars.scan_parquet(files).select("id", "duration", polars.col("audio").struct.field("bytes")).collect()
    assert frame["id"].to_list() == wanted["id"]
    assert frame["bytes"].to_list() == [cell["bytes"] for cell in wanted["audio"]]
    hours, phones = duckdb.sql(
        f"select sum(duration), sum(len(list_filter(segments, lambda s: s.tier = 'phones'))) from '{files}'"
    ).fetchall()[0]
    assert hours == pytest.approx(sum(wanted["duration"]))
    assert phones == sum(segment["tier"] == "phones" for row in wanted["segments"] for segment in row)


def test_streams_and_shuffles(corpus, tmp_path):
    prepare(call(corpus), tmp_path / "o")
    stream = load_dataset(str(tmp_path / "o"), split="train", streaming=True)
    assert stream.features["audio"] == Audio(sampling_rate=16_000, decode=False)
    wanted = load_dataset("builders/timit", data_dir=str(corpus), split="train")
    assert sorted(row["id"] for row in stream.shuffle(seed=1, buffer_size=4)) == sorted(wanted["id"])


def test_same_bytes_with_any_number_of_workers(corpus, tmp_path):
    prepare(call(corpus), tmp_path / "one")
    prepare(call(corpus), tmp_path / "two", workers=2)
    assert shards(tmp_path / "one") == shards(tmp_path / "two")


def test_smaller_shards(corpus, tmp_path):
    prepare(call(corpus), tmp_path / "o")
    prepare(call(corpus), tmp_path / "small", max_shard_size=2_000)
    assert len(shards(tmp_path / "small")) >= len(shards(tmp_path / "o"))
    one, other = (load_dataset(str(tmp_path / name), split="train") for name in ("o", "small"))
    assert list(one) == list(other)


def test_another_shard_size_is_refused(corpus, tmp_path):
    prepare(call(corpus), tmp_path / "o")
    with pytest.raises(CorpusError, match="max_shard_size was 500000000, is 1000 now"):
        prepare(call(corpus), tmp_path / "o", max_shard_size=1_000)


def test_a_corpus_that_changed_is_refused(corpus, tmp_path):
    prepare(call(corpus), tmp_path / "o")
    victim = next(corpus.rglob("SA1.WAV"))
    victim.write_bytes(victim.read_bytes() + b"\0\0")
    with pytest.raises(CorpusError, match="begun otherwise: files was"):
        prepare(call(corpus), tmp_path / "o")


def test_bad_recordings_are_listed(corpus, tmp_path, capsys):
    victim = next(corpus.rglob("SX*.WAV"))
    victim.write_bytes(b"no audio")
    member = str(victim.relative_to(corpus))
    out = tmp_path / "o" / "timit"
    assert run("timit", "--data-dir", str(corpus), "--out", str(tmp_path / "o"), "--max-bad", "0.5") == 3
    (line,) = [json.loads(line) for line in (out / "quarantine.jsonl").read_text().splitlines()]
    assert line["member"].endswith(member.split("/")[-1])
    assert "quarantined: 1" in capsys.readouterr().err
    total = sum(len(table) for table in load_dataset("builders/timit", data_dir=str(corpus), max_bad=1.0).values())
    assert sum(len(table) for table in load_dataset(str(out)).values()) == total


def test_too_many_bad_recordings_leave_no_card(corpus, tmp_path):
    next(corpus.rglob("SX*.WAV")).write_bytes(b"no audio")
    with pytest.raises(TooManyBadFilesError, match=r"more than max_bad=0\.01 allows: see .*quarantine\.jsonl"):
        prepare(call(corpus), tmp_path / "o")
    assert not (tmp_path / "o" / "README.md").exists()
    assert (tmp_path / "o" / "quarantine.jsonl").exists()


def test_nothing_of_this_machine_is_written(corpus, tmp_path):
    prepare(call(corpus), tmp_path / "o")
    for path in (path for path in (tmp_path / "o").rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), path


def test_stems_are_audio_columns(tmp_path):
    corpus = libri_mix.write(tmp_path / "corpus")
    prepare({"path": "builders/libri_mix", "name": None, "data_dir": str(corpus)}, tmp_path / "o")
    made = load_dataset(str(tmp_path / "o"))
    wanted = load_dataset("builders/libri_mix", data_dir=str(corpus))
    for split, table in wanted.items():
        assert made[split].features == table.features
        assert list(made[split]) == list(table)


def test_card_declares_columns_and_sizes(corpus, tmp_path):
    from datasets import load_dataset_builder

    prepare(call(corpus), tmp_path / "o")
    info = load_dataset_builder(str(tmp_path / "o")).info
    wanted = load_dataset("builders/timit", data_dir=str(corpus))
    assert info.features == wanted["train"].features
    assert {split: part.num_examples for split, part in info.splits.items()} == {k: len(v) for k, v in wanted.items()}
    text = (tmp_path / "o" / "README.md").read_text(encoding="utf-8")
    assert "license_name: ldc-user-agreement" in text
    assert "LDC93S1" in text


def test_another_configuration_has_a_folder_of_its_own(corpus, tmp_path):
    assert run("timit", "core", "--data-dir", str(corpus), "--out", str(tmp_path), "--max-bad", "1") in (0, 2)
    assert not (tmp_path / "timit").exists()


def test_status_of_a_finished_run(corpus, tmp_path, capsys):
    prepare(call(corpus), tmp_path / "o")
    assert main(["status", str(tmp_path / "o"), "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    hours = sum(np.sum(table["duration"]) for table in load_dataset("builders/timit", data_dir=str(corpus)).values())
    assert state["hours"] == pytest.approx(hours / 3600)
    assert state["shards"] == state["of"] == len(shards(tmp_path / "o"))


def test_another_table_of_the_same_name_is_not_taken_for_it(corpus, tmp_path):
    """`datasets` caches a local folder by its name and its card: the card tells the content."""
    prepare(call(corpus), tmp_path / "a" / "timit")
    first = list(load_dataset(str(tmp_path / "a" / "timit"), split="train")["text"])
    for path in corpus.rglob("*.TXT"):
        path.write_text(path.read_text().replace("She had", "He had"))
    prepare(call(corpus), tmp_path / "b" / "timit")
    second = list(load_dataset(str(tmp_path / "b" / "timit"), split="train")["text"])
    assert second == [text.replace("She had", "He had") for text in first]
    assert second != first
