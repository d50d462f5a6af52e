from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import soxr
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from tests.corpora import free_spoken_digits as fsdd
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.sound import riff


def load(path: Path, **options):
    return load_dataset("builders/free_spoken_digits", data_dir=str(path), **options)


def rows(table) -> dict[str, dict]:
    return {row["id"]: row for row in table}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return fsdd.write(tmp_path / "corpus")


def test_rows_by_hand(top):
    table = load(top)
    assert {split: sorted(part["id"]) for split, part in table.items()} == {
        "train": ["0_nicolas_5", "3_jason_11", "7_jackson_32", "9_theo_49"],
        "test": ["0_nicolas_0", "7_jackson_4"],
    }
    row = rows(table["train"])["7_jackson_32"]
    assert (row["text"], row["digit"], row["number"], row["speaker_id"]) == ("seven", 7, 32, "jackson")
    assert (row["gender"], row["accent"], row["language"]) == ("male", "USA/neutral", "en")
    assert row["audio_path"] == "recordings/7_jackson_32.wav"
    assert row["duration"] == 2 * 5148 / 16_000
    assert row["source"] == {"format": "WAV/PCM_16", "sampling_rate": 8_000, "channels": 1}
    assert (row["segments"], row["corpus"], row["offset"]) == ([], "free_spoken_digits", 0.0)


def test_audio_is_the_recording_resampled(top):
    row = rows(load(top)["test"])["0_nicolas_0"]
    expected = soxr.resample(fsdd.samples_of("0_nicolas_0") / np.float32(32768), 8_000, 16_000, quality="HQ")
    np.testing.assert_allclose(decode(row["audio"]), expected, atol=1 / 32768)


def test_speakers_of_metadata_and_of_no_metadata(top):
    row = rows(load(top)["train"])["3_jason_11"]
    assert (row["gender"], row["accent"]) == ("male", "USA/southern")
    (top / "metadata.py").unlink()
    table = rows(load(top)["train"])
    assert (table["3_jason_11"]["gender"], table["3_jason_11"]["accent"]) == (None, None)
    assert table["0_nicolas_5"]["accent"] == "BEL/French"


def test_metadata_is_not_run(top):
    path = top / "metadata.py"
    path.write_text("metadata = __import__('os').system('true')\n")
    with pytest.raises(CorpusError, match=r"metadata\.py does not hold a table of speakers"):
        load(top)


@pytest.mark.parametrize("below", ["..", ".", "recordings"])
def test_any_level_gives_the_same_rows(top, below):
    found = load((top / below).resolve())
    assert rows(found["train"])["7_jackson_32"] == rows(load(top)["train"])["7_jackson_32"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archive_gives_the_rows_of_the_folder(top, tmp_path, suffix):
    archive = pack(top, tmp_path / f"free-spoken-digit-dataset-1.0.10{suffix}")
    for split, part in load(top).items():
        assert rows(load(archive)[split]) == rows(part)


def test_missing_renamed_and_broken_files_change_the_result(top, caplog):
    recordings = top / "recordings"
    shutil.move(recordings / "7_jackson_32.wav", recordings / "8_jackson_3.wav")
    (recordings / "9_theo_49.wav").write_bytes(riff(fsdd.samples_of("9_theo_49"), 8_000)[:1000])
    table = load(top, max_bad=0.5)
    assert sorted(table["train"]["id"]) == ["0_nicolas_5", "3_jason_11"]
    assert rows(table["test"])["8_jackson_3"]["text"] == "eight"
    assert "recordings/9_theo_49.wav: truncated" in caplog.text


# Real recordings


def test_real_recordings(shared_data):
    folder = shared_data("fsdd_subset")
    table = load(folder)
    assert list(table) == ["test"]  # the subset holds the recordings 0 to 4
    table = table["test"]
    assert len(table) == len(list(folder.rglob("*.wav"))) == 200
    assert {name: table["speaker_id"][:].count(name) for name in set(table["speaker_id"])} == dict.fromkeys(
        {path.stem.split("_")[1] for path in folder.rglob("*.wav")}, 50
    )
    assert set(table["digit"]) == set(range(10))
    assert sum(table["duration"]) == pytest.approx(76, abs=1)
    for row in table:
        frames = sf.info(folder / row["audio_path"]).frames
        assert row["duration"] == 2 * frames / 16_000
        assert row["gender"] == "male" and row["accent"]
