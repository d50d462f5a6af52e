from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from tests.corpora import speechocean762 as corpus
from tests.corpora.archives import pack


def load(path: Path, **options):
    return load_dataset("builders/speechocean762", data_dir=str(path), **options)


def rows(table) -> list[dict]:
    return [{k: v for k, v in row.items() if k != "audio"} for part in table.values() for row in part]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return corpus.write(tmp_path)


def test_sentence_of_the_documentation_by_hand(top):
    row = load(top)["train"][0]
    assert (row["id"], row["text"], row["speaker_id"]) == ("000010011", "WE CALL IT BEAR", "0001")
    assert (row["gender"], row["age"], row["language"]) == ("male", "6", "en")
    assert (row["audio_path"], row["duration"]) == ("WAVE/SPEAKER0001/000010011.WAV", 1.0)
    assert [row[f"score_{name}"] for name in ("accuracy", "completeness", "fluency", "prosodic", "total")] == [
        8,
        10,
        9,
        9,
        8,
    ]
    call = row["word_scores"][1]
    assert (call["text"], call["accuracy"], call["stress"], call["total"]) == ("CALL", 10.0, 10.0, 10.0)
    assert (call["phones"], call["phone_accuracy"]) == (["K", "AO0", "L"], [2.0, 1.8, 1.8])
    assert call["mispronunciations"] == []
    assert [word["text"] for word in row["word_scores"]] == row["text"].split()


def test_scores_of_the_sentence_have_the_time_of_the_row(top):
    row = load(top)["train"][1 + 1]
    assert row["duration"] == 16002 / 16000
    assert [(s["tier"], s["start"], s["end"], s["label"], s["speaker"], s["score"]) for s in row["segments"]] == [
        ("sentence", 0.0, 16002 / 16000, name, "0006", score)
        for name, score in (("accuracy", 5), ("completeness", 10), ("fluency", 7), ("prosodic", 7), ("total", 6))
    ]


def test_phones_as_a_list_and_a_mispronunciation(top):
    row = load(top)["train"][2]
    (word,) = row["word_scores"]
    assert (word["phones"], word["phone_accuracy"]) == (["L", "IY1", "S", "AH0"], [0.4, 2.0, 2.0, 1.2])
    assert word["mispronunciations"] == [{"index": 0, "canonical": "L", "pronounced": "D"}]
    assert (row["gender"], row["speaker_id"]) == ("female", "0006")


def test_what_each_expert_said(top):
    row = load(top)["train"][0]
    assert row["expert_scores"]["accuracy"] == [7.0, 9.0, 8.0, 8.0, 9.0]
    (bear,) = row["expert_words"]
    assert (bear["text"], bear["phones"][4], bear["total"]) == ("BEAR", "B EH0 [L] R", [4.4, 7.6, 10.0, 3.6, 6.8])
    other = load(top)["train"][2]
    assert (other["expert_scores"], other["expert_words"]) == (None, [])


def test_sentence_without_scores(top):
    row = load(top)["train"][1]
    assert (row["id"], row["score_total"], row["word_scores"], row["segments"]) == ("000010035", None, [], [])


def test_split_is_by_speaker_and_official(top):
    table = load(top)
    assert {split: part["id"][:] for split, part in table.items()} == {
        "train": ["000010011", "000010035", "000060015"], "test": ["000030012"]
    }  # fmt: skip
    assert not set(table["train"]["speaker_id"]) & set(table["test"]["speaker_id"])


def test_folders_and_archives_of_all_copies(top, tmp_path):
    expected = rows(load(top))
    assert rows(load(corpus.write(tmp_path / "old", resource="."))) == expected
    for name in ("speechocean762.tar.gz", "x.zip"):
        assert rows(load(pack(top, tmp_path / name))) == expected
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (tmp_path / "speechocean762.tar.gz").rename(downloads / "speechocean762.tar.gz")
    assert rows(load(downloads)) == expected


def test_paths_that_a_recipe_wrote(top):
    path = top / "train/wav.scp"
    path.write_text(path.read_text().replace("\tWAVE", " /export/corpora/speechocean762/WAVE"))
    assert load(top)["train"]["audio_path"][0] == "WAVE/SPEAKER0001/000010011.WAV"


def test_it_bites(top, caplog):
    (top / "WAVE/SPEAKER0001/000010011.WAV").unlink()
    scp = top / "train/wav.scp"
    scp.write_text("".join(line for line in scp.read_text().splitlines(True) if "000010035" not in line))
    gender = top / "train/spk2gender"
    gender.write_text("".join(f"{line.split()[1]}\t{line.split()[0]}\n" for line in gender.read_text().splitlines()))
    table = load(top, max_bad=0.5)
    assert (table["train"]["id"][:], table["train"]["gender"][:]) == (["000060015"], [None])
    assert "WAVE/SPEAKER0001/000010011.WAV" in caplog.text


def test_scores_swapped_between_sentences(top):
    path = top / "resource/scores.json"
    scores = json.loads(path.read_text())
    scores["000010011"], scores["000060015"] = scores["000060015"], scores["000010011"]
    path.write_text(json.dumps(scores))
    assert load(top)["train"]["score_total"][:] == [6.0, None, 8.0]
