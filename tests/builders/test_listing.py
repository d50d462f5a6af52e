from __future__ import annotations

import itertools
import multiprocessing
from pathlib import Path

import pyarrow as pa
import pytest
from datasets import Features, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import listing as listing_module
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import MADE_LATER, MIN_SHARDS, Shard, Utterance, batches, read_listing, shards, write_listing
from builders.schema import CORE, Segment, manifest_features

FEATURES = manifest_features(["gender"], {"take": Value("int32")})


def write(utterances: list[Utterance], path: Path, files: Files | None = None) -> pa.Table:
    rows = write_listing(utterances, path, features=FEATURES, corpus="mini", language="en", files=files)
    table = read_listing(path)
    assert table.num_rows == rows
    return table


def weighted(sizes: list[int]) -> pa.Table:
    """Return what cutting reads of a listing in which each row is a file of its own."""
    places = {
        "source_number": pa.array([0] * len(sizes), pa.int32()),
        "position": pa.array(range(len(sizes)), pa.int64()),
    }
    return pa.table({"bytes": pa.array(sizes, pa.int64()), **places})


def test_row_of_an_utterance(tmp_path):
    segments = [Segment("phones", 0.0, 0.5, "ah"), Segment("speakers", 0.0, 1.0, "A", "A", 0.5)]
    sent = Utterance("u1", "a.wav", "Hello", "A", None, segments, {"gender": "female"}, start=1.5, end=2.5)
    (row,) = write([sent], tmp_path / "l.arrow").to_pylist()
    assert row == {
        "id": "u1", "audio_path": "a.wav", "offset": 1.5, "text": "Hello", "speaker_id": "A", "language": "en",
        "corpus": "mini", "gender": "female", "take": None, "member": "a.wav", "start": 1.5, "end": 2.5,
        "parts": [], "channel": None, "audios": [], "streams": [], "bytes": 0, "source_number": 0, "position": 0,
        "segments": [
            {"tier": "phones", "start": 0.0, "end": 0.5, "label": "ah", "speaker": None, "score": None},
            {"tier": "speakers", "start": 0.0, "end": 1.0, "label": "A", "speaker": "A", "score": 0.5},
        ],
    }  # fmt: skip


def test_columns_are_the_manifest_without_what_decoding_tells(tmp_path):
    names = write([Utterance("u", "a.wav")], tmp_path / "l.arrow").column_names
    assert names[: len(FEATURES) - 3] == [name for name in FEATURES if name not in ("audio", *MADE_LATER)]
    assert next(iter(CORE)) == names[0] == "id"


def test_language_of_the_utterance_goes_before_that_of_the_corpus(tmp_path):
    table = write([Utterance("u", "a.wav", language="de"), Utterance("v", "b.wav")], tmp_path / "l.arrow")
    assert table.column("language").to_pylist() == ["de", "en"]


def test_rows_are_sorted_by_place_and_absent_files_come_last(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number, name in enumerate("abc"):
        (folder / f"{name}.wav").write_bytes(b"x" * (number + 1))
    sent = [
        Utterance("gone", "missing.wav"),
        Utterance("c2", "c.wav", start=2.0),
        Utterance("b", "b.wav"),
        Utterance("c1", "c.wav", start=0.5),
        Utterance("a", "a.wav"),
    ]
    files = Files(folder)
    table = write(sent, tmp_path / "l.arrow", files)
    files.close()
    assert table.column("id").to_pylist() == ["a", "b", "c1", "c2", "gone"]
    assert table.column("bytes").to_pylist() == [1, 2, 3, 3, 0]


def test_many_rows_in_small_batches_stay_sorted(tmp_path, monkeypatch):
    monkeypatch.setattr(listing_module, "BATCH", 7)
    sent = [Utterance(f"u{number}", "a.wav", start=float(number * 37 % 100)) for number in range(100)]
    table = write(sent, tmp_path / "l.arrow")
    assert table.column("start").to_pylist() == [float(number) for number in range(100)]
    assert max(len(chunk) for chunk in table.column("id").chunks) <= 7


def test_duplicate_ids_are_an_error_that_names_one(tmp_path):
    sent = [Utterance("u1", "a.wav"), Utterance("u2", "b.wav"), Utterance("u1", "copy/a.wav")]
    with pytest.raises(CorpusError, match=r"1 utterance ids occur twice, e\.g\. 'u1'"):
        write(sent, tmp_path / "l.arrow")
    assert list(tmp_path.iterdir()) == []  # neither a listing nor a temporary file


def test_undeclared_labels_are_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"labels \['height'\] that the corpus does not declare"):
        write([Utterance("u1", "a.wav", labels={"height": "5'4\""})], tmp_path / "l.arrow")
    assert list(tmp_path.iterdir()) == []


def test_error_inside_a_corpus_leaves_no_listing(tmp_path):
    def utterances():
        yield Utterance("u1", "a.wav")
        raise RuntimeError("metadata is odd")

    with pytest.raises(RuntimeError):
        write(utterances(), tmp_path / "l.arrow")
    assert list(tmp_path.iterdir()) == []


def test_two_processes_may_write_one_listing_at_once(tmp_path):
    def utterances():
        yield Utterance("u1", "a.wav")
        child = multiprocessing.get_context("fork").Process(target=write, args=([Utterance("u1", "a.wav")], path))
        child.start()
        child.join()
        assert child.exitcode == 0
        yield Utterance("u2", "b.wav")

    path = tmp_path / "l.arrow"
    assert write(utterances(), path).column("id").to_pylist() == ["u1", "u2"]
    assert list(tmp_path.iterdir()) == [path]


def test_no_utterances_is_an_empty_listing(tmp_path):
    table = write([], tmp_path / "l.arrow")
    assert (table.num_rows, shards(table)) == (0, [])


@settings(max_examples=200)
@given(st.lists(st.integers(0, 2**33), min_size=1, max_size=300))
def test_shards_partition_all_rows(sizes):
    found = shards(weighted(sizes))
    rows = list(itertools.chain.from_iterable(range(shard.first, shard.last) for shard in found))
    assert rows == list(range(len(sizes)))
    assert [shard.number for shard in found] == list(range(len(found)))
    assert all(shard.last > shard.first for shard in found)


def test_shards_are_of_about_equal_size_and_at_most_the_limit():
    sizes = [100_000 + 1_000 * (number % 7) for number in range(40_000)]  # 4 GB
    found = shards(weighted(sizes))
    weights = [sum(sizes[shard.first : shard.last]) for shard in found]
    assert len(found) == MIN_SHARDS
    assert max(weights) / min(weights) < 1.01
    large = shards(weighted([number * 10 for number in sizes]))  # 41 GB
    weights = [sum(sizes[shard.first : shard.last]) * 10 for shard in large]
    assert max(weights) < 1.01 * listing_module.SHARD_BYTES


def test_small_corpora_have_a_shard_for_each_of_several_workers():
    assert len(shards(weighted([1_000] * 64))) == MIN_SHARDS
    assert len(shards(weighted([1_000] * 3))) == 3


@settings(max_examples=200)
@given(st.lists(st.integers(0, 100), min_size=1, max_size=60), st.integers(1, 10), st.integers(1, 150))
def test_batches_are_bounded_and_lose_nothing(sizes, rows, size):
    table = weighted(sizes)
    for shard in shards(table):
        found = list(batches(table, shard, rows=rows, size=size))
        together = [value for batch in found for value in batch.column("bytes").to_pylist()]
        assert together == sizes[shard.first : shard.last]
        for batch in found:
            assert 1 <= batch.num_rows <= rows
            assert batch.num_rows == 1 or sum(batch.column("bytes").to_pylist()) <= size


def test_rows_of_one_long_file_share_its_bytes(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "long.wav").write_bytes(b"x" * 1000)
    (folder / "short.wav").write_bytes(b"x" * 100)
    sent = [Utterance(f"l{n}", "long.wav", start=float(n)) for n in range(10)]
    sent += [Utterance(f"s{n}", "short.wav", start=float(n)) for n in range(2)]
    files = Files(folder)
    listing = write(sent, tmp_path / "l.arrow", files)
    files.close()
    whole = Shard(0, 0, 12)
    # ten rows of 100 bytes, two of 50: a batch of 300 bytes holds three, and at the end two and two
    assert [part.num_rows for part in batches(listing, whole, rows=100, size=300)] == [3, 3, 3, 3]
    assert [part.num_rows for part in batches(listing, whole, rows=100, size=1_050)] == [11, 1]


def test_label_that_listings_use_themselves_is_named(tmp_path):
    features = Features({**FEATURES, "position": Value("string")})
    with pytest.raises(CorpusError, match=r"labels \['position'\] have names that listings use"):
        write_listing([], tmp_path / "l.arrow", features=features, corpus="mini", language=None, files=None)
