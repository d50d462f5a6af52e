from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from builders.libri_light.libri_light import pieces
from builders.libri_light.transcribed import framewise
from tests.corpora import libri_light
from tests.corpora.archives import pack

STORED = Path(__file__).parents[1] / "corpora/references/libri_light.json"
SEA = "small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb"
FLAC = "medium/1001/flac_stories_64kb_mp3/flac_stories_0"


def load(path: Path, config: str = "small", **options):
    return load_dataset("builders/libri_light", config, data_dir=str(path), split="train", **options)


def rows(table) -> list[dict]:
    kept = (column for column in table.column_names if column not in ("audio",))
    return sorted(table.select_columns(list(kept)), key=lambda row: row["id"])


def pcm(row: dict) -> np.ndarray:
    return np.rint(decode(row["audio"]) * 32768).astype(np.int16)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return libri_light.write(tmp_path / "librilight")


@pytest.fixture
def finetuning(tmp_path: Path) -> Path:
    return libri_light.write_limited(tmp_path)


# The untranscribed subsets


def test_a_row_for_each_interval_of_voice_activity(top):
    table = load(top)
    assert table["id"][:] == [f"{SEA}_0", f"{SEA}_1", f"{SEA}_2"]
    assert table["offset"][:] == [0.25, 1.50004, 2.25]
    assert table["duration"][:] == [0.75, 0.5 - 1 / 16000, 1.5]
    row = table[1]
    assert (row["audio_path"], row["speaker_id"], row["language"], row["text"]) == (f"{SEA}.flac", "100", "en", None)
    assert (row["book"], row["chapter"], row["subset"], row["fold"]) == (
        "sea_fairies_0812_librivox_64kb_mp3", "01_baum_sea_fairies_64kb", "small", None
    )  # fmt: skip
    assert (row["title"], row["genre"], row["meta_genre"]) == ("Sea Fairies", ["Children's Fiction"], "Literature")
    assert (row["dramatic_reading"], row["snr"], row["segments"]) == (False, 13.0625, [])
    np.testing.assert_array_equal(pcm(row), libri_light.samples_of(SEA)[24001:32000])


def test_pieces_are_those_of_the_official_script(top):
    table = load(top, "small-60s", seconds=1.3)
    samples = libri_light.samples_of(SEA)
    assert table["id"][:] == [f"{SEA}_0000", f"{SEA}_0001"]
    # The script cuts at int(1.50004 * 16000), where a row of its own would be rounded.
    np.testing.assert_array_equal(pcm(table[0]), np.hstack([samples[4000:16000], samples[24000:32000]]))
    np.testing.assert_array_equal(pcm(table[1]), samples[36000:60000])
    assert [(s["tier"], s["start"], s["end"]) for s in table[0]["segments"]] == [("vad", 0, 0.75), ("vad", 0.75, 1.25)]
    assert table["duration"][:] == [1.25, 1.5]
    assert len(load(top, "small-60s")) == 1


@pytest.mark.parametrize(
    ("lengths", "made"),
    [
        ([30, 30], [2]),
        ([30, 31], [1, 1]),
        ([70, 1], [1, 1]),
        ([1, 70, 70], [1, 1, 1]),
        ([20, 20, 20, 1], [3, 1]),
        ([], []),
    ],
)
def test_lengths_of_pieces(lengths, made):
    ends = np.cumsum(lengths).tolist()
    activity = [[end - length, end] for end, length in zip(ends, lengths, strict=True)]
    assert [len(parts) for parts in pieces(activity, 60.0)] == made


def test_whole_chapters_carry_the_voice_activity(top):
    table = load(top, "small-chapters")
    assert table["id"][:] == [SEA, SEA.replace("/01_", "/02_")]
    assert table["duration"][:] == [4.0, 1.0]
    assert [(s["start"], s["end"]) for s in table[0]["segments"]] == [(0.25, 1.0), (1.50004, 2.0), (2.25, 3.75)]
    assert table[0]["audio"]["bytes"] == (top / f"{SEA}.flac").read_bytes()


def test_chapter_in_which_nobody_speaks_is_said_and_has_no_row(top, caplog):
    assert len(load(top)) == 3
    assert "02_baum_sea_fairies_64kb: nobody speaks" in caplog.text


def test_chapter_without_a_json_is_one_row(top):
    table = load(top, "medium")
    assert table["id"][:] == [
        f"{FLAC}1_64kb_0",
        f"{FLAC}2_64kb",
        *(f"medium/1001/poems_64kb_mp3/poems_01_64kb_{k}" for k in (0, 1)),
    ]
    row = table[1]
    assert (row["duration"], row["speaker_id"], row["snr"], row["genre"], row["dramatic_reading"]) == (
        1.5, "1001", None, None, None
    )  # fmt: skip
    assert (table[0]["dramatic_reading"], table[0]["snr"], table[0]["meta_genre"]) == (True, -1.5, "Poetry")


def test_unions_of_subsets(top):
    assert len(load(top, "unlab-6k")) == 3 + 4
    assert len(load(top, "unlab-60k")) == 3 + 4 + 1


def test_archives_and_folders_give_the_same_rows(top, tmp_path):
    archives = tmp_path / "archives"
    archives.mkdir()
    for subset in ("small", "medium", "large"):
        pack(top / subset, archives / f"{subset}.tar")
    for config in ("unlab-60k", "small-60s"):
        assert rows(load(archives, config)) == rows(load(top, config))
    for name in ("x.tar.gz", "x.zip"):
        assert rows(load(pack(top, tmp_path / name))) == rows(load(top))
    assert rows(load(top / "small")) == rows(load(top))


def test_same_as_lhotse(top):
    """Differences: the recipe says "English" where we say "en".

    It knows no chapter without a JSON, and none in a folder with "flac" in its name: it looks for their JSON under
    another name. Both are ours alone.
    """
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    ours = {row["id"]: row for row in load(top, "unlab-60k")}
    assert sorted(set(ours) - {row["id"] for row in stored}) == [f"{FLAC}1_64kb_0", f"{FLAC}2_64kb"]
    for row in stored:
        mine = ours[row["id"]]
        assert (mine["speaker_id"], mine["text"], mine["offset"]) == (row["speaker"], row["text"], row["start"])
        assert mine["duration"] == pytest.approx(row["duration"], abs=1 / 16000)
        assert (mine["language"], row["language"]) == ("en", "English")


def test_it_bites(top, caplog):
    (top / f"{SEA}.flac").unlink()
    with pytest.raises(CorpusError):
        load(top, max_bad=0.5)
    assert f"{SEA}.flac" in caplog.text and "there is no such file" in caplog.text


def test_an_interval_less_is_a_row_less(top):
    path = top / f"{SEA}.json"
    about = json.loads(path.read_text())
    about["voice_activity"] = [[2.25, 3.75], [0.25, 1.0]]  # one dropped, two swapped
    path.write_text(json.dumps(about))
    table = load(top)
    assert dict(zip(table["id"], table["offset"], strict=True)) == {f"{SEA}_0": 2.25, f"{SEA}_1": 0.25}


# The transcribed sets


def test_limited_sets_are_nested(finetuning):
    found = {name: rows(load(finetuning, name)) for name in ("10min", "1h", "10h")}
    assert [row["id"] for row in found["10min"]] == ["103-1240-0000", "103-1240-0001"]
    assert [row["id"] for row in found["1h"]] == ["103-1240-0000", "103-1240-0001", "20-205-0000"]
    assert [row["id"] for row in found["10h"]] == [
        "103-1240-0000", "103-1240-0001", "1034-121119-0005", "105-28233-0000", "20-205-0000"
    ]  # fmt: skip
    row = found["10h"][-1]
    assert (row["text"], row["speaker_id"], row["chapter"], row["duration"]) == ("A STEM", "20", "205", 1602 / 16000)
    assert (row["fold"], row["condition"], row["subset"]) == (3, "other", "10h")
    assert (found["10h"][2]["fold"], found["10h"][2]["condition"]) == (None, "clean")
    assert row["audio_path"] == "1h/3/other/20/205/20-205-0000.flac"


def test_phones_without_times_are_a_label(finetuning):
    row = rows(load(finetuning, "1h"))[1]
    assert (row["phone_sequence"], row["segments"]) == (["DH", "AE", "T"], [])
    assert rows(load(finetuning, "1h"))[0]["phone_sequence"] is None


def test_phones_of_each_frame_are_segments(tmp_path):
    top = libri_light.write_limited(tmp_path, libri_light.FRAMEWISE)
    row = rows(load(top, "1h"))[1]
    assert row["phone_sequence"] is None
    assert [(s["tier"], s["label"], round(s["start"], 6), round(s["end"], 6)) for s in row["segments"]] == [
        ("phones", "SIL", 0.0, 0.03), ("phones", "DH", 0.03, 0.05), ("phones", "AE", 0.05, 0.09),
        ("phones", "T", 0.09, 0.1),
    ]  # fmt: skip


def test_a_few_doubled_phones_are_no_frames():
    assert not framewise("S S T EH P S".split())
    assert framewise("S S S T T EH EH EH P P".split())


def test_limited_sets_from_archives(finetuning, tmp_path):
    expected = rows(load(finetuning, "10h"))
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    pack(finetuning, downloads / "librispeech_finetuning.tgz")
    assert rows(load(downloads, "10h")) == expected
    assert rows(load(pack(finetuning, tmp_path / "x.zip"), "10h")) == expected


def test_transcript_and_audio_miss_each_other(finetuning):
    chapter = finetuning / "1h/0/clean/103/1240"
    (chapter / "103-1240-0000.flac").unlink()
    (chapter / "103-1240.trans.txt").write_text("103-1240-0000 CHAPTER ONE MISSUS RACHEL LYNDE\n")
    (row,) = load(finetuning, "10min", max_bad=0.5)
    assert (row["id"], row["text"]) == ("103-1240-0001", None)
