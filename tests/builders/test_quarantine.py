from __future__ import annotations

import json

import pytest

from builders.errors import CorpusError, TooManyBadFilesError
from builders.listing import Shard
from builders.quarantine import Reports

SHARDS = [Shard(0, 0, 10), Shard(1, 10, 15), Shard(2, 15, 20)]


def test_counts_of_all_shards_add_up_in_any_order(tmp_path):
    reports = Reports(tmp_path / "train.jsonl")
    reports.add(SHARDS[2], 4, [("c.wav", "empty")])
    reports.add(SHARDS[0], 9, [("a.wav", 'says "no"')])
    reports.add(SHARDS[1], 5, [])
    reports.close(listed=20, max_bad=0.1)
    entries = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert entries == [
        {"split": "train", "member": "a.wav", "reason": 'says "no"'},
        {"split": "train", "member": "c.wav", "reason": "empty"},
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_shard_done_twice_counts_once(tmp_path):
    reports = Reports(tmp_path / "train.jsonl")
    reports.add(SHARDS[0], 9, [("a.wav", "empty")])
    reports.add(SHARDS[0], 10, [])
    reports.close(listed=10, max_bad=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("max_bad", "fails"), [(0.0, True), (0.049, True), (0.05, False), (1.0, False)])
def test_share_that_is_borne(tmp_path, max_bad, fails):
    reports = Reports(tmp_path / "test.jsonl")
    reports.add(Shard(0, 0, 20), 19, [("a.wav", "empty")])
    if not fails:
        reports.close(listed=20, max_bad=max_bad)
        return
    with pytest.raises(
        TooManyBadFilesError, match=rf"test: 1 of 20 recordings are bad.*max_bad={max_bad:g}.*a.wav: empty"
    ):
        reports.close(listed=20, max_bad=max_bad)
    assert (tmp_path / "test.jsonl").exists()  # to look up the rest


def test_missing_report_is_an_error(tmp_path):
    reports = Reports(tmp_path / "train.jsonl")
    reports.add(SHARDS[0], 10, [])
    with pytest.raises(CorpusError, match="20 rows listed, 10 written, 0 quarantined: rows lost"):
        reports.close(listed=20, max_bad=1.0)


def test_a_new_run_forgets_the_last_one(tmp_path):
    last = Reports(tmp_path / "train.jsonl")
    last.add(SHARDS[0], 9, [("a.wav", "empty")])
    (tmp_path / "train.jsonl").write_text("old")
    Reports(tmp_path / "train.jsonl").close(listed=0, max_bad=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("bad", "absent", "fails"), [(1, 0, True), (6, 6, False), (7, 6, True), (6, 5, True)])
def test_recordings_that_nobody_has_are_listed_and_not_bad(tmp_path, caplog, bad, absent, fails):
    reports = Reports(tmp_path / "train.jsonl")
    reports.add(Shard(0, 0, 10), 10 - bad, [(f"{number}.wav", "gone") for number in range(bad)])
    if fails:
        with pytest.raises(TooManyBadFilesError, match=f"train: {bad - absent} of {10 - absent} recordings are bad"):
            reports.close(listed=10, max_bad=0.09, absent=absent)
    else:
        reports.close(listed=10, max_bad=0.0, absent=absent)
    assert len((tmp_path / "train.jsonl").read_text().splitlines()) == bad
    assert f"{bad} of 10 recordings quarantined" in caplog.text
    assert (f", {absent} of them missing" in caplog.text) == bool(absent)
