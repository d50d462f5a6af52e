"""Unpacking: whole, interrupted, and of archives that mean harm."""

from __future__ import annotations

import gzip
import io
import logging
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from builders.__main__ import main
from builders.errors import CorpusError
from builders.extract import extract
from builders.files import Files
from builders.glance import glance
from builders.inventory import Found
from builders.status import table
from tests.conftest import REPOSITORY
from tests.corpora import aishell1, librispeech, speech_commands
from tests.corpora.archives import pack, tar_of, zip_of

GB = 1_000_000_000


@pytest.fixture(autouse=True)
def small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.inventory.smallest", lambda *_: None)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, dict[str, bytes]]:
    top = librispeech.write(tmp_path / "data")
    known = contents(top)
    pack(top, top.parent / "dev-clean.tar.gz")
    shutil.rmtree(top)
    return top.parent, known


def run(data: Path, *more: str, corpus: str = "librispeech") -> int:
    return main(["extract", corpus, "--data-dir", str(data), *more])


def test_what_comes_out_is_what_went_in(packed, capsys):
    data, known = packed
    assert run(data) == 0
    assert contents(data / "LibriSpeech") == known
    assert f"{len(known)} of {len(known)} files" in capsys.readouterr().out
    assert sorted(path.name for path in data.iterdir()) == ["LibriSpeech", "dev-clean.tar.gz"]
    assert {row.archive: row.state for row in table(data)}["dev-clean.tar.gz"] == "verified"


def test_to_another_folder_from_one_archive(packed, tmp_path):
    data, known = packed
    assert run(data / "dev-clean.tar.gz", "--to", str(tmp_path / "new")) == 0
    assert contents(tmp_path / "new" / "LibriSpeech") == known


def test_a_begun_one_goes_on_and_only_with_what_is_missing(packed):
    data, known = packed
    run(data)
    names = sorted(known)
    kept = data / "LibriSpeech" / names[0]
    os.utime(kept, (1, 1))
    (data / "LibriSpeech" / names[-1]).write_bytes(b"")
    (data / "LibriSpeech" / names[-2]).unlink()
    assert run(data) == 0
    assert contents(data / "LibriSpeech") == known
    assert kept.stat().st_mtime == 1


def test_a_longer_file_is_not_ours(packed, capsys):
    data, known = packed
    run(data)
    other = data / "LibriSpeech" / sorted(known)[-1]
    other.write_bytes(b"x" * 10**6)
    assert run(data) == 1
    assert f"{other} is there and is not what the archive has" in capsys.readouterr().out
    assert other.stat().st_size == 10**6


def test_an_archive_without_a_folder_gets_one(tmp_path):
    top = speech_commands.write(tmp_path / "data")
    known = contents(top)
    with tarfile.open(tmp_path / "speech_commands_v0.02.tar.gz", "w:gz") as tar:
        for path in sorted(top.iterdir()):
            tar.add(path, f"./{path.name}")
    shutil.rmtree(tmp_path / "data")
    assert run(tmp_path, corpus="speech_commands") == 0
    assert contents(tmp_path / "speech_commands_v0.02") == known


def test_tars_in_a_tar_are_unpacked(tmp_path):
    top = aishell1.write(tmp_path / "data")
    waves = {path.name for path in top.rglob("*.wav")}
    pack(top, tmp_path / "data_aishell.tgz")
    shutil.rmtree(tmp_path / "data")
    assert run(tmp_path, corpus="aishell1") == 0
    found = {path.name for path in tmp_path.rglob("*.wav")}
    assert found and waves <= found
    assert not list((tmp_path / "data_aishell").rglob("S*.tar.gz"))


def test_parts_are_unpacked(packed):
    data, known = packed
    whole = (data / "dev-clean.tar.gz").read_bytes()
    half = len(whole) // 2
    (data / "dev-clean.tar.gz.partaa").write_bytes(whole[:half])
    (data / "dev-clean.tar.gz.partab").write_bytes(whole[half:])
    (data / "dev-clean.tar.gz").unlink()
    assert run(data / "dev-clean.tar.gz.partaa") == 0
    assert contents(data / "LibriSpeech") == known


def test_too_large_for_the_disk(packed, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: os.terminal_size((0, 0)) and type("U", (), {"free": 0}))
    assert run(packed[0]) == 2
    assert "needs 0.0 GB more" in capsys.readouterr().err
    assert not (packed[0] / "LibriSpeech").exists()


def test_a_full_disk_keeps_what_is_whole(packed, monkeypatch, capsys):
    calls = iter(range(100))
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if self.name == "part" and next(calls) == 3:
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    assert run(packed[0]) == 2
    assert "is full: what is unpacked stays" in capsys.readouterr().err
    assert len(contents(packed[0] / "LibriSpeech")) == 3
    assert not list(packed[0].glob(".unpacking*"))


def archive(path: Path) -> Found:
    seen = glance(path)
    return Found(path, path.stat().st_size, ["librispeech"], path.name, seen.head, seen.broken, seen.remark)


def unpacked(path: Path, to: Path) -> tuple[dict[str, bytes], list[str]]:
    to.mkdir(parents=True, exist_ok=True)
    _, refused = extract(archive(path), "librispeech", to)
    return contents(to), refused


OUTSIDE = {"../evil": b"x", "a/../../evil": b"x", "/tmp/evil-phonelayers": b"x", "C:/evil": b"x"}


@pytest.mark.parametrize("name", ["c.tar", "c.tar.gz", "c.zip"])
def test_nothing_is_written_outside(tmp_path, caplog, name):
    write = zip_of if name.endswith("zip") else tar_of
    write(tmp_path / name, {**OUTSIDE, "top/good.txt": b"good"})
    with caplog.at_level(logging.WARNING):
        found, _ = unpacked(tmp_path / name, tmp_path / "to" / "here")
    assert found == {"top/good.txt": b"good"}
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted([name, "to", "here", "top", "good.txt"])
    assert not Path("/tmp/evil-phonelayers").exists()
    assert all(sum(repr(bad) in line for line in caplog.messages) == 1 for bad in OUTSIDE)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_left_out(tmp_path, caplog, kind):
    trap = tarfile.TarInfo("top/trap")
    trap.type, trap.linkname = kind, str(tmp_path / "outside")
    (tmp_path / "outside").mkdir()
    with tarfile.open(tmp_path / "c.tar", "w") as tar:
        tar.addfile(trap)
        for member in ("top/trap/evil", "top/good"):
            info = tarfile.TarInfo(member)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    with caplog.at_level(logging.WARNING):
        found, _ = unpacked(tmp_path / "c.tar", tmp_path / "to")
    assert "'top/trap' is a link or a device" in caplog.text
    assert found == {"top/trap/evil": b"x", "top/good": b"x"}  # trap became a plain folder
    assert not list((tmp_path / "outside").iterdir())


def test_a_link_that_lies_there_already_is_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "to" / "top").mkdir(parents=True)
    (tmp_path / "to" / "top" / "a").symlink_to(tmp_path / "outside")
    (tmp_path / "to" / "top" / "file").symlink_to(tmp_path / "outside" / "file")
    tar_of(tmp_path / "c.tar", {"top/a/evil": b"x", "top/file": b"y", "top/good": b"z"})
    found, refused = unpacked(tmp_path / "c.tar", tmp_path / "to")
    assert not list((tmp_path / "outside").iterdir())
    assert len(refused) == 1 and "is a link out of" in refused[0]
    assert found == {"top/file": b"y", "top/good": b"z"}


@pytest.mark.parametrize("name", ["top/" + "x" * 4000, "top/" + "/".join(["y" * 200] * 20)])
def test_a_name_of_four_thousand_characters(tmp_path, name):
    tar_of(tmp_path / "c.tar", {name: b"x", "top/good": b"z"})
    found, refused = unpacked(tmp_path / "c.tar", tmp_path / "to")
    assert "top/good" in found
    assert len(refused) in (0, 1) and all("\n" not in line and len(line) < 400 for line in refused)
    assert list(Files(tmp_path / "c.tar").names()) == sorted([name, "top/good"])


def test_a_name_that_is_no_utf_8(tmp_path):
    with tarfile.open(tmp_path / "c.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo("top/grün.wav")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    found, refused = unpacked(tmp_path / "c.tar", tmp_path / "to")
    assert found == {os.fsdecode(b"top/gr\xfcn.wav"): b"x"} and not refused
    with Files(tmp_path / "c.tar").open("top/gr\\xfcn.wav") as file:
        assert file.read() == b"x"


def test_what_is_never_unpacked_is_told_and_hard_links_are_unpacked(tmp_path):
    links = tarfile.TarInfo("top/soft"), tarfile.TarInfo("top/hard")
    for info, kind in zip(links, (tarfile.SYMTYPE, tarfile.LNKTYPE), strict=True):
        info.type, info.linkname = kind, "top/good"
    tar_of(tmp_path / "c.tar", {"top/good": b"z"}, special=links)
    found, refused = unpacked(tmp_path / "c.tar", tmp_path / "to")
    assert found == {"top/good": b"z", "top/hard": b"z"} and refused == ["1 links or devices"]


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_a_truncated_gzip_is_one_line_and_writes_nothing(packed, capsys, share):
    data, _ = packed
    path = data / "dev-clean.tar.gz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert run(path) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "dev-clean.tar.gz" in line and "fetch it again" in line
    assert not (data / "LibriSpeech").exists()


def bomb(path: Path, name: str = "top/zeros.wav", size: int = 10 * GB, *, header: bool = True) -> Path:
    """Write a tar.gz that unpacks to `size` zeros, out of one packed block that is repeated."""
    block = gzip.compress(bytes(100_000_000))
    info = tarfile.TarInfo(name)
    info.size = size
    with path.open("wb") as file:
        file.write(gzip.compress(info.tobuf()) if header else b"")
        for _ in range(size // 100_000_000):
            file.write(block)
        file.write(gzip.compress(bytes(1024)))
    return path


LIMITED = """
import resource, sys, threading, time, re
from pathlib import Path
peak = 0
def watch():
    global peak
    while True:
        peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1]))
        time.sleep(0.005)
from builders.__main__ import main
from builders.files import Files
from builders.errors import CorpusError
base = int(re.search(r"RssAnon:\\s+(\\d+)", open("/proc/self/status").read())[1])
threading.Thread(target=watch, daemon=True).start()
path = Path(sys.argv[1])
try:
    print(list(Files(path).names()))
except CorpusError as error:
    print(error)
print(main(["extract", "librispeech", "--data-dir", str(path), "--to", sys.argv[2]]))
print(main(["status", str(path.parent)]))
print("MEMORY", (peak - base) // 1024)
"""


@pytest.mark.parametrize("header", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_bomb_takes_neither_memory_nor_disk(tmp_path, header):
    path = bomb(tmp_path / "dev-clean.tar.gz", header=header)
    command = [sys.executable, "-c", LIMITED, str(path), str(tmp_path / "to")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    out = done.stdout + done.stderr
    assert int(done.stdout.rsplit("MEMORY", 1)[1]) < 800, out  # MB; ten thousand are in it
    if header:
        assert "unpacks to more than" in done.stdout and "it is no corpus" in done.stdout
    assert sum(file.stat().st_size for file in (tmp_path / "to").rglob("*") if file.is_file()) == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_a_zip_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("builders.archives.BOMB_BYTES", 10_000_000)
    with (
        zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("top/a.wav", "w") as file,
    ):
        file.write(bytes(50_000_000))
    with pytest.raises(CorpusError, match="200 times its size"):
        list(Files(tmp_path / "c.zip").names())


def test_a_header_of_gigabytes_is_refused(tmp_path):
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 8 * GB
    with (tmp_path / "c.tar").open("wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(8 * GB + 2048)
    with pytest.raises(CorpusError, match="a header of 8000000000 bytes"):
        list(Files(tmp_path / "c.tar").names())


def test_sparse_members_are_left_out(tmp_path, caplog):
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"x" * 4096)
        file.seek(10**8)
        file.write(b"y" * 4096)
    subprocess.run(["tar", "--sparse", "-cf", str(tmp_path / "c.tar"), "-C", str(tmp_path), "sparse"], check=True)
    with caplog.at_level(logging.WARNING):
        assert list(Files(tmp_path / "c.tar").names()) == []
    assert "is a sparse file: left out" in caplog.text
