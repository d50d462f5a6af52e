"""Deleting archives: only with proof, never anything else, and a refusal names the file."""

from __future__ import annotations

import os
import shutil
import tarfile
import time
from pathlib import Path

import pytest

from builders import clean
from builders.__main__ import main
from builders.inventory import held
from builders.prepare import prepare
from builders.status import table
from builders.tree import Tree
from tests.corpora import aishell1, librispeech
from tests.corpora.archives import pack


@pytest.fixture(autouse=True)
def small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.inventory.smallest", lambda *_: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An archive, and beside it what was unpacked from it."""
    top = librispeech.write(tmp_path / "data")
    pack(top, top.parent / "dev-clean.tar.gz")
    return top.parent


def run(data: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert main(["clean", str(data), *more]) == 0
    return capsys.readouterr().out


def listing(data: Path) -> set[Path]:
    return set(data.rglob("*"))


def test_nothing_is_deleted_unless_asked_and_then_only_the_archive(data, capsys):
    before = listing(data)
    out = run(data, capsys)
    assert f"would delete {data / 'dev-clean.tar.gz'}" in out and "byte for byte" in out
    assert listing(data) == before
    out = run(data, capsys, "--delete")
    assert f"deleted {data / 'dev-clean.tar.gz'}" in out and " freed" in out
    assert before - listing(data) == {data / "dev-clean.tar.gz"}
    assert run(data, capsys, "--delete") == "nothing can be freed\n"


def test_all_parts_go(data, capsys):
    whole = (data / "dev-clean.tar.gz").read_bytes()
    for name, part in (("partaa", whole[:10_000]), ("partab", whole[10_000:])):
        (data / f"dev-clean.tar.gz.{name}").write_bytes(part)
    (data / "dev-clean.tar.gz").unlink()
    run(data, capsys, "--delete")
    assert [path.name for path in data.iterdir()] == ["LibriSpeech"]


def refused(data: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    out = run(data, capsys, "--delete", *more)
    assert (data / "dev-clean.tar.gz").exists()
    (line,) = [line for line in out.splitlines() if line.startswith("kept")]
    return line


def test_one_byte_changed(data, capsys):
    path = sorted(data.rglob("*.flac"))[3]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert str(path) in refused(data, capsys)


def test_one_file_missing(data, capsys):
    path = sorted(data.rglob("*.txt"))[0]
    path.unlink()
    line = refused(data, capsys)
    assert str(path) in line and "1 missing" in line


def test_one_file_touched_after_it_was_compared(data, capsys, monkeypatch):
    path = sorted(data.rglob("*.flac"))[1]
    compare = clean.by_bytes

    def slow(*arguments: object) -> object:
        found = compare(*arguments)
        path.write_bytes(path.read_bytes())
        os.utime(path, (1, 1))  # its maker hides it
        return found

    monkeypatch.setattr(clean, "by_bytes", slow)
    assert f"{path} was touched after it was compared" in refused(data, capsys)


def test_one_file_from_the_future(data, capsys):
    path = sorted(data.rglob("*.flac"))[1]
    os.utime(path, (time.time() + 1000, time.time() + 1000))
    assert str(path) in refused(data, capsys)


def test_an_archive_that_changes_meanwhile(data, capsys, monkeypatch):
    changed_since = clean.changed_since

    def slow(*arguments: object) -> str:
        (data / "dev-clean.tar.gz").touch()
        return changed_since(*arguments)

    monkeypatch.setattr(clean, "changed_since", slow)
    assert "dev-clean.tar.gz was changed in the meantime" in refused(data, capsys)


def test_truncated_ones_and_links_and_those_that_are_not_unpacked_stay(data, capsys):
    path = data / "dev-clean.tar.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-2000])
    assert "truncated" in refused(data, capsys) or "fetch it again" in refused(data, capsys)
    path.unlink()
    (data.parent / "elsewhere").write_bytes(whole)
    path.symlink_to(data.parent / "elsewhere")
    assert "it is a link" in refused(data, capsys)
    path.unlink()
    path.write_bytes(whole)
    shutil.rmtree(data / "LibriSpeech")
    assert "not unpacked anywhere" in refused(data, capsys)


def test_tars_that_are_left_packed_hold_what_the_archive_holds(tmp_path, capsys):
    top = aishell1.write(tmp_path / "data")
    pack(top, tmp_path / "data" / "data_aishell.tgz")
    out = run(tmp_path / "data", capsys, "--delete")
    assert "deleted" in out and not (tmp_path / "data" / "data_aishell.tgz").exists()


@pytest.fixture
def prepared(data: Path, tmp_path: Path) -> Path:
    shutil.rmtree(data / "LibriSpeech")
    out = tmp_path / "out" / "librispeech"
    prepare({"path": "builders/librispeech", "name": "all", "data_dir": str(data)}, out)
    return out


def test_what_is_prepared_may_go(data, prepared, capsys):
    assert "not unpacked" in refused(data, capsys)
    rows = {row.archive: row.state for row in table(data.parent)}
    assert rows["data/dev-clean.tar.gz"] == "prepared" and rows["out/librispeech/"] == "prepared"
    out = run(data, capsys, "--delete", "--prepared", str(prepared))
    assert "deleted" in out and "recordings went into" in out and not (data / "dev-clean.tar.gz").exists()


def test_a_shard_that_is_not_what_it_was(data, prepared, capsys):
    shard = sorted(prepared.rglob("*.parquet"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    line = refused(data, capsys, "--prepared", str(prepared))
    assert str(shard) in line and "checksum" in line


def test_a_run_that_is_not_finished(data, prepared, capsys):
    entry = sorted((prepared / ".run" / "shards").glob("*.json"))[0]
    entry.unlink()
    assert "is not finished" in refused(data, capsys, "--prepared", str(prepared))


def test_an_archive_of_more_than_was_prepared(data, prepared, tmp_path, capsys):
    top = librispeech.write(tmp_path / "again")
    extra = sorted(top.rglob("*.flac"))[0]
    shutil.copy(extra, extra.with_name(extra.name.replace("-0000", "-0999")))
    (data / "dev-clean.tar.gz").unlink()
    pack(top, data / "dev-clean.tar.gz")
    os.utime(data / "dev-clean.tar.gz", (1, 1))
    line = refused(data, capsys, "--prepared", str(prepared.parent))
    assert "-0999.flac is not in" in line
    os.utime(data / "dev-clean.tar.gz")
    assert "is newer than" in refused(data, capsys, "--prepared", str(prepared))


def only_refusal(data: Path, archive: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    out = run(data, capsys, "--delete", *more)
    (line,) = [line for line in out.splitlines() if line.startswith("kept")]
    assert archive.exists()
    return line


def plain_tar(data: Path) -> Path:
    """Put a tar that is not compressed in the place of the packed one."""
    (data / "dev-clean.tar.gz").unlink()
    return pack(data / "LibriSpeech", data / "dev-clean.tar")


def test_a_wrong_bit_in_a_header_keeps_the_archive(data, capsys):
    archive = plain_tar(data)
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    content = bytearray(archive.read_bytes())
    content[members[len(members) // 2].offset + 3] ^= 1
    archive.write_bytes(content)
    assert "is damaged or truncated" in only_refusal(data, archive, capsys)


def test_a_hole_in_what_was_prepared_keeps_the_archive_and_the_others_are_looked_at(data, tmp_path, capsys):
    out = tmp_path / "out"
    prepare({"path": "builders/librispeech", "name": "all", "data_dir": str(data / "LibriSpeech")}, out)
    archive = plain_tar(data)
    shutil.copy(archive, data / "test-clean.tar")
    with tarfile.open(archive) as tar:
        begin = tar.getmembers()[-2].offset
    content = bytearray(archive.read_bytes())
    content[begin : begin + 512] = bytes(512)
    archive.write_bytes(content)
    for path in (archive, data / "test-clean.tar"):
        os.utime(path, (7e8, 7e8))
    shutil.rmtree(data / "LibriSpeech")
    line = only_refusal(data, archive, capsys, "--prepared", str(out))
    assert "is damaged or truncated" in line and not (data / "test-clean.tar").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_members_that_the_index_does_not_hold_keep_the_archive(data, tmp_path, capsys, kind):
    archive = plain_tar(data)
    special = tarfile.TarInfo("LibriSpeech/other.flac")
    special.type, special.linkname = kind, "elsewhere.flac"
    with tarfile.open(archive, "a") as tar:
        tar.addfile(special)
    os.utime(archive, (9e8, 9e8))
    said = "1 members were left out of the index (1 links or devices)"
    assert only_refusal(data, archive, capsys).endswith(f": {said}")
    out = tmp_path / "out"
    prepare({"path": "builders/librispeech", "name": "all", "data_dir": str(data)}, out)
    assert only_refusal(data, archive, capsys, "--prepared", str(out)).endswith(f": {said}")


def test_hard_links_and_names_in_latin_1_must_be_there_too(data, capsys):
    first = sorted(data.rglob("*.flac"))[0]
    copy = first.with_name("copy.flac")
    os.link(first, copy)
    latin = [os.fsdecode(os.fsencode(first.parent) + name) for name in (b"/caf\xe9.flac", b"/caf\xe8.flac")]
    for path in latin:
        shutil.copy(first, path)
    archive = plain_tar(data)
    for path in (copy, Path(latin[0]), Path(latin[1])):
        hidden = path.rename(data.parent / "hidden")
        assert "1 missing" in only_refusal(data, archive, capsys)
        hidden.rename(path)
        os.utime(path)
    assert f"deleted {archive}" in run(data, capsys, "--delete")


def test_what_extract_wrote_is_what_the_archive_held(data, capsys):
    first = sorted(data.rglob("*.flac"))[0]
    os.link(first, first.with_name("copy.flac"))
    shutil.copy(first, os.fsdecode(os.fsencode(first.parent) + b"/caf\xe9.flac"))
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.suffix != ".gz"}
    archive = plain_tar(data)
    shutil.rmtree(data / "LibriSpeech")
    assert main(["extract", "librispeech", "--data-dir", str(data)]) == 0
    run(data, capsys, "--delete")
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    assert not archive.exists()


def quarantined(data: Path, out: Path) -> Path:
    """Prepare an unpacked folder with one recording that is bad there; return the archive, in which it is whole."""
    archive = plain_tar(data)
    os.utime(archive, (1e9, 1e9))
    rotten = sorted(data.rglob("*.flac"))[0]
    rotten.write_bytes(bytes(rotten.stat().st_size))
    options = {"path": "builders/librispeech", "name": "all", "data_dir": str(data / "LibriSpeech"), "max_bad": 0.5}
    prepare(options, out)
    return archive


def test_a_recording_in_the_quarantine_that_is_whole_in_the_archive(data, tmp_path, capsys):
    archive = quarantined(data, tmp_path / "out")
    line = only_refusal(data, archive, capsys, "--prepared", str(tmp_path / "out"))
    name = sorted(data.rglob("*.flac"))[0].name
    assert f"{name} is in the quarantine of {tmp_path / 'out'}, but may be whole here" in line


def test_a_recording_in_the_quarantine_that_is_bad_in_the_archive_too(data, tmp_path, capsys):
    archive = quarantined(data, tmp_path / "out")
    pack(data / "LibriSpeech", archive)
    os.utime(archive, (8e8, 8e8))
    (rotten,) = [path for path in data.rglob("*.flac") if not path.read_bytes().strip(b"\0")]
    recordings = len(list(data.rglob("*.flac")))
    rotten.unlink()  # so that only the data set speaks for the archive
    out = run(data, capsys, "--delete", "--prepared", str(tmp_path / "out"))
    assert f"its {recordings - 1} recordings went into" in out and "1 more are in its quarantine and bad here" in out
    assert not archive.exists()


def test_no_such_configuration(data):
    from builders.errors import CorpusError

    with pytest.raises(CorpusError, match="has no configuration 'dev'"):
        held(Tree(data), "librispeech", "dev")
