from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.aishell4.aishell4 import normal
from builders.audio import decode
from builders.errors import CorpusError
from tests.corpora import aishell4
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.librispeech import short_textgrid
from tests.corpora.references import lhotse_rows

SESSION = "20200616_M_R001S01C01"


def load(path: Path, config: str = "utterances", **options):
    return load_dataset("builders/aishell4", config, data_dir=str(path), **options)


def facts(tables) -> dict[str, list[dict]]:
    """Return the rows by split, by id, without their audio."""
    return {
        split: sorted(({k: v for k, v in row.items() if k != "audio"} for row in table), key=lambda row: row["id"])
        for split, table in tables.items()
    }


def tier(row: dict, name: str) -> list[tuple]:
    return [(s["start"], s["end"], s["label"], s["speaker"]) for s in row["segments"] if s["tier"] == name]


def pcm(row: dict) -> np.ndarray:
    return np.rint(decode(row["audio"]) * 32768).astype(np.int16)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return aishell4.write(tmp_path / "aishell4")


# Rows


def test_utterances_by_hand(home):
    tables = facts(load(home))
    assert {split: [row["id"] for row in rows] for split, rows in tables.items()} == {
        "train": [f"{SESSION}-001-M-1", f"{SESSION}-001-M-3", f"{SESSION}-002-F-1", "20200707_L_R001S04C01-001-F-0",
                  "20200805_S_R001S01C01-001-F-1"],
        "test": ["L_R003S01C02-004-M-1"],
    }  # fmt: skip
    assert tables["train"][1] == {
        "id": f"{SESSION}-001-M-3", "audio_path": f"train_M/wav/{SESSION}.flac", "offset": 2.0, "duration": 0.75,
        "text": "我们A开始OK吧", "text_raw": "我们ａ开始ok吧。", "speaker_id": f"{SESSION}_001-M", "language": "zh",
        "corpus": "aishell4", "source": {"format": "FLAC/PCM_16", "sampling_rate": 16000, "channels": 8},
        "segments": [], "subset": "train_M", "session": SESSION, "room": "medium", "num_speakers": None,
    }  # fmt: skip
    assert [(row["text"], row["room"]) for row in tables["train"][2:] + tables["test"]] == [
        ("嗯", "medium"), ("你好", "large"), ("", "small"), ("对对", "large"),
    ]  # fmt: skip


def test_sessions_by_hand(home):
    tables = facts(load(home, "sessions"))
    assert [row["id"] for row in tables["train"]] == [SESSION, "20200707_L_R001S04C01", "20200805_S_R001S01C01"]
    row = tables["train"][0]
    assert (row["duration"], row["text"], row["speaker_id"], row["num_speakers"]) == (4.0, None, None, 2)
    first, second = f"{SESSION}_001-M", f"{SESSION}_002-F"
    assert tier(row, "speakers") == [
        (0.5, 1.25, "001-M", first), (1.0, 1.5, "002-F", second), (2.0, 2.75, "001-M", first),
    ]  # fmt: skip
    assert tier(row, "turns") == [
        (0.5, 1.25, "大家好，<sil>", first), (1.0, 1.5, "<%>嗯", second), (2.0, 2.75, "我们ａ开始ok吧。", first),
    ]  # fmt: skip


def test_transcripts_without_tags():
    raw = "<sil><%>大<->家<$>好<#>，<_>ＡＢ<space>ｃd<>`&。、？丶,"
    assert normal(raw) == "大家好ABCD"
    assert normal("一 二<sil> ") == "一 二"


# Channels


@pytest.mark.parametrize("channel", ["0", "3", "7"])
def test_one_channel(home, channel):
    options = {} if channel == "0" else {"channel": channel}
    samples = aishell4.samples_of("L_R003S01C02")[:, int(channel)]
    (row,) = load(home, "sessions", split="test", **options)
    np.testing.assert_array_equal(pcm(row), samples)
    (row,) = load(home, split="test", **options)
    np.testing.assert_array_equal(pcm(row), samples[16_000:32_000])


def test_mean_of_all_channels(home):
    (row,) = load(home, "sessions", split="test", channel="mean")
    expected = aishell4.samples_of("L_R003S01C02").mean(axis=1)
    assert np.abs(pcm(row) - expected).max() <= 0.51


@pytest.mark.parametrize("channel", ["8", "-1", "left", "00"])
def test_channel_that_is_not_there(home, channel):
    with pytest.raises(CorpusError, match=rf"no channel '{channel}': expected one of 0 to 7, or mean"):
        load(home, channel=channel)


# Layouts


@pytest.mark.parametrize("config", ["utterances", "sessions"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archive_gives_the_same_rows(home, tmp_path, config, suffix):
    assert facts(load(pack(home, tmp_path / f"x{suffix}"), config)) == facts(load(home, config))


def test_archives_as_fetched(home, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    expected = facts(load(home))
    for part in ("train_L", "train_M", "train_S", "test"):
        pack(home / part, downloads / f"{part}.tar.gz")
    assert facts(load(downloads)) == expected
    (downloads / "train_L.tar.gz").unlink()
    assert [row["room"] for row in facts(load(downloads))["train"]] == ["medium"] * 3 + ["small"]


def test_folder_of_one_part(home):
    assert {row["subset"] for row in facts(load(home / "train_M"))["train"]} == {"train_M"}


def test_short_textgrids(home):
    expected = facts(load(home))
    for (part, session), tiers in aishell4.SESSIONS.items():
        (home / part / "TextGrid" / f"{session}.TextGrid").write_text(short_textgrid(tiers, aishell4.END))
    assert facts(load(home)) == expected


# What is missing or broken


def test_textgrid_that_ends_too_early_is_read(tmp_path):
    home = aishell4.write(tmp_path, broken=True)
    (row,) = (row for row in load(home, split="train") if row["session"] == aishell4.BROKEN)
    assert (row["offset"], row["duration"], row["text"]) == (1.0, 2.5, "晚了")


def test_interval_without_length_is_named(home, caplog):
    path = home / f"train_M/TextGrid/{SESSION}.TextGrid"
    path.write_text(path.read_text().replace("xmax = 1.5\n", "xmax = 1.0\n"))
    assert f"{SESSION}-002-F-1" not in [row["id"] for row in facts(load(home))["train"]]
    assert "'<%>嗯' from 1 to 1 has no length: left out" in caplog.text


def test_session_without_textgrid_has_the_turns_of_the_rttm(home, caplog):
    expected = tier(facts(load(home, "sessions"))["train"][0], "speakers")
    (home / f"train_M/TextGrid/{SESSION}.TextGrid").unlink()
    row = facts(load(home, "sessions"))["train"][0]
    assert sorted(tier(row, "speakers")) == sorted(expected)
    assert (tier(row, "turns"), row["num_speakers"]) == ([], 2)
    assert f"{SESSION}.TextGrid is not there: turns without text, of the RTTM" in caplog.text
    assert [row["session"] for row in facts(load(home))["train"]] == ["20200707_L_R001S04C01", "20200805_S_R001S01C01"]
    (home / f"train_M/TextGrid/{SESSION}.rttm").unlink()
    row = facts(load(home, "sessions"))["train"][0]
    assert (row["segments"], row["num_speakers"]) == ([], 0)


def test_session_without_audio_is_quarantined(home, caplog):
    (home / f"train_M/wav/{SESSION}.flac").unlink()
    assert [row["id"] for row in facts(load(home, "sessions", max_bad=0.5))["train"]] == [
        "20200707_L_R001S04C01", "20200805_S_R001S01C01",
    ]  # fmt: skip
    assert f"{SESSION}.flac is listed in the metadata, but there is no such file" in caplog.text


def test_broken_textgrid(home):
    (home / f"train_M/TextGrid/{SESSION}.TextGrid").write_text("nonsense")
    with pytest.raises(CorpusError, match=rf"{SESSION}\.TextGrid is no TextGrid"):
        load(home)


def test_bites(home):
    expected = facts(load(home))
    path = home / f"train_M/TextGrid/{SESSION}.TextGrid"
    text = path.read_text()
    path.write_text(text.replace('text = "<%>嗯"', 'text = ""'))
    assert len(facts(load(home))["train"]) == len(expected["train"]) - 1
    path.write_text(text.replace('"001-M"', '"x"').replace('"002-F"', '"001-M"').replace('"x"', '"002-F"'))
    swapped = facts(load(home))["train"]
    assert [(row["speaker_id"][-5:], row["text"]) for row in swapped[:3]] == [
        ("001-M", "嗯"), ("002-F", "大家好"), ("002-F", "我们A开始OK吧"),
    ]  # fmt: skip


def test_folder_without_the_corpus(tmp_path):
    (tmp_path / "x.flac").write_bytes(b"x")
    with pytest.raises(CorpusError, match=r"no utterances of aishell4 .*AISHELL-4 is open: fetch train_L\.tar\.gz"):
        load(tmp_path)


# An independent reader


def test_the_same_rows_as_lhotse(tmp_path):
    found = facts(load(aishell4.write(tmp_path, broken=True)))
    parts = lhotse_rows.load("aishell4")
    # Difference 1: lhotse leaves out sessions that its strict reader of TextGrids refuses.
    assert aishell4.BROKEN not in [row["id"] for part in parts.values() for row in part["recordings"]]
    ours = [row for rows in found.values() for row in rows if row["session"] != aishell4.BROKEN]
    theirs = [row for part in parts.values() for row in part["supervisions"]]
    # 2: it numbers the speakers of all sessions; who is one speaker is the same.
    names = {row["speaker"] for row in theirs}
    pairs = set()
    for row in theirs:
        session, _, number = row["id"].split("-")
        (mine,) = (
            r
            for r in ours
            if r["session"] == session and r["offset"] == row["start"] and r["duration"] == row["duration"]
        )
        assert (mine["text"], mine["id"].rsplit("-", 1)[1]) == (row["text"], number)
        pairs.add((row["speaker"], mine["speaker_id"]))
    assert len(theirs) == len(ours)
    assert len(pairs) == len(names) == len({row["speaker_id"] for row in ours})
