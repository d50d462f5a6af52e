"""What a tar holds is what is read of it: damage is an error, hard links are files, what is left out is counted."""

from __future__ import annotations

import bz2
import gzip
import io
import logging
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.errors import CorpusError
from builders.files import Files
from builders.member_names import original, printable
from tests.corpora.archives import tar_of, zip_of

RANDOM = {f"C/{number:02}.wav": os.urandom(3000) for number in range(20)}
PACKED = {".tar": bytes, ".tar.gz": gzip.compress, ".tar.bz2": bz2.compress}


def held(path: Path, **options: object) -> dict[str, bytes]:
    files = Files(path, **options)
    try:
        return {name: files.read(name) for name in files.names()}
    finally:
        files.close()


def left_out(path: Path, **options: object) -> dict[str, int]:
    files = Files(path, **options)
    try:
        return files.left_out()
    finally:
        files.close()


def begin_of(tar: Path, number: int) -> int:
    """Return where a member's header begins."""
    with tarfile.open(tar) as opened:
        return opened.getmembers()[number].offset


def flipped(data: bytearray, at: int) -> bytes:
    data[at + 3] ^= 1
    return data


def zeros_to_the_end(data: bytearray, at: int) -> bytes:
    data[at:] = bytes(len(data) - at + (1 << 20))
    return data


def hole(data: bytearray, at: int) -> bytes:
    data[at : at + 1536] = bytes(1536)
    return data


def cut_in_the_header(data: bytearray, at: int) -> bytes:
    return data[: at + 200]


def cut_behind_a_member(data: bytearray, at: int) -> bytes:
    return data[:at]


def doubled(data: bytearray, at: int) -> bytes:
    return data + data


DAMAGES = {
    flipped: "should begin a member or the end",
    zeros_to_the_end: "only zeros from byte",
    hole: "more follows its end",
    cut_in_the_header: "no end-of-archive marker",
    cut_behind_a_member: "no end-of-archive marker",
    doubled: "one tar put behind another",
}


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize(("damage", "said"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_a_damaged_tar_is_no_shorter_one(tmp_path, suffix, damage, said):
    tar = tar_of(tmp_path / "whole.tar", RANDOM)
    broken = tmp_path / f"c{suffix}"
    broken.write_bytes(PACKED[suffix](bytes(damage(bytearray(tar.read_bytes()), begin_of(tar, 10)))))
    with pytest.raises(CorpusError, match=rf"c{suffix} is damaged or truncated .*{said}"):
        held(broken)


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
def test_a_damaged_tar_inside_is_no_shorter_one(tmp_path, damage: Callable[[bytearray, int], bytes]):
    tar = tar_of(tmp_path / "whole.tar", RANDOM)
    (tmp_path / "data" / "wav").mkdir(parents=True)
    broken = tmp_path / "data" / "wav" / "S1.tar"
    broken.write_bytes(damage(bytearray(tar.read_bytes()), begin_of(tar, 10)))
    with pytest.raises(CorpusError, match=r"wav/S1\.tar is damaged or truncated"):
        held(tmp_path / "data", archives=["wav/S*.tar"])


@pytest.mark.parametrize("options", [["-b1"], ["-b20"], ["-b2048"], ["--format=ustar"], ["--format=v7"],
                                     ["--format=posix"], ["--format=gnu"], ["--format=oldgnu"]])  # fmt: skip
def test_what_tar_writes_is_whole(tmp_path, options):
    for name, data in RANDOM.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    subprocess.run(["tar", *options, "-cf", str(tmp_path / "c.tar"), "-C", str(tmp_path), "C"], check=True)
    assert held(tmp_path / "c.tar") == RANDOM
    assert not left_out(tmp_path / "c.tar") or options == ["-b2048"]


def test_a_longer_end_of_zeros_is_told(tmp_path, caplog):
    tar = tar_of(tmp_path / "whole.tar", RANDOM)
    lost = tmp_path / "c.tar"  # as a download leaves it whose place was taken on the disk first
    at = begin_of(tar, 10)
    lost.write_bytes(tar.read_bytes()[:at] + bytes(tar.stat().st_size - at))
    assert len(held(lost)) == 10
    assert f"c.tar ends with {tar.stat().st_size - at} bytes of zeros" in caplog.text
    assert left_out(lost) == {"stretches of zeros at an end, in which members may be missing": 1}


def test_a_tar_with_one_block_of_zeros_or_nothing_but_zeros_is_whole(tmp_path):
    tar = tar_of(tmp_path / "c.tar", {"a": b"a" * 512})
    tar.write_bytes(tar.read_bytes()[: 3 * 512])
    assert held(tar) == {"a": b"a" * 512}
    assert held(tar_of(tmp_path / "empty.tar", {})) == {}


# Hard links


def link(name: str, target: str, kind: bytes = tarfile.LNKTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tar_in_order(archive: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(archive, {".gz": "w:gz", ".bz2": "w:bz2"}.get(archive.suffix, "w")) as tar:
        for member in members:
            info = member if isinstance(member, tarfile.TarInfo) else tarfile.TarInfo(member[0])
            data = b"" if isinstance(member, tarfile.TarInfo) else member[1]
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive


@pytest.mark.parametrize("suffix", PACKED)
@pytest.mark.parametrize("begin", ["", "./"])
def test_hard_links_are_files_as_they_are_in_the_folder(tmp_path, suffix, begin):
    top = tmp_path / "C"
    top.mkdir()
    (top / "a.wav").write_bytes(b"a" * 700)
    for name in ("b.wav", "c.wav"):
        os.link(top / "a.wav", top / name)
    (top / "d.wav").write_bytes(b"d")
    kind = {".tar": "-c", ".tar.gz": "-cz", ".tar.bz2": "-cj"}[suffix]
    archive = tmp_path / f"c{suffix}"
    subprocess.run(["tar", f"{kind}f", str(archive), "-C", str(tmp_path), f"{begin}C"], check=True)
    assert held(archive) == {f"C/{name}": data for name, data in held(top).items()}
    assert left_out(archive) == {}


def test_links_to_links_and_to_what_is_packed_again(tmp_path):
    members = [("a", b"first"), link("b", "a"), link("c", "b"), ("a", b"second"), link("d", "a")]
    more = [("e", b"old"), link("e", "a"), link("f", "a"), ("f", b"a file of its own")]
    tar = tar_in_order(tmp_path / "c.tar", *members, *more)
    assert held(tar) == {
        "a": b"second", "b": b"first", "c": b"first", "d": b"second", "e": b"second", "f": b"a file of its own"
    }  # fmt: skip
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", str(tar), "-C", str(tmp_path / "out")], check=True)
    assert held(tmp_path / "out") == held(tar)


def test_hard_links_in_a_tar_inside(tmp_path):
    (tmp_path / "wav").mkdir()
    tar_in_order(tmp_path / "wav" / "S1.tar", ("a", b"old"), ("a", b"new"), link("b", "a"), link("c", "nothing"))
    assert held(tmp_path, archives=["wav/S*.tar"]) == {"wav/a": b"new", "wav/b": b"new"}
    assert left_out(tmp_path, archives=["wav/S*.tar"]) == {"links or devices": 1}


def test_many_links_take_two_looks_at_the_headers_not_more(tmp_path, monkeypatch):
    members = [("a", b"x"), *(link(f"{number}", "a" if not number else f"{number - 1}") for number in range(500))]
    tar = tar_in_order(tmp_path / "c.tar", *members)
    opened = []
    real = tarfile.open
    monkeypatch.setattr(tarfile, "open", lambda *args, **kwargs: opened.append(1) or real(*args, **kwargs))
    assert set(held(tar).values()) == {b"x"}
    assert len(opened) == 2


# What is left out, and names


def test_what_is_left_out_is_counted_by_its_kind_and_kept_in_the_index(tmp_path, caplog):
    special = [link("soft", "a", tarfile.SYMTYPE), link("hard", "nothing"), link("dev", "", tarfile.CHRTYPE)]
    names = [("../evil", b"x"), ("._a", b"x"), ("__MACOSX/a", b"x"), ("a", b"a")]
    tar = tar_in_order(tmp_path / "c.tar", *names, *special, link("../link", "a"))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):  # the second time out of the index
            assert left_out(tar) == {"links or devices": 3, "names that point out of it": 2}
    assert held(tar) == {"a": b"a"}
    assert sum("left out" in record.getMessage() for record in caplog.records) == 5


@pytest.mark.parametrize("suffix", PACKED)
def test_of_a_name_that_comes_twice_the_last_is_read(tmp_path, suffix):
    tar = tar_in_order(tmp_path / f"c{suffix}", ("C/a.txt", b"old"), ("b", b"b"), ("C/a.txt", b"newer"))
    assert held(tar) == {"C/a.txt": b"newer", "b": b"b"}


def test_the_folder_still_goes_before_its_archives_and_the_first_archive_before_the_second(tmp_path):
    tar_in_order(tmp_path / "x.tar", ("a", b"x old"), ("a", b"x"), ("b", b"x"))
    tar_in_order(tmp_path / "y.tar", ("a", b"y"), ("b", b"y"), ("c", b"y"))
    (tmp_path / "a").write_bytes(b"folder")
    found = held(tmp_path, archives=["?.tar"])
    assert {name: found[name] for name in "abc"} == {"a": b"folder", "b": b"x", "c": b"y"}


NAMES = [b"caf\xe9.wav", b"caf\xe8.wav", b"caf\\xe9.wav", b"caf\\x5cxe9.wav", "caf\u00e9.wav".encode(), b"caf\\.wav"]


def test_names_that_are_not_utf8_stay_apart_in_folder_and_tar(tmp_path):
    (tmp_path / "C").mkdir()
    for number, name in enumerate(NAMES):
        (tmp_path / "C" / os.fsdecode(name)).write_bytes(b"%d" % number)
    subprocess.run(["tar", "-cf", str(tmp_path / "c.tar"), "-C", str(tmp_path / "C"), "."], check=True)
    found = held(tmp_path / "C")
    assert sorted(found.values()) == [b"%d" % number for number in range(len(NAMES))]
    assert found == held(tmp_path / "c.tar")
    assert found["caf\\xe9.wav"] == b"0" and found["caf\u00e9.wav"] == b"4"


@given(st.lists(st.sampled_from([b"\\", b"x", b"5c", b"e9", b"2f", b"\xe9", b"\xc3\xa9", b"a"]), max_size=8))
def test_the_original_name_can_be_had_back(parts):
    name = os.fsdecode(b"".join(parts))
    assert original(printable(name)) == name
    printable(name).encode()


def test_no_name_becomes_a_path():
    assert original("\\x2e\\x2e\\x2fetc") == "\\x2e\\x2e\\x2fetc"


def test_names_in_a_zip_are_written_as_they_are(tmp_path):
    archive = zip_of(tmp_path / "c.zip", {"C/caf\\xe9.wav": b"a", "C/caf\\x2f.wav": b"b"})
    files = Files(archive)
    assert {original(name): files.read(name) for name in files.names()} == {
        "C/caf\\xe9.wav": b"a", "C/caf\\x2f.wav": b"b"
    }  # fmt: skip
    files.close()
