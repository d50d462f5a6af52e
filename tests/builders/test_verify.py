"""What `verify` finds, on a miniature whose published numbers are those of the miniature."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builders.__main__ import main
from builders.corpus import Expected
from builders.register import builder_class
from builders.status import table
from builders.verify import verify_archives
from tests.corpora import librispeech, timit
from tests.corpora.archives import pack


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = timit.write(tmp_path)
    (default, _) = builder_class("timit").BUILDER_CONFIGS
    seconds = {"train": 0.0, "test": 0.0}
    for wave in folder.rglob("*.WAV"):
        seconds["train" if "TRAIN" in wave.parts else "test"] += (wave.stat().st_size - 1024) / 32_000
    published = {"train": Expected(3, seconds["train"] / 3600), "test": Expected(4, seconds["test"] / 3600)}
    monkeypatch.setattr(default, "splits", published)
    return folder


def verify(corpus: Path, *options: str) -> int:
    return main(["verify", "timit", "--data-dir", str(corpus), *options])


@pytest.mark.parametrize("options", [[], ["--deep"]])
def test_whole_corpus_is_as_published(corpus, capsys, options):
    assert verify(corpus, *options) == 0
    assert capsys.readouterr().out.count("as published") == 2


def test_missing_file_is_found_without_decoding(corpus, capsys):
    next(corpus.rglob("MDAB0/SA2.WAV")).unlink()
    assert verify(corpus) == 1
    assert "1 files missing, -1 utterances" in capsys.readouterr().out


def test_missing_utterance_is_found(corpus, capsys):
    for path in list(corpus.rglob("FCJF0/SA1.*")):
        path.unlink()
    assert verify(corpus) == 1
    assert "-1 utterances" in capsys.readouterr().out


def test_ruined_recording_is_found_by_decoding(corpus, capsys):
    next(corpus.rglob("FCJF0/SA1.WAV")).write_bytes(b"not audio")
    assert verify(corpus) == 0  # the file is there
    assert verify(corpus, "--deep") == 1
    assert "1 files bad, other hours, -1 utterances" in capsys.readouterr().out


def test_split_that_is_not_here(corpus, capsys):
    for path in [path for path in corpus.rglob("*") if "TEST" in path.parts and path.is_file()]:
        path.unlink()
    assert verify(corpus) == 1
    assert "not here" in capsys.readouterr().out


def test_rows_without_text_among_rows_with_text(corpus, capsys):
    next(corpus.rglob("FCJF0/SA1.TXT")).unlink()
    assert verify(corpus) == 1
    assert "1 without text" in capsys.readouterr().out


def test_files_that_the_publication_lacks_as_well(corpus, monkeypatch):
    (default, _) = builder_class("timit").BUILDER_CONFIGS
    monkeypatch.setattr(default, "splits", {"train": Expected(2, absent=1), "test": Expected(4)})
    next(corpus.rglob("FCJF0/SA1.WAV")).unlink()
    assert verify(corpus) == 0


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A corpus of which only the files that an archive holds are looked at: published are other numbers."""
    monkeypatch.setattr("builders.inventory.smallest", lambda *_: None)
    top = librispeech.write(tmp_path / "data")
    pack(top, top.parent / "dev-clean.tar.gz")
    (config,) = [one for one in builder_class("librispeech").BUILDER_CONFIGS if one.name == "dev-clean"]
    monkeypatch.setattr(config, "splits", {"validation": Expected(2)})
    return top


def verify_unpacked(top: Path, *options: str) -> int:
    return main(["verify", "librispeech", "dev-clean", "--data-dir", str(top.parent), *options])


@pytest.mark.parametrize(("options", "finding"), [([], "the same sizes"), (["--deep"], "the same bytes")])
def test_archive_and_files_are_the_same(unpacked, capsys, options, finding):
    assert verify_unpacked(unpacked, *options) == 0
    out = capsys.readouterr().out
    assert finding in out and str(unpacked.parent) in out
    assert {row.archive: row.state for row in table(unpacked.parent)}["dev-clean.tar.gz"] == "verified"


def test_file_that_is_missing_or_shorter_than_in_the_archive(unpacked, capsys):
    first, second = sorted(unpacked.rglob("train-other-500/*/*/*"))[:2]
    first.unlink()
    second.write_bytes(b"")
    assert verify_unpacked(unpacked) == 1
    out = capsys.readouterr().out
    assert f"1 missing, e.g. LibriSpeech/{first.relative_to(unpacked)}" in out
    assert f"1 differ, e.g. LibriSpeech/{second.relative_to(unpacked)}" in out


def test_changed_byte_is_found_by_deep(unpacked, capsys):
    path = sorted(unpacked.rglob("train-other-500/*/*/*.flac"))[0]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert verify_unpacked(unpacked) == 0
    assert verify_unpacked(unpacked, "--deep") == 1
    assert f"1 differ, e.g. LibriSpeech/{path.relative_to(unpacked)}" in capsys.readouterr().out


def test_archive_that_is_not_unpacked_is_no_fault(unpacked, capsys):
    shutil.rmtree(unpacked)
    assert verify_unpacked(unpacked) == 0
    assert "not unpacked" in capsys.readouterr().out


def test_headers_that_cannot_be_read_are_counted(tmp_path, capsys, monkeypatch, unpacked):
    path = sorted(unpacked.rglob("train-other-500/*/*/*.flac"))[0]
    path.write_bytes(b"not audio")
    pack(unpacked, unpacked.parent / "dev-clean.tar.gz")
    (found,) = verify_archives("librispeech", "dev-clean", unpacked.parent, deep=True)
    assert found.right and "1 have no readable header" in found.remark
