from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.errors import CorpusError
from tests.corpora import voxconverse
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.references import lhotse_rows
from tests.corpora.sound import flac, noise, riff


def load(path: Path, **options):
    return load_dataset("builders/voxconverse", data_dir=str(path), **options)


def facts(tables) -> dict[str, list[dict]]:
    """Return the rows by split, without where the audio lies, by id."""
    dropped = ("audio", "audio_path")
    return {
        split: sorted(({k: v for k, v in row.items() if k not in dropped} for row in table), key=lambda row: row["id"])
        for split, table in tables.items()
    }


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return voxconverse.write(tmp_path / "corpus")


def test_rows_by_hand(top):
    tables = facts(load(top))
    assert {split: [row["id"] for row in rows] for split, rows in tables.items()} == {
        "validation": ["abjxc", "afjiv"],
        "test": ["aggyz"],
    }
    assert tables["validation"][0] == {
        "id": "abjxc", "offset": 0.0, "duration": 8.0, "text": None, "speaker_id": None, "language": None,
        "corpus": "voxconverse", "num_speakers": 1,
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1},
        "segments": [{"tier": "speakers", "start": 0.4, "end": 7.04, "label": "spk00", "speaker": "abjxc_spk00",
                      "score": None}],
    }  # fmt: skip
    turns = [(s["start"], s["end"], s["label"], s["speaker"]) for s in tables["validation"][1]["segments"]]
    assert turns == [  # in the order of the file; the first and the last overlap
        (1.12, 2.48, "spk00", "afjiv_spk00"), (3.2, 3.84, "spk01", "afjiv_spk01"), (2.0, 2.8, "spk02", "afjiv_spk02"),
    ]  # fmt: skip
    assert [row["num_speakers"] for rows in tables.values() for row in rows] == [1, 3, 2]


def test_audio(top):
    for row in load(top, split="validation"):
        np.testing.assert_array_equal(np.rint(decode(row["audio"]) * 32768), voxconverse.samples_of(row["id"]))


@pytest.mark.parametrize("layout", voxconverse.LAYOUTS)
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_layouts_and_archives_give_the_same_rows(top, tmp_path, layout, suffix):
    other = voxconverse.write(tmp_path / layout, layout)
    path = pack(other, tmp_path / f"x{suffix}") if suffix else other
    assert facts(load(path)) == facts(load(top))


def test_the_three_zips_as_fetched(top, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    pack(top / "audio", downloads / "voxconverse_dev_wav.zip")
    pack(top / "voxconverse_test_wav", downloads / "voxconverse_test_wav.zip")
    pack(top / "voxconverse-master", downloads / "voxconverse-master.zip")
    assert facts(load(downloads)) == facts(load(top))


def test_folder_of_one_split(tmp_path):
    top = voxconverse.write(tmp_path, "merged")
    assert {split: [row["id"] for row in rows] for split, rows in facts(load(top / "dev")).items()} == {
        "validation": ["abjxc", "afjiv"]
    }


def test_annotation_tells_the_split_and_audio_may_lie_anywhere(top):
    expected = facts(load(top))
    (top / "voxconverse_test_wav/aggyz.wav").rename(top / "audio/aggyz.wav")
    assert facts(load(top)) == expected
    (top / "audio").rename(top / "all_wavs")
    assert facts(load(top)) == expected


def test_recording_without_annotation_is_kept_with_a_warning(top, caplog):
    (top / "voxconverse-master/dev/afjiv.rttm").unlink()
    rows = facts(load(top))["validation"]
    assert [(row["id"], row["num_speakers"], row["segments"]) for row in rows][1] == ("afjiv", None, [])
    assert "audio/afjiv.wav has no annotation: is the repository joonson/voxconverse in the folder?" in caplog.text


def test_annotation_without_audio_is_quarantined(top, caplog):
    (top / "audio/afjiv.wav").unlink()
    assert [row["id"] for row in facts(load(top, max_bad=0.5))["validation"]] == ["abjxc"]
    assert "audio/afjiv.wav is listed in the metadata, but there is no such file" in caplog.text


def test_bites(top):
    expected = facts(load(top))
    rttm = top / "voxconverse-master/dev/afjiv.rttm"
    lines = rttm.read_text()
    rttm.write_text("".join(lines.splitlines(keepends=True)[:2]))
    fewer = facts(load(top))
    assert len(fewer["validation"][1]["segments"]) == 2 and fewer["validation"][1]["num_speakers"] == 2
    rttm.write_text(lines.replace("1.120000 1.360000", "1.360000 1.120000"))
    swapped = facts(load(top))
    assert swapped["validation"][1]["segments"][0]["start"] == 1.36
    rttm.write_text(lines.replace("spk02", "spk01"))
    assert facts(load(top))["validation"][1]["num_speakers"] == 2
    rttm.write_text(lines)
    assert facts(load(top)) == expected


def test_first_of_two_channels(top):
    first, second = noise(64_000, 1), noise(64_000, 2)
    (top / "audio/afjiv.wav").write_bytes(riff(np.stack([first, second], axis=1)))
    row = next(row for row in load(top, split="validation") if row["id"] == "afjiv")
    np.testing.assert_array_equal(np.rint(decode(row["audio"]) * 32768), first)


def test_folder_without_the_corpus(tmp_path):
    (tmp_path / "x.flac").write_bytes(flac(noise(100)))
    with pytest.raises(CorpusError, match=r"no utterances of voxconverse .*x\.flac.*VoxConverse is open: "):
        load(tmp_path)


def test_the_same_turns_as_lhotse(tmp_path):
    found = facts(load(voxconverse.write(tmp_path, "merged")))
    for part, split in (("dev", "validation"), ("test", "test")):
        theirs = lhotse_rows.load("voxconverse")[part]
        assert [(row["id"], row["duration"]) for row in theirs["recordings"]] == [
            (row["id"], row["duration"]) for row in found[split]
        ]
        ours = {
            f"{row['id']}-{number}": (turn["start"], round(turn["end"] - turn["start"], 6), turn["label"])
            for row in found[split]
            for number, turn in enumerate(row["segments"])
        }
        assert ours == {row["id"]: (row["start"], row["duration"], row["speaker"]) for row in theirs["supervisions"]}
    # Two differences: lhotse says that all of it is English, which is not annotated, and its speakers' names repeat.
    assert {row["language"] for rows in found.values() for row in rows} == {None}


def test_real_annotations(shared_data, tmp_path):
    folder = tmp_path / "corpus"
    shutil.copytree(shared_data("voxconverse_rttm"), folder)
    builder = load_dataset_builder("builders/voxconverse", data_dir=str(folder))
    listings = {split: builder.listing(split).to_pylist() for split in ("validation", "test")}
    assert {split: len(rows) for split, rows in listings.items()} == {"validation": 216, "test": 232}
    assert {split: sum(len(row["segments"]) for row in rows) for split, rows in listings.items()} == {
        "validation": 8_268,
        "test": 19_479,
    }
    assert max(row["num_speakers"] for row in listings["test"]) == 21
    for split, hours in (("validation", 19.65), ("test", 40.22)):
        spoken = sum(turn["end"] - turn["start"] for row in listings[split] for turn in row["segments"])
        assert spoken / 3600 == pytest.approx(hours, abs=0.006)
