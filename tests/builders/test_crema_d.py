from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError, TooManyBadFilesError
from tests.corpora import crema_d
from tests.corpora.archives import pack
from tests.corpora.rows import by_id

FROM_TABLES = ("gender", "age", "race", "ethnicity", *(f"{k}_{v}" for k in ("voice", "face", "multimodal")
                                                       for v in ("vote", "level")))  # fmt: skip


def load(path: Path, *config: str, **options):
    return by_id(load_dataset("builders/crema_d", *config, data_dir=str(path), split="train", **options))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return crema_d.write(tmp_path / "clone")


def test_row_by_hand(clone):
    rows = load(clone)
    assert sorted(rows) == sorted(crema_d.CLIPS)
    row = rows["1001_IEO_NEU_XX"]
    samples = crema_d.samples_of("1001_IEO_NEU_XX")
    assert row == {
        "id": "1001_IEO_NEU_XX", "audio": samples.tolist(), "audio_path": "AudioWAV/1001_IEO_NEU_XX.wav",
        "offset": 0.0, "duration": len(samples) / 16000, "text": "It's eleven o'clock", "speaker_id": "1001",
        "language": "en", "corpus": "crema_d", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}, "gender": "male", "age": "51",
        "emotion": "neutral", "emotion_code": "NEU", "level": None, "sentence": "IEO", "race": "Caucasian",
        "ethnicity": "Not Hispanic", "voice_vote": ["neutral"], "voice_level": [69.1], "face_vote": ["neutral"],
        "face_level": [92.22], "multimodal_vote": ["neutral"], "multimodal_level": [64.78],
    }  # fmt: skip


def test_level_and_tied_votes(clone):
    row = load(clone)["1002_IEO_HAP_HI"]
    assert (row["emotion"], row["level"], row["gender"]) == ("happy", "high", "female")
    assert (row["voice_vote"], row["voice_level"]) == (["happy", "neutral"], [51.5, 60.25])


def test_clip_that_no_one_voted_on_and_actor_that_no_table_has(clone):
    row = load(clone)["1076_MTI_SAD_XX"]
    assert (row["voice_vote"], row["gender"], row["emotion"]) == (None, None, "sad")
    assert row["text"] == "Maybe tomorrow it will be cold"
    assert not any(row["audio"])  # silent in the corpus too


def test_folder_of_audio_alone_has_what_the_names_tell(clone, tmp_path):
    alone = crema_d.write(tmp_path / "audio", form="audio")
    expected = {name: {**row, **dict.fromkeys(FROM_TABLES)} for name, row in load(clone).items()}
    assert load(alone) == load(alone / "AudioWAV") == load(alone.parent) == expected


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archive_gives_the_same_rows(clone, tmp_path, suffix):
    assert load(pack(clone, tmp_path / f"CREMA-D-master{suffix}")) == load(clone)


def test_mp3_copies(clone):
    rows = load(clone, "mp3")
    assert sorted(rows) == sorted(crema_d.CLIPS)
    row = rows["1001_DFA_ANG_XX"]
    assert row["audio_path"] == "AudioMP3/1001_DFA_ANG_XX.mp3"
    assert row["source"]["format"] == "MP3/MPEG_LAYER_III"
    labels = {"audio": None, "audio_path": None, "source": None, "duration": None}
    assert {**row, **labels} == {**load(clone)["1001_DFA_ANG_XX"], **labels}


def test_pointers_of_git_lfs_are_told_apart_from_bad_audio(clone, tmp_path, caplog):
    with pytest.raises(TooManyBadFilesError, match="Git LFS pointer, not the recording: run `git lfs pull`"):
        load(crema_d.write(tmp_path / "zip", form="pointers"))
    (clone / "AudioWAV/1001_DFA_ANG_XX.wav").write_text(crema_d.POINTER)
    assert len(load(clone, max_bad=0.5)) == 4
    assert "AudioWAV/1001_DFA_ANG_XX.wav: a Git LFS pointer" in caplog.text


# It bites


def test_clip_that_the_list_names_and_the_copy_lacks_is_quarantined(clone, caplog):
    (clone / "AudioWAV/1002_ITH_SAD_XX.wav").unlink()
    assert sorted(load(clone, max_bad=0.5)) == sorted({*crema_d.CLIPS} - {"1002_ITH_SAD_XX"})
    assert "AudioWAV/1002_ITH_SAD_XX.wav" in caplog.text


def test_clip_that_the_list_lacks_is_there_all_the_same(clone):
    path = clone / "SentenceFilenames.csv"
    path.write_text(path.read_text().replace('2,"1001_DFA_ANG_XX"\n', ""))
    assert sorted(load(clone)) == sorted(crema_d.CLIPS)


def test_columns_are_read_by_name(clone):
    path = clone / "VideoDemographics.csv"
    path.write_text('"ActorID","Sex","Age","Race","Ethnicity"\n1001,"Female",51,"Asian","Hispanic"\n')
    row = load(clone)["1001_DFA_ANG_XX"]
    assert (row["gender"], row["age"], row["race"], row["ethnicity"]) == ("female", "51", "Asian", "Hispanic")


def test_dropped_row_of_votes_shows(clone):
    path = clone / "processedResults/summaryTable.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    rows = load(clone)
    assert rows["1002_IEO_HAP_HI"]["voice_vote"] is None
    assert rows["1001_IEO_NEU_XX"]["voice_vote"] == ["neutral"]


def test_folder_of_something_else_says_where_to_get_it(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no utterances of crema_d .* git-lfs"):
        load(tmp_path / "x")
