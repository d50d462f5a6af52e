from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.musan.musan import Musan
from tests.corpora import musan
from tests.corpora.archives import pack
from tests.corpora.rows import by_id
from tests.corpora.sound import pack_audio, riff

REFERENCE = Path(__file__).parents[1] / "corpora" / "references" / "musan.json"
STEMS = sorted(name.rsplit("/", 1)[1] for name in musan.SAMPLES)
LABELS = ("genres", "has_vocals", "artist", "composer", "gender", "language_name", "background")


def load(path: Path, *config: str, **options):
    return by_id(load_dataset("builders/musan", *config, data_dir=str(path), split="train", **options))


def labels(row: dict) -> dict:
    return {name: row[name] for name in LABELS if row[name] is not None}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return musan.write(tmp_path / "corpus")


def test_row_by_hand(top):
    rows = load(top)
    assert sorted(rows) == STEMS
    assert rows["music-fma-0097"] == {
        "id": "music-fma-0097", "audio": musan.samples_of("music/fma/music-fma-0097").tolist(),
        "audio_path": "music/fma/music-fma-0097.wav", "offset": 0.0, "duration": 0.25, "text": None,
        "speaker_id": None, "language": None, "corpus": "musan", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}, "gender": None, "category": "music",
        "subset": "fma", "genres": ["pop", "electronica"], "has_vocals": True, "artist": "Quiet_Music_for_Tiny_Robots",
        "composer": None, "language_name": None, "background": None,
    }  # fmt: skip


def test_labels_by_hand(top):
    rows = load(top)
    assert {name: labels(row) for name, row in rows.items()} == {
        "music-fma-0026": {"genres": ["blues"], "has_vocals": True, "artist": "Cullah"},
        "music-fma-0097": {
            "genres": ["pop", "electronica"], "has_vocals": True, "artist": "Quiet_Music_for_Tiny_Robots",
        },
        "music-fma-0100": {},  # without a line
        "music-fma-wa-0023": {"genres": ["westernart", "baroque"], "has_vocals": False, "artist": "Some_Artist"},
        "music-hd-0001": {
            "genres": ["westernart", "romantic"], "has_vocals": False, "artist": "Some_Artist", "composer": "Brahms",
        },
        "speech-librivox-0097": {"gender": "female", "language_name": "german"},
        "speech-librivox-0169": {"gender": "male", "language_name": "english"},
        "speech-us-gov-0000": {},
        "noise-free-sound-0000": {"background": False},
        "noise-free-sound-0007": {"background": True},
        "noise-sound-bible-0001": {},  # a folder without annotations
    }  # fmt: skip
    assert {name: row["language"] for name, row in rows.items() if row["language"]} == {
        "speech-librivox-0097": "de", "speech-librivox-0169": "en", "speech-us-gov-0000": "en",
    }  # fmt: skip
    assert {row["subset"] for row in rows.values() if row["category"] == "music"} == {
        "fma", "fma-western-art", "hd-classical",
    }  # fmt: skip
    assert not any(row["speaker_id"] for row in rows.values())


@pytest.mark.parametrize("category", ["music", "speech", "noise"])
def test_categories(top, category):
    assert sorted(load(top, category)) == [name for name in STEMS if name.startswith(category)]


# Windows


def test_windows_by_hand(top):
    whole, rows = load(top, "music"), load(top, "music", window=0.1)
    found = {name: (row["offset"], row["duration"]) for name, row in rows.items() if name.startswith("music-fma-0097")}
    assert found == {
        "music-fma-0097_0000": (0.0, 0.1), "music-fma-0097_0001": (0.1, 0.1), "music-fma-0097_0002": (0.2, 0.05),
    }  # fmt: skip
    joined = [sample for name in sorted(found) for sample in rows[name]["audio"]]
    assert joined == whole["music-fma-0097"]["audio"]
    assert labels(rows["music-fma-0097_0002"]) == labels(whole["music-fma-0097"])
    assert "music-fma-0026_0001" not in rows  # exactly one window long


def test_window_of_an_odd_length_loses_no_sample(top):
    whole, rows = load(top), load(top, window=0.0333333)
    for name, row in whole.items():
        parts = sorted(part for part in rows if part.startswith(f"{name}_"))
        assert [sample for part in parts for sample in rows[part]["audio"]] == row["audio"]


def test_configuration_of_thirty_seconds(tmp_path, monkeypatch):
    monkeypatch.setitem(musan.SAMPLES, "music/fma/music-fma-0097", 61 * 16_000)
    top = musan.write(tmp_path)
    rows = load(top, "music-30s")
    assert [rows[f"music-fma-0097_000{number}"]["duration"] for number in range(3)] == [30.0, 30.0, 1.0]
    assert sorted({**rows, **load(top, "speech-30s"), **load(top, "noise-30s")}) == sorted(load(top, "musan-30s"))
    assert sum(row["duration"] for row in rows.values()) == sum(row["duration"] for row in load(top, "music").values())


def test_windows_from_archives(top, tmp_path):
    expected = load(top, window=0.1)
    for suffix in (".tar.gz", ".tar.bz2", ".zip"):
        assert load(pack(top, tmp_path / f"musan{suffix}"), window=0.1) == expected


@pytest.mark.parametrize("window", [0, -1.0, "ten", float("inf")])
def test_window_must_be_a_length(top, window):
    with pytest.raises(CorpusError, match=f"window={window}: expected a number of seconds above 0"):
        load(top, window=window)


def test_window_on_the_command_line(top, capsys):
    assert main(["load", "musan", "music", "--data-dir", str(top), "--option", "window=0.1"]) == 0
    assert " 7 " in capsys.readouterr().out  # 0097 in three, the four others in one


def test_bad_recording_in_windows_is_quarantined_once(top, caplog):
    (top / "music/fma/music-fma-0097.wav").write_bytes(b"no audio")
    rows = load(top, "music", window=0.1, max_bad=0.5)
    assert len(rows) == 4
    assert caplog.text.count("music/fma/music-fma-0097.wav: not audio") == 1


def test_truncated_recording_in_windows_is_quarantined(top, caplog):
    path = top / "music/fma/music-fma-0097.wav"
    path.write_bytes(path.read_bytes()[:-2000])
    rows = load(top, "music", window=0.1, max_bad=0.9)
    assert not [name for name in rows if name.startswith("music-fma-0097")]
    assert "truncated" in caplog.text


# Variants


def test_folders_and_archives_give_the_same_rows(top, tmp_path):
    expected = load(top)
    assert load(top.parent) == expected
    for suffix in (".tar.gz", ".zip"):
        assert load(pack(top, tmp_path / f"musan{suffix}")) == expected
    music = {name: row for name, row in expected.items() if row["category"] == "music"}
    assert load(top / "music") == music


@pytest.mark.parametrize("name", ["noise", "speech", "music"])
def test_the_corpus_own_folder_has_the_name_of_a_category(tmp_path, name):
    top = musan.write(tmp_path / "made")
    assert sorted(load(top.rename(tmp_path / name))) == STEMS


def test_folder_above_that_has_the_name_of_a_category(tmp_path):
    top = musan.write(tmp_path / "music")
    assert sorted(load(top.parent)) == STEMS


def test_copy_that_is_cut_already(tmp_path):
    rows = load(musan.write_split(tmp_path))
    samples = musan.samples_of("music/fma/music-fma-0097").tolist()
    assert {name: row["audio"] for name, row in rows.items()} == {
        "music-fma-0097_00000": samples[:1600], "music-fma-0097_00003": samples[1000:2600],
        "music-fma-0097_00006": samples[2000:3600],
    }  # fmt: skip
    row = rows["music-fma-0097_00003"]
    assert (row["audio_path"], row["subset"]) == ("music/fma/music-fma-0097/00003.wav", "fma")


# Published counts


@pytest.fixture
def published(monkeypatch) -> None:
    (config,) = (config for config in Musan.BUILDER_CONFIGS if config.name == "musan")
    hours = sum(musan.SAMPLES.values()) / 16_000 / 3600
    monkeypatch.setattr(config, "splits", {"train": Expected(11, hours)})


def verify(top: Path, *options: str) -> int:
    return main(["verify", "musan", "--data-dir", str(top), *options])


def test_published_counts():
    found = {config.name: config.splits["train"] for config in Musan.BUILDER_CONFIGS}
    assert {name: expected.utterances for name, expected in found.items()} == {
        "musan": 2016, "music": 660, "speech": 426, "noise": 930, "musan-30s": None, "music-30s": None,
        "speech-30s": None, "noise-30s": None,
    }  # fmt: skip
    assert found["musan"].hours == found["musan-30s"].hours == 109.0


def test_whole_miniature_is_as_published(top, published):
    assert (verify(top), verify(top, "--deep")) == (0, 0)


# It bites


def test_recording_that_annotations_name_and_is_not_there(top, published, caplog):
    (top / "music/fma/music-fma-0026.wav").unlink()
    assert verify(top) == 1
    assert sorted(load(top, max_bad=0.5)) == sorted({*STEMS} - {"music-fma-0026"})
    assert "music/fma/music-fma-0026.wav" in caplog.text


def test_recording_without_a_line_that_is_not_there(top, published):
    (top / "noise/free-sound/noise-free-sound-0000.wav").unlink()
    assert verify(top) == 1
    assert sorted(load(top)) == sorted({*STEMS} - {"noise-free-sound-0000"})


def test_dropped_line_shows(top):
    annotations = top / "music/fma/ANNOTATIONS"
    annotations.write_text(annotations.read_text().splitlines()[0] + "\n")
    rows = load(top)
    assert labels(rows["music-fma-0097"]) == {}
    assert labels(rows["music-fma-0026"])


def test_swapped_fields_show(top):
    (top / "speech/librivox/ANNOTATIONS").write_text("speech-librivox-0097 german f\n")
    row = load(top)["speech-librivox-0097"]
    assert (row["gender"], row["language"], row["language_name"]) == (None, None, "f")


def test_swapped_columns_of_music_show(top, published, caplog):
    (top / "music/fma/ANNOTATIONS").write_text("blues music-fma-0026 Y Cullah\n")
    assert verify(top) == 1
    assert labels(load(top, max_bad=0.5)["music-fma-0026"]) == {}
    assert "music/fma/blues.wav is listed" in caplog.text


def test_zero_length_and_empty_files_are_quarantined(top, published, caplog):
    (top / "noise/free-sound/noise-free-sound-0000.wav").write_bytes(riff(np.zeros(0, np.int16)))
    (top / "noise/free-sound/noise-free-sound-0007.wav").write_bytes(b"")
    assert len(load(top, max_bad=0.5)) == 9
    assert "noise-free-sound-0000.wav: no samples" in caplog.text
    assert "noise-free-sound-0007.wav: empty file" in caplog.text
    assert verify(top, "--deep") == 1


def test_channels_of_a_repacked_copy_are_averaged(top):
    stereo = np.stack([np.full(1600, 1000, np.int16), np.full(1600, 3000, np.int16)], axis=1)
    for subtype in ("PCM_16", "PCM_24"):
        (top / "music/fma/music-fma-0026.wav").write_bytes(pack_audio(stereo, subtype=subtype))
        row = load(top)["music-fma-0026"]
        assert (set(row["audio"]), row["source"]["channels"]) == ({2000}, 2)


def test_folder_of_something_else_says_where_to_get_it(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no utterances of musan .*openslr\.org"):
        load(tmp_path)


# An independent reader


def test_rows_are_those_of_lhotse(top):
    made = json.loads(REFERENCE.read_text())
    rows = load(top)
    for category, part in made.items():
        mine = sorted(
            [name, row["duration"], row["source"]["sampling_rate"]]
            for name, row in rows.items()
            if row["category"] == category
        )
        assert mine == part["recordings"]
        # Of music lhotse takes the first four fields, and calls the artist a speaker: ours is a label. It reads no
        # annotations of speech and noise.
        annotated = {name: row for name, row in rows.items() if row["category"] == category and row["genres"]}
        assert [
            [name, row["artist"], {"genres": row["genres"], "vocals": row["has_vocals"]}]
            for name, row in sorted(annotated.items())
        ] == part["supervisions"]
