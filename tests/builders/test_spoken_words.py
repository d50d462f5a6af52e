from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from builders.silence import sounds
from builders.spoken_words.spoken_words import named_words
from tests.corpora import spoken_words as corpus
from tests.corpora.archives import pack
from tests.corpora.sound import noise, riff, tone


def load(path: Path, config: str = "num", **options):
    return load_dataset("builders/spoken_words", config, data_dir=str(path), **options)


def height(row: dict) -> float:
    """Return the frequency of the loudest tone in a row."""
    samples = decode(row["audio"])
    return float(np.abs(np.fft.rfft(samples)).argmax() * 16000 / len(samples))


def rows(table) -> dict[str, dict]:
    return {row["id"]: {k: v for k, v in row.items() if k != "audio"} for part in table.values() for row in part}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return corpus.write(tmp_path)


def test_one_row_a_word_in_the_order_of_the_list(data):
    table = load(data)["train"]
    assert len(table) == 10 + 10 + 1
    found = {row["id"]: row for row in table}
    for number, word in enumerate(corpus.NUMBERS):
        row = found[f"num_phone_en-UK_m_Martin00_{number}".removeprefix("num_")]
        assert (row["word"], row["text"], row["label"], row["number"], row["stretches"]) == (
            word,
            word,
            number,
            number,
            10,
        )
        assert height(row) == pytest.approx(300 + 100 * number, abs=3)
        assert row["offset"] == pytest.approx(0.5 + 0.75 * number - 0.15, abs=0.03)  # widened by 15 frames
        assert row["duration"] == pytest.approx(0.25 + 0.3, abs=0.05)
    assert (row["speaker_id"], row["gender"], row["accent"], row["device"], row["language"]) == (
        "Martin", "male", "en-UK", "phone", "en"
    )  # fmt: skip
    assert row["audio_path"] == "num_phone_en-UK_m_Martin00.wav"
    assert row["source"] == {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}


def test_ogg_at_another_rate(data):
    found = rows(load(data))
    row = found["Bing_en-UK_f_Susan_3"]
    assert (row["word"], row["speaker_id"], row["gender"], row["device"]) == ("three", "Susan", "female", "Bing")
    assert row["source"] == {"format": "OGG/VORBIS", "sampling_rate": 44100, "channels": 1}


def test_words_that_are_cut_already(data):
    row = rows(load(data))["six/laptop_en-US_f_Ann07"]
    assert (row["word"], row["label"], row["speaker_id"], row["accent"]) == ("six", 6, "Ann", "en-US")
    assert (row["offset"], row["duration"], row["number"]) == (0.0, 0.3, None)


def test_what_is_to_be_recognised(data):
    found = {row["id"]: row["word"] for row in load(data)["test"]}
    assert found == {
        "four_two_0": "four", "four_two_1": "two",
        "raw-from-phone_0": None, "raw-from-phone_1": None, "raw-from-phone_2": None,
    }  # fmt: skip
    assert [row["word"] for row in load(data, "animals")["test"]] == corpus.ANIMALS
    assert load(data, "animals")["train"]["label"][:] == [0, 1, 2, 3]


def test_words_of_ones_own(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/colours_anything.wav").write_bytes(riff(corpus.reading(["five", "two"])))
    table = load(tmp_path / "mine", words=["red", "blue"], prefix="colours")["train"]
    assert table["word"][:] == ["red", "blue"]
    assert table["speaker_id"][:] == [None, None]
    assert table["id"][:] == ["anything_0", "anything_1"]


def test_level(data):
    peak = 10 ** (-3 / 20)
    loudest = max(np.abs(decode(row["audio"])).max() for row in load(data)["train"] if row["number"] is not None)
    assert loudest == pytest.approx(peak, abs=0.001)
    cut = next(row for row in load(data)["train"] if row["number"] is None)
    assert np.abs(decode(cut["audio"])).max() == pytest.approx(peak, abs=0.001)
    as_recorded = next(row for row in load(data, level=False)["train"] if row["number"] is None)
    assert np.abs(decode(as_recorded["audio"])).max() == pytest.approx(0.1, abs=0.001)


def test_librosas_rule(data):
    assert load(data, "animals", top_db=40.0)["train"]["word"][:] == corpus.ANIMALS


def test_reading_of_which_a_word_is_missing_is_quarantined(data, caplog):
    (data / "num_phone_en-UK_m_Martin00.wav").write_bytes(riff(corpus.reading(corpus.NUMBERS[:9])))
    with pytest.raises(CorpusError):
        load(data)
    assert "9 stretches of sound" in caplog.text
    assert len(load(data, max_bad=0.1)["train"]) == 11


def test_words_that_run_together_are_quarantined(data, caplog):
    (data / "num_phone_en-UK_m_Martin00.wav").write_bytes(riff(corpus.reading(corpus.NUMBERS, gap=0.1)))
    load(data, max_bad=0.1)
    assert "1 stretches of sound" in caplog.text


def test_bad_recordings_are_quarantined(data, caplog):
    (data / "num_phone_en-UK_m_Martin00.wav").write_bytes(b"RIFF")
    (data / "num-test/four_two.wav").write_bytes(b"")
    table = load(data, max_bad=0.5)
    assert (len(table["train"]), len(table["test"])) == (11, 3)
    assert "empty file" in caplog.text


def test_folder_and_archive(data, tmp_path):
    expected = rows(load(data))
    assert rows(load(tmp_path)) == expected
    for name in ("data-num-sounds.tar.gz", "x.zip"):
        assert (
            rows(load(pack(data, tmp_path / "archives" if False else tmp_path.parent / f"{tmp_path.name}-{name}")))
            == expected
        )


def test_a_file_removed_and_a_list_swapped(data):
    (data / "num_Bing_en-UK_f_Susan.ogg").unlink()
    assert len(load(data)["train"]) == 11
    swapped = load(data, words=[*corpus.NUMBERS[::-1]])["train"]
    assert next(row for row in swapped if row["id"].endswith("_0"))["word"] == "nine"


@pytest.mark.parametrize(
    ("stem", "words"),
    [("cat_dog", ["cat", "dog"]), ("bird", ["bird"]), ("cat_cow", None), ("raw-from-phone", None), ("", None)],
)
def test_words_in_a_name(stem, words):
    assert named_words(stem, corpus.ANIMALS) == words


# Where the sound is


def test_sounds_lie_around_the_tones():
    spans = sounds(corpus.reading(["one", "two"]))
    assert len(spans) == 2
    for (start, end), begin in zip(spans, (0.5, 1.25), strict=True):
        assert start == pytest.approx(begin - 0.15, abs=0.03)
        assert end == pytest.approx(begin + 0.25 + 0.15, abs=0.03)


def test_sound_from_the_first_to_the_last_sample():
    samples = np.concatenate([tone(500, 0.3), noise(16000) * 1e-8, tone(500, 0.3)])
    (first, second) = sounds(samples)
    assert first[0] == 0.0
    assert second[1] == len(samples) / 16000


def test_nothing_and_almost_nothing():
    assert sounds(np.zeros(0)) == []
    assert sounds(np.zeros(16000)) == []
    assert len(sounds(tone(500, 0.01))) <= 1
