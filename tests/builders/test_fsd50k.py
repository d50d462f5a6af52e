from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError, TooManyBadFilesError
from builders.fsd50k.fsd50k import PUBLISHED
from builders.register import builder_class
from tests.corpora import fsd50k
from tests.corpora.archives import pack
from tests.corpora.rows import by_id

REFERENCE = Path(__file__).parent.parent / "corpora/references/fsd50k.json"


def load(path: Path, **options):
    table = load_dataset("builders/fsd50k", data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fsd50k.write(tmp_path)


def test_row_by_hand(folder):
    row = load(folder)["train"]["16399"]
    assert len(row.pop("audio")) == round((13230 + 399) / 44100 * 16000)
    assert row.pop("duration") == round((13230 + 399) / 44100 * 16000) / 16000
    assert row == {
        "id": "16399", "audio_path": "FSD50K.dev_audio/16399.wav", "offset": 0.0, "text": None, "speaker_id": None,
        "language": None, "corpus": "fsd50k", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 44100, "channels": 1},
        "events": ["Electric_guitar", "Guitar", "Plucked_string_instrument", "Musical_instrument", "Music"],
        "mids": ["/m/02sgy", "/m/0342h", "/m/0fx80y", "/m/04szw", "/m/04rlf"],
        "collection_events": ["Electric_guitar", "Guitar"], "collection_mids": ["/m/02sgy", "/m/0342h"],
        "uploader": "someone", "title": "riff, \u00e9lectrique", "description": "two\nlines", "tags": [],
        "licence": "http://creativecommons.org/publicdomain/zero/1.0/",
        "ratings": [{"mid": "/m/02sgy", "votes": [1.0, 0.5, 0.5, -1.0]}, {"mid": "/m/0342h", "votes": [0.5, 0.5, 0.0]}],
    }  # fmt: skip


def test_splits(folder):
    assert {split: set(rows) for split, rows in load(folder).items()} == {
        "train": {"64760", "16399", "190579"}, "validation": {"345111", "420945"}, "test": {"37199", "99"},
    }  # fmt: skip


def test_clip_without_labels_of_raters(folder):
    row = load(folder)["validation"]["420945"]
    assert (row["collection_events"], row["collection_mids"], row["ratings"]) == ([], [], [])


def test_without_metadata_there_are_events_alone(tmp_path):
    row = load(fsd50k.write(tmp_path, metadata=False))["test"]["99"]
    assert row["events"] == ["Chewing_and_mastication", "Human_voice"]
    assert {row[name] for name in ("uploader", "title", "description", "licence")} == {None}
    assert [row[name] for name in ("tags", "collection_events", "collection_mids", "ratings")] == [None] * 4


def test_ratings_under_the_name_of_the_documentation(folder):
    expected = load(folder)
    metadata = folder / "FSD50K.metadata"
    (metadata / "pp_pnp_ratings_FSD50K.json").rename(metadata / "pp_pnp_ratings.json")
    assert load(folder) == expected


def test_split_zips_as_they_are_published(folder, tmp_path):
    archives = fsd50k.write_archives(tmp_path / "archives")
    assert {path.name for path in archives.iterdir()} == set(PUBLISHED)
    assert load(archives) == load(folder)
    (archives / "FSD50K.dev_audio.z03").unlink()
    with pytest.raises(CorpusError, match=r"FSD50K\.dev_audio\.z03 is not beside it"):
        load(archives)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_folder_archive_and_the_folder_above(folder, tmp_path, suffix):
    assert load(pack(folder, tmp_path / f"copy{suffix}")) == load(folder) == load(folder.parent)


def test_copy_at_16_khz(folder, tmp_path):
    rows = load(fsd50k.write(tmp_path / "copy", copy_16k=True))
    row = rows["test"]["99"]
    assert row["audio_path"] == "FSD50K.eval_audio_16k/99.wav"
    assert row["source"]["sampling_rate"] == 16000
    assert row["audio"] == fsd50k.samples_of("99", 16000).tolist()
    original = load(folder)
    assert {split: set(part) for split, part in rows.items()} == {split: set(part) for split, part in original.items()}
    shutil.copytree(tmp_path / "copy/FSD50K", folder, dirs_exist_ok=True)
    assert load(folder) == original  # where both are there, the original is read


def test_soundata_reads_the_same(folder):
    rows = {(split, name): row for split, part in load(folder).items() for name, row in part.items()}
    reference = json.loads(REFERENCE.read_text())
    assert set(rows) == {(clip["split"], clip["id"]) for clip in reference}
    for clip in reference:
        row = rows[clip["split"], clip["id"]]
        assert (row["audio_path"], row["source"]["sampling_rate"]) == (clip["audio"], clip["rate"])
        assert row["duration"] == pytest.approx(clip["seconds"], abs=1 / 16000)
        assert (row["events"], row["mids"]) == (clip["events"], clip["mids"])
        assert {rating["mid"]: rating["votes"] for rating in row["ratings"]} == clip["ratings"]
        info = {**clip["info"], "licence": clip["info"]["license"]}
        names = ("title", "description", "tags", "licence", "uploader")
        assert [row[name] for name in names] == [info[name] for name in names]
        # soundata reads an empty cell as one label without letters
        raw = {name: [label for label in labels if label] for name, labels in clip["collection"].items()}
        assert (row["collection_events"], row["collection_mids"]) == (raw["tags"], raw["mids"])


# It bites


def verify(folder: Path, monkeypatch) -> int:
    (config,) = builder_class("fsd50k").BUILDER_CONFIGS
    published = {"train": Expected(3), "validation": Expected(2), "test": Expected(2)}
    monkeypatch.setattr(config, "splits", published)
    return main(["verify", "fsd50k", "--data-dir", str(folder)])


def test_verify(folder, monkeypatch, capsys):
    assert verify(folder, monkeypatch) == 0
    (folder / "FSD50K.dev_audio/64760.wav").unlink()
    assert verify(folder, monkeypatch) == 1
    assert "1 files missing, -1 utterances" in capsys.readouterr().out


def test_row_dropped(folder, monkeypatch, capsys):
    table = folder / "FSD50K.ground_truth/eval.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    assert verify(folder, monkeypatch) == 1
    assert "-1 utterances" in capsys.readouterr().out
    assert set(load(folder)["test"]) == {"37199"}


def test_column_swapped(folder):
    table = folder / "FSD50K.ground_truth/eval.csv"
    table.write_text(table.read_text().replace("fname,labels,mids", "fname,mids,labels"))
    assert load(folder)["test"]["99"]["events"] == ["/m/03cczk", "/m/09l8g"]


def test_missing_clip_is_quarantined(folder):
    (folder / "FSD50K.eval_audio/99.wav").unlink()
    with pytest.raises(TooManyBadFilesError, match="there is no such file"):
        load(folder)
    assert set(load(folder, max_bad=0.5)["test"]) == {"37199"}


def test_ground_truth_is_needed(folder):
    shutil.rmtree(folder / "FSD50K.ground_truth")
    with pytest.raises(CorpusError, match=r"no utterances of fsd50k .*FSD50K is open"):
        load(folder)
