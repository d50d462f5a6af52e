from __future__ import annotations

import errno
import io
import logging
import multiprocessing
import operator
import os
import pickle
import re
import shutil
import tracemalloc
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from builders import archives
from builders.errors import CorpusError, MemberError
from builders.files import Files
from builders.tree import Tree
from tests.corpora.archives import SUFFIXES, pack, tar_of

ROOT = r"(?i)^(?:.*/)?corpus/"
CONTENT = {
    "dev/1/a.txt": b"alpha\r\n\r\nbeta\n",
    "dev/1/a.wav": b"RIFF",
    "dev/2/B.TXT": b"\xef\xbb\xbfgamma",
    "LIST": b"",
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    top = tmp_path / "above" / "Corpus"
    for name, data in CONTENT.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return top


def contents(files: Files) -> dict[str, bytes]:
    try:
        return {name: files.read(name) for name in files.names()}
    finally:
        files.close()


def test_top_folder_the_one_above_and_archives_give_the_same_names(corpus, tmp_path):
    assert contents(Files(corpus, root=ROOT)) == CONTENT
    assert contents(Files(corpus.parent, root=ROOT)) == CONTENT
    for suffix in SUFFIXES:
        alone = pack(corpus, tmp_path / f"alone{suffix}")
        assert contents(Files(alone, root=ROOT)) == CONTENT
        folder = tmp_path / f"folder-of{suffix}"
        folder.mkdir()
        alone.rename(folder / f"my-corpus{suffix}")
        found = contents(Files(folder, root=ROOT, archives=("*CORPUS*",)))
        assert {name: data for name, data in found.items() if "my-corpus" not in name} == CONTENT


def test_folder_within_the_corpus_keeps_its_own_name(corpus):
    assert set(contents(Files(corpus / "dev", root=r"^(?:.*/)?(?=dev/)"))) == {
        "dev/1/a.txt",
        "dev/1/a.wav",
        "dev/2/B.TXT",
    }


def test_archives_lie_in_the_folder_or_one_below_and_match_a_pattern(corpus, tmp_path):
    home = tmp_path / "home"
    (home / "below" / "too-deep").mkdir(parents=True)
    pack(corpus, home / "below" / "corpus.tar")
    pack(corpus, home / "other.tar")
    pack(corpus, home / "below" / "too-deep" / "corpus.tar")
    files = Files(home, archives=("corpus.*",), root=ROOT)
    assert [source.path.relative_to(home).as_posix() for source in files.sources] == [".", "below/corpus.tar"]
    assert files.read("dev/1/a.txt") == CONTENT["dev/1/a.txt"]
    files.close()


def test_archive_adds_what_the_folder_lacks_and_the_folder_wins(corpus, tmp_path):
    archive = pack(corpus, corpus.parent / "corpus.zip")
    (corpus / "dev/1/a.wav").unlink()
    (corpus / "dev/1/a.txt").write_bytes(b"of the folder")
    found = contents(Files(corpus.parent, archives=("corpus.zip",), root=ROOT))
    assert found.pop(archive.name)  # the archive is a file of the folder as well
    assert found == {**CONTENT, "dev/1/a.txt": b"of the folder"}


def test_two_archives_give_one_corpus(tmp_path):
    tar_of(tmp_path / "corpus-1.tar.gz", {"corpus/one": b"1", "corpus/README": b"first"})
    tar_of(tmp_path / "corpus-2.tar.gz", {"corpus/two": b"2", "corpus/README": b"second"})
    files = Files(tmp_path, archives=("corpus-*",), root=ROOT)
    assert {name: files.read(name) for name in ("one", "two", "README")} == {
        "one": b"1",
        "two": b"2",
        "README": b"first",
    }
    files.close()


def test_hostile_member_is_in_no_listing(tmp_path, caplog):
    tar_of(tmp_path / "corpus.tar", {"../evil": b"evil", "corpus/good": b"good"})
    with caplog.at_level(logging.WARNING):
        files = Files(tmp_path / "corpus.tar", root=ROOT)
        assert contents(files) == {"good": b"good"}
    assert "'../evil' points out of the archive" in caplog.text
    assert "../evil" not in files
    files.close()


# Looking


def test_names_by_glob_and_case(corpus):
    files = Files(corpus, root=ROOT)
    assert list(files.names("*.txt")) == ["dev/1/a.txt"]
    assert list(files.names("dev/*")) == ["dev/1/a.txt", "dev/1/a.wav", "dev/2/B.TXT"]
    assert list(files.names()) == ["LIST", "dev/1/a.txt", "dev/1/a.wav", "dev/2/B.TXT"]
    assert list(files.names(fold_case=True)) == ["dev/1/a.txt", "dev/1/a.wav", "dev/2/B.TXT", "LIST"]
    files.close()


def test_match_is_of_the_whole_name(corpus):
    files = Files(corpus, root=ROOT)
    assert [found["stem"] for found in files.match(r"(?i)dev/\d/(?P<stem>\w+)\.txt")] == ["a", "B"]
    assert not list(files.match("dev"))
    files.close()


def test_place_sorts_and_weighs(corpus):
    files = Files(corpus, root=ROOT)
    places = [files.place(name) for name in files.names()]
    assert sorted(places) == places
    assert [size for _, _, size in places] == [len(CONTENT[name]) for name in files.names()]
    assert files.place("nothing") is None
    files.close()


def test_text(corpus):
    files = Files(corpus, root=ROOT)
    assert list(files.lines("dev/1/a.txt")) == ["alpha", "beta"]
    assert files.read_text("dev/2/B.TXT") == "gamma"
    assert list(files.lines("LIST")) == []
    assert "dev/1/a.txt" in files
    files.close()


def test_bad_bytes_are_replaced(corpus):
    (corpus / "dev/1/a.txt").write_bytes(b"fa\xe7ade")
    files = Files(corpus, root=ROOT)
    assert files.read_text("dev/1/a.txt") == "fa\ufffdade"
    files.close()


def test_missing_member_is_named(corpus):
    files = Files(corpus, root=ROOT)
    with pytest.raises(CorpusError, match=f"dev/9.txt is not in {re.escape(str(corpus))}"):
        files.open("dev/9.txt")
    files.close()


def test_summary_says_what_is_there(corpus, tmp_path):
    files = Files(corpus, root=ROOT)
    assert files.summary() == "4 files (LIST, dev/1/a.txt, dev/1/a.wav, ...)"
    files.close()
    (tmp_path / "void").mkdir()
    assert Files(tmp_path / "void").summary() == "no files"


# The index


@pytest.fixture
def scans(monkeypatch) -> list[str]:
    """Record which sources are scanned."""
    seen = []
    for kind in (archives.Folder, archives.Tar, archives.Zip):

        def scan(self, real=kind.scan):
            seen.append(self.path.name)
            return real(self)

        monkeypatch.setattr(kind, "scan", scan)
    return seen


def test_index_is_made_once_and_anew_after_a_change(corpus, tmp_path, scans):
    archive = pack(corpus, tmp_path / "corpus.tar.gz")
    for path in (corpus, archive):
        assert contents(Files(path, root=ROOT)) == contents(Files(path, root=ROOT)) == CONTENT
    assert scans == ["Corpus", "corpus.tar.gz"]
    (corpus / "dev" / "new.txt").write_bytes(b"new")
    assert "dev/new.txt" in Files(corpus, root=ROOT)
    (corpus / "dev" / "new.txt").write_bytes(b"longer")
    assert contents(Files(corpus, root=ROOT))["dev/new.txt"] == b"longer"
    assert scans == ["Corpus", "corpus.tar.gz", "Corpus", "Corpus"]


def test_moved_corpus_has_another_fingerprint_only_if_it_changed(corpus, tmp_path):
    copy = tmp_path / "Corpus"
    shutil.copytree(corpus, copy, copy_function=shutil.copy2)
    assert Files(copy, root=ROOT).fingerprint == Files(corpus, root=ROOT).fingerprint
    status = (copy / "LIST").stat()
    os.utime(copy / "LIST", ns=(status.st_atime_ns, status.st_mtime_ns + 1_000))
    assert Files(copy, root=ROOT).fingerprint != Files(corpus, root=ROOT).fingerprint


def test_failed_index_leaves_nothing_behind(corpus, tmp_path):
    archive = pack(corpus, tmp_path / "corpus.tar")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:3000])
    with pytest.raises(CorpusError, match=r"corpus\.tar is damaged"):
        Files(archive, root=ROOT).summary()
    with pytest.raises(CorpusError, match=r"corpus\.tar is damaged"):  # not taken for finished
        Files(archive, root=ROOT).summary()
    archive.write_bytes(whole)
    assert contents(Files(archive, root=ROOT)) == CONTENT


# Processes


@pytest.mark.parametrize("kind", ["folder", *SUFFIXES])
def test_files_work_in_other_processes(corpus, tmp_path, kind):
    path = corpus if kind == "folder" else pack(corpus, tmp_path / f"corpus{kind}")
    files = Files(path, root=ROOT)
    read = operator.methodcaller("read", "dev/1/a.txt")
    assert read(files) == CONTENT["dev/1/a.txt"]  # handles are open now
    if kind in ("folder", ".tar.gz"):  # spawning takes a second
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply_async(read, (files,)).get(60) == CONTENT["dev/1/a.txt"]
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=lambda: answers.put(read(files)))  # not pickled: shares what is open
    child.start()
    assert answers.get(timeout=60) == CONTENT["dev/1/a.txt"]
    child.join(60)
    assert child.exitcode == 0
    assert read(files) == CONTENT["dev/1/a.txt"]
    files.close()


def test_closed_files_open_again(corpus, tmp_path):
    files = Files(pack(corpus, tmp_path / "corpus.tar.gz"), root=ROOT)
    for _ in range(3):
        assert files.read("dev/1/a.wav") == b"RIFF"
        files.close()
    assert pickle.loads(pickle.dumps(files)).fingerprint == files.fingerprint


def test_archives_in_folders_of_the_corpus_count_as_unpacked_there(corpus):
    pack(corpus / "dev/1", corpus / "dev/x.tar")
    (corpus / "dev/1/a.txt").unlink()
    for top in (corpus, corpus.parent, corpus / "dev"):
        found = contents(Files(top, placed=["x.tar"], root=r"(?i)^(?:.*/)?(?=dev/)"))
        assert found["dev/1/a.txt"] == CONTENT["dev/1/a.txt"]
        assert {name for name in found if not name.endswith("x.tar")} >= {"dev/1/a.wav", "dev/2/B.TXT"}


# What cannot be read


def test_a_closed_folder_and_a_link_to_itself_are_left_out_with_a_warning(corpus, monkeypatch, caplog):
    (corpus / "lost+found").mkdir()
    (corpus / "self").symlink_to("self")
    real = os.scandir

    def scandir(path):  # a folder of mode 700 that is root's, also where root runs the tests
        if Path(path).name == "lost+found":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    files = Files(corpus)
    assert sorted(contents(files)) == sorted(CONTENT)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == 2
    assert "lost+found' cannot be looked at (Permission denied)" in warned[0]
    assert "self' cannot be looked at" in warned[1]
    with closing(Tree(corpus)) as tree:
        assert tree.total().files == len(CONTENT)


def test_a_failing_disk_does_not_make_a_corpus_smaller(corpus, monkeypatch):
    real = os.scandir

    def scandir(path):
        if Path(path).name == "2":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match="Input/output error"):
        Files(corpus)


def spoil(path: Path, first: int, count: int = 64) -> None:
    """Overwrite bytes in place: size stays."""
    with path.open("r+b") as file:
        file.seek(first)
        old = file.read(count)
        file.seek(first)
        file.write(bytes(byte ^ 0xFF for byte in old))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("large", [False, True])
def test_damage_in_a_zip_is_the_members_own(tmp_path, monkeypatch, method, large):
    monkeypatch.setattr(archives, "IN_MEMORY", 1_000 if large else 1 << 30)
    text = "".join(f"{number * number}\n" for number in range(20_000))
    with zipfile.ZipFile(tmp_path / "c.zip", "w", method) as packed:
        packed.writestr("bad.txt", text)
        packed.writestr("good.txt", text)
        middle = packed.getinfo("bad.txt").compress_size // 2
    spoil(tmp_path / "c.zip", middle)
    files = Files(tmp_path / "c.zip")
    assert files.read("good.txt").decode() == text
    assert list(files.lines("good.txt")) == text.split()
    member = next(member for member in files.members() if member.name == "bad.txt")
    for read in (files.read, lambda name: list(files.lines(name)),
                 lambda name: list(archives.chunks(files.sources[0], member))):  # fmt: skip
        with pytest.raises(MemberError, match=r"bad\.txt cannot be read"):
            read("bad.txt")
    files.close()


def test_damage_in_a_large_member_of_a_packed_tar_is_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "IN_MEMORY", 1_000)
    numbers = np.random.default_rng(0).integers(0, 1 << 30, 100_000)
    data = " ".join(map(str, numbers)).encode()  # text, so that it is packed in earnest
    path = tar_of(tmp_path / "c.tar.gz", {"bad.wav": data, "good.txt": b"x"})
    files = Files(path)
    assert files.read("bad.wav") == data
    files.close()
    spoil(path, path.stat().st_size // 2, 4_000)
    for read in (files.read, lambda name: list(files.lines(name))):
        with pytest.raises(MemberError, match=r"bad\.wav cannot be read"):
            read("bad.wav")
    files.close()


def test_a_member_that_is_shorter_than_listed(corpus):
    files = Files(corpus)
    assert "LIST" in files
    (corpus / "dev/1/a.wav").write_bytes(b"R")
    with pytest.raises(MemberError, match="1 of 4 bytes"):
        files.read("dev/1/a.wav")


def test_a_zip_with_a_name_that_is_not_utf8_is_one_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        packed.writestr("caf\u00e9.wav", b"x")
    whole = (tmp_path / "c.zip").read_bytes()
    (tmp_path / "c.zip").write_bytes(whole.replace("\u00e9".encode(), b"\xc3\x28"))
    with pytest.raises(CorpusError, match=r"c\.zip is damaged or truncated \('utf-8' codec"):
        list(Files(tmp_path / "c.zip").names())


def test_a_large_text_of_a_zip_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "IN_MEMORY", 1 << 20)
    line = "an utterance\n"
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("text.tsv", line * 3_000_000)  # 39 MB
    files = Files(tmp_path / "c.zip")
    assert "text.tsv" in files
    tracemalloc.start()
    assert next(files.lines("text.tsv")) == line.strip()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20
    with files.open("text.tsv") as file:
        assert file.seek(-5, io.SEEK_END) == len(line) * 3_000_000 - 5
        assert file.read() == b"ance\n"
        file.seek(3)
        assert file.read(9) == b"utterance"
    files.close()
