from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.hifi_tts.hifi_tts import GENDERS
from tests.corpora import hifi_tts
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.rows import by_id

STORED = Path(__file__).parents[1] / "corpora/references/hifi_tts.json"
NIGHT = "11614_other_10547_thousandnights8_04_anonymous_0001"
# As lhotse names the readers.
READERS = {
    "Cori Samuel": "92", "Phil Benson": "6097", "John Van Stan": "9017", "Mike Pelton": "6670", "Tony Oliva": "6671",
    "Maria Kasper": "8051", "Helen Taylor": "9136", "Sylviamb": "11614", "Celine Major": "11697",
    "LikeManyWaters": "12787",
}  # fmt: skip


def load(path: Path, *config: str, **options):
    return load_dataset("builders/hifi_tts", *config, data_dir=str(path), **options)


def rows(tables) -> dict[str, dict[str, dict]]:
    return {split: by_id(table) for split, table in tables.items()}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return hifi_tts.write(tmp_path / "corpus")


def test_row_by_hand(top):
    row = by_id(load(top, split="train"))[NIGHT]
    assert row["text"] == "when it was the five hundred and third night"
    assert row["text_original"] == "When it was the 503rd Night,"
    assert row["text_normalized"] == "When it was the five hundred and third Night,"
    assert (row["speaker_id"], row["gender"], row["book"], row["quality"]) == ("11614", "female", "10547", "other")
    assert row["audio_path"] == "audio/11614_other/10547/thousandnights8_04_anonymous_0001.flac"
    assert row["source"] == {"format": "FLAC/PCM_16", "sampling_rate": 44100, "channels": 1}
    assert (row["duration"], len(row["audio"])) == (1.0, 16000)
    assert (row["language"], row["corpus"], row["segments"]) == ("en", "hifi_tts", [])


def test_splits_and_qualities(top):
    expected = {
        "train": {NIGHT, "11614_other_10547_thousandnights8_04_anonymous_0003", "92_clean_5037_chapter_01_0002",
                  "9017_clean_6532_chapter_01_0001", "9017_clean_7080_chapter_01_0001"},
        "validation": {"11614_other_10547_thousandnights8_04_anonymous_0007", "6097_clean_100_a_0001",
                       "6097_other_101_a_0001"},
        "test": {"92_clean_5037_chapter_01_0009"},
    }  # fmt: skip
    for config in ("all", "clean", "other"):
        kept = {s: {name for name in names if config in ("all", name.split("_")[1])} for s, names in expected.items()}
        assert {s: set(found) for s, found in rows(load(top, config)).items()} == {s: n for s, n in kept.items() if n}
    assert rows(load(top)) == rows(load(top, "all"))


def test_chapters_of_one_name_in_two_books(top):
    found = by_id(load(top, "clean", split="train"))
    assert [found[f"9017_clean_{book}_chapter_01_0001"]["text"] for book in ("6532", "7080")] == ["first", "second"]


def test_text_beyond_ascii(top):
    assert by_id(load(top, "clean", split="validation"))["6097_clean_100_a_0001"]["text"] == "café"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folder_and_archive_give_the_same_rows(top, tmp_path, suffix):
    assert rows(load(pack(top, tmp_path / f"hi_fi_tts_v0{suffix}"))) == rows(load(top))


def test_folders_that_the_user_may_point_at(top):
    expected = rows(load(top))
    assert rows(load(top.parent)) == expected
    assert rows(load(top.rename(top.parent / "hifi"))) == expected


def test_archive_among_downloads(top, tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    pack(top, downloads / "hi_fi_tts_v0.tar.gz")
    (downloads / "dev-clean.tar.gz").write_bytes(b"of another corpus")
    assert rows(load(downloads)) == rows(load(top))


def test_a_file_less_a_row_less_a_column_swapped(top, caplog):
    name = "92_clean_5037_chapter_01_0002"
    (top / "audio/92_clean/5037/chapter_01_0002.flac").unlink()
    assert name not in by_id(load(top, split="train", max_bad=0.5))
    assert "chapter_01_0002.flac" in caplog.text
    assert "listed in the metadata, but there is no such file: quarantined" in caplog.text

    manifest = top / "9017_manifest_clean_train.json"
    manifest.write_text(manifest.read_text().splitlines(keepends=True)[1])
    found = by_id(load(top, "clean", split="train", max_bad=0.5))
    assert set(found) == {"9017_clean_7080_chapter_01_0001"}

    row = json.loads(manifest.read_text())
    row["text"], row["text_normalized"] = row["text_normalized"], row["text"]
    manifest.write_text(json.dumps(row))
    (swapped,) = by_id(load(top, "clean", split="train", max_bad=0.5)).values()
    assert (swapped["text"], swapped["text_normalized"]) == ("Second.", "second")


def test_a_manifest_less(top):
    (top / "92_manifest_clean_test.json").unlink()
    assert list(load(top)) == ["train", "validation"]


def test_rows_are_those_of_the_recipe(top):
    """The recipe differs in these.

    - Ids are file names, so its data must not have two of one name in a manifest (the second book of 9017 was left
      out when this was stored), and two of its partitions can have one id; ours hold reader, quality and book.
    - Speakers are the readers' names, genders F and M.
    - Durations are those of the source at 44.1 kHz, or of the manifest; ours are of the 16 kHz samples.
    - It calls the quality "split", and does not keep the book's text.
    """
    stored = json.loads(STORED.read_text())
    found = {row["audio_path"]: row for table in rows(load(top)).values() for row in table.values()}
    assert set(found) - {row["audio"] for row in stored} == {"audio/9017_clean/7080/chapter_01_0001.flac"}
    parts = {"train": "train", "dev": "validation", "test": "test"}
    for theirs in stored:
        ours = found[theirs["audio"]]
        assert ours["id"].endswith(f"_{theirs['id']}")
        assert READERS[theirs["speaker"]] == ours["speaker_id"]
        assert {"F": "female", "M": "male"}[theirs["gender"]] == ours["gender"] == GENDERS[ours["speaker_id"]]
        assert (theirs["text"], theirs["text_normalized"]) == (ours["text"], ours["text_normalized"])
        assert theirs["start"] == ours["offset"]
        assert ours["duration"] == pytest.approx(theirs["duration"], abs=1 / 16000)
        speaker, quality, part = theirs["partition"].split("_")
        assert (speaker, quality) == (ours["speaker_id"], ours["quality"])
        assert ours["id"] in by_id(load(top, split=parts[part]))
