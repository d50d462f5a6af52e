from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from builders.files import Files
from builders.voxceleb.voxceleb import read_speakers
from tests.corpora import voxceleb
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.references import lhotse_rows
from tests.corpora.sound import m4a, riff

SPLITS = {"train": "dev", "test": "test"}


def load(path: Path, config: str = "voxceleb1", **options):
    return load_dataset("builders/voxceleb", config, data_dir=str(path), **options)


def facts(tables) -> dict[str, list[dict]]:
    """Return the rows by split, by id, without where their audio lies."""
    dropped = ("audio", "audio_path")
    return {
        split: sorted(({k: v for k, v in row.items() if k not in dropped} for row in table), key=lambda row: row["id"])
        for split, table in tables.items()
    }


def pcm(row: dict) -> np.ndarray:
    return np.rint(decode(row["audio"]) * 32768).astype(np.int16)


def ids(tables) -> dict[str, list[str]]:
    return {split: [row["id"] for row in rows] for split, rows in facts(tables).items()}


EXPECTED = {
    corpus: {split: sorted(path.replace("/", "-") for path in parts[part]) for split, part in SPLITS.items()}
    for corpus, parts in voxceleb.UTTERANCES.items()
}


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return voxceleb.write(tmp_path / "vox1")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return voxceleb.write(tmp_path / "vox2", "voxceleb2", "zips")


def test_rows_by_hand(one):
    tables = load(one)
    assert ids(tables) == EXPECTED["voxceleb1"]
    row = next(row for row in tables["test"] if row["id"] == "id10270-x6uYqmx31kE-00001")
    assert row["audio_path"] == "wav/id10270/x6uYqmx31kE/00001.wav"
    assert row["duration"] == 1604 / 16000
    assert (row["text"], row["language"], row["segments"], row["corpus"]) == (None, None, [], "voxceleb")
    assert (row["speaker_id"], row["gender"], row["name"], row["nationality"], row["video"]) == (
        "id10270", "female", "E_Three", "USA", "x6uYqmx31kE",
    )  # fmt: skip
    assert sorted(row["trials"], key=lambda trial: trial["other"]) == [
        {"list": "list_test_all2", "other": "id10001-1zcIwhmdeo4-00001", "same": False},
        {"list": "veri_test", "other": "id10270-8jEAjG6SegY-00008", "same": True},
        {"list": "veri_test", "other": "id10300-ize_eiCFEg0-00003", "same": False},
    ]
    for row in tables["train"]:
        np.testing.assert_array_equal(pcm(row), voxceleb.samples_of(row["id"].replace("-", "/")))


def test_all_trials_are_carried(one):
    tables = load(one)
    found = {
        (trial["list"], f"{int(trial['same'])} {row['id']} {trial['other']}")
        for table in tables.values()
        for row in table
        for trial in row["trials"]
    }
    assert found == {
        (name, line.replace("/", "-").replace(".wav", ""))
        for name, lines in voxceleb.TRIALS.items()
        for line in lines.splitlines()
    }
    (one / "veri_test.txt").unlink()
    assert all(trial["list"] != "veri_test" for row in load(one, split="test") for trial in row["trials"])


def test_identification(one):
    tables = load(one, "voxceleb1_identification")
    assert ids(tables) == {
        "train": ["id10001-1zcIwhmdeo4-00001", "id10006-nLEBBc9oIFs-00003"],
        "validation": ["id10270-x6uYqmx31kE-00001"],
        "test": ["id10001-1zcIwhmdeo4-00002"],
    }
    assert {row["trials"] for rows in tables.values() for row in rows} == {None}
    assert [row["gender"] for row in facts(tables)["validation"]] == ["female"]


def test_identification_finds_audio_below_dev_and_test(tmp_path):
    home = voxceleb.write(tmp_path, layout="split")
    assert [row["audio_path"] for row in load(home, "voxceleb1_identification", split="validation")] == [
        "test/wav/id10270/x6uYqmx31kE/00001.wav"
    ]


def test_voxceleb2(two):
    tables = load(two, "voxceleb2")
    assert ids(tables) == EXPECTED["voxceleb2"]
    rows = facts(tables)
    assert [(row["gender"], row["name"], row["nationality"]) for row in rows["train"]] == [
        ("male", None, None), ("female", None, None),
    ]  # fmt: skip
    assert rows["train"][0]["source"] == {"format": "MP4/AAC", "sampling_rate": 16000, "channels": 1}
    for row in tables["train"]:
        expected = voxceleb.samples_of(row["id"].replace("-", "/"))
        found = pcm(row)
        assert 0 <= len(found) - len(expected) < 1024
        assert np.corrcoef(found[1000:7000], expected[1000:7000])[0, 1] > 0.98
        assert row["duration"] == len(found) / 16_000


@pytest.mark.parametrize("corpus", ["voxceleb1", "voxceleb2"])
@pytest.mark.parametrize("layout", voxceleb.LAYOUTS)
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_layouts_and_archives_give_the_same_rows(one, two, tmp_path, corpus, layout, suffix):
    home = voxceleb.write(tmp_path / layout, corpus, layout)
    path = pack(home, tmp_path / f"x{suffix}") if suffix else home
    assert facts(load(path, corpus)) == facts(load(one if corpus == "voxceleb1" else two, corpus))


def test_parts_as_fetched(one, tmp_path):
    home = voxceleb.write_metadata(tmp_path / "home", "voxceleb1")
    parts = {part: tmp_path / part / "wav" for part in ("dev", "test")}
    for part, folder in parts.items():
        for path in voxceleb.UTTERANCES["voxceleb1"][part]:
            file = folder / f"{path}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(riff(voxceleb.samples_of(path)))
    pack(parts["test"], home / "vox1_test_wav.zip")
    whole = pack(parts["dev"], tmp_path / "whole.zip").read_bytes()
    for number, name in enumerate(("aa", "ab", "ac", "ad")):
        size = len(whole) // 4 + 1
        (home / f"vox1_dev_wav_part{name}").write_bytes(whole[number * size : (number + 1) * size])
    assert facts(load(home)) == facts(load(one))
    (home / "vox1_dev_wav_partab").unlink()
    with pytest.raises(CorpusError, match="vox1_dev_wav_partab is missing"):
        load(home)


def test_both_corpora_in_one_folder_stay_apart(one, two, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(one, both)
    shutil.copytree(two, both, dirs_exist_ok=True)
    for corpus in EXPECTED:
        assert ids(load(both, corpus)) == EXPECTED[corpus]


@pytest.mark.parametrize("place", ["dev/aac", "dev/wav"])
def test_wav_made_of_an_m4a_goes_before_it(two, place):
    expected = voxceleb.samples_of("id00012/21Uxsk56VDQ/00001")
    file = two / place / "id00012/21Uxsk56VDQ/00001.wav"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(riff(expected))
    tables = load(two, "voxceleb2")
    assert ids(tables) == EXPECTED["voxceleb2"]
    (row,) = (row for row in tables["train"] if row["speaker_id"] == "id00012")
    np.testing.assert_array_equal(pcm(row), expected)
    assert row["audio_path"] == f"{place}/id00012/21Uxsk56VDQ/00001.wav"


@pytest.mark.parametrize("table", [True, False])
def test_wav_in_one_folder_for_all_goes_before_the_m4a_of_the_zips(two, table):
    for path in ("id00012/21Uxsk56VDQ/00001", "id00017/01dfn2spqyE/00001"):
        file = two / "wav" / f"{path}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(riff(voxceleb.samples_of(path)))
    if not table:
        (two / "vox2_meta.csv").unlink()
    tables = load(two, "voxceleb2")
    assert ids(tables) == EXPECTED["voxceleb2"]
    assert sorted(row["audio_path"] for rows in tables.values() for row in rows) == [
        "dev/aac/id00015/0fijmz4vTVU/00001.m4a",
        "wav/id00012/21Uxsk56VDQ/00001.wav",
        "wav/id00017/01dfn2spqyE/00001.wav",
    ]


def test_converted_voxceleb2_without_anything_that_tells_the_split(tmp_path):
    file = tmp_path / "wav" / "id00012/21Uxsk56VDQ/00001.wav"
    file.parent.mkdir(parents=True)
    file.write_bytes(riff(voxceleb.samples_of("id00012/21Uxsk56VDQ/00001")))
    with pytest.raises(CorpusError, match=r"id00012/.* test set: put vox2_meta\.csv beside it"):
        load(tmp_path, "voxceleb2")


def test_first_release(tmp_path):
    tables = load(voxceleb.write_first_release(tmp_path))
    assert ids(tables) == {"train": ["id10001-1zcIwhmdeo4-0000001"], "test": ["id10270-x6uYqmx31kE-0000001"]}
    assert tables["test"][0]["nationality"] == "USA"
    (tmp_path / "vox1_meta.csv").unlink()
    assert ids(load(tmp_path)) == {
        "train": ["A.J._Buckley-1zcIwhmdeo4-0000001"],
        "test": ["E_Three-x6uYqmx31kE-0000001"],
    }


@pytest.mark.parametrize(("corpus", "layout"), [("voxceleb1", "merged"), ("voxceleb1", "split"), ("voxceleb2", "zips")])
def test_splits_without_the_table_of_speakers(tmp_path, corpus, layout):
    home = voxceleb.write(tmp_path, corpus, layout)
    (home / f"vox{corpus[-1]}_meta.csv").unlink()
    tables = load(home, corpus)
    assert ids(tables) == EXPECTED[corpus]
    assert {row["gender"] for rows in tables.values() for row in rows} == {None}


@pytest.mark.parametrize("meta", [voxceleb.META2, voxceleb.META2_NEW, voxceleb.META2.replace(",", "\t")])
def test_tables_of_voxceleb2_in_all_their_forms(tmp_path, meta):
    (tmp_path / "vox2_meta.csv").write_text(meta)
    found = read_speakers(Files(tmp_path), "voxceleb2")
    name = {"name": "Second_Name"} if "Name" in meta else {}
    assert found["id00015"] == {"id": "id00015", "vggface": "n000015", "gender": "female", "set": "dev", **name}
    assert [found[speaker]["set"] for speaker in sorted(found)] == ["dev", "dev", "test"]


def test_real_table_of_voxceleb1(shared_data):
    found = read_speakers(Files(shared_data("corpora_metadata/voxceleb1")), "voxceleb1")
    assert len(found) == 1251
    assert found["id10001"] == {
        "id": "id10001",
        "name": "A.J._Buckley",
        "gender": "male",
        "nationality": "Ireland",
        "set": "dev",
    }
    test = sorted(speaker for speaker, known in found.items() if known["set"] == "test")
    assert test == [f"id{number}" for number in range(10270, 10310)]
    assert all(found[speaker]["name"].startswith("E") for speaker in test)
    assert {known["gender"] for known in found.values()} == {"female", "male"}


def test_bites(one, caplog):
    expected = facts(load(one))
    path = one / "wav/id10001/1zcIwhmdeo4/00002.wav"
    data = path.read_bytes()
    path.unlink()
    assert len(facts(load(one))["train"]) == 2
    with pytest.raises(CorpusError, match="test: 1 of 1 recordings are bad"):
        load(one, "voxceleb1_identification", max_bad=1)  # listed there
    path.write_bytes(data)
    (one / "vox1_meta.csv").write_text(voxceleb.META1.replace("f\tUSA\ttest", "USA\tf\ttest"))
    assert {row["gender"] for row in facts(load(one))["test"]} == {None, "male"}
    (one / "vox1_meta.csv").write_text(
        "".join(line for line in voxceleb.META1.splitlines(keepends=True) if "id10006" not in line)
    )
    assert [row["gender"] for row in facts(load(one))["train"]] == ["male", "male", None]
    (one / "vox1_meta.csv").write_text(voxceleb.META1)
    assert facts(load(one)) == expected


def test_broken_m4a_is_quarantined(two, caplog):
    path = two / "dev/aac/id00012/21Uxsk56VDQ/00001.m4a"
    path.write_bytes(m4a(voxceleb.samples_of("id00012/21Uxsk56VDQ/00001"))[:2000])
    assert ids(load(two, "voxceleb2", max_bad=0.5))["train"] == ["id00015-0fijmz4vTVU-00001"]
    assert "21Uxsk56VDQ/00001.m4a: not MP4 sound that FFmpeg can read" in caplog.text


def test_folder_of_the_other_corpus(two):
    with pytest.raises(
        CorpusError, match=r"no utterances of voxceleb \(voxceleb1: train, test\).*given on request: ask at"
    ):
        load(two)


def test_the_same_rows_as_lhotse(one):
    found = facts(load(one))
    for split, part in lhotse_rows.load("voxceleb").items():
        assert [
            (row["id"], row["speaker"], row["duration"], row["custom"]["speaker_name"], row["custom"]["nationality"])
            for row in part["supervisions"]
        ] == [
            (row["id"], row["speaker_id"], row["duration"], row["name"], row["nationality"]) for row in found[split]
        ]  # fmt: skip
        # One difference: lhotse keeps the letters m and f.
        assert [{"m": "male", "f": "female"}[row["gender"]] for row in part["supervisions"]] == [
            row["gender"] for row in found[split]
        ]


def test_the_same_rows_of_the_second_corpus_as_lhotse(tmp_path, monkeypatch):
    monkeypatch.setattr(voxceleb, "m4a", riff)  # as for lhotse
    found = facts(load(voxceleb.write(tmp_path, "voxceleb2"), "voxceleb2"))
    (part,) = lhotse_rows.load("voxceleb2").values()
    # Two differences: lhotse puts dev and test together, after Kaldi, and keeps the letters m and f.
    for split, name in SPLITS.items():
        assert [
            (row["id"], row["speaker"], row["duration"], {"m": "male", "f": "female"}[row["gender"]])
            for row in part["supervisions"] if row["custom"]["split"] == name
        ] == [(row["id"], row["speaker_id"], row["duration"], row["gender"]) for row in found[split]]  # fmt: skip
