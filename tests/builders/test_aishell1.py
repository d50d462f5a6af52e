from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from tests.corpora import aishell1
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.references import lhotse_rows

TRANSCRIPT = "data_aishell/transcript/aishell_transcript_v0.8.txt"


def load(path: Path, **options):
    return load_dataset("builders/aishell1", data_dir=str(path), **options)


def facts(tables) -> dict[str, list[dict]]:
    """Return the rows by split, by id, without their audio."""
    return {
        split: sorted(({k: v for k, v in row.items() if k != "audio"} for row in table), key=lambda row: row["id"])
        for split, table in tables.items()
    }


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return aishell1.write(tmp_path / "corpus")


def test_rows_by_hand(home):
    tables = facts(load(home))
    assert {split: [row["id"] for row in rows] for split, rows in tables.items()} == {
        "train": ["BAC009S0002W0122", "BAC009S0002W0123", "BAC009S0003W0121"],
        "validation": ["BAC009S0724W0121"],
        "test": ["BAC009S0764W0121"],
    }
    assert tables["train"][0] == {
        "id": "BAC009S0002W0122", "audio_path": "train/S0002/BAC009S0002W0122.wav", "offset": 0.0, "duration": 0.1,
        "text": "而对楼市成交抑制作用最大的限购", "text_words": "而 对 楼市 成交 抑制 作用 最 大 的 限 购",
        "speaker_id": "S0002", "gender": "female", "language": "zh", "corpus": "aishell1", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1},
    }  # fmt: skip
    assert [row["gender"] for rows in tables.values() for row in rows] == ["female", "female", "male", "female", "male"]
    assert (tables["test"][0]["text"], tables["test"][0]["text_words"]) == ("A股和T恤IPO", "ａ 股 和 ｔ 恤 ｉｐｏ")


@pytest.mark.parametrize("layout", aishell1.LAYOUTS)
@pytest.mark.parametrize("inside", ["", "data_aishell"])
def test_all_stages_of_unpacking_give_the_same_rows(home, tmp_path, layout, inside):
    other = aishell1.write(tmp_path / layout, layout) / inside
    if not other.is_dir():
        other = other.with_name("data_aishell.tgz")
    expected, found = facts(load(home)), facts(load(other))
    if inside:  # speaker.info lies beside
        expected = {split: [{**row, "gender": None} for row in rows] for split, rows in expected.items()}
    assert found == expected
    for split, table in load(other).items():
        assert sorted(table["id"]) == [row["id"] for row in expected[split]]
        for row in table:
            np.testing.assert_array_equal(np.rint(decode(row["audio"]) * 32768), aishell1.samples_of(row["id"]))


@pytest.mark.parametrize("layout", ["unpacked", "inner"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archives_of_the_copies(home, tmp_path, layout, suffix):
    other = aishell1.write(tmp_path / layout, layout)
    assert facts(load(pack(other, tmp_path / f"x{suffix}"))) == facts(load(home))


def test_folder_of_the_speakers_archives(home, tmp_path):
    other = aishell1.write(tmp_path / "inner", "inner")
    (other / TRANSCRIPT).rename(other / "data_aishell/wav/aishell_transcript_v0.8.txt")
    found = facts(load(other / "data_aishell/wav"))
    assert [row["id"] for row in found["train"]] == [row["id"] for row in facts(load(home))["train"]]


def test_two_processes_and_streaming(tmp_path):
    home = aishell1.write(tmp_path, "published")
    table = load(home, split="train")
    assert list(load(home, split="train", streaming=True)) == list(table)
    assert list(load(home, split="train", num_proc=2, download_mode="force_redownload")) == list(table)


def test_recordings_without_transcript_are_counted_and_left_out(home, caplog):
    assert "BAC009S0002W0499" not in load(home, split="train")["id"]
    assert "train: 1 recordings have no transcript: left out" in caplog.text
    assert "validation: " not in caplog.text


@pytest.mark.parametrize("name", ["BAC009S0002W0122", "BAC009S0002W0123"])
def test_missing_recording_is_quarantined_in_its_split(home, name, caplog):
    (home / f"data_aishell/wav/train/S0002/{name}.wav").unlink()
    found = facts(load(home, max_bad=0.5))
    assert [len(rows) for rows in found.values()] == [2, 1, 1]
    assert f"{name}.wav is listed in the metadata, but there is no such file" in caplog.text


def test_speaker_without_any_recording_is_quarantined_in_the_split_of_the_number(home, caplog):
    shutil.rmtree(home / "data_aishell/wav/train/S0003")
    found = facts(load(home, max_bad=0.5))
    assert [len(rows) for rows in found.values()] == [2, 1, 1]
    assert "BAC009S0003W0121.wav is listed in the metadata" in caplog.text


def test_split_without_any_recording_is_left_out(home):
    for part in ("train", "test"):
        shutil.rmtree(home / "data_aishell/wav" / part)
    assert {split: len(rows) for split, rows in facts(load(home)).items()} == {"validation": 1}


def test_bites(home):
    expected = facts(load(home))
    path = home / TRANSCRIPT
    lines = path.read_text(encoding="utf-8")
    path.write_text(lines.split("\n", 1)[1], encoding="utf-8")
    assert len(facts(load(home))["train"]) == len(expected["train"]) - 1
    path.write_text(
        lines.replace("BAC009S0002W0122", "BAC009S0002W0123x").replace("BAC009S0002W0123 ", "BAC009S0002W0122 "),
        encoding="utf-8",
    )
    with pytest.raises(CorpusError, match="recordings are bad"):
        load(home)
    path.write_text(lines, encoding="utf-8")
    info = home / "resource_aishell/speaker.info"
    info.write_text("F 0002\n")
    assert {row["gender"] for row in facts(load(home))["train"]} == {None}


def test_without_transcript_there_are_no_utterances(home):
    (home / TRANSCRIPT).unlink()
    with pytest.raises(CorpusError, match=r"no utterances of aishell1 .*AISHELL-1 is open: fetch data_aishell\.tgz"):
        load(home)


def test_the_same_rows_as_lhotse(home):
    found = facts(load(home))
    parts = lhotse_rows.load("aishell1")
    for part, split in (("train", "train"), ("dev", "validation"), ("test", "test")):
        assert [
            (row["id"], row["duration"], row["text"], row["speaker"]) for row in parts[part]["supervisions"]
        ] == [(row["id"], row["duration"], row["text"], row["speaker_id"]) for row in found[split]
              if row["id"] != "BAC009S0764W0121"] + [
            # One difference: lhotse maps the five full-width letters that occur, ours all of them.
            (row["id"], row["duration"], "A股和T恤ＩＰＯ", row["speaker_id"]) for row in found[split]
            if row["id"] == "BAC009S0764W0121"
        ]  # fmt: skip


def test_real_recording(shared_data, home):
    path = shared_data("wenet_fixtures") / "test/resources/aishell-BAC009S0724W0121.wav"
    (home / "data_aishell/wav/dev/S0724/BAC009S0724W0121.wav").write_bytes(path.read_bytes())
    (row,) = load(home, split="validation")
    assert row["source"] == {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}
    assert row["duration"] == (path.stat().st_size - 44) / 32_000
