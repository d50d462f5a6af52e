from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.register import builder_class
from tests.corpora import urbansound8k
from tests.corpora.archives import pack
from tests.corpora.rows import by_id
from tests.corpora.sound import pack_audio, tone

STORED = Path(__file__).parents[1] / "corpora/references/urbansound8k.json"
IDS = {excerpt.row.split(".wav")[0] for excerpt in urbansound8k.EXCERPTS}


def load(path: Path, **options):
    return by_id(load_dataset("builders/urbansound8k", data_dir=str(path), split="train", **options))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return urbansound8k.write(tmp_path)


def test_row_by_hand(folder):
    row = load(folder)["100032-3-0-0"]
    assert len(row.pop("audio")) == 5081
    assert row == {
        "id": "100032-3-0-0", "audio_path": "fold5/100032-3-0-0.wav", "offset": 0.0, "duration": 5081 / 16000,
        "text": None, "speaker_id": None, "language": None, "corpus": "urbansound8k", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 44100, "channels": 2}, "category": "dog_bark", "fold": 5,
        "class_id": 3, "salience": 1, "freesound_id": "100032", "occurrence": 0, "slice": 0,
        "recording_start": 0.0, "recording_end": 0.317551,
    }  # fmt: skip


@pytest.mark.parametrize("excerpt", urbansound8k.EXCERPTS, ids=lambda excerpt: f"{excerpt.rate}-{excerpt.subtype}")
def test_every_encoding_becomes_the_mean_of_its_channels(folder, excerpt):
    row = load(folder)[excerpt.row.split(".wav")[0]]
    assert row["source"] == {
        "format": f"WAV/{excerpt.subtype}", "sampling_rate": excerpt.rate, "channels": excerpt.channels,
    }  # fmt: skip
    level = 2 / 3 if excerpt.channels == 2 else 1.0  # the right channel is a third of the left
    expected = tone(urbansound8k.PITCH, excerpt.seconds, amplitude=level / 2) * 32768
    found = np.array(row["audio"])
    assert row["duration"] == len(found) / 16000
    blocks = 4096 / excerpt.rate if "ADPCM" in excerpt.subtype else 0.0  # it fills its last block with silence
    assert excerpt.seconds - 1e-4 <= row["duration"] <= excerpt.seconds + 1e-4 + blocks
    middle = slice(200, min(len(found), len(expected)) - 200)
    assert np.abs(found[middle] - expected[middle]).max() < 600


@pytest.mark.parametrize("layout", ["published", "flat"])
@pytest.mark.parametrize("suffix", [None, ".tar.gz", ".zip"])
def test_layouts_and_archives_give_the_same_rows(folder, tmp_path, layout, suffix):
    top = urbansound8k.write(tmp_path / layout, layout=layout)
    assert load(pack(top, tmp_path / f"copy{suffix}") if suffix else top) == load(folder)


def test_folder_above_gives_the_same_rows(folder):
    assert load(folder.parent) == load(folder)


def test_soundata_reads_the_same(folder):
    rows = load(folder)
    stored = json.loads(STORED.read_text())
    assert {row["id"] for row in stored} == set(rows)
    for other in stored:
        row = rows[other["id"]]
        for name in ("category", "class_id", "fold", "salience", "freesound_id", "recording_start", "recording_end"):
            assert row[name] == other[name], (other["id"], name)
        # soundata resamples all to 44.1 kHz, we to 16 kHz: length and level are the same
        assert other["rate"] == 44_100
        assert row["duration"] == pytest.approx(other["samples"] / 44_100, abs=1 / 16_000)
        level = np.sqrt(np.mean(np.square(np.array(row["audio"]) / 32768)))
        assert level == pytest.approx(other["level"], rel=0.01)


def test_other_columns_of_copies_do_no_harm(folder):
    expected = load(folder)
    table = folder / "metadata/UrbanSound8K.csv"
    header, *rows = table.read_text().splitlines()
    numbered = [f"{number},{row}" for number, row in enumerate(rows)]
    table.write_text("\n".join([f",{header}_name", *numbered]) + "\n")
    assert load(folder) == expected


# What is bad


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (pack_audio(np.zeros(0), 44_100), "no samples"),
        (pack_audio(tone(440, 0.1, 44_100), 44_100)[:2000], "truncated"),
        (b"no audio at all", "not audio"),
    ],
)
def test_bad_recording_is_quarantined(folder, data, reason):
    (folder / "audio/fold5/100032-3-0-0.wav").write_bytes(data)
    assert set(load(folder, max_bad=0.5)) == IDS - {"100032-3-0-0"}
    report = load_dataset_builder("builders/urbansound8k", data_dir=str(folder)).quarantine_file("train").read_text()
    assert json.loads(report)["member"] == "fold5/100032-3-0-0.wav"
    assert reason in report


def test_real_odd_wavs(folder, shared_data):
    odd = shared_data("odd_wav_scipy/scipy/io/tests/data")
    wanted = {
        "100032-3-0-0": ("test-8000Hz-le-2ch-1byteu.wav", "WAV/PCM_U8", 8000, 2),
        "100263-2-0-117": ("test-48000Hz-2ch-64bit-float-le-wavex.wav", "WAVEX/DOUBLE", 48000, 2),
        "101415-3-0-2": ("test-44100Hz-2ch-32bit-float-be.wav", "WAV/FLOAT", 44100, 2),
        "7061-6-0-0": ("test-8000Hz-le-3ch-5S-24bit.wav", "WAV/PCM_24", 8000, 3),
        "7383-3-0-0": ("test-44100Hz-le-1ch-4bytes-rf64.wav", "RF64/PCM_32", 44100, 1),
        "24074-1-0-2": ("test-8000Hz-le-1ch-1byte-ulaw.wav", "WAV/ULAW", 8000, 1),
    }
    for name, (file, *_) in wanted.items():
        shutil.copy(odd / file, next(folder.rglob(f"{name}.wav")))
    rows = load(folder)
    for name, (_, form, rate, channels) in wanted.items():
        assert rows[name]["source"] == {"format": form, "sampling_rate": rate, "channels": channels}, name
        assert rows[name]["audio"]
    shutil.copy(odd / "test-44100Hz-le-1ch-4bytes-early-eof.wav", next(folder.rglob("100032-3-0-0.wav")))
    assert set(load(folder, max_bad=0.5)) == IDS - {"100032-3-0-0"}  # it ends before its header says so


def test_recording_without_a_row_is_named(folder, caplog):
    table = folder / "metadata/UrbanSound8K.csv"
    table.write_text("".join(line for line in table.open() if not line.startswith("7061-6-0-0")))
    assert set(load(folder)) == IDS - {"7061-6-0-0"}
    assert "fold1/7061-6-0-0.wav left out: UrbanSound8K.csv does not list it" in caplog.text


def test_recording_in_another_fold_is_missing(folder):
    (folder / "audio/fold2").mkdir()
    shutil.move(folder / "audio/fold5/100032-3-0-0.wav", folder / "audio/fold2")
    assert set(load(folder, max_bad=0.5)) == IDS - {"100032-3-0-0"}


def test_swapped_columns_are_refused(folder):
    table = folder / "metadata/UrbanSound8K.csv"
    published = table.read_text()
    for one, other in (("salience,fold", "fold,salience"), ("start,end", "end,start"), ("fsID,start", "start,fsID"),
                       ("fold,classID", "classID,fold")):  # fmt: skip
        table.write_text(published.replace(one, other))
        with pytest.raises(CorpusError, match=r"UrbanSound8K\.csv has the row"):
            load(folder)


@pytest.mark.parametrize("row", ["1-2-3.wav,1,0,1,1,1,2,dog_bark", "7-2-0-0.wav,7,0,1,1,1,2,siren",
                                 "7-12-0-0.wav,7,0,1,1,1,12,siren", "7-2-0-0.wav,7"])  # fmt: skip
def test_row_that_contradicts_itself_is_refused(folder, row):
    with (folder / "metadata/UrbanSound8K.csv").open("a") as table:
        table.write(f"{row}\n")
    with pytest.raises(CorpusError, match="fetch it again"):
        load(folder)


def test_recordings_without_the_table_are_not_the_corpus(folder):
    (folder / "metadata/UrbanSound8K.csv").unlink()
    with pytest.raises(CorpusError, match=r"no utterances of urbansound8k .*UrbanSound8K\.csv"):
        load(folder)


# Against the publication


def test_real_table(tmp_path, shared_data):
    shutil.copy(shared_data("corpora_metadata/urbansound8k/UrbanSound8K.csv"), tmp_path)
    builder = load_dataset_builder("builders/urbansound8k", data_dir=str(tmp_path))
    rows = builder.listing("train").to_pylist()
    (expected,) = builder_class("urbansound8k").BUILDER_CONFIGS[0].splits.values()
    assert len(rows) == expected.utterances == 8732
    assert sum(row["recording_end"] - row["recording_start"] for row in rows) / 3600 == pytest.approx(8.75, abs=0.005)
    assert Counter(row["category"] for row in rows) == {
        "air_conditioner": 1000, "car_horn": 429, "children_playing": 1000, "dog_bark": 1000, "drilling": 1000,
        "engine_idling": 1000, "gun_shot": 374, "jackhammer": 1000, "siren": 929, "street_music": 1000,
    }  # fmt: skip
    assert Counter(row["fold"] for row in rows) == {
        1: 873, 2: 888, 3: 925, 4: 990, 5: 936, 6: 823, 7: 838, 8: 806, 9: 816, 10: 837,
    }  # fmt: skip


@pytest.mark.parametrize("change", ["none", "file", "row", "both"])
def test_verify(folder, monkeypatch, capsys, change):
    (default,) = builder_class("urbansound8k").BUILDER_CONFIGS
    monkeypatch.setattr(default, "splits", {"train": Expected(len(IDS))})
    if change in ("file", "both"):
        next(folder.rglob("7061-6-0-0.wav")).unlink()
    if change in ("row", "both"):
        table = folder / "metadata/UrbanSound8K.csv"
        table.write_text("".join(line for line in table.open() if not line.startswith("7061-6-0-0")))
    status = main(["verify", "urbansound8k", "--data-dir", str(folder)])
    said = capsys.readouterr().out
    assert status == (0 if change == "none" else 1)
    assert {"none": "as published", "file": "1 files missing", "row": "-1 utterances", "both": "-1 utt"}[change] in said
