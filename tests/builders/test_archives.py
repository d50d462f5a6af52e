from __future__ import annotations

import bz2
import gzip
import io
import json
import logging
import multiprocessing
import operator
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from builders import compression
from builders.archives import open_source
from builders.errors import CorpusError, MemberError
from tests.conftest import REPOSITORY
from tests.corpora.archives import CONTENT, SUFFIXES, pack, tar_of, zip_of


def contents(path: Path) -> dict[str, bytes]:
    source = open_source(path)
    try:
        return {member.name: source.open(member).read() for member in list(source.scan())}
    finally:
        source.close()


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".tgz", ".tbz2", ".TAR.GZ"])
def test_folder_and_archives_hold_the_same(folder, tmp_path, suffix):
    assert contents(folder) == CONTENT
    archive = pack(folder, tmp_path / f"corpus{suffix.lower()}").rename(tmp_path / f"packed{suffix}")
    assert contents(archive) == {f"top/{name}": data for name, data in CONTENT.items()}


def test_members_are_read_in_any_order_more_than_once(folder, tmp_path):
    for suffix in SUFFIXES:
        source = open_source(pack(folder, tmp_path / f"corpus{suffix}"))
        members = sorted(source.scan(), key=lambda member: -member.position)
        for member in members + members[::-1]:
            with source.open(member) as file:
                assert file.read() == CONTENT[member.name.removeprefix("top/")]
                file.seek(0)
                assert file.read() == CONTENT[member.name.removeprefix("top/")]
        source.close()


def test_positions_sort_into_reading_order(folder, tmp_path):
    with tarfile.open(pack(folder, tmp_path / "corpus.tar")) as tar:
        order = [info.name for info in tar if info.isreg()]
    for suffix in (".tar", ".tar.gz", ".tar.bz2"):
        found = sorted(
            open_source(pack(folder, tmp_path / f"corpus{suffix}")).scan(), key=lambda member: member.position
        )
        assert [member.name for member in found] == order


HOSTILE = {"../evil": b"x", "a/../../evil": b"x", "/etc/passwd": b"x", "C:/evil": b"x", "\\evil": b"x"}
LITTER = {"a/._junk.wav": b"x", "__MACOSX/a/one.txt": b"x", "a/.DS_Store": b"x"}


@pytest.mark.parametrize("name", ["c.tar", "c.tar.gz", "c.tar.bz2", "c.zip"])
def test_hostile_names_are_left_out_with_a_warning(tmp_path, caplog, name):
    write = zip_of if name.endswith("zip") else tar_of
    archive = write(tmp_path / name, {**HOSTILE, **LITTER, "./good.txt" if write is tar_of else "good.txt": b"good"})
    with caplog.at_level(logging.WARNING):
        assert contents(archive) == {"good.txt": b"good"}
    warned = [record.getMessage() for record in caplog.records]
    assert all(any(repr(bad) in line for line in warned) for bad in HOSTILE if bad != "\\evil" or write is tar_of)
    assert not any("junk" in line or "MACOSX" in line for line in warned)  # no news


def test_litter_in_a_folder_is_left_out(tmp_path):
    for name in [*LITTER, "good.txt"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert contents(tmp_path) == {"good.txt": b"x"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_left_out_with_a_warning(tmp_path, caplog, kind):
    special = tarfile.TarInfo("trap")
    special.type, special.linkname = kind, "/etc/passwd"
    archive = tar_of(tmp_path / "c.tar", {"good.txt": b"good"}, special=(special,))
    with caplog.at_level(logging.WARNING):
        assert contents(archive) == {"good.txt": b"good"}
    assert "'trap' is a link or a device" in caplog.text


def test_links_in_a_zip_are_left_out(tmp_path, caplog):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        link = zipfile.ZipInfo("trap")
        link.external_attr = 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
        packed.writestr("good.txt", "good")
    assert contents(tmp_path / "c.zip") == {"good.txt": b"good"}
    assert "'trap' is a link" in caplog.text


def test_links_in_a_folder_are_followed_but_not_for_ever(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.txt").write_bytes(b"far")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "a" / "loop").symlink_to(folder)
    (folder / "broken").symlink_to(tmp_path / "nothing")
    assert contents(folder) == {**CONTENT, "linked/far.txt": b"far"}


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_archive_is_one_line_that_names_it(tmp_path, suffix, share):
    top = tmp_path / "top"
    top.mkdir()
    for number in range(20):
        (top / f"{number}.bin").write_bytes(os.urandom(3000))
    archive = cut(pack(top, tmp_path / f"corpus{suffix}"), share)
    with pytest.raises(CorpusError, match=f"corpus{suffix} is damaged or truncated") as caught:
        contents(archive)
    assert "\n" not in str(caught.value)


def test_tar_cut_between_two_members_is_truncated(tmp_path):
    archive = tar_of(tmp_path / "c.tar", {"a": b"a" * 512, "b": b"b" * 512})
    archive.write_bytes(archive.read_bytes()[:1024])  # header and data of the first
    with pytest.raises(CorpusError, match="no end-of-archive marker"):
        contents(archive)


def test_member_that_got_shorter_since_the_scan_is_an_error(tmp_path):
    archive = tar_of(tmp_path / "c.tar", {"a": b"a" * 5000})
    source = open_source(archive)
    (member,) = source.scan()
    source.close()
    cut(archive, 0.2)
    with pytest.raises(MemberError, match=r"c\.tar: a cannot be read \(it ends after \d+ of 5000 bytes\)"):
        source.open(member)


@pytest.mark.parametrize("name", ["c.tar", "c.tar.gz", "c.tar.bz2", "c.zip"])
def test_what_is_no_archive_in_spite_of_its_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"<html>404 not found</html>" * 50)
    with pytest.raises(CorpusError, match=f"{name} is damaged"):
        contents(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(CorpusError, match=f"{name} is damaged"):
        contents(tmp_path / name)


def test_corrupt_member_of_a_zip(tmp_path):
    archive = zip_of(tmp_path / "c.zip", {"a.txt": b"hello hello"})
    data = archive.read_bytes()
    archive.write_bytes(data.replace(b"hello hello", b"jello hello"))
    with pytest.raises(MemberError, match=r"c\.zip: a\.txt cannot be read"):
        contents(archive)


def test_encrypted_zip_is_an_error(tmp_path):
    archive = zip_of(tmp_path / "c.zip", {"a.txt": b"hello hello"})
    data = bytearray(archive.read_bytes())
    data[6] |= 1  # the flag of an encrypted member, in its header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(bytes(data))
    with pytest.raises(CorpusError, match=r"c\.zip can't be read .*unpack it"):
        contents(archive)


@pytest.mark.parametrize("name", ["corpus.rar", "corpus.tar.xz", "corpus"])
def test_unknown_suffix(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        CorpusError, match=r"expected one of \['\.tar', '\.tar\.gz', '\.tgz', '\.tar\.bz2', '\.tbz2', '\.zip'\]"
    ):
        open_source(tmp_path / name)


def test_missing_path(tmp_path):
    with pytest.raises(CorpusError, match="nothing does not exist"):
        open_source(tmp_path / "nothing")


def test_pax_headers_and_long_names(tmp_path):
    long = "/".join(["directory"] * 20) + "/name.txt"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        with tarfile.open(tmp_path / "c.tar", "w", format=form) as tar:
            info = tarfile.TarInfo(long)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
        assert contents(tmp_path / "c.tar") == {long: b"abc"}


def test_name_that_is_not_utf8(tmp_path):
    with tarfile.open(tmp_path / "c.tar", "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        info = tarfile.TarInfo("fa\u00e7ade.txt")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    ((name, data),) = contents(tmp_path / "c.tar").items()
    assert (name, data) == ("fa\\xe7ade.txt", b"x")
    os.close(os.open(os.fsencode(tmp_path) + b"/fa\xe7ade.txt", os.O_CREAT | os.O_WRONLY))
    assert contents(tmp_path)["fa\\xe7ade.txt"] == b""


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress)])
def test_tar_of_several_compressed_streams(folder, tmp_path, suffix, compress):
    # What pigz, pbzip2 and `cat part1.gz part2.gz` make
    data = pack(folder, tmp_path / "c.tar").read_bytes()
    (tmp_path / f"c.tar.{suffix}").write_bytes(compress(data[:3000]) + compress(data[3000:]))
    assert contents(tmp_path / f"c.tar.{suffix}") == contents(tmp_path / "c.tar")


# Handles


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_source_works_in_a_forked_process(folder, tmp_path, suffix):
    source = open_source(pack(folder, tmp_path / f"corpus{suffix}"))
    members = {member.name: member for member in source.scan()}
    assert source.open(members["top/a/one.txt"]).read() == b"one"  # the handle that is open now must not be shared
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [
        context.Process(target=lambda: answers.put(source.open(members["top/a/b/two.bin"]).read())) for _ in range(2)
    ]
    for child in children:
        child.start()
    assert source.open(members["top/dr1/SA1.WAV"]).read() == b"RIFF"
    assert [answers.get(timeout=60) for _ in children] == [CONTENT["a/b/two.bin"]] * 2
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    source.close()


def test_source_works_in_a_spawned_process(folder, tmp_path):
    source = open_source(pack(folder, tmp_path / "corpus.zip"))
    member = next(member for member in source.scan() if member.name == "top/a/one.txt")
    assert source.open(member).read() == b"one"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(operator.methodcaller("open", member), (source,)).get(60).read() == b"one"
    source.close()


def test_pickle_carries_no_handle(folder, tmp_path):
    source = open_source(pack(folder, tmp_path / "corpus.tar.gz"))
    members = {member.name: member for member in source.scan()}
    copy = pickle.loads(pickle.dumps(source))
    assert copy._handle is None
    assert copy.open(members["top/a/one.txt"]).read() == b"one"
    copy.close()
    source.close()


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2"])
def test_interpreter_ends_well_with_an_open_reader(folder, tmp_path, suffix):
    archive = pack(folder, tmp_path / f"corpus{suffix}")
    program = (
        "import sys; from builders.archives import open_source\n"
        "from pathlib import Path\n"
        "source = open_source(Path(sys.argv[1])); member = next(m for m in list(source.scan()) if m.size)\n"
        "print(len(source.open(member).read()), source._handle is not None)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, archive], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "10240 True\n", "")


def test_seek_points_of_a_tar_gz_are_kept(folder, tmp_path, monkeypatch):
    archive = pack(folder, tmp_path / "corpus.tar.gz")
    contents(archive)
    imported = []
    real = compression.rapidgzip.open

    class Spy:
        def __init__(self, handle):
            self.handle = handle

        def __getattr__(self, name):
            if name == "import_index":
                imported.append(name)
            return getattr(self.handle, name)

    monkeypatch.setattr(compression.rapidgzip, "open", lambda *args, **kwargs: Spy(real(*args, **kwargs)))
    assert contents(archive) == {f"top/{name}": data for name, data in CONTENT.items()}
    assert imported == ["import_index"]


def test_seek_points_of_a_tar_bz2_are_kept(tmp_path):
    # Some blocks of 900 kB each; the points are the archive's, so any reader of it takes them.
    data = {f"{number}.bin": os.urandom(400_000) for number in range(8)}
    archive = tar_of(tmp_path / "corpus.tar.bz2", data)
    assert contents(archive) == data
    again = open_source(archive)
    points = dict(json.loads(again._seek_points.read_text()))
    assert len(points) > 3
    with bz2.open(archive) as plain:
        raw = plain.read()
    assert max(points.values()) == len(raw)
    assert again._opened().block_offsets() == points  # without having read a byte
    assert contents(archive) == data
    again.close()


def test_ruined_block_of_a_tar_bz2_spoils_its_members_only(tmp_path):
    data = {f"{number}.bin": os.urandom(400_000) for number in range(8)}
    archive = tar_of(tmp_path / "c.tar.bz2", data)
    source = open_source(archive)
    members = {member.name: member for member in source.scan()}
    source.close()
    ruined = bytearray(archive.read_bytes())
    status = archive.stat()
    ruined[len(ruined) // 2] ^= 255
    archive.write_bytes(ruined)
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))  # a bad block, not another archive
    bad = []
    for name, member in members.items():
        try:
            assert source.open(member).read() == data[name]
        except MemberError:
            bad.append(name)
    source.close()
    assert 0 < len(bad) < len(data)


def test_fingerprint_tells_change(folder, tmp_path):
    before = open_source(folder).fingerprint()
    assert open_source(folder).fingerprint() == before
    (folder / "new.txt").write_bytes(b"")
    assert open_source(folder).fingerprint() != before
    archive = pack(folder, tmp_path / "c.tar")
    before = open_source(archive).fingerprint()
    status = archive.stat()
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert open_source(archive).fingerprint() != before
