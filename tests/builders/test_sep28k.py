from __future__ import annotations

from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError, TooManyBadFilesError
from tests.corpora import sep28k
from tests.corpora.archives import pack
from tests.corpora.rows import by_id


def load(path: Path, *config: str, **options):
    return by_id(load_dataset("builders/sep28k", *config, data_dir=str(path), split="train", **options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sep28k.write(tmp_path / "ml-stuttering-events-dataset")


def test_row_by_hand(folder):
    rows = load(folder)
    assert rows["HeStutters_0_1"] == {
        "id": "HeStutters_0_1", "audio": sep28k.samples_of("HeStutters/0")[1977:3577].tolist(),
        "audio_path": "HeStutters/0/HeStutters_0_1.wav", "offset": 0.0, "duration": 0.1, "text": None,
        "speaker_id": None, "language": "en", "corpus": "sep28k", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1},
        "events": ["Prolongation", "Block"], "show": "HeStutters", "episode": "0", "episode_start": 1977 / 16000,
        "episode_end": 3577 / 16000,
        "episode_url": "https://stutterrockstar.files.wordpress.com/2011/05/male-episode-1-with-alan1.mp3",
        "prolongation": 2, "block": 3, "sound_repetition": 0, "word_repetition": 1, "interjection": 0,
        "no_stuttered_words": 0, "natural_pause": 1, "unsure": 0, "poor_audio_quality": 0,
        "difficult_to_understand": 0, "music": 0, "no_speech": 0,
    }  # fmt: skip
    assert sorted(rows) == ["HeStutters_0_0", "HeStutters_0_1", "HeStutters_1_0", "WomenWhoStutter_0_0"]


def test_votes_and_addresses(folder):
    rows = load(folder)
    assert rows["HeStutters_1_0"]["events"] == ["Interjection"]
    assert (rows["HeStutters_1_0"]["unsure"], rows["HeStutters_1_0"]["difficult_to_understand"]) == (1, 1)
    assert rows["HeStutters_1_0"]["duration"] == 1340 / 16000  # nine clips of the corpus are shorter than the others
    assert rows["HeStutters_1_0"]["episode_url"] is None
    assert rows["WomenWhoStutter_0_0"]["events"] == ["SoundRep", "WordRep"]
    assert rows["WomenWhoStutter_0_0"]["episode_url"] == "https://example.org/a.m4a"  # its title holds a comma


def test_fluencybank_keeps_its_zeros(folder):
    rows = load(folder, "fluencybank")
    assert sorted(rows) == ["FluencyBank_010_0", "FluencyBank_010_1"]
    row = rows["FluencyBank_010_0"]
    assert (row["episode"], row["events"], row["block"]) == ("010", ["NoStutteredWords"], 1)
    assert row["audio_path"] == "FluencyBank/010/FluencyBank_010_0.wav"


@pytest.mark.parametrize("config", ["sep28k", "fluencybank"])
@pytest.mark.parametrize("form", ["flat", "episodes"])
def test_forms_hold_the_same_sound_and_labels(folder, tmp_path, form, config):
    expected = load(folder, config)
    found = load(sep28k.write(tmp_path / form, form=form), config)
    place = dict.fromkeys(("audio_path", "offset"))
    assert {name: {**row, **place} for name, row in found.items()} == {
        name: {**row, **place} for name, row in expected.items()
    }
    assert {row["offset"] for row in expected.values()} == {0.0}
    for row in found.values():
        assert row["offset"] == (row["episode_start"] if form == "episodes" else 0.0)


@pytest.mark.parametrize("form", ["clips", "episodes"])
@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archive_gives_the_same_rows(tmp_path, form, suffix):
    folder = sep28k.write(tmp_path / "unpacked", form=form)
    assert load(pack(folder, tmp_path / f"sep-28k{suffix}")) == load(folder)


def test_clips_go_before_episodes_and_fill_each_other_up(folder, tmp_path):
    expected = load(folder)
    whole = sep28k.write(tmp_path / "whole", form="episodes")
    (whole / "wavs").rename(folder / "wavs")
    assert load(folder) == expected
    (folder / "clips/HeStutters/0/HeStutters_0_1.wav").unlink()
    row = load(folder)["HeStutters_0_1"]
    assert (row["audio_path"], row["offset"]) == ("HeStutters/0.wav", 1977 / 16000)
    assert row["audio"] == expected["HeStutters_0_1"]["audio"]


def test_missing_episode_is_quarantined_and_named(folder, caplog):
    (folder / "clips/WomenWhoStutter/0/WomenWhoStutter_0_0.wav").unlink()
    assert sorted(load(folder)) == ["HeStutters_0_0", "HeStutters_0_1", "HeStutters_1_0"]  # no max_bad is needed
    assert "1 episodes are not there: WomenWhoStutter/0" in caplog.text
    assert "WomenWhoStutter/0/WomenWhoStutter_0_0.wav" in caplog.text


def test_more_than_half_missing_fails(folder):
    for path in (folder / "clips/HeStutters").rglob("*.wav"):
        path.unlink()
    with pytest.raises(TooManyBadFilesError, match="3 of 4 recordings are bad"):
        load(folder)
    assert list(load(folder, max_bad=1)) == ["WomenWhoStutter_0_0"]


# It bites


def test_swapped_columns_and_dropped_row_show(folder):
    path = folder / "SEP-28k_labels.csv"
    lines = path.read_text().splitlines()
    lines[0] = lines[0].replace("Prolongation,Block", "Block,Prolongation")
    path.write_text("\n".join(lines[:-1]) + "\n")
    rows = load(folder)
    assert sorted(rows) == ["HeStutters_0_0", "HeStutters_0_1", "HeStutters_1_0"]
    assert (rows["HeStutters_0_1"]["prolongation"], rows["HeStutters_0_1"]["block"]) == (3, 2)


def test_folder_without_labels_says_what_to_do(folder):
    with pytest.raises(CorpusError, match=r"no utterances of sep28k .* run its download_audio\.py .*_labels\.csv"):
        load(folder / "clips")
