from __future__ import annotations

import collections
import json
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.esc50.esc50 import CATEGORIES, ESC10, ESC50, read_table
from builders.files import Files
from tests.corpora import esc50
from tests.corpora.archives import pack
from tests.corpora.rows import by_id
from tests.corpora.sound import pack_audio

REFERENCE = Path(__file__).parents[1] / "corpora" / "references" / "esc50.json"


def load(path: Path, *config: str, **options):
    return by_id(load_dataset("builders/esc50", *config, data_dir=str(path), split="train", **options))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return esc50.write(tmp_path / "corpus")


def test_row_by_hand(top):
    rows = load(top)
    assert sorted(rows) == sorted(esc50.CLIPS)
    row = rows["1-100032-A-0"]
    assert len(row.pop("audio")) == 1600
    assert row == {
        "id": "1-100032-A-0", "audio_path": "audio/1-100032-A-0.wav", "offset": 0.0, "duration": 0.1, "text": None,
        "speaker_id": None, "language": None, "corpus": "esc50", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 44100, "channels": 1}, "category": "dog", "fold": 1,
        "target": 0, "major_category": "animals", "esc10": True, "src_file": "100032", "take": "A",
    }  # fmt: skip


def test_classes_and_folds(top):
    rows = load(top)
    assert {name: (row["category"], row["major_category"], row["fold"]) for name, row in rows.items()} == {
        "1-100032-A-0": ("dog", "animals", 1), "1-100038-A-14": ("chirping_birds", "nature", 1),
        "2-100648-A-43": ("car_horn", "exterior", 2), "3-103051-C-19": ("thunderstorm", "nature", 3),
        "4-156993-A-19": ("thunderstorm", "nature", 4), "5-156999-C-19": ("thunderstorm", "nature", 5),
        "5-9032-A-0": ("dog", "animals", 5),
    }  # fmt: skip
    assert (len(CATEGORIES), len(set(CATEGORIES)), len(ESC10), ESC10 - set(CATEGORIES)) == (50, 50, 10, set())


def test_subset_of_ten_classes(top):
    assert sorted(load(top, "esc10")) == ["1-100032-A-0", "5-9032-A-0"]


def test_variants_give_the_same_rows(top, tmp_path):
    expected = load(top)
    assert load(top.parent) == expected
    assert load(esc50.write(tmp_path / "old", form="old")) == expected
    assert load(esc50.write(tmp_path / "spreadsheet", flags=("TRUE", "FALSE"))) == expected
    alone = esc50.write(tmp_path / "audio", form="audio")
    assert load(alone) == load(alone / "audio") == expected
    assert load(alone, "esc10") == load(top, "esc10")


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar.bz2", ".zip"])
def test_archive_gives_the_same_rows(top, tmp_path, suffix):
    archive = pack(top, tmp_path / f"ESC-50-master{suffix}")
    assert load(archive) == load(top)
    assert load(archive.parent) == load(top)  # the folder that holds the archive, and here its contents as well


def test_other_encodings_of_a_clip(top):
    clip = esc50.samples_of("1-100032-A-0") / 32768
    stereo = np.stack([clip, np.zeros_like(clip)], axis=1)
    expected = np.array(load(top)["1-100032-A-0"]["audio"])
    for form, samples in (("PCM_24", clip), ("FLOAT", clip), ("PCM_16", stereo)):
        (top / "audio/1-100032-A-0.wav").write_bytes(pack_audio(samples, esc50.RATE, subtype=form))
        row = load(top)["1-100032-A-0"]
        assert row["source"] == {
            "format": f"WAV/{form}", "sampling_rate": 44100, "channels": 2 if samples is stereo else 1,
        }  # fmt: skip
        np.testing.assert_allclose(row["audio"], expected / row["source"]["channels"], atol=1)


# Published counts


@pytest.fixture
def published(monkeypatch) -> None:
    monkeypatch.setattr(ESC50.BUILDER_CONFIGS[0], "splits", {"train": Expected(7, 0.7 / 3600)})


def verify(top: Path, *options: str) -> int:
    return main(["verify", "esc50", "--data-dir", str(top), *options])


def test_published_counts():
    whole, ten = ESC50.BUILDER_CONFIGS
    assert whole.splits == {"train": Expected(2000, pytest.approx(2.778, abs=1e-3))}
    assert ten.splits["train"].utterances == 400


def test_whole_miniature_is_as_published(top, published):
    assert (verify(top), verify(top, "--deep")) == (0, 0)


# It bites


def test_removed_clip_is_missed(top, published, caplog, capsys):
    (top / "audio/3-103051-C-19.wav").unlink()
    assert verify(top) == 1
    assert "1 files missing, -1 utterances" in capsys.readouterr().out
    assert sorted(load(top, max_bad=0.5)) == sorted({*esc50.CLIPS} - {"3-103051-C-19"})
    assert "audio/3-103051-C-19.wav" in caplog.text


def test_dropped_row_is_found_by_the_name(top, published):
    table = top / "meta/esc50.csv"
    expected = load(top)
    table.write_text(table.read_text().replace(f"{esc50.LINES[2]}\n", ""))
    assert load(top) == expected
    (top / "audio/2-100648-A-43.wav").unlink()
    assert verify(top) == 1


def test_columns_are_read_by_name(top):
    table = top / "meta/esc50.csv"
    table.write_text("filename,target,fold,category,esc10,take,src_file\n1-100032-A-0.wav,3,2,cow,False,B,7\n")
    row = load(top)["1-100032-A-0"]
    assert (row["target"], row["fold"], row["category"], row["esc10"]) == (3, 2, "cow", False)
    assert (row["take"], row["src_file"], row["major_category"]) == ("B", "7", "animals")


def test_swapped_columns_show(top, published, caplog):
    table = top / "meta/esc50.csv"
    table.write_text(table.read_text().replace("filename,fold,target,category", "category,fold,target,filename"))
    assert verify(top) == 1
    assert "audio/dog.wav is listed" in str(load(top, max_bad=0.9)) + caplog.text


def test_zero_length_clip_is_quarantined(top, published, caplog):
    (top / "audio/5-9032-A-0.wav").write_bytes(pack_audio(np.zeros(0, np.int16), esc50.RATE))
    assert len(load(top, max_bad=0.5)) == 6
    assert "audio/5-9032-A-0.wav: no samples" in caplog.text
    assert verify(top, "--deep") == 1


def test_folder_of_something_else_says_where_to_get_it(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no utterances of esc50 .*archive/master\.zip"):
        load(tmp_path)


# An independent reader


def test_rows_are_those_of_soundata(top, tmp_path):
    made = json.loads(REFERENCE.read_text())
    rows = load(top)
    assert sorted(made["published"]) == sorted(rows)
    for name, clip in made["published"].items():
        row = rows[name]
        assert {column: row[column] for column in ("fold", "target", "category", "esc10", "src_file", "take")} == {
            column: clip[column] for column in ("fold", "target", "category", "esc10", "src_file", "take")
        }
        assert (row["audio_path"], [row["category"]]) == (f"audio/{clip['filename']}", clip["tags"])
        assert (row["duration"], row["source"]["sampling_rate"]) == (clip["samples"] / clip["rate"], clip["rate"])
    # soundata knows the word True only: a table that went through a spreadsheet has no ESC-10 there.
    assert not any(clip["esc10"] for clip in made["spreadsheet"].values())
    other = load(esc50.write(tmp_path / "spreadsheet", flags=("TRUE", "FALSE")))
    assert [name for name, row in other.items() if row["esc10"]] == ["1-100032-A-0", "5-9032-A-0"]


# Real files


def test_real_clips(shared_data):
    rows = load(shared_data("speechbrain_samples") / "tests/samples/ESC50")
    assert {name: (row["category"], row["fold"]) for name, row in rows.items()} == {
        "1-100032-A-0": ("dog", 1), "2-100648-A-43": ("car_horn", 2), "3-103051-C-19": ("thunderstorm", 3),
        "4-156993-A-19": ("thunderstorm", 4), "5-156999-C-19": ("thunderstorm", 5),
    }  # fmt: skip
    assert {row["duration"] for row in rows.values()} == {5.0}
    assert {tuple(row["source"].values()) for row in rows.values()} == {("WAV/PCM_16", 44100, 1)}


def test_real_table(shared_data):
    files = Files(shared_data("corpora_metadata") / "esc50", root=ESC50.FACTS.root)
    table = read_table(files)
    files.close()
    assert len(table) == 2000
    cells = collections.Counter((row["fold"], row["category"]) for row in table.values())
    assert len(cells) == 250
    assert set(cells.values()) == {8}
    for name, row in table.items():
        # Names and numbers tell what the table says.
        assert name == f"{row['fold']}-{row['src_file']}-{row['take']}-{row['target']}"
        assert CATEGORIES[row["target"]] == row["category"]
        assert row["esc10"] == (row["category"] in ESC10)
    folds = collections.defaultdict(set)
    for row in table.values():
        folds[row["src_file"]].add(row["fold"])
    assert {name for name, found in folds.items() if len(found) > 1} == {"131943", "134049", "209698", "234879"}
    assert sum(row["esc10"] for row in table.values()) == 400
