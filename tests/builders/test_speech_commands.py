from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from builders.files import Files
from builders.register import builder_class
from builders.speech_commands.speech_commands import PUBLISHED
from tests.corpora import speech_commands
from tests.corpora.archives import SUFFIXES, pack

REFERENCE = Path(__file__).parents[1] / "corpora" / "references" / "speech_commands.json"


def load(path: Path, *config: str, **options):
    return load_dataset("builders/speech_commands", *config, data_dir=str(path), **options)


def rows(table) -> dict[str, dict]:
    return {row["id"]: row for row in table}


def without_place(table) -> list[dict]:
    kept = ({name: value for name, value in row.items() if name != "audio_path"} for row in table)
    return sorted(kept, key=lambda row: row["id"])


def flat_tar(folder: Path, archive: Path) -> Path:
    """Write the archive as it is published: no top folder, members begin with ``./``."""
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, ".")
    return archive


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return speech_commands.write(tmp_path / "corpus")


# Rows


def test_rows_by_hand(top):
    table = load(top)
    assert {split: sorted(part["id"]) for split, part in table.items()} == {
        "train": ["six_0b40b1e4_nohash_0", "yes_0b40b1e4_nohash_0", "yes_0b40b1e4_nohash_1"],
        "validation": ["bed_439c84f4_nohash_1", "six_0b09edd3_nohash_1"],
        "test": ["right_bb05582b_nohash_3", "visual_f2e59fea_nohash_0"],
    }
    row = rows(table["validation"])["six_0b09edd3_nohash_1"]
    assert (row["text"], row["keyword"], row["speaker_id"], row["number"]) == ("six", "six", "0b09edd3", 1)
    assert (row["category"], row["is_unknown"], row["language"]) == ("_unknown_", True, "en")
    assert row["audio_path"] == "speech_commands_v0.02/six/0b09edd3_nohash_1.wav"
    samples = speech_commands.samples_of("six/0b09edd3_nohash_1.wav")
    assert row["duration"] == len(samples) / 16_000
    np.testing.assert_array_equal(decode(row["audio"]) * 32768, samples)
    row = rows(table["train"])["yes_0b40b1e4_nohash_1"]
    assert (row["category"], row["is_unknown"]) == ("yes", False)


def test_background_noise_is_a_configuration_of_its_own(top):
    table = load(top, "v0.02.background_noise")
    assert list(table) == ["train"]
    found = rows(table["train"])
    assert set(found) == {"_background_noise__running_tap", "_background_noise__pink_noise"}
    for row in found.values():
        assert (row["text"], row["language"], row["speaker_id"], row["duration"]) == (None, None, None, 2.0)
        assert (row["category"], row["keyword"]) == ("_silence_", "_background_noise_")


def test_test_set_of_twelve_classes(tmp_path):
    table = load(speech_commands.write_test_set(tmp_path), "v0.02.test_set")
    found = {
        name: (row["text"], row["speaker_id"], row["category"], row["language"])
        for name, row in rows(table["test"]).items()
    }
    assert found == {
        "right_bb05582b_nohash_3": ("right", "bb05582b", "right", "en"),
        "yes_a69b9b3e_nohash_0": ("yes", "a69b9b3e", "yes", "en"),  # ends in .wav.wav
        "_unknown__bed_439c84f4_nohash_0": ("bed", "439c84f4", "_unknown_", "en"),
        "_unknown__visual_f2e59fea_nohash_0": ("visual", "f2e59fea", "_unknown_", "en"),
        "_silence__3": (None, None, "_silence_", None),
    }


def test_both_versions_and_their_test_sets_side_by_side(tmp_path):
    for version in ("v0.01", "v0.02"):
        speech_commands.write(tmp_path, version)
        speech_commands.write_test_set(tmp_path, version)
    for version in ("v0.01", "v0.02"):
        table = load(tmp_path, version)
        assert [len(part) for part in table.values()] == [3, 2, 2]
        assert all(path.startswith(f"speech_commands_{version}/") for path in table["train"]["audio_path"])
        assert len(load(tmp_path, f"{version}.test_set")["test"]) == 5
        assert len(load(tmp_path, f"{version}.background_noise")["train"]) == 2


def test_another_version_is_not_taken_for_it(top):
    for config in ("v0.01", "v0.01.background_noise", "v0.02.test_set"):
        with pytest.raises(CorpusError, match=f"no utterances of speech_commands .{config}"):
            load(top, config)


# Layouts


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archive_with_a_top_folder(top, tmp_path, suffix):
    archive = pack(top, tmp_path / f"speech_commands_v0.02{suffix}")
    for split, part in load(top).items():
        assert rows(load(archive)[split]) == rows(part)


def test_published_archives_have_no_top_folder(top, tmp_path):
    test_set = speech_commands.write_test_set(tmp_path)
    folder = tmp_path / "archives"
    folder.mkdir()
    flat_tar(top, folder / "speech_commands_v0.02.tar.gz")
    flat_tar(test_set, folder / "speech_commands_test_set_v0.02.tar.gz")
    for split, part in load(top).items():
        assert without_place(load(folder)[split]) == without_place(part)
        assert without_place(load(folder / "speech_commands_v0.02.tar.gz")[split]) == without_place(part)
    expected = without_place(load(test_set, "v0.02.test_set")["test"])
    assert without_place(load(folder, "v0.02.test_set")["test"]) == expected
    noises = load(folder, "v0.02.background_noise")["train"]
    assert sorted(noises["audio_path"])[0] == "_background_noise_/pink_noise.wav"


def test_folder_of_another_name_and_level(top):
    expected = {split: without_place(part) for split, part in load(top).items()}
    renamed = top.rename(top.parent / "sc")
    for path in (renamed, renamed.parent):
        assert {split: without_place(part) for split, part in load(path).items()} == expected


@pytest.mark.parametrize("packed", [False, True])
def test_archives_of_one_split_each(tmp_path, packed):
    folder = speech_commands.write_repacked(tmp_path / "hub")
    if packed:
        for path in sorted(folder.iterdir()):
            flat_tar(path, folder / f"{path.name}.tar.gz")
            shutil.rmtree(path)
    table = load(folder)
    assert {split: len(part) for split, part in table.items()} == {"train": 4, "validation": 2, "test": 5}
    silence = rows(table["train"])["_silence__running_tap"]
    assert (silence["text"], silence["language"], silence["category"]) == (None, None, "_silence_")
    assert rows(table["validation"])["bed_439c84f4_nohash_1"]["text"] == "bed"


# What must change the result


def test_lists_decide(top):
    path = top / "validation_list.txt"
    path.write_text("six/0b09edd3_nohash_1.wav\n")
    table = load(top)
    assert table["validation"]["id"][:] == ["six_0b09edd3_nohash_1"]
    assert "bed_439c84f4_nohash_1" in table["train"]["id"]
    path.unlink()
    with pytest.raises(CorpusError, match=r"validation_list\.txt is missing"):
        load(top)
    (top / "testing_list.txt").unlink()
    with pytest.raises(CorpusError, match="nothing tells the split of"):
        load(top)


def test_listed_file_that_is_not_there_is_quarantined(top, caplog):
    (top / "bed/439c84f4_nohash_1.wav").unlink()
    (top / "six/0b40b1e4_nohash_0.wav").write_bytes(b"")
    table = load(top, max_bad=0.5)
    assert table["validation"]["id"][:] == ["six_0b09edd3_nohash_1"]
    assert len(table["train"]) == 2
    assert "bed/439c84f4_nohash_1.wav is listed in the metadata, but there is no such file" in caplog.text
    assert "six/0b40b1e4_nohash_0.wav: empty file" in caplog.text


# Another reader


def test_rows_are_those_of_lhotse(tmp_path):
    speech_commands.write(tmp_path)
    speech_commands.write_test_set(tmp_path)
    ours = load(tmp_path)
    ours["test"] = load(tmp_path, "v0.02.test_set")["test"]  # its test split is the set of 12 classes
    names = {"train": "train", "valid": "validation", "test": "test"}
    reference = json.loads(REFERENCE.read_text())
    assert set(reference) == set(names)
    for part, split in names.items():
        theirs = {row[0]: row[1:] for row in reference[part]}
        # It mixes the background noise into the words: running_tap into validation, the rest into train.
        noises = {name for name in theirs if name.startswith("_background_noise_")}
        assert noises == {
            "train": {"_background_noise__pink_noise"}, "valid": {"_background_noise__running_tap"}, "test": set(),
        }[part]  # fmt: skip
        found = {
            # It has an empty text where nobody speaks.
            row["id"]: [row["text"] or "", row["speaker_id"], row["offset"], row["duration"]]
            for row in ours[split]
        }
        assert found == {name: row for name, row in theirs.items() if name not in noises}


# Real lists


@pytest.mark.parametrize(("version", "train"), [("v0.01", None), ("v0.02", 84843)])
def test_official_lists(shared_data, version, train):
    folder = shared_data(f"corpora_metadata/speech_commands_{version}")
    builder = builder_class("speech_commands")(config_name=version, data_dir=str(folder))
    files = Files(folder, root=builder.FACTS.root)
    speakers = {}
    for split in ("validation", "test"):
        found = list(builder.utterances(files, split))
        assert len(found) == len({row.id for row in found}) == PUBLISHED[version][split].utterances
        assert all(row.speaker_id and row.text and row.labels["number"] is not None for row in found)
        assert len({row.text for row in found}) == (35 if version == "v0.02" else 30)
        speakers[split] = {row.speaker_id for row in found}
    assert not speakers["validation"] & speakers["test"]
    assert train in (None, PUBLISHED[version]["train"].utterances)
    files.close()
