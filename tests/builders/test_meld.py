from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError
from builders.meld.meld import repaired, seconds
from tests.corpora import meld
from tests.corpora.archives import pack
from tests.corpora.rows import by_id


def load(path: Path, *config: str, **options):
    # One clip of train is corrupt and one of dev is missing, in the corpus too: many in a miniature.
    options = {"max_bad": 0.5, **options}
    table = load_dataset("builders/meld", *config, data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


def without(rows: dict, *names: str) -> dict:
    kept = lambda row: {name: value for name, value in row.items() if name not in names}  # noqa: E731
    return {split: {name: kept(row) for name, row in part.items()} for split, part in rows.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return meld.write(tmp_path)


def test_row_by_hand(folder):
    row = load(folder)["train"]["train_dia0_utt1"]
    assert len(row.pop("audio")) == 1600
    assert row == {
        "id": "train_dia0_utt1", "audio_path": "train_splits/dia0_utt1.wav", "offset": 0.0, "duration": 0.1,
        "text": "You must've had your hands full.", "speaker_id": "The Interviewer", "language": "en",
        "corpus": "meld", "segments": [], "source": {"format": "WAV/PCM_16", "sampling_rate": 48000, "channels": 1},
        "emotion": "neutral", "emotion_code": "neutral", "sentiment": "neutral", "dialogue_id": 0, "utterance_id": 1,
        "season": 8, "episode_number": 21, "episode_start": 981.94, "episode_end": 983.442, "clip": "dia0_utt1",
        "flaw": None,
    }  # fmt: skip


def test_splits_and_known_bad_clips(folder, caplog):
    rows = load(folder)
    assert {split: sorted(part) for split, part in rows.items()} == {
        "train": ["train_dia0_utt0", "train_dia0_utt1", "train_dia0_utt2"],
        "validation": ["validation_dia0_utt0"],
        "test": ["test_dia0_utt0", "test_dia155_utt3"],
    }
    assert "dia125_utt3.wav: " in caplog.text
    assert "dev_splits_complete/dia110_utt7.mp4" in caplog.text
    assert rows["test"]["test_dia155_utt3"]["flaw"] == "ends where it starts, says the table"


def test_labels_and_text(folder):
    rows = load(folder)
    joy, sad = rows["train"]["train_dia0_utt2"], rows["validation"]["validation_dia0_utt0"]
    assert (joy["emotion"], joy["emotion_code"], joy["sentiment"]) == ("happy", "joy", "positive")
    assert (joy["episode_start"], joy["text"]) == (983.442, "That I did. That I did.")  # 0:16:23,442
    assert (sad["emotion"], sad["text"]) == ("sad", "Oh my God, he’s lost it. He’s totally lost it.")
    assert sad["audio"] != rows["train"]["train_dia0_utt0"]["audio"]  # numbers begin anew in each split


@pytest.mark.parametrize("layout", ["flat", "packed"])
def test_layouts_give_the_same_rows(folder, tmp_path, layout):
    other = meld.write(tmp_path / layout, layout=layout)
    assert load(other) == load(other.parent) == load(folder)


def test_sound_files_in_a_folder_of_their_own(folder, tmp_path):
    rows = load(meld.write(tmp_path / "x", layout="audio"))
    assert rows["test"]["test_dia0_utt0"]["audio_path"] == "audio/test/dia0_utt0.wav"
    assert without(rows, "audio_path") == without(load(folder), "audio_path")


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archive_gives_the_same_rows(folder, tmp_path, suffix):
    assert load(pack(folder, tmp_path / f"meld{suffix}")) == load(folder)


def test_sound_files_go_before_videos(folder, tmp_path):
    assert load(meld.write(tmp_path / "both", sound="both")) == load(folder)


def test_videos(tmp_path, caplog):
    pytest.importorskip("av")
    rows = load(meld.write(tmp_path, sound="mp4"))
    row = rows["train"]["train_dia0_utt0"]
    assert row["audio_path"] == "train_splits/dia0_utt0.mp4"
    assert row["source"] == {"format": "MP4/AAC", "sampling_rate": 48000, "channels": 1}
    assert row["duration"] == pytest.approx(0.5, abs=0.05)
    spectrum = np.abs(np.fft.rfft(row["audio"]))
    assert np.argmax(spectrum) * 16000 / len(row["audio"]) == pytest.approx(440, abs=3)
    assert "train_splits/dia125_utt3.mp4: " in caplog.text
    assert len(rows["train"]) == 3


def test_dialogues_of_two_people_share_clips(folder):
    rows = load(folder, "dyadic")
    assert sorted(rows["train"]) == ["train_dia0_utt0", "train_dia0_utt1", "train_dia1_utt0"]
    one, two = rows["train"]["train_dia0_utt1"], rows["train"]["train_dia1_utt0"]
    assert one["audio"] == two["audio"] == load(folder)["train"]["train_dia0_utt2"]["audio"]
    assert (two["clip"], two["dialogue_id"], two["utterance_id"]) == ("dia0_utt2", 1, 0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252"])
def test_tables_in_other_encodings(folder, tmp_path, encoding):
    assert load(meld.write(tmp_path / "x", encoding=encoding)) == load(folder)


def test_windows_characters_taken_for_latin_1_are_repaired():
    assert repaired("company\x92s \x85".encode()) == "company’s …"
    assert repaired("company\x92s – é".encode()) == "company’s – é"
    assert repaired(b"company\x92s \x96 \xe9") == "company’s – é"


def test_seconds():
    assert seconds("00:16:21,940") == 981.94
    assert seconds("1:00:00,500") == 3600.5


# It bites


def test_removed_clip_is_quarantined(folder, caplog):
    (folder / "train/train_splits/dia0_utt1.wav").unlink()
    assert sorted(load(folder)["train"]) == ["train_dia0_utt0", "train_dia0_utt2"]
    assert "train_splits/dia0_utt1.mp4" in caplog.text


def test_columns_are_read_by_name_and_a_dropped_row_is_missed(folder):
    path = folder / "dev_sent_emo.csv"
    header, first, _ = path.read_text(encoding="utf-8").splitlines()
    path.write_text(f"{header.replace('Emotion,Sentiment', 'Sentiment,Emotion')}\n{first}\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="unknown emotion 'negative'"):
        load(folder)
    path.write_text(f"{header}\n{first}\n", encoding="utf-8")
    assert sorted(load(folder, max_bad=0.3)["validation"]) == ["validation_dia0_utt0"]  # nothing of it is missing now


def test_split_without_clips_is_left_out(folder):
    for path in (folder / "dev").rglob("*.wav"):
        path.unlink()
    assert list(load(folder)) == ["train", "test"]


def test_folder_without_tables_says_what_to_pass(folder):
    with pytest.raises(CorpusError, match=r"no utterances of meld .* with clips and \*_sent_emo\.csv"):
        load(folder / "dev/dev_splits_complete")
