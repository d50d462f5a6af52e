from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError
from builders.vocalset.vocalset import TECHNIQUES, TEN, TEST, TRAIN
from tests.corpora import vocalset
from tests.corpora.archives import pack
from tests.corpora.rows import by_id


def load(path: Path, *config: str, **options):
    table = load_dataset("builders/vocalset", *config, data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return vocalset.write(tmp_path)


def test_row_by_hand(folder):
    row = load(folder)["train"]["female1/arpeggios/belt/f1_arpeggios_belt_c_a"]
    assert len(row.pop("audio")) == 1600
    assert row == {
        "id": "female1/arpeggios/belt/f1_arpeggios_belt_c_a",
        "audio_path": "female1/arpeggios/belt/f1_arpeggios_belt_c_a.wav", "offset": 0.0, "duration": 0.1, "text": None,
        "speaker_id": "female1", "language": None, "corpus": "vocalset", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 44100, "channels": 1}, "gender": "female",
        "category": "singing", "technique": "belt", "context": "arpeggios", "vowel": "a", "key": "c", "song": None,
    }  # fmt: skip


def test_splits_are_singers_of_the_lists(folder):
    rows = load(folder)
    assert {split: set(part) for split, part in rows.items()} == {
        "train": set(vocalset.TRAIN), "test": set(vocalset.TEST),
    }  # fmt: skip
    assert set(vocalset.SINGERS["train"]) == TRAIN
    assert set(vocalset.SINGERS["test"]) == TEST
    assert len(TRAIN | TEST) == 20
    assert (len(TECHNIQUES), len(TEN)) == (17, 10)


@pytest.mark.parametrize(
    ("name", "vowel", "key", "song"),
    [
        ("male8/excerpts/straight/row_straight", None, None, "row"),
        ("female8/excerpts/vibrato/f8_caro_vibrato", None, None, "caro"),
        ("male10/scales/fast_piano/scales_f_fast_piano_u", "u", "f", None),
        ("female9/arpeggios/fast_forte/arps_fast_piano_c", None, "c", None),
        ("female4/scales/straight/scales_straight_e", "e", None, None),
        ("male3/scales/lip_trill/scales_lip_trill", None, None, None),
    ],
)
def test_what_names_tell(folder, name, vowel, key, song):
    row = {**load(folder)["train"], **load(folder)["test"]}[name]
    assert (row["vowel"], row["key"], row["song"]) == (vowel, key, song)
    assert (row["speaker_id"], row["context"], row["technique"]) == tuple(name.split("/")[:3])
    assert row["gender"] == ("female" if name.startswith("f") else "male")


def test_surplus_copies_are_left_out_with_a_word(folder, caplog):
    rows = load(folder)
    assert not {*vocalset.SURPLUS} & {*rows["train"], *rows["test"]}
    for name in vocalset.SURPLUS:
        assert f"{name}.wav left out" in caplog.text


def test_first_channel_of_stereo(folder):
    row = load(folder)["train"][vocalset.STEREO]
    assert row["source"]["channels"] == 2
    assert np.abs(row["audio"]).max() > 1600  # of the mean it would be half


def test_ten_techniques(folder):
    rows = load(folder, "technique10")
    assert set(rows["train"]) == set(vocalset.TRAIN) - {"female9/arpeggios/fast_forte/arps_fast_piano_c"}
    assert set(rows["test"]) == set(vocalset.TEST) - {"male10/scales/fast_piano/scales_f_fast_piano_u"}


@pytest.mark.parametrize("version", ["1.0", "1.2"])
@pytest.mark.parametrize("suffix", [None, ".tar.gz", ".zip"])
def test_versions_and_archives_give_the_same_rows(folder, tmp_path, version, suffix):
    top = vocalset.write(tmp_path / version / "unpacked", version=version)
    assert load(pack(top, tmp_path / f"VocalSet{suffix}") if suffix else top) == load(folder)


def test_parts_of_the_tree_and_the_folder_above(folder):
    expected = load(folder)
    assert load(folder.parent) == load(folder / "data_by_singer") == expected
    one = load(folder / "data_by_singer/female2")
    assert {split: set(part) for split, part in one.items()} == {
        "test": {name for name in vocalset.TEST if name.startswith("female2/")}
    }


# It bites


def test_removed_file_is_missed(folder):
    (folder / f"data_by_singer/{vocalset.TRAIN[0]}.wav").unlink()
    assert set(load(folder)["train"]) == set(vocalset.TRAIN[1:])


def test_lists_count_where_they_are_there(folder):
    for split, name in (("train", "female2\n"), ("test", "male1\n")):
        (folder / f"{split}_singers_technique.txt").write_text(name)
    rows = load(folder)
    assert {row["speaker_id"] for row in rows["train"].values()} == {"female2"}
    assert {row["speaker_id"] for row in rows["test"].values()} == {"male1"}


def test_copies_by_technique_alone_are_not_the_corpus(folder):
    with pytest.raises(CorpusError, match=r"no utterances of vocalset .*zenodo"):
        load(folder / "data_by_technique")
