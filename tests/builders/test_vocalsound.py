from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError
from tests.corpora import vocalsound
from tests.corpora.archives import pack, zip_of
from tests.corpora.rows import by_id


def load(path: Path, *config: str, **options):
    table = load_dataset("builders/vocalsound", *config, data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return vocalsound.write(tmp_path / "vs_release_16k")


def test_row_by_hand(folder):
    rows = load(folder)
    assert rows["train"]["m0010_0_throatclearing"] == {
        "id": "m0010_0_throatclearing", "audio": vocalsound.samples_of("m0010_0_throatclearing").tolist(),
        "audio_path": "audio_16k/m0010_0_throatclearing.wav", "offset": 0.0, "duration": 0.1, "text": None,
        "speaker_id": "m0010", "language": None, "corpus": "vocalsound", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}, "gender": "male", "age": "45",
        "category": "throatclearing", "mid": "/m/0dl9sf8", "class_index": 3, "session_number": 0, "country": "India",
        "native_language": "Hindi", "health": "asthma, mild", "subtests": [],
    }  # fmt: skip


def test_splits_sessions_and_subtests(folder):
    rows = load(folder)
    assert {split: sorted(part) for split, part in rows.items()} == {
        "train": sorted(vocalsound.PARTS["tr"]),
        "validation": sorted(vocalsound.PARTS["val"]),
        "test": sorted(vocalsound.PARTS["te"]),
    }
    assert rows["train"]["f0003_1_sigh"]["session_number"] == 1
    assert sorted(rows["test"]["f0007_0_cough"]["subtests"]) == ["age3", "female"]
    assert sorted(rows["test"]["m0005_0_sniff"]["subtests"]) == ["age1", "male"]


@pytest.mark.parametrize("meta", ["records", "columns", "lists"])
def test_speakers_in_json(folder, tmp_path, meta):
    assert load(vocalsound.write(tmp_path / meta, meta=meta)) == load(folder)


@pytest.mark.parametrize("audio", ["data_44k", "audio_44k"])
@pytest.mark.parametrize("suffix", ["", "_rev"])
def test_44k_under_either_name(folder, tmp_path, audio, suffix):
    rows = load(vocalsound.write(tmp_path / "x", audio=audio, suffix=suffix), "44k")
    row = rows["train"]["f0003_0_cough"]
    assert (row["audio_path"], row["duration"]) == (f"{audio}/f0003_0_cough.wav", 0.1)
    assert row["source"]["sampling_rate"] == 44100
    changed = ("audio", "audio_path", "source")
    for split, part in load(folder).items():
        for name, expected in part.items():
            assert {**rows[split][name], **dict.fromkeys(changed)} == {**expected, **dict.fromkeys(changed)}


def test_lists_of_the_other_release_only(tmp_path, folder):
    assert load(vocalsound.write(tmp_path / "x", suffix="_rev")) == load(folder)


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archive_gives_the_same_rows(folder, tmp_path, suffix):
    assert load(pack(folder, tmp_path / f"data{suffix}")) == load(folder)


def test_published_archive_has_no_top_folder(folder, tmp_path):
    (tmp_path / "downloads").mkdir()
    members = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    zip_of(tmp_path / "downloads/vs_release_16k.zip", members)
    assert load(tmp_path / "downloads") == load(folder)


def test_copy_without_lists_is_split_by_the_tables_of_speakers(folder):
    expected = load(folder)
    for path in (folder / "datafiles").glob("*.json"):
        path.unlink()
    assert load(folder) == expected


def test_copy_without_tables_keeps_what_names_and_lists_tell(folder):
    for path in (folder / "meta").iterdir():
        path.unlink()
    (folder / "class_labels_indices_vs.csv").unlink()
    row = load(folder)["train"]["f0003_0_cough"]
    assert (row["gender"], row["age"], row["category"], row["class_index"]) == ("female", None, "cough", None)


# It bites


def test_missing_clip_is_quarantined(folder, caplog):
    (folder / "audio_16k/f0003_0_cough.wav").unlink()
    assert len(load(folder, max_bad=0.5)["train"]) == 3
    assert "audio_16k/f0003_0_cough.wav" in caplog.text


def test_swapped_columns_of_the_speakers_show(folder):
    for path in (folder / "meta").iterdir():
        lines = (line.split(",") for line in path.read_text().splitlines())
        path.write_text("".join(",".join([row[0], row[1], row[3], row[2], *row[4:]]) + "\n" for row in lines))
    assert load(folder)["train"]["f0003_0_cough"]["age"] == "United States"


def test_entry_dropped_from_a_list_and_another_class(folder):
    path = folder / "datafiles/tr.json"
    data = json.loads(path.read_text())["data"][1:]
    data[0]["labels"] = "/m/01b_21"
    path.write_text(json.dumps({"data": data}))
    rows = load(folder)["train"]
    assert len(rows) == 3
    assert rows["f0003_0_laughter"]["category"] == "cough"  # the list counts, not the name


def test_16k_is_not_taken_from_44k(tmp_path):
    with pytest.raises(CorpusError, match=r"no utterances of vocalsound \(16k: train, validation, test\)"):
        load(vocalsound.write(tmp_path / "x", audio="data_44k"))
