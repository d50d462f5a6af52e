from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import datasets
import numpy as np
import pytest
from datasets import concatenate_datasets, interleave_datasets, load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders import corpus as machinery
from builders.audio import decode
from builders.errors import CorpusError
from builders.register import HOME, builder_class, corpora
from builders.schema import CORE, SHARED_LABELS
from tests.conftest import REPOSITORY
from tests.corpora import librispeech, timit
from tests.corpora.archives import SUFFIXES, pack

TRAIN = ["FCJF0_SA1", "FCJF0_SI1027", "MABC0_SX241"]
TEST = ["FAKS0_SA1", "MDAB0_SA2", "MDAB0_SX139", "MGRT0_SI1450"]


def rows(table) -> list[dict]:
    return sorted(table, key=lambda row: row["id"])


def ids(table) -> list[str]:
    return sorted(row["id"] for row in table)


# The calls that users type


def test_load_by_name(timit_dir):
    table = load_dataset("builders/timit", data_dir=str(timit_dir))
    assert {split: ids(part) for split, part in table.items()} == {"train": TRAIN, "test": TEST}


@pytest.mark.parametrize("path", ["builders/timit", "./builders/timit", str(HOME / "timit"), HOME / "timit"])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_load_by_path_from_any_directory(timit_dir, tmp_path, monkeypatch, path, elsewhere):
    if elsewhere and str(path).startswith("./"):
        path = os.path.relpath(HOME / "timit", tmp_path)
    monkeypatch.chdir(tmp_path if elsewhere else REPOSITORY)
    assert ids(load_dataset(path, data_dir=str(timit_dir), split="test")) == TEST


def test_load_one_split_or_a_slice(timit_dir):
    assert ids(load_dataset("builders/timit", data_dir=str(timit_dir), split="train")) == TRAIN
    assert len(load_dataset("builders/timit", data_dir=str(timit_dir), split="train[:2]")) == 2
    assert len(load_dataset("builders/timit", data_dir=str(timit_dir), split="train+test")) == 7


def test_load_a_configuration(timit_dir):
    table = load_dataset("builders/timit", "core", data_dir=str(timit_dir))
    assert {split: ids(part) for split, part in table.items()} == {
        "train": TRAIN,
        "test": ["MDAB0_SX139", "MGRT0_SI1450"],
    }


def test_streaming_gives_the_same_rows(timit_dir):
    plain = load_dataset("builders/timit", data_dir=str(timit_dir))
    stream = load_dataset("builders/timit", data_dir=str(timit_dir), streaming=True)
    for split in plain:
        assert stream[split].features == plain[split].features
        assert list(stream[split]) == list(plain[split])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_several_processes_give_the_same_rows(timit_dir, tmp_path, suffix):
    archive = pack(timit_dir, tmp_path / f"timit{suffix}")
    one = load_dataset("builders/timit", data_dir=str(timit_dir))
    two = load_dataset("builders/timit", data_dir=str(archive), num_proc=2)
    for split in one:
        assert rows(two[split]) == rows(one[split])


@pytest.mark.parametrize(("name", "write"), [("timit", timit.write), ("librispeech", librispeech.write)])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folder_and_archive_give_the_same_rows(tmp_path, name, write, suffix):
    top = write(tmp_path)
    archive = pack(top, tmp_path / f"anything{suffix}")
    folder = load_dataset(f"builders/{name}", data_dir=str(top))
    packed = load_dataset(f"builders/{name}", data_dir=str(archive))
    above = load_dataset(f"builders/{name}", data_dir=str(tmp_path))
    assert list(folder) == list(packed) == list(above)
    for split in folder:
        assert rows(folder[split]) == rows(packed[split]) == rows(above[split])


def test_stream_of_a_tar_gz_that_nobody_finishes(timit_dir, tmp_path):
    archive = pack(timit_dir, tmp_path / "timit.tar.gz")
    program = (
        "import sys, builders; from datasets import load_dataset\n"
        "stream = load_dataset('builders/timit', data_dir=sys.argv[1], split='train', streaming=True)\n"
        "print(next(iter(stream))['id'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, archive], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "FCJF0_SA1\n"), done.stderr


# The cache


def test_second_call_comes_from_the_cache(timit_dir, decoded):
    first = load_dataset("builders/timit", data_dir=str(timit_dir))
    assert len(decoded) == 7
    second = load_dataset("builders/timit", data_dir=str(timit_dir), max_bad=0.5)
    assert len(decoded) == 7
    assert rows(second["train"]) == rows(first["train"])
    assert second["train"].cache_files == first["train"].cache_files


def test_second_call_of_another_process_comes_from_the_cache(timit_dir):
    first = load_dataset("builders/timit", data_dir=str(timit_dir), split="test")
    program = (
        "import sys, builders, builders.corpus; from datasets import load_dataset\n"
        "builders.corpus.normalise = None\n"
        "print(load_dataset('builders/timit', data_dir=sys.argv[1], split='test').cache_files[0]['filename'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, timit_dir], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == first.cache_files[0]["filename"], done.stderr


def test_relative_folder_means_another_corpus_in_another_directory(tmp_path, monkeypatch):
    timit.write(tmp_path / "one")
    two = timit.write(tmp_path / "two")
    shutil.rmtree(two / "TEST" / "DR7")
    monkeypatch.chdir(tmp_path / "one")
    assert ids(load_dataset("builders/timit", data_dir="TIMIT", split="test")) == TEST
    monkeypatch.chdir(tmp_path / "two")
    assert ids(load_dataset("builders/timit", data_dir="TIMIT", split="test")) == TEST[:3]
    monkeypatch.chdir(tmp_path / "one")
    assert ids(load_dataset("builders/timit", data_dir="./TIMIT/", split="test")) == TEST


@pytest.mark.parametrize("relative", [True, False])
def test_folders_of_one_inventory_are_two_corpora(tmp_path, monkeypatch, relative):
    texts = {}
    for name, word in (("one", "red"), ("two", "wet")):
        top = timit.write(tmp_path / name)
        path = top / "TRAIN/DR1/FCJF0/SA1.TXT"
        path.write_text(f"0 46797 A {word} dog.\n")
        for file in top.rglob("*"):
            os.utime(file, ns=(1, 1))
        monkeypatch.chdir(tmp_path / name)
        table = load_dataset("builders/timit", data_dir="TIMIT" if relative else str(top), split="train")
        texts[name] = {row["id"]: row["text"] for row in table}["FCJF0_SA1"]
    assert texts == {"one": "A red dog.", "two": "A wet dog."}


def test_home_is_expanded(timit_dir, monkeypatch):
    monkeypatch.setenv("HOME", str(timit_dir.parent))
    assert ids(load_dataset("builders/timit", data_dir="~/TIMIT", split="train")) == TRAIN


def test_changes_of_the_corpus_are_seen(timit_dir, decoded):
    load_dataset("builders/timit", data_dir=str(timit_dir))
    folder = timit_dir / "TRAIN/DR1/FCJF0"
    for kind in ("WAV", "PHN", "WRD", "TXT"):
        shutil.copy(folder / f"SI1027.{kind}", folder / f"SI2000.{kind}")
    table = load_dataset("builders/timit", data_dir=str(timit_dir))
    assert ids(table["train"]) == sorted([*TRAIN, "FCJF0_SI2000"])
    (folder / "SI2000.TXT").write_text("0 1600 Something else.\n")
    table = load_dataset("builders/timit", data_dir=str(timit_dir), split="train")
    assert {row["id"]: row["text"] for row in table}["FCJF0_SI2000"] == "Something else."


def test_changed_archive_is_seen(timit_dir, tmp_path):
    archive = pack(timit_dir, tmp_path / "timit.tar")
    load_dataset("builders/timit", data_dir=str(archive))
    shutil.rmtree(timit_dir / "TEST" / "DR7")
    pack(timit_dir, archive)
    assert ids(load_dataset("builders/timit", data_dir=str(archive), split="test")) == TEST[:3]


def test_raised_output_versions_are_seen(timit_dir, decoded, monkeypatch):
    load_dataset("builders/timit", data_dir=str(timit_dir))
    monkeypatch.setattr(machinery, "MACHINERY_VERSION", machinery.MACHINERY_VERSION + 1)
    load_dataset("builders/timit", data_dir=str(timit_dir))
    assert len(decoded) == 14
    kind = builder_class("timit")
    monkeypatch.setattr(kind, "FACTS", replace(kind.FACTS, version=kind.FACTS.version + 1))
    load_dataset("builders/timit", data_dir=str(timit_dir))
    assert len(decoded) == 21
    load_dataset("builders/timit", data_dir=str(timit_dir))
    assert len(decoded) == 21


# The table


@pytest.mark.parametrize(("name", "write"), [("timit", timit.write), ("librispeech", librispeech.write)])
def test_core_columns_come_first_and_are_the_same_everywhere(tmp_path, name, write):
    for split, part in load_dataset(f"builders/{name}", data_dir=str(write(tmp_path))).items():
        assert list(part.features)[: len(CORE)] == list(CORE), split
        assert {column: part.features[column] for column in CORE} == dict(CORE)
        assert part.features.arrow_schema.types == part.data.schema.types
        shared = {column: part.features[column] for column in part.features if column in SHARED_LABELS}
        assert shared and all(SHARED_LABELS[column] == feature for column, feature in shared.items())


@pytest.mark.parametrize(("name", "write"), [("timit", timit.write), ("librispeech", librispeech.write)])
def test_cells_hold_no_local_path_and_true_durations(tmp_path, name, write):
    for part in load_dataset(f"builders/{name}", data_dir=str(write(tmp_path))).values():
        for row in part:
            assert "/" not in row["audio"]["path"]
            text = json.dumps({**row, "audio": row["audio"]["path"]})
            assert str(tmp_path) not in text and "/tmp" not in text
            assert not row["audio_path"].startswith("/")
            assert row["duration"] == len(decode(row["audio"])) / 16_000
            assert (row["offset"], row["language"], row["corpus"]) == (0.0, "en", name)


def test_every_pair_of_corpora_concatenates_and_interleaves(tmp_path):
    tables = {
        "timit": load_dataset("builders/timit", data_dir=str(timit.write(tmp_path)), split="train"),
        "librispeech": load_dataset(
            "builders/librispeech", "clean", data_dir=str(librispeech.write(tmp_path)), split="validation"
        ),
    }
    for one, other in permutations(tables, 2):
        both = concatenate_datasets([tables[one], tables[other]])
        assert both["id"][:] == tables[one]["id"][:] + tables[other]["id"][:]
        mixed = interleave_datasets([tables[one], tables[other]], stopping_strategy="all_exhausted")
        assert set(mixed["corpus"][:]) == {one, other}
        assert {name: mixed.features[name] for name in CORE} == dict(CORE)
        streams = interleave_datasets([table.to_iterable_dataset() for table in (tables[one], tables[other])])
        assert {row["corpus"] for row in streams} == {one, other}
    assert both["gender"][:] == ["female"] * 5 or "male" in both["gender"][:]


def test_table_reads_back_without_the_builders(timit_dir, tmp_path):
    table = load_dataset("builders/timit", data_dir=str(timit_dir), split="test")
    table.to_parquet(str(tmp_path / "test.parquet"))
    back = load_dataset("parquet", data_files=str(tmp_path / "test.parquet"), split="train")
    assert back.features == table.features
    assert rows(back) == rows(table)


def test_declared_labels_of_all_corpora_are_valid():
    for name in corpora():
        kind = builder_class(name)
        assert kind.BUILDER_CONFIGS, name
        assert kind.DEFAULT_CONFIG_NAME in {config.name for config in kind.BUILDER_CONFIGS}, name
        features = machinery.manifest_features(kind.FACTS.labels, kind.FACTS.own_labels)
        assert list(features)[: len(CORE)] == list(CORE), name


# What goes wrong, in one line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "timit needs data_dir, the folder or archive of the corpus. TIMIT is licensed by the LDC"),
        ({"data_dir": "nowhere"}, "nowhere does not exist"),
        ({"data_dir": "void"}, "no utterances of timit (default: train, test) found in .*void, which holds no files."),
        ({"data_dir": "other"}, "which holds 1 files (song.mp3). TIMIT is licensed"),
        ({"data_dir": "other/song.mp3"}, "neither a folder nor an archive"),
        ({"data_dir": "bad.tar.gz"}, "bad.tar.gz is damaged or truncated"),
    ],
)  # fmt: skip
def test_wrong_data_dir_is_one_clear_line(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    Path("void").mkdir()
    Path("other").mkdir()
    Path("other/song.mp3").write_bytes(b"x")
    Path("bad.tar.gz").write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(CorpusError) as caught:
        load_dataset("builders/timit", **options)
    for part in message.split(".*"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_configuration_names_those_there_are(timit_dir):
    with pytest.raises(ValueError, match=r"'cor' not found.*default.*core"):
        load_dataset("builders/timit", "cor", data_dir=str(timit_dir))


def test_rows_that_went_missing_are_an_error(timit_dir, monkeypatch):
    real = machinery.batches
    monkeypatch.setattr(machinery, "batches", lambda *args, **kwargs: list(real(*args, **kwargs))[1:])
    with pytest.raises(CorpusError, match=r"3 rows listed, 0 written, 0 quarantined: rows lost"):
        load_dataset("builders/timit", data_dir=str(timit_dir))


def test_part_of_a_file_becomes_a_row(timit_dir, monkeypatch):
    kind = builder_class("timit")
    real = kind.utterances

    def halves(self, files, split):
        for utterance in real(self, files, split):
            if utterance.id == "FCJF0_SA1":
                yield replace(utterance, id="a", start=0.0, end=1.0)
                yield replace(utterance, id="b", start=1.0)

    monkeypatch.setattr(kind, "utterances", halves)
    one, two = load_dataset("builders/timit", data_dir=str(timit_dir), split="train")
    whole = timit.samples_of(timit.SENTENCES[0])
    assert [(row["offset"], row["duration"]) for row in (one, two)] == [(0.0, 1.0), (1.0, (46797 - 16_000) / 16_000)]
    for row, expected in ((one, whole[:16_000]), (two, whole[16_000:])):
        np.testing.assert_array_equal(np.rint(decode(row["audio"]) * 32768).astype(np.int16), expected)


def test_batches_bound_what_is_in_memory(timit_dir, monkeypatch):
    monkeypatch.setattr(machinery, "BATCH_BYTES", 4000)
    builder = load_dataset_builder("builders/timit", data_dir=str(timit_dir))
    from builders.listing import Shard

    sizes = [table.num_rows for _, table in builder._generate_tables([Shard(0, 0, 3)], "train")]
    assert sizes == [1, 1, 1]
    assert datasets.__version__
