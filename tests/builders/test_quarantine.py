"""Bad recordings: listed with the reason, counted, never dropped silently."""

from __future__ import annotations

import json
import logging
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import TooManyBadFilesError
from builders.listing import Shard
from builders.quarantine import Reports, check_all
from tests.builders.test_corpus import TEST, TRAIN, ids
from tests.corpora import timit
from tests.corpora.archives import pack, tar_of, zip_of


def spoil(timit_dir: Path) -> dict[str, str]:
    """Make a corrupt, an empty and an absent recording; return member to the reason."""
    one, two, three = (timit_dir / f"T{name}" for name in
                       ("RAIN/DR1/FCJF0/SI1027.WAV", "EST/DR1/MDAB0/SA2.WAV", "EST/DR1/MDAB0/SX139.WAV"))  # fmt: skip
    one.write_bytes(b"NIST_1A\n   1024\nnothing of the kind")
    two.write_bytes(b"")
    three.unlink()
    return {
        "TRAIN/DR1/FCJF0/SI1027.WAV": "not audio",
        "TEST/DR1/MDAB0/SA2.WAV": "empty file (0 bytes)",
        "TEST/DR1/MDAB0/SX139.WAV": "there is no such file",
    }


@pytest.mark.parametrize("processes", [None, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_bad_recordings_are_quarantined(timit_dir, tmp_path, caplog, processes, packed):
    expected = spoil(timit_dir)
    data_dir = pack(timit_dir, tmp_path / "timit.tar.gz") if packed else timit_dir
    options = {"data_dir": str(data_dir), "max_bad": 0.5}
    with caplog.at_level(logging.WARNING):
        table = load_dataset("builders/timit", num_proc=processes, **options)
    assert {split: ids(part) for split, part in table.items()} == {
        "train": ["FCJF0_SA1", "MABC0_SX241"],
        "test": ["FAKS0_SA1", "MGRT0_SI1450"],
    }
    for row in table["test"]:  # nothing slid
        sentence = next(s for s in timit.SENTENCES if f"{s.speaker}_{s.name}" == row["id"])
        assert row["text"] == sentence.text
        pcm = np.rint(decode(row["audio"]) * 32768).astype(np.int16)
        np.testing.assert_array_equal(pcm, timit.samples_of(sentence))
    builder = load_dataset_builder("builders/timit", **options)
    found = {}
    for split, count in (("train", 1), ("test", 2)):
        lines = builder.quarantine_file(split).read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        assert [set(entry) for entry in entries] == [{"split", "member", "reason"}] * count
        assert {entry["split"] for entry in entries} == {split}
        found |= {entry["member"]: entry["reason"] for entry in entries}
    assert list(found) and all(expected[member] in reason for member, reason in found.items())
    assert set(found) == set(expected)
    assert "test: 2 of 4 recordings quarantined" in caplog.text


def test_too_many_bad_recordings_fail_with_the_numbers_and_leave_nothing(timit_dir, decoded):
    spoil(timit_dir)
    with pytest.raises(TooManyBadFilesError) as caught:
        load_dataset("builders/timit", data_dir=str(timit_dir))
    assert "train: 1 of 3 recordings are bad, more than max_bad=0.01 allows" in str(caught.value)
    assert "TRAIN/DR1/FCJF0/SI1027.WAV: not audio" in str(caught.value)
    assert "\n" not in str(caught.value)
    builder = load_dataset_builder("builders/timit", data_dir=str(timit_dir))
    assert not Path(builder.cache_dir).exists()
    assert len(builder.quarantine_file("train").read_text().splitlines()) == 1
    before = len(decoded)
    load_dataset("builders/timit", data_dir=str(timit_dir), max_bad=0.5)  # a table that failed is no cache hit
    assert len(decoded) > before


def test_recordings_that_nobody_has_are_left_out_of_the_share_everywhere(tmp_path):
    bad = [("m", "absent")] * 90 + [("x", "bad")]  # 1 of the 10 that are there
    for max_bad, borne in ((0.01, False), (0.1, True)):
        reports = Reports(tmp_path / "train.jsonl")
        reports.add(Shard(0, 0, 100), 9, bad)
        with nullcontext() if borne else pytest.raises(TooManyBadFilesError, match="1 of 10 recordings are bad"):
            reports.close(listed=100, max_bad=max_bad, absent=90)
        with nullcontext() if borne else pytest.raises(TooManyBadFilesError, match="1 of 10 recordings are bad"):
            check_all("q", 100, 9, 91, max_bad, absent=90)


def test_exactly_max_bad_is_borne(timit_dir):
    (timit_dir / "TEST/DR1/MDAB0/SA2.WAV").write_bytes(b"")  # 1 of 4
    assert len(load_dataset("builders/timit", data_dir=str(timit_dir), max_bad=0.25, split="test")) == 3


def test_stream_leaves_bad_recordings_out(timit_dir):
    spoil(timit_dir)
    stream = load_dataset("builders/timit", data_dir=str(timit_dir), split="test", streaming=True)
    assert ids(stream) == ["FAKS0_SA1", "MGRT0_SI1450"]


def test_split_of_bad_recordings_only_is_an_error_whatever_max_bad(timit_dir):
    for path in timit_dir.rglob("*.WAV"):
        path.write_bytes(b"")
    with pytest.raises(TooManyBadFilesError, match=r"train: 3 of 3 recordings are bad, which leaves no table"):
        load_dataset("builders/timit", data_dir=str(timit_dir), max_bad=1.0)


def test_corrupt_member_of_a_zip_is_quarantined_and_the_others_are_read(timit_dir, tmp_path):
    names = {path: str(path.relative_to(timit_dir.parent)) for path in timit_dir.rglob("*") if path.is_file()}
    data = {name: path.read_bytes() for path, name in names.items()}
    victim = next(name for name in data if name.endswith("MDAB0/SA2.WAV"))
    archive = zip_of(tmp_path / "timit.zip", data)  # stored, not deflated: the bytes are there to be changed
    packed = archive.read_bytes()
    assert packed.count(data[victim]) == 1
    archive.write_bytes(packed.replace(data[victim], data[victim][:-1] + bytes([data[victim][-1] ^ 1])))
    table = load_dataset("builders/timit", data_dir=str(archive), max_bad=0.5)
    assert ids(table["test"]) == [name for name in TEST if name != "MDAB0_SA2"]
    file = load_dataset_builder("builders/timit", data_dir=str(archive)).quarantine_file("test")
    assert "CRC" in json.loads(file.read_text())["reason"]


def test_mended_corpus_has_no_quarantine_file(timit_dir):
    path = timit_dir / "TEST/DR1/MDAB0/SA2.WAV"
    whole = path.read_bytes()
    path.write_bytes(b"")
    load_dataset("builders/timit", data_dir=str(timit_dir), max_bad=0.5)
    path.write_bytes(whole)
    load_dataset("builders/timit", data_dir=str(timit_dir))
    assert not load_dataset_builder("builders/timit", data_dir=str(timit_dir)).quarantine_file("test").exists()


def test_hostile_member_of_an_archive_is_never_read(timit_dir, tmp_path):
    members = {str(path.relative_to(tmp_path)): path.read_bytes() for path in timit_dir.rglob("*") if path.is_file()}
    evil = {name.replace("TIMIT/", "../evil/"): data for name, data in members.items() if "FCJF0" in name}
    archive = tar_of(tmp_path / "timit.tar.gz", {**evil, **members})
    table = load_dataset("builders/timit", data_dir=str(archive))
    assert ids(table["train"]) == TRAIN
    assert not (tmp_path.parent / "evil").exists()
