"""What `verify` finds, on a miniature whose published numbers are those of the miniature."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.__main__ import main
from builders.corpus import Expected
from builders.register import builder_class
from tests.corpora import timit


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
