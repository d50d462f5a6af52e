from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.audio import decode
from builders.corpus import Expected
from builders.errors import CorpusError, TooManyBadFilesError
from builders.musdb18.musdb18 import STEMS, VALIDATION
from builders.register import builder_class
from tests.corpora import musdb18
from tests.corpora.archives import pack
from tests.corpora.sound import pack_audio, stem_mp4

COLUMNS = ("audio", *STEMS)
REAL = "stems/stempeg/data/The Easton Ellises - Falcon 69.stem.mp4"


def load(path: Path, *config: str, **options):
    table = load_dataset("builders/musdb18", *config, data_dir=str(path), **options)
    return {split: {row["id"]: row for row in part} for split, part in table.items()}


def pcm(cell: dict) -> np.ndarray:
    return np.rint(decode(cell) * 32768).astype(np.int16)


def pitch(cell: dict) -> float:
    samples = decode(cell)[:4800]
    return float(np.argmax(np.abs(np.fft.rfft(samples, 16_000))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return musdb18.write(tmp_path)


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return musdb18.write(tmp_path_factory.mktemp("mp4"), form="mp4")


def test_row_by_hand(folder):
    row = load(folder)["train"]["A Classic Education - NightOwl"]
    cells = {name: row.pop(name) for name in COLUMNS}
    assert row == {
        "id": "A Classic Education - NightOwl", "audio_path": "train/A Classic Education - NightOwl/mixture.wav",
        "offset": 0.0, "duration": 0.3, "text": None, "speaker_id": None, "language": None, "corpus": "musdb18",
        "source": {"format": "WAV/PCM_16", "sampling_rate": 44100, "channels": 2}, "segments": [],
        "subset": "train", "artist": "A Classic Education", "title": "NightOwl",
    }  # fmt: skip
    assert cells["vocals"]["path"] == "A Classic Education - NightOwl.vocals.flac"
    assert {name: pitch(cells[name]) for name in STEMS} == musdb18.PITCH
    total = sum(pcm(cells[name]).astype(int) for name in STEMS)
    assert np.abs(pcm(cells["audio"]) - total).max() <= 4  # of rounding
    assert np.abs(pcm(cells["vocals"])).max() == pytest.approx(3000 * 0.75, rel=0.01)  # the mean of the channels


def test_artist_and_title(folder):
    for rows in load(folder).values():
        for song, row in rows.items():
            assert f"{row['artist']} - {row['title']}" == song
            assert " - " not in row["artist"]


def test_splits(folder):
    assert {split: set(part) for split, part in load(folder).items()} == {
        "train": set(musdb18.TRAIN), "validation": set(musdb18.VALIDATION), "test": set(musdb18.TEST),
    }  # fmt: skip
    assert {split: set(part) for split, part in load(folder, "train100").items()} == {
        "train": {*musdb18.TRAIN, *musdb18.VALIDATION}, "test": set(musdb18.TEST),
    }  # fmt: skip
    assert len(VALIDATION) == 14


def test_streams_of_mp4_are_the_columns(stems):
    for part, rows in load(stems).items():
        for song, row in rows.items():
            sounds = musdb18.sounds_of(song)
            assert row["audio_path"] == f"{part.replace('validation', 'train')}/{song}.stem.mp4"
            assert row["source"] == {"format": "MP4/AAC", "sampling_rate": 44100, "channels": 2}
            for name in STEMS:
                wanted = np.argmax(np.abs(np.fft.rfft(sounds[name].mean(axis=1), 44_100)))
                assert pitch(row[name]) == pytest.approx(wanted, abs=1), (song, name)
            total = sum(decode(row[name])[:4800] for name in STEMS)
            mixture = decode(row["audio"])[:4800]
            assert np.std(mixture - total) < 0.1 * np.std(mixture)  # an encode of its own


def test_rows_of_both_forms_differ_only_in_sound(folder, stems):
    made = ("audio_path", "source", "duration", *COLUMNS)
    one, other = (
        {song: {k: v for k, v in row.items() if k not in made} for part in load(path).values() for song, row in
         part.items()} for path in (folder, stems)
    )  # fmt: skip
    assert one == other


def test_wav_counts_where_a_song_is_there_in_both_forms(folder, tmp_path):
    assert load(musdb18.write(tmp_path / "both", form="both")) == load(folder)


@pytest.mark.parametrize(
    ("form", "suffix"), [("wav", ".tar.gz"), ("wav", ".zip"), ("wav", "bare.zip"), ("mp4", "bare.zip")]
)
def test_archives_give_the_same_rows(folder, stems, tmp_path, form, suffix):
    top = folder if form == "wav" else stems
    expected = load(top)
    archive = tmp_path / "packed" / ("musdb18hq.zip" if form == "wav" else "musdb18.zip")
    archive.parent.mkdir()
    if suffix == "bare.zip":
        musdb18.pack_bare(top, archive)
        assert load(archive.parent) == expected  # found by its name
    else:
        archive = pack(top, archive.with_name(f"copy{suffix}"))
    assert load(archive) == expected


def test_folder_above_and_one_part_alone(folder):
    expected = load(folder)
    assert load(folder.parent) == expected
    assert load(folder / "test") == {"test": expected["test"]}


def test_sample_is_a_configuration(stems, tmp_path):
    musdb18.pack_bare(stems, tmp_path / "MUSDB18-7-STEMS.zip")
    assert load(tmp_path, "sample") == load(stems)
    with pytest.raises(CorpusError, match="no utterances of musdb18"):
        load(tmp_path)


def test_further_files_of_converters_are_not_read(folder):
    expected = load(folder)
    for song in musdb18.TRAIN:
        for name in ("accompaniment", "linear_mixture"):
            shutil.copy(folder / f"train/{song}/mixture.wav", folder / f"train/{song}/{name}.wav")
    assert load(folder) == expected


# What is bad


@pytest.mark.parametrize("name", ["mixture", "vocals", "other"])
def test_missing_wave_puts_the_song_into_quarantine(folder, name):
    (folder / f"train/Music Delta - Rock/{name}.wav").unlink()
    with pytest.raises(TooManyBadFilesError):
        load(folder)
    assert set(load(folder, max_bad=0.5)["train"]) == {musdb18.TRAIN[0]}
    report = load_dataset_builder("builders/musdb18", data_dir=str(folder)).quarantine_file("train").read_text()
    assert f"Music Delta - Rock/{name}.wav is listed in the metadata, but there is no such file" in report


def test_swapped_stems_are_heard(folder):
    song = folder / "train/Music Delta - Rock"
    (song / "bass.wav").rename(song / "held.wav")
    (song / "vocals.wav").rename(song / "bass.wav")
    (song / "held.wav").rename(song / "vocals.wav")
    row = load(folder)["train"]["Music Delta - Rock"]
    assert (pitch(row["bass"]), pitch(row["vocals"])) == (410, 110)


def test_mp4_with_too_few_streams_is_quarantined(stems, tmp_path):
    top = shutil.copytree(stems, tmp_path / "musdb18")
    sounds = list(musdb18.sounds_of(musdb18.TRAIN[0]).values())
    (top / f"train/{musdb18.TRAIN[0]}.stem.mp4").write_bytes(stem_mp4(sounds[:4]))
    (top / f"train/{musdb18.TRAIN[1]}.stem.mp4").write_bytes(b"no audio at all")
    (top / f"test/{musdb18.TEST[0]}.stem.mp4").write_bytes(pack_audio(sounds[0]))
    rows = load(top, "train100", max_bad=0.6)
    assert set(rows["train"]) == set(musdb18.VALIDATION)
    builder = load_dataset_builder("builders/musdb18", "train100", data_dir=str(top))
    assert "no sound stream 4 in an MP4 file of 4" in builder.quarantine_file("train").read_text()
    assert "no sound stream 4: not an MP4 file" in builder.quarantine_file("test").read_text()


@pytest.mark.parametrize("change", ["none", "song", "mixture", "stem", "split"])
def test_verify(folder, monkeypatch, capsys, change):
    default = builder_class("musdb18").BUILDER_CONFIGS[0]
    monkeypatch.setattr(default, "splits", {"train": Expected(2), "validation": Expected(2), "test": Expected(4)})
    if change == "song":
        shutil.rmtree(folder / "train" / musdb18.TRAIN[0])
    if change == "mixture":
        (folder / f"train/{musdb18.TRAIN[0]}/mixture.wav").unlink()
    if change == "stem":
        (folder / f"train/{musdb18.TRAIN[0]}/bass.wav").unlink()
    if change == "split":
        (folder / "train" / musdb18.TRAIN[0]).rename(folder / "test" / musdb18.TRAIN[0])
    status = main(["verify", "musdb18", "--data-dir", str(folder), *(["--deep"] if change == "stem" else [])])
    said = capsys.readouterr().out
    assert status == (0 if change == "none" else 1)
    expected = {"none": "as published", "song": "-1 utterances", "mixture": "1 files missing", "stem": "1 files bad",
                "split": r"\+1 utterances"}  # fmt: skip
    assert re.search(expected[change], said)


# Real


def test_real_stem_file(tmp_path, shared_data):
    import av
    import soxr

    (tmp_path / "test").mkdir()
    shutil.copy(shared_data(REAL), tmp_path / "test")
    row = load(tmp_path)["test"]["The Easton Ellises - Falcon 69"]
    assert (row["artist"], row["title"]) == ("The Easton Ellises", "Falcon 69")
    assert row["source"] == {"format": "MP4/AAC", "sampling_rate": 44100, "channels": 2}
    assert row["duration"] == pytest.approx(268_288 / 44_100, abs=0.05)
    data = shared_data(REAL).read_bytes()
    for number, name in enumerate(("audio", "drums", "bass", "other", "vocals")):
        with av.open(io.BytesIO(data)) as file:  # all streams at once, by number in the file
            frames = [frame.to_ndarray() for packet in file.demux() if packet.stream.index == number
                      for frame in packet.decode()]  # fmt: skip
        mono = soxr.resample(np.concatenate(frames, axis=1).mean(axis=0), 44_100, 16_000)
        found = decode(row[name])
        assert len(found) == len(mono)
        assert np.abs(found - np.clip(mono, -1, 1)).max() < 1e-3, name
    total = sum(decode(row[name]) for name in STEMS)
    assert np.corrcoef(total, decode(row["audio"]))[0, 1] > 0.9
    assert len({row[name]["bytes"] for name in COLUMNS}) == 5
