from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.emotions import emotion
from builders.errors import CorpusError
from tests.corpora import ravdess
from tests.corpora.archives import pack, zip_of
from tests.corpora.rows import by_id
from tests.corpora.sound import riff


def load(path: Path, *config: str, **options):
    return by_id(load_dataset("builders/ravdess", *config, data_dir=str(path), split="train", **options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return ravdess.write(tmp_path / "unpacked")


def test_row_by_hand(folder):
    rows = load(folder)
    assert sorted(rows) == sorted(ravdess.SPEECH)
    row = rows["03-01-06-01-02-01-12"]
    samples = row.pop("audio")
    assert row == {
        "id": "03-01-06-01-02-01-12", "audio_path": "Actor_12/03-01-06-01-02-01-12.wav", "offset": 0.0,
        "duration": 0.1, "text": "Dogs are sitting by the door", "speaker_id": "Actor_12", "language": "en",
        "corpus": "ravdess", "source": {"format": "WAV/PCM_16", "sampling_rate": 48000, "channels": 1},
        "segments": [], "gender": "female", "emotion": "fearful", "emotion_code": "06", "intensity": "normal",
        "statement": "02", "repetition": 1, "vocal_channel": "speech", "modality": "audio-only",
    }  # fmt: skip
    assert len(samples) == 1600


def test_fields_of_the_name(folder):
    rows = load(folder, "all")
    assert len(rows) == 7
    one, two = rows["03-01-08-02-01-02-24"], rows["03-02-03-02-01-01-01"]
    assert (one["emotion"], one["intensity"], one["repetition"], one["gender"]) == ("surprised", "strong", 2, "female")
    assert one["text"] == "Kids are talking by the door"
    assert (two["emotion"], two["vocal_channel"], two["gender"]) == ("happy", "song", "male")
    assert rows["03-01-01-01-01-01-01"]["emotion"] == "neutral"
    assert rows["03-01-02-01-01-02-07"]["emotion"] == "calm"


def test_song_alone_and_left_channel_of_stereo(folder):
    rows = load(folder, "song")
    assert sorted(rows) == sorted(ravdess.SONG)
    row = rows[ravdess.STEREO]
    assert row["source"]["channels"] == 2
    assert np.abs(row["audio"]).max() > 2500  # the mean of left and right would be silence


def test_two_statements_that_are_one_recording_both_stay(folder):
    rows = load(folder)
    one, two = rows["03-01-02-01-01-02-07"], rows["03-01-02-01-02-02-07"]
    assert one["audio"] == two["audio"]
    assert one["text"] != two["text"]


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
@pytest.mark.parametrize("config", ["speech", "all"])
def test_archive_gives_the_same_rows(folder, tmp_path, suffix, config):
    assert load(pack(folder, tmp_path / f"archive{suffix}"), config) == load(folder, config)


def test_the_two_published_archives_in_a_folder(folder, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for name, stems in (("Speech", ravdess.SPEECH), ("Song", ravdess.SONG)):
        members = {f"Actor_{stem[-2:]}/{stem}.wav": (folder / f"Actor_{stem[-2:]}/{stem}.wav").read_bytes()
                   for stem in stems}  # fmt: skip
        zip_of(downloads / f"Audio_{name}_Actors_01-24.zip", members)
    for config in ("speech", "song", "all"):
        assert load(downloads, config) == load(folder, config)


def test_separate_roots_and_copies_of_the_tree(folder, tmp_path):
    ravdess.write(tmp_path / "two", ravdess.SPEECH, top="speech")
    ravdess.write(tmp_path / "two", ravdess.SONG, top="song")
    assert load(tmp_path / "two", "all") == load(folder, "all")
    ravdess.write(tmp_path / "two", ravdess.SPEECH, top="x/audio_speech_actors_01-24")
    assert load(tmp_path / "two", "all") == load(folder, "all")


def test_one_actor_and_files_without_folders(folder, tmp_path):
    assert list(load(folder / "Actor_12")) == ["03-01-06-01-02-01-12"]
    flat = load(ravdess.write(tmp_path / "flat", flat=True))
    assert sorted(flat) == sorted(ravdess.SPEECH)
    assert flat["03-01-06-01-02-01-12"]["audio_path"] == "03-01-06-01-02-01-12.wav"


def test_video_configurations_take_files_with_sound_only(folder):
    ravdess.write(folder, ravdess.VIDEO)
    found = {}
    for config in ("video_speech", "video_song"):
        found[config] = load_dataset_builder("builders/ravdess", config, data_dir=str(folder)).listing("train")
    assert found["video_speech"]["member"].to_pylist() == ["Actor_12/01-01-06-01-02-01-12.mp4"]
    assert found["video_song"]["member"].to_pylist() == ["Actor_01/01-02-03-02-01-01-01.mp4"]
    assert found["video_song"]["modality"].to_pylist() == ["audio-video"]
    assert sorted(load(folder, "all")) == sorted(ravdess.SPEECH + ravdess.SONG)


# It bites


def test_removed_file_is_missed(folder):
    (folder / "Actor_12/03-01-06-01-02-01-12.wav").unlink()
    assert len(load(folder)) == 4


def test_renamed_file_is_another_recording(folder):
    path = folder / "Actor_12/03-01-06-01-02-01-12.wav"
    path.rename(path.with_name("03-01-06-01-01-02-12.wav"))
    row = load(folder)["03-01-06-01-01-02-12"]
    assert (row["statement"], row["repetition"]) == ("01", 2)


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01", "03-01-01-01-03-01-01", "03-01-01-01-01-01"])
def test_names_that_are_no_recording_are_left_out(folder, name):
    (folder / f"Actor_01/{name}.wav").write_bytes(riff(ravdess.samples_of("x"), 48000))
    assert sorted(load(folder)) == sorted(ravdess.SPEECH)


def test_folder_without_the_configuration_says_where_to_get_it(tmp_path):
    ravdess.write(tmp_path / "x", ravdess.SONG)
    with pytest.raises(CorpusError, match=r"no utterances of ravdess \(speech: train\) .*zenodo"):
        load(tmp_path / "x")


@pytest.mark.parametrize(
    ("written", "word"), [("joy", "happy"), ("HAP", "happy"), ("ANG", "angry"), ("fear", "fearful")]
)
def test_emotions_have_one_word(written, word):
    assert emotion(written) == word


def test_unknown_emotion_is_an_error():
    with pytest.raises(CorpusError, match="unknown emotion 'bored': expected one of"):
        emotion("bored")
