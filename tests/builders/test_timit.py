from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from builders.phones import fold
from builders.timit.timit import CORE_TEST, years
from tests.corpora import timit
from tests.corpora.archives import pack
from tests.corpora.sound import noise, riff

WITHOUT_PLACE = ("audio", "audio_path", "source")


def load(path: Path, *config: str, **options):
    return load_dataset("builders/timit", *config, data_dir=str(path), **options)


def facts(table) -> list[dict]:
    """Return the rows without what depends on the layout, sorted."""
    kept = ({name: value for name, value in row.items() if name not in WITHOUT_PLACE} for row in table)
    return sorted(kept, key=lambda row: row["id"])


def pcm(row: dict) -> np.ndarray:
    return np.rint(decode(row["audio"]) * 32768).astype(np.int16)


@pytest.fixture
def ldc(tmp_path: Path) -> Path:
    return timit.write(tmp_path / "ldc")


@pytest.mark.parametrize("layout", timit.LAYOUTS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_all_layouts_and_line_ends_give_the_same_rows(ldc, tmp_path, layout, newline):
    expected = load(ldc)
    found = load(timit.write(tmp_path / layout, layout, newline=newline))
    assert list(found) == (["train"] if layout == "nltk" else ["train", "test"])
    for split in found:
        assert facts(found[split]) == facts(expected[split])
        by_id = {row["id"]: row for row in found[split]}
        for row in expected[split]:
            np.testing.assert_array_equal(pcm(by_id[row["id"]]), pcm(row))


@pytest.mark.parametrize("layout", timit.LAYOUTS)
@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archives_of_all_layouts(ldc, tmp_path, layout, suffix):
    archive = pack(timit.write(tmp_path / layout, layout), tmp_path / f"x{suffix}")
    assert facts(load(archive)["train"]) == facts(load(ldc)["train"])


def test_archive_in_a_folder_is_found_by_its_name(ldc, tmp_path):
    folder = tmp_path / "downloads"
    folder.mkdir()
    pack(ldc, folder / "LDC93S1.tar.gz")
    assert facts(load(folder)["test"]) == facts(load(ldc)["test"])


@pytest.mark.parametrize("layout", ["ldc", "lower", "kaggle"])
def test_folder_of_one_split_keeps_its_split(ldc, tmp_path, layout):
    top = timit.write(tmp_path / layout, layout)
    (folder,) = [path for path in top.rglob("*") if path.name.lower() == "test"]
    found = load(folder)
    assert list(found) == ["test"]
    assert [row["id"] for row in facts(found["test"])] == [row["id"] for row in facts(load(ldc)["test"])]


def test_folder_of_one_speaker_keeps_its_split(tmp_path):
    top = timit.write(tmp_path, "hyphen")
    found = load(top / "TEST-DR1-MDAB0")
    assert {split: sorted(part["id"]) for split, part in found.items()} == {"test": ["MDAB0_SA2", "MDAB0_SX139"]}


@pytest.mark.parametrize("inside", ["TEST/DR1", "TRAIN/DR1", "TEST/DR1/MDAB0"])
def test_folder_below_a_split_is_refused(ldc, inside):
    with pytest.raises(CorpusError, match=f"is {inside} of TIMIT: pass the folder that holds TRAIN and TEST"):
        load(ldc / inside)


def test_regions_that_no_split_is_told_of_are_refused(ldc, tmp_path):
    (ldc / "TEST/DR1").rename(tmp_path / "DR1")
    with pytest.raises(CorpusError, match=r"nothing tells whether DR1/\w+/SA\d\.\w+ is of TRAIN or of TEST"):
        load(tmp_path)


def test_sentence_of_the_documentation_by_hand(ldc):
    (row,) = (row for row in load(ldc)["train"] if row["id"] == "FCJF0_SA1")
    assert row["duration"] == 46797 / 16000 == 2.9248125
    assert row["text"] == "She had your dark suit in greasy wash water all year."
    assert (row["speaker_id"], row["gender"], row["dialect"], row["dialect_region"]) == (
        "FCJF0",
        "female",
        "New England",
        1,
    )
    assert (row["sentence_type"], row["age"], row["height"]) == (
        "SA",
        "23",
        "5'4\"",
    )  # born 31 August, recorded 18 April
    assert (row["race"], row["education"]) == (None, None)  # ??? and ?? in the document
    assert row["audio_path"] == "TRAIN/DR1/FCJF0/SA1.WAV"
    assert row["audio"]["path"] == "FCJF0_SA1.flac"
    assert row["source"] == {"format": "NIST/PCM_16", "sampling_rate": 16000, "channels": 1}
    phones = [(s["start"], s["end"], s["label"]) for s in row["segments"] if s["tier"] == "phones"]
    assert phones == [
        (0.0, 0.190625, "h#"), (0.190625, 0.2849375, "sh"), (0.2849375, 0.3576875, "ix"),
        (0.3576875, 0.415125, "hv"), (2.875, 2.9248125, "h#"),
    ]  # fmt: skip
    words = [(s["start"], s["end"], s["label"]) for s in row["segments"] if s["tier"] == "words"]
    assert words == [(0.190625, 0.3576875, "she"), (0.3576875, 0.6460625, "had")]
    assert {(s["speaker"], s["score"]) for s in row["segments"]} == {(None, None)}


def test_labels_of_other_speakers(ldc):
    table = load(ldc)
    by_id = {row["id"]: row for part in table.values() for row in part}
    assert by_id["MABC0_SX241"]["dialect"] == "New York City"
    assert by_id["MABC0_SX241"]["gender"] == "male"
    assert by_id["MABC0_SX241"]["age"] == "25"
    assert by_id["MABC0_SX241"]["sentence_type"] == "SX"
    assert by_id["FAKS0_SA1"]["education"] == "PHD"
    assert by_id["FAKS0_SA1"]["age"] == "28"
    assert by_id["MGRT0_SI1450"]["age"] is None  # born 09/14/??
    assert by_id["MGRT0_SI1450"]["dialect"] == "Western"
    assert by_id["MGRT0_SI1450"]["race"] == "WHT"


@pytest.mark.parametrize(
    ("birth", "recorded", "age"),
    [
        ("06/17/60", "03/03/86", "25"), ("03/03/60", "03/03/86", "26"), ("03/04/60", "03/03/86", "25"),
        ("02/29/60", "02/28/86", "25"), ("09/14/??", "03/03/86", None), ("", "03/03/86", None),
    ],
)  # fmt: skip
def test_age_in_whole_years(birth, recorded, age):
    assert years(birth, recorded) == age


def test_copy_without_documents_or_labels(ldc):
    (ldc / "DOC" / "SPKRINFO.TXT").unlink()
    for path in ldc.rglob("*.[PWT][HRX][NDT]"):
        path.unlink()
    row = load(ldc)["train"][0]
    assert (row["gender"], row["dialect_region"], row["age"], row["text"], row["segments"]) == (
        "female",
        1,
        None,
        None,
        [],
    )


def test_core_configuration_is_two_men_and_a_woman_of_each_region_without_sa(ldc):
    assert len(CORE_TEST) == 24
    assert sum(speaker.startswith("M") for speaker in CORE_TEST) == 16
    table = load(ldc, "core")
    assert [row["id"] for row in facts(table["test"])] == ["MDAB0_SX139", "MGRT0_SI1450"]
    assert facts(table["train"]) == facts(load(ldc)["train"])


def test_riff_copy_goes_before_sphere_and_nothing_comes_twice(tmp_path):
    top = timit.write(tmp_path, "kaggle")
    other = noise(1600, seed=99)
    (top / "data/TRAIN/DR1/FCJF0/SI1027.WAV.wav").write_bytes(riff(other))
    table = load(top)["train"]
    (row,) = (row for row in table if row["id"] == "FCJF0_SI1027")
    np.testing.assert_array_equal(pcm(row), other)
    assert all(row["audio_path"].endswith(".WAV.wav") for row in table)


def test_sentence_without_audio_is_quarantined_and_not_lost(ldc, caplog):
    (ldc / "TRAIN/DR1/FCJF0/SA1.WAV").unlink()
    table = load(ldc, max_bad=0.5)
    assert len(table["train"]) == 2
    assert "TRAIN/DR1/FCJF0/SA1.WAV is listed in the metadata, but there is no such file" in caplog.text


def test_copies_in_two_letter_cases_give_each_sentence_once(ldc):
    expected = facts(load(ldc)["train"])
    timit.write(ldc.parent / "copy", "lower")
    assert facts(load(ldc.parent)["train"]) == expected


def test_copies_in_two_layouts_are_an_error(ldc):
    timit.write(ldc.parent / "sample", "nltk")
    with pytest.raises(CorpusError, match=r"3 utterance ids occur twice, e\.g\. '.*two copies. Point data_dir at one"):
        load(ldc.parent)


def test_speakers_of_one_set_of_initials_are_told_apart(ldc):
    men = ldc / "TRAIN/DR1/MCJF0"
    men.mkdir()
    (men / "SA1.WAV").write_bytes(riff(noise(1600)))
    speakers = {row["speaker_id"]: row for row in load(ldc)["train"]}
    assert {"FCJF0", "MCJF0"} <= set(speakers)
    assert (speakers["MCJF0"]["gender"], speakers["MCJF0"]["age"]) == ("male", None)  # the document has F CJF0 only


# Real recordings


def test_nltk_sample(shared_data):
    folder = shared_data("timit_nltk_sample")
    table = load(folder)
    assert list(table) == ["train"]
    table = table["train"]
    assert len(table) == len(list(folder.rglob("*.wav"))) == 100
    assert len(set(table["speaker_id"])) == 10
    assert sorted(set(table["dialect_region"])) == list(range(1, 9))
    genders = {row["speaker_id"]: row["gender"] for row in table.remove_columns(["audio", "segments"])}
    assert sorted(genders.values()) == ["female"] * 5 + ["male"] * 5
    types = table["sentence_type"][:]
    assert [types.count(kind) for kind in ("SA", "SI", "SX")] == [20, 30, 50]
    assert all(age and 20 <= int(age) <= 76 for age in table["age"])
    assert sum(table["duration"]) / 60 == pytest.approx(5.1, abs=0.1)
    for row in table.remove_columns("audio"):
        phones = [segment for segment in row["segments"] if segment["tier"] == "phones"]
        assert phones[0]["label"] == phones[-1]["label"] == "h#"
        assert all(one["end"] == two["start"] for one, two in itertools.pairwise(phones))
        assert phones[-1]["end"] <= row["duration"] + 1 / 16_000
        assert all(fold(phone["label"], "timit61") is not None or phone["label"] == "q" for phone in phones)
        lines = (folder / row["audio_path"]).with_suffix(".phn").read_text().splitlines()
        assert [f"{round(p['start'] * 16000)} {round(p['end'] * 16000)} {p['label']}" for p in phones] == lines


def test_ldc_layout_and_sphere_equal_to_the_sample(shared_data):
    table = load(shared_data("timit_ldc_layout"))
    assert {split: len(part) for split, part in table.items()} == {"train": 20, "test": 5}
    assert set(table["train"]["source"][0]["format"].split()) == {"NIST/PCM_16"}
    assert len(load(shared_data("timit_ldc_layout"), "core")["train"]) == 20  # FAKS0 is not in the core test set
    sample = {row["id"]: row for row in load(shared_data("timit_nltk_sample"))["train"]}
    found = facts(table["train"])
    assert [row["id"] for row in found if row["speaker_id"] == "FVMH0"] == [
        name for name in sorted(sample) if "FVMH0" in name
    ]
    assert [{**row} for row in found] == facts(sample[row["id"]] for row in found)
    for row in table["train"]:
        np.testing.assert_array_equal(pcm(row), pcm(sample[row["id"]]))


def test_core_configuration_without_its_test_speakers_has_no_test_split(shared_data):
    assert list(load(shared_data("timit_ldc_layout"), "core")) == ["train"]


def test_copies_with_two_files_a_sentence(shared_data):
    table = load(shared_data("timit_crowsetta_fixtures"))
    assert {split: len(part) for split, part in table.items()} == {"train": 3, "test": 5}
    assert all(row["audio_path"].endswith("WAV.wav") for row in table["test"])
    real = {row["id"]: row for row in load(shared_data("timit_ldc_layout"))["test"]}
    for row in table["test"]:
        np.testing.assert_array_equal(pcm(row), pcm(real[row["id"]]))
