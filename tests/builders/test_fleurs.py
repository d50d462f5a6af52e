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
from builders.register import builder_class
from tests.corpora import fleurs
from tests.corpora.archives import pack

REFERENCE = Path(__file__).parents[1] / "corpora" / "references" / "fleurs.json"


def load(path: Path, *config: str, **options):
    return load_dataset("builders/fleurs", *config, data_dir=str(path), **options)


def rows(table) -> dict[str, dict]:
    return {row["id"]: row for row in table}


def facts(table) -> dict[str, list[dict]]:
    """Return the rows of each split without their places, sorted."""
    kept = {
        split: [{name: value for name, value in row.items() if name != "audio_path"} for row in part]
        for split, part in table.items()
    }
    return {split: sorted(part, key=lambda row: row["id"]) for split, part in kept.items()}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return fleurs.write(tmp_path / "corpus")


# Rows


def test_rows_by_hand(top):
    table = load(top, "en_us")
    assert {split: sorted(part["id"]) for split, part in table.items()} == {
        "train": ["en_us_10004088536354799741", "en_us_10005234", "en_us_10006"],
        "validation": ["en_us_2000"],
        "test": ["en_us_3000"],
    }
    row = rows(table["train"])["en_us_10004088536354799741"]
    assert (row["text"], row["raw_transcription"]) == (
        "a tornado is a spinning column",
        'A "tornado" is a spinning column',
    )
    assert row["characters"].startswith("a | t o r n a d o | i s |")
    assert (row["flores_id"], row["gender"], row["language"], row["subset"]) == (77, "female", "en", "en_us")
    assert row["speaker_id"] is None  # the corpus has none
    assert row["audio_path"] == "en_us/audio/train/10004088536354799741.wav"
    assert row["duration"] == 1600 / 16_000
    assert row["source"] == {"format": "WAV/FLOAT", "sampling_rate": 16_000, "channels": 1}
    np.testing.assert_array_equal(decode(row["audio"]), fleurs.samples_of("en_us", "10004088536354799741.wav"))
    row = rows(table["train"])["en_us_10006"]
    assert (row["raw_transcription"], row["gender"]) == ('"Never closed.', "other")  # quotes are letters


def test_text_keeps_its_spaces(top):
    table = load(top, "cmn_hans_cn")
    assert list(table) == ["train", "test"]
    assert (table["train"][0]["text"], table["train"][0]["language"]) == ("龙 卷 风 是 一 种", "zh")


def test_all_languages_at_once(top):
    table = load(top)
    assert sorted(table["train"]["language"]) == ["en", "en", "en", "es", "zh"]
    assert {"en_us_10006", "cmn_hans_cn_10006"} <= set(table["train"]["id"])  # one file name, two languages


def test_configurations():
    configs = {config.name: config for config in builder_class("fleurs").BUILDER_CONFIGS}
    languages = set(configs) - {"all"}
    assert len(languages) == 102
    assert {"en_us", "es_419", "cmn_hans_cn", "yue_hant_hk", "sr_rs", "nb_no", "fil_ph"} <= languages
    counts = [configs["en_us"].splits[split].utterances for split in ("train", "validation", "test")]
    assert counts == [2602, 394, 647]
    assert configs["zu_za"].splits["train"].utterances is None


# Layouts


@pytest.mark.parametrize("layout", fleurs.LAYOUTS)
def test_all_layouts_give_the_same_rows(top, tmp_path, layout):
    other = fleurs.write(tmp_path / layout, layout)
    for config in ("all", "es_419"):
        assert facts(load(other, config)) == facts(load(top, config))
    if layout != "metadata":
        folder = other / ("data/es_419" if layout == "hub" else "es_419")
        assert facts(load(folder, "es_419")) == facts(load(top, "es_419"))
        renamed = folder.rename(tmp_path / "spanish")
        assert facts(load(renamed, "es_419")) == facts(load(top, "es_419"))


@pytest.mark.parametrize("suffix", [".tar.gz", ".tar", ".zip"])
def test_archive_of_a_language(top, tmp_path, suffix):
    folder = tmp_path / "archives"
    folder.mkdir()
    for language in fleurs.ROWS:
        pack(top / language, folder / f"{language}{suffix}")
    expected = {split: rows(part) for split, part in load(top, "en_us").items()}
    for path in (folder, folder / f"en_us{suffix}"):
        assert {split: rows(part) for split, part in load(path, "en_us").items()} == expected
    assert facts(load(folder)) == facts(load(top))


def test_audio_packed_on_the_hub(top, tmp_path):
    hub = fleurs.write(tmp_path / "hub", "hub")
    for split in sorted(hub.glob("data/*/audio/*")):
        pack(split, split.with_name(f"{split.name}.tar.gz"))
        shutil.rmtree(split)
    for language in fleurs.ROWS:  # train/10006.wav and test/3000.wav are in two languages
        for path in (hub, hub / "data", hub / "data" / language):
            assert facts(load(path, language)) == facts(load(top, language))
    for path in (hub, hub / "data"):
        assert facts(load(path)) == facts(load(top))


def test_audio_before_the_table_in_the_archive(top, tmp_path):
    archive = tmp_path / "en_us.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        for path in sorted(top.glob("en_us/**/*.*"), key=lambda path: path.suffix, reverse=True):
            packed.add(path, path.relative_to(top))
    assert facts(load(archive, "en_us")) == facts(load(top, "en_us"))


# What must change the result


def test_row_without_audio_is_quarantined_and_audio_without_row_left_out(top, caplog):
    folder = top / "en_us/audio/train"
    (folder / "10006.wav").rename(folder / "99.wav")
    assert sorted(load(top, "en_us", max_bad=0.5)["train"]["id"]) == ["en_us_10004088536354799741", "en_us_10005234"]
    assert "en_us/audio/train/10006.wav is listed in the metadata, but there is no such file" in caplog.text


def test_columns_and_rows_of_the_table_count(top):
    path = top / "en_us/train.tsv"
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    lines = [[*line[:2], line[3], line[2], *line[4:]] for line in lines[1:]]
    path.write_text("".join("\t".join(line) + "\n" for line in lines))
    table = load(top, "en_us")["train"]
    assert len(table) == 2
    assert rows(table)["en_us_10006"]["text"] == '"Never closed.'


def test_another_language_is_not_taken_for_it(top):
    with pytest.raises(CorpusError, match=r"no utterances of fleurs .de_de"):
        load(top / "en_us", "de_de")


# Another reader


def test_rows_are_those_of_lhotse(top):
    for language, splits in json.loads(REFERENCE.read_text()).items():
        ours = load(top, language)
        assert set(splits) == {"train", "dev", "test"}
        for split, theirs in splits.items():
            part = rows(ours[split.replace("dev", "validation")])
            assert len(theirs) == len(part)
            for identifier, recording, text, raw, speaker, code, gender, start, duration in theirs:
                row = part[f"{language}_{recording}"]
                # It counts the readings of a sentence and calls that the speaker; the corpus has no speakers.
                assert identifier == f"{speaker}_{recording}"
                assert speaker.split("_")[0] == str(row["flores_id"])
                assert (text, raw, start) == (row["text"], row["raw_transcription"], row["offset"])
                assert (code, gender) == (row["subset"], row["gender"].upper())
                assert duration == pytest.approx(row["duration"], abs=0.5e-4)  # it rounds to a tenth of a millisecond
