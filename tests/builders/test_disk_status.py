"""What `status` tells of a folder, by sizes, by content, and of how much has been unpacked."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from builders.__main__ import main
from builders.register import corpora
from builders.status import table
from builders.tree import Tree
from tests.corpora import miniatures
from tests.corpora.archives import pack
from tests.corpora.librispeech import write as write_librispeech
from tests.corpora.libritts import write as write_libritts

GB = 1_000_000_000
# Names and sizes that lay on one disk; the corpora that each may be, and its state.
PLAN = [
    ("mls_english_opus.tar.gz", 698 * GB, {"mls_english"}, "archived"),
    ("mls_english.tar.gz", 13 * GB, {"mls_english"}, "truncated"),
    ("mls_german.tar.gz", 122_944_886_305, {"mls"}, "archived"),
    ("mls_dutch.tar.gz", 92_158_429_530, {"mls"}, "archived"),
    ("mls_french_opus.tar.gz", 16 * GB, {"mls"}, "archived"),
    ("mls_polish.tar.gz", 6 * GB, {"mls"}, "truncated"),
    ("train_L.tar.gz", 7_063_541_045, {"aishell4"}, "archived"),
    ("train_M.tar.gz", 25_499_868_580, {"aishell4"}, "archived"),
    ("train_S.tar.gz", 14 * GB, {"aishell4"}, "truncated"),
    ("aishell4/test.tar.gz", 5_241_010_904, {"aishell4"}, "archived"),
    ("nsynth-train.jsonwav.tar.gz", 12 * GB, {"nsynth"}, "truncated"),
    ("b/nsynth-train.jsonwav.tar.gz", 22_500_000_000, {"nsynth"}, "archived"),
    ("musan.tar.gz", 11_086_114_085, {"musan"}, "archived"),
    ("small.tar", 10 * GB, {"libri_light"}, "truncated"),
    ("medium.tar", 18 * GB, {"libri_light"}, "truncated"),
    ("b/medium.tar", 321 * GB, {"libri_light"}, "archived"),
    ("librispeech/train-clean-360.tar.gz", 11 * GB, {"librispeech", "libritts"}, "truncated"),
    ("b/train-clean-360.tar.gz", 23_049_477_885, {"librispeech"}, "archived"),
    ("b/train-other-500.tar.gz", 30_593_501_606, {"librispeech"}, "archived"),
    ("libritts/train_clean_360.tar.gz", 13 * GB, {"libritts", "libritts_r"}, "truncated"),
    ("c/train_clean_360.tar.gz", 27_504_073_644, {"libritts"}, "archived"),
    ("d/train_clean_360.tar.gz", 28 * GB, {"libritts_r"}, "archived"),
    ("c/train-other-500.tar.gz", 44_565_031_479, {"libritts"}, "archived"),
    ("d/train_other_500.tar.gz", 46 * GB, {"libritts_r"}, "archived"),
    ("UrbanSound8K.tar.gz", 6 * GB, {"urbansound8k"}, "archived"),
    ("musdb18hq.zip", 22_656_664_047, {"musdb18"}, "archived"),
    ("voxconverse_test_wav.zip", 5 * GB, {"voxconverse"}, "archived"),
    ("train-clean-100.tar.gz.part", 2 * GB, {"librispeech", "libritts"}, "truncated"),
]


def sparse(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


def state(rows: list, archive: str) -> str:
    (row,) = [row for row in rows if row.archive == archive]
    return row.state


def test_archives_of_these_names_and_sizes(tmp_path):
    for name, size, _, _ in PLAN:
        sparse(tmp_path / name, size)
    rows = {row.archive: row for row in table(tmp_path) if row.state != "absent"}
    for name, size, names, expected in PLAN:
        if not names <= set(corpora()):
            continue
        assert (rows[name].state, rows[name].size, rows[name].deletable) == (expected, size, 0), name
        assert names <= set(rows[name].corpus.split(" or ")), name


def test_parts_are_one_archive(tmp_path):
    for part in ("partaa", "partab", "partac", "partad", "partae", "partaf", "partag"):
        sparse(tmp_path / f"mls_english_opus.tar.gz.{part}", 100 * GB if part != "partag" else 98 * GB)
    assert state(table(tmp_path), "mls_english_opus.tar.gz.partaa") == "archived"
    (tmp_path / "mls_english_opus.tar.gz.partag").unlink()
    assert state(table(tmp_path), "mls_english_opus.tar.gz.partaa") == "truncated"
    sparse(tmp_path / "mls_english_opus.tar.gz.partag", 98 * GB)
    (tmp_path / "mls_english_opus.tar.gz.partac").unlink()
    (row,) = [row for row in table(tmp_path) if row.archive.endswith("partaa")]
    assert row.state == "truncated" and "partac is missing" in row.note


# Two have no layout of their own.
@pytest.mark.parametrize("corpus", sorted({*corpora()} - {"espeak", "labelled_folder"}))
def test_unpacked_corpora_are_recognised_by_their_files(tmp_path, corpus):
    folder = Path(miniatures.write(corpus, tmp_path / "grown" / "over" / "years")["data_dir"])
    folder.rename(folder.with_name("x1"))
    found = {name for row in table(tmp_path) if row.state != "absent" for name in row.corpus.split(" or ")}
    assert corpus in found
    assert len(found) <= 2


def test_copies_are_told_apart_by_their_content(tmp_path):
    speech = write_librispeech(tmp_path / "a")
    plain, restored = write_libritts(tmp_path / "b"), write_libritts(tmp_path / "c", corpus="libritts_r")
    pack(speech, tmp_path / "1.tar.gz")
    (tmp_path / "x").mkdir()
    for top, name in ((plain, "dev_clean.tar.gz"), (restored, "x/dev_clean.tar.gz")):
        pack(top, tmp_path / name)
        shutil.rmtree(top)
    rows = {row.archive: row for row in table(tmp_path) if row.state != "absent"}
    assert rows["1.tar.gz"].corpus == "librispeech"
    assert rows["dev_clean.tar.gz"].corpus == "libritts"
    assert rows["x/dev_clean.tar.gz"].corpus == "libritts_r"


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive of LibriSpeech beside what was unpacked from it, small as it is."""
    monkeypatch.setattr("builders.inventory.smallest", lambda *_: None)
    top = write_librispeech(tmp_path / "data")
    pack(top, top.parent / "dev-clean.tar.gz")
    return top


def test_how_much_is_unpacked(unpacked):
    data = unpacked.parent
    assert state(table(data), "dev-clean.tar.gz") == "extracted"
    sound = sorted(unpacked.rglob("*.flac"))
    sound[-1].write_bytes(b"short")
    os.utime(sound[-1].parent)
    (row,) = [row for row in table(data) if row.archive == "dev-clean.tar.gz"]
    assert row.state == "partly extracted" and "1 differ" in row.note and row.deletable == 0
    sound[0].unlink()
    (row,) = [row for row in table(data) if row.archive == "dev-clean.tar.gz"]
    assert "1 missing, e.g. LibriSpeech" in row.note and "extract" in row.next
    shutil.rmtree(unpacked)
    assert state(table(data), "dev-clean.tar.gz") == "archived"


@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_gzip_that_ends_early_is_truncated(unpacked, share):
    archive = unpacked.parent / "dev-clean.tar.gz"
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    (row,) = [row for row in table(unpacked.parent) if row.archive == "dev-clean.tar.gz"]
    assert row.state == "truncated" and row.deletable == 0


def test_a_whole_archive_that_is_smaller_than_published_is_a_subset_and_stays(tmp_path, capsys):
    top, name = write_librispeech(tmp_path / "data"), "dev-clean.tar.gz"
    pack(top, top.parent / name)
    (row,) = [row for row in table(top.parent) if row.archive == name]
    assert (row.state, row.deletable) == ("extracted", 0)
    assert "a subset: 0.0 GB, published are 0.3 or more" in row.note
    assert main(["clean", str(top.parent), "--delete"]) == 0
    assert f"kept {top.parent / name}" in capsys.readouterr().out and (top.parent / name).exists()
    shutil.rmtree(top)
    assert main(["extract", "librispeech", "dev-clean", "--data-dir", str(top.parent)]) == 0
    assert list(top.rglob("*.flac"))


def test_a_tar_without_its_end_is_truncated(tmp_path):
    top = write_librispeech(tmp_path / "data")
    with tarfile.open(top.parent / "dev-clean.tar", "w:") as tar:
        tar.add(top, top.name)
    archive = top.parent / "dev-clean.tar"
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2 // 512 * 512])
    (row,) = [row for row in table(top.parent) if row.archive == "dev-clean.tar"]
    assert row.state == "truncated" and "its end is not that of a tar" in row.note


def test_what_changed_is_seen_and_nothing_else_is_read(unpacked):
    old = time.time_ns() - 10**10
    for folder in [unpacked.parent, unpacked, *(path for path in unpacked.rglob("*") if path.is_dir())]:
        os.utime(folder, ns=(old, old))
    first = Tree(unpacked.parent)
    again = Tree(unpacked.parent)
    assert (first.read, again.read) == (len(first.folders()), 0)
    count = again.total().files
    next(unpacked.rglob("*.flac")).unlink()
    third = Tree(unpacked.parent)
    assert third.read == 1 and third.total().files == count - 1
    shutil.rmtree(next(path for path in unpacked.rglob("*") if path.is_dir()))
    assert len(Tree(unpacked.parent).folders()) < len(first.folders())


def test_links_are_followed_but_not_for_ever(tmp_path):
    top = write_librispeech(tmp_path / "elsewhere")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "linked").symlink_to(top)
    (top / "loop").symlink_to(top)
    rows = table(tmp_path / "data")
    assert any(row.corpus == "librispeech" and row.archive == "linked/" for row in rows)


def test_hub_cache_is_one_row(tmp_path):
    snapshot = tmp_path / "hub/datasets--facebook--voxpopuli/snapshots/0123abc"
    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir(parents=True)
    for name in ("data/et/asr_train.tsv", "data/et/train/train_part_0.tar.gz", "data/et/dev/dev_part_0.tar.gz"):
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (blobs / name.replace("/", "-")).write_bytes(b"x")
        (snapshot / name).symlink_to(blobs / name.replace("/", "-"))
    (blobs / "ff00.incomplete").write_bytes(b"x")
    (row,) = [row for row in table(tmp_path) if row.state != "absent"]
    assert (row.corpus, row.state, row.deletable) == ("voxpopuli", "archived", 0)
    assert "cache of facebook/voxpopuli; 1 downloads unfinished" in row.note


def test_the_command_prints_a_table_and_json(unpacked, capsys):
    data = unpacked.parent
    assert main(["status", str(data)]) == 0
    out = capsys.readouterr().out
    assert "dev-clean.tar.gz" in out and "can be freed: python -m builders clean" in out
    assert main(["status", str(data), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"corpus", "archive", "size", "state", "deletable", "note", "next"} == set(rows[0])
    assert main(["status", str(data / "nothing")]) == 2


def test_members_that_no_tool_writes_do_not_hinder(tmp_path):
    with tarfile.open(tmp_path / "musan.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../" * 50 + "x" * 4000))
    table(tmp_path)
