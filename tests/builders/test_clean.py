"""Deleting archives: only with proof, never anything else, and a refusal names the file."""

from __future__ import annotations

import os
import shutil
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


def test_no_such_configuration(data):
    from builders.errors import CorpusError

    with pytest.raises(CorpusError, match="has no configuration 'dev'"):
        held(Tree(data), "librispeech", "dev")
