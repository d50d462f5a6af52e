"""What `plan` says of bytes and time."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from builders import budget
from builders.__main__ import main
from builders.errors import CorpusError
from tests.corpora import librispeech, timit
from tests.corpora.archives import pack

HOUR = 3600


def test_the_known_figures():
    assert 100 * 50 * HOUR == 18e6
    one = budget.choice("whisper-tiny", ["last"])
    assert one.rate() * HOUR == 138.24e6
    assert budget.choice("openai/whisper-tiny.en", ["0"]).rate() * HOUR == 138.24e6
    assert budget.choice("log_mel", dtype="float32").rate() == 100 * 80 * 4
    assert budget.audio_rate() * HOUR == pytest.approx(73.7e6, rel=0.01)


def test_all_layers_and_pooling():
    whole = budget.choice("whisper-base")
    assert len(whole.widths) == 8 and whole.rate() == 50 * 8 * 512 * 2
    pooled = budget.choice("whisper-base", pool="mean")
    assert pooled.rate(10.0) == (8 * 512 * 2 + budget.POOLED_OVERHEAD) / 10


@pytest.mark.parametrize(
    ("encoder", "layers", "message"),
    [("my-net", ["all"], "pass --feature-rate"), ("whisper-tiny", ["9"], "no layers"), ("mfcc", ["x"], "no layers")],
)
def test_what_is_not_known_is_said(encoder, layers, message):
    with pytest.raises(CorpusError, match=message):
        budget.choice(encoder, layers)


def test_the_largest_choice_that_fits():
    wanted = budget.choice("whisper-base", dtype="float32")
    seconds = 1000 * HOUR
    assert budget.fitting(wanted, seconds, wanted.rate() * seconds) == wanted
    half = budget.fitting(wanted, seconds, wanted.rate() * seconds - 1)
    assert (half.dtype, len(half.widths)) == ("float16", 8)
    assert budget.fitting(wanted, seconds, 1e10).pool == "mean"
    assert budget.fitting(wanted, seconds, 10) is None
    rates = [one.rate() for one in budget.smaller(wanted)]
    assert rates == sorted(rates, reverse=True) and rates[0] < wanted.rate()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("builders.inventory.smallest", lambda *_: None)
    top = librispeech.write(tmp_path / "data")
    pack(top, top.parent / "dev-clean.tar.gz")
    timit.write(top.parent)
    return top.parent


def plan(data: Path, *more: str) -> int:
    return main(["plan", "--data-dir", str(data), *more])


def test_three_columns_and_the_other_figures(data, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**14))
    assert plan(data, "--encoder", "whisper-tiny", "--layers", "last") == 0
    out = capsys.readouterr().out
    assert all(head in out for head in ("now", "after cleaning", "after processing", "time"))
    assert "18.0 MB an hour, 0.9 TB for 50,000 hours" in out and "138.2 MB an hour" in out
    assert "measured on this machine" in out and "the disk holds it" in out
    assert any(line.startswith("librispeech") for line in out.splitlines())
    assert any(line.startswith("timit") for line in out.splitlines())


def test_one_corpus_and_a_given_rate(data, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**14))
    assert plan(data, "timit", "--rate", "100", "--feature-rate", "1000") == 0
    out = capsys.readouterr().out
    assert "normalising: 100 times real time, as given" in out
    assert not any(line.startswith("librispeech") for line in out.splitlines())


def test_a_disk_that_is_too_small_says_what_would_fit(data, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=80_000_000_000))
    assert plan(data, "librispeech", "--encoder", "whisper-base") == 1
    out = capsys.readouterr().out
    assert "the disk cannot hold it" in out and ("It would hold: " in out or "Not even" in out)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert plan(data, "librispeech", "--encoder", "whisper-base") == 1
    assert "Not even the normalised audio fits" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nothing"], "there is no corpus"), (["--encoder", "my-net"], "--feature-rate")],
)
def test_bad_input(data, capsys, arguments, message):
    assert plan(data, *arguments) == 2
    assert message in capsys.readouterr().err
