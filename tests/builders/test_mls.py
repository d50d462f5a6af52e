from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders import mls_tree
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.lookup import Lookup
from builders.register import builder_class
from tests.corpora import mls
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.rows import by_id, pcm

STORED = Path(__file__).parents[1] / "corpora/references/mls.json"
CODES = {"english": "en", "german": "de"}
FIRST = "4800_10003_000000"


def load(path: Path, config: str | None = None, corpus: str = "mls_english", **options):
    return load_dataset(f"builders/{corpus}", config, data_dir=str(path), **options)


def rows(tables) -> dict[str, dict[str, dict]]:
    return {split: by_id(table) for split, table in tables.items()}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return mls.write(tmp_path / "corpus")


# Rows


def test_row_by_hand(top):
    found = by_id(load(top, split="train"))
    row = found[FIRST]
    assert row["text"] == "oh my dear you must see him he expects you she answered almost gayly"
    assert (row["speaker_id"], row["book"], row["gender"], row["language"]) == ("4800", "10003", "female", "en")
    assert (row["original_start"], row["original_end"]) == (401.76, 417.57)
    assert row["original_url"] == "http://www.archive.org/download/10003/4800_10003_000000_64kb.mp3"
    assert row["audio_path"] == "mls_english/train/audio/4800/10003/4800_10003_000000.flac"
    assert (row["duration"], row["corpus"], row["segments"], row["offset"]) == (0.2, "mls_english", [], 0.0)
    assert row["source"] == {"format": "FLAC/PCM_16", "sampling_rate": 16000, "channels": 1}
    assert found["4800_10003_000007"]["text"] == "the wheel-chair of the day-room i-i'm"
    assert (found["4800_10003_000007"]["original_start"], found["4800_10003_000007"]["original_end"]) == (20.0, 31.25)
    assert found["2284_9447_000012"]["text"] == '"quoted'
    assert found["2284_9447_000013"]["text"] is None  # an empty transcript


def test_flac_passes_through_byte_for_byte(top):
    for row in load(top, split="train"):
        assert row["audio"]["bytes"] == (top.parent / row["audio_path"]).read_bytes()


def test_speakers_without_released_audio_do_not_count(top):
    assert by_id(load(top, split="test"))["9508_1240_000001"]["gender"] == "male"  # F in the rows that are secret


def test_titles_are_free_text():
    class Lines:
        def __contains__(self, _):
            return True

        def lines(self, _):
            return iter(mls.METAINFO["english"].splitlines())

    assert mls_tree.read_genders(Lines(), "") == {"9508": "male", "4800": "female", "1982": "male", "2284": "female"}


def test_without_the_tables_beside_the_transcripts(top):
    for path in (*top.glob("*/segments.txt"), top / "metainfo.txt"):
        path.unlink()
    row = by_id(load(top, split="train"))[FIRST]
    assert [row[label] for label in ("gender", "original_url", "original_start", "original_end")] == [None] * 4


# Limited supervision


def test_lists_are_labels_of_the_whole_and_configurations(top):
    found = by_id(load(top, split="train"))
    assert {name: (row["subset"], row["fold"]) for name, row in found.items()} == {
        FIRST: ("9hr", None), "4800_10003_000007": (None, None),
        "2284_9447_000012": ("1hr", 0), "2284_9447_000013": ("1hr", 5),
    }  # fmt: skip
    hour = {"2284_9447_000012", "2284_9447_000013"}
    for config, names in {"9hr": {FIRST}, "1hr": hour, "10hr": {FIRST, *hour}}.items():
        part = rows(load(top, config))
        assert list(part) == ["train", "validation", "test"]
        assert part["train"] == {name: found[name] for name in names}
        assert set(part["test"]) == {"9508_1240_000001"}


def test_an_utterance_of_the_lists_that_was_not_transcribed(top):
    path = top / "train/transcripts.txt"
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if FIRST not in line))
    row = by_id(load(top, "9hr", split="train"))[FIRST]
    assert (row["text"], row["original_start"]) == (None, 401.76)
    assert FIRST in by_id(load(top, split="train"))


def test_lists_that_are_not_there(top):
    shutil.rmtree(top / "train/limited_supervision/1hr")
    assert len(load(top, "9hr", split="train")) == 1
    with pytest.raises(CorpusError, match=r"10hr needs mls_english/train/limited_supervision/1hr, not found in"):
        load(top, "10hr")


# Languages


@pytest.mark.parametrize("form", mls_tree.FORMATS)
def test_languages_side_by_side(tmp_path, form):
    for language in mls.UTTERANCES:
        mls.write(tmp_path, language, form)
    found = rows(load(tmp_path, "de", "mls"))
    assert {split: set(part) for split, part in found.items()} == {
        "train": {"8699_3011_000001", "8699_3011_000002"}, "validation": {"252_1800_000004"},
        "test": {"1054_1599_000000"},
    }  # fmt: skip
    row = found["train"]["8699_3011_000001"]
    assert (row["text"], row["language"], row["gender"], row["corpus"]) == ("grüße aus münchen", "de", "male", "mls")
    assert row["audio_path"].endswith(f"/8699_3011_000001.{form}")
    assert set(rows(load(tmp_path, "de_9hr", "mls"))["train"]) == {"8699_3011_000002"}
    french, polish = (load(tmp_path, code, "mls") for code in ("fr", "pl"))
    assert (list(french), french["test"]["text"][:], french["test"]["language"][:]) == (["test"], ["ça va"], ["fr"])
    assert (list(polish), polish["validation"]["language"][:]) == (["validation"], ["pl"])
    with pytest.raises(CorpusError, match=r"no utterances of mls \(nl: train, validation, test\) found"):
        load(tmp_path, "nl", "mls")


def test_another_language_is_not_taken_for_the_one_asked_for(tmp_path):
    with pytest.raises(CorpusError, match="no utterances"):
        load(mls.write(tmp_path, "french"), "de", "mls")


def test_configurations():
    english = {config.name: config for config in builder_class("mls_english").BUILDER_CONFIGS}
    assert set(english) == {"default", "9hr", "1hr", "10hr"}
    assert sum(expected.utterances for expected in english["default"].splits.values()) == 10_815_613
    assert english["9hr"].splits["train"] == Expected(None, 9.0)
    others = {config.name: config for config in builder_class("mls").BUILDER_CONFIGS}
    assert others.pop("all").splits == {
        "train": Expected(1_445_342, 6027.1), "validation": Expected(13_974, 58.0), "test": Expected(13_933, 58.27),
    }  # fmt: skip
    assert set(others) == {
        f"{code}{part}" for code in "de nl fr es it pt pl".split() for part in ("", "_9hr", "_1hr", "_10hr")
    }
    assert others["pl"].splits == {
        "train": Expected(25043, 103.7), "validation": Expected(512, 2.08), "test": Expected(520, 2.14)
    }  # fmt: skip
    assert others["de_10hr"].splits["train"] == Expected(2194 + 241, 10.0)
    assert {config.code for config in others.values()} == set("de nl fr es it pt pl".split())
    assert (
        len({archive.md5 for corpus in ("mls", "mls_english") for archive in builder_class(corpus).FACTS.archives})
        == 16
    )


# Layouts


def test_opus_has_the_same_rows_and_nearly_the_same_audio(tmp_path):
    flac = rows(load(mls.write(tmp_path / "a")))
    opus = rows(load(mls.write(tmp_path / "b", form="opus")))
    differ = ("audio", "audio_path", "source")
    for split, part in flac.items():
        for name, row in part.items():
            other = opus[split][name]
            assert {k: v for k, v in row.items() if k not in differ} == {
                k: v for k, v in other.items() if k not in differ
            }
            assert other["audio_path"].startswith("mls_english_opus/")
            assert other["source"] == {"format": "OGG/OPUS", "sampling_rate": 16000, "channels": 1}


def test_both_forms_side_by_side(tmp_path):
    for form in mls_tree.FORMATS:
        mls.write(tmp_path, form=form)
    assert {row["source"]["format"] for row in load(tmp_path, split="train")} == {"FLAC/PCM_16"}
    assert {row["source"]["format"] for row in load(tmp_path, split="train", form="opus")} == {"OGG/OPUS"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("form", mls_tree.FORMATS)
def test_folder_and_archive_give_the_same_rows(tmp_path, suffix, form):
    top = mls.write(tmp_path, form=form)
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    archive = pack(top, downloads / f"{top.name}{suffix}")
    expected = rows(load(top))
    assert rows(load(archive)) == expected
    (downloads / "mls_german_opus.tar.gz").write_bytes(b"still downloading")
    assert rows(load(downloads, "default")) == expected


def test_archive_in_parts(top):
    downloads = top.parent / "downloads"
    downloads.mkdir()
    packed = pack(top, top.parent / "x.tar.gz").read_bytes()
    size = len(packed) // 3 + 1
    for number, letter in enumerate("abc"):
        part = packed[number * size : (number + 1) * size]
        (downloads / f"mls_english.tar.gz.parta{letter}").write_bytes(part)
    assert rows(load(downloads)) == rows(load(top))


def test_folders_that_the_user_may_point_at(top):
    expected = rows(load(top))
    assert rows(load(top.parent)) == expected
    short = {split: {name: row["text"] for name, row in part.items()} for split, part in expected.items()}

    def texts(path: Path) -> dict[str, dict[str, str]]:
        return {split: {name: row["text"] for name, row in part.items()} for split, part in rows(load(path)).items()}

    assert texts(top / "dev") == {"validation": short["validation"]}
    renamed = top.rename(top.parent / "mls")
    assert texts(renamed) == short
    packed = pack(renamed, top.parent / "x.tar.gz")
    assert texts(packed) == short
    for path in (renamed, packed):
        assert by_id(load(path, split="train"))[FIRST]["gender"] == "female"


# A real recording


def test_real_opus_of_the_corpus(tmp_path, shared_data):
    identifier = "13697_11991_000000"
    folder = shared_data("mfa_fixtures") / "tests/data"
    real = folder / f"wav/{identifier}.opus"
    text = (folder / f"lab/{identifier}.lab").read_text(encoding="utf-8").strip()
    path = tmp_path / f"mls_spanish_opus/test/audio/13697/11991/{identifier}.opus"
    path.parent.mkdir(parents=True)
    shutil.copy(real, path)
    (tmp_path / "mls_spanish_opus/test/transcripts.txt").write_text(f"{identifier}\t{text}\n", encoding="utf-8")
    (row,) = load(tmp_path, "es", "mls", split="test")
    assert text.startswith("la sorpresa y el disgusto que produjo a wentworth la substitución")
    assert (row["text"], row["language"]) == (text, "es")
    samples, rate = sf.read(real, dtype="int16")
    assert (rate, row["source"]) == (16000, {"format": "OGG/OPUS", "sampling_rate": 16000, "channels": 1})
    np.testing.assert_allclose(pcm(row), samples, atol=1)  # one rounds, the other cuts off
    assert row["duration"] == len(samples) / 16000


# Each part of the corpus counts


def test_a_file_less_a_row_less_a_column_swapped(top, caplog):
    expected = rows(load(top))
    (top / f"train/audio/4800/10003/{FIRST}.flac").unlink()
    found = rows(load(top, max_bad=0.5))
    assert set(expected["train"]) - set(found["train"]) == {FIRST}
    assert f"{FIRST}.flac" in caplog.text
    assert "listed in the metadata, but there is no such file: quarantined" in caplog.text

    path = top / "train/transcripts.txt"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:1] + lines[2:]))
    assert "4800_10003_000007" not in by_id(load(top, split="train", max_bad=0.5))

    path = top / "dev/segments.txt"
    name, url, start, end = path.read_text().split()
    path.write_text(f"{name}\t{url}\t{end}\t{start}\n")
    assert by_id(load(top, split="validation", max_bad=0.5))[name]["original_start"] == 17.0


def test_all_audio_of_a_split_missing_is_not_silent(top):
    shutil.rmtree(top / "train/audio")
    with pytest.raises(CorpusError, match="4 of 4 recordings"):
        load(top, split="train")


# Size


class Large:
    """A corpus of many transcripts that is never held, and counts the lines that were read."""

    path = Path("large")

    def __init__(self, rows: int) -> None:
        self.rows, self.read = rows, 0

    def __contains__(self, name: str) -> bool:
        return name in ("mls_english/train/transcripts.txt", "mls_english/train/segments.txt")

    def names(self, pattern: str) -> Iterator[str]:
        return iter(())

    def match(self, pattern: str) -> Iterator[str]:
        return iter(())

    def lines(self, name: str) -> Iterator[str]:
        for number in range(self.rows):
            self.read += name.endswith("transcripts.txt")
            yield f"1_2_{number:06d}\t{'x' * 200}\t1.0\t2.0"


def test_tables_are_streamed_and_nothing_grows_with_them():
    files = Large(40_000)
    (config,) = (config for config in builder_class("mls_english").BUILDER_CONFIGS if config.name == "default")
    tracemalloc.start()
    utterances = mls_tree.utterances(files, "train", config)
    first = next(utterances)
    assert files.read == 1
    assert first.labels["original_end"] == 2.0
    assert sum(1 for _ in utterances) == 39_999
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000  # the tables are 16 MB


def test_lookup_gives_the_first_value_and_removes_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PHONELAYERS_CACHE", str(tmp_path))
    with Lookup([("b", "1"), ("a", "2"), ("b", "3")]) as table:
        assert [table.get(key) for key in "abc"] == ["2", "1", None]
        assert list(tmp_path.rglob("*.sqlite"))
    assert not list(tmp_path.rglob("*.sqlite"))


# What lhotse makes of the same files


@pytest.mark.parametrize("form", mls_tree.FORMATS)
@pytest.mark.parametrize("language", ["english", "german"])
def test_rows_are_those_of_the_recipe(tmp_path, form, language):
    """The recipe differs in these.

    - Gender is F or M, language the folder's word.
    - A speaker's gender is that of the last row of metainfo.txt, the secret ones included: 9508 is F there.
    - An empty transcript is an empty string; ours is null.
    """
    stored = [row for row in json.loads(STORED.read_text()) if (row["form"], row["language"]) == (form, language)]
    corpus, config = ("mls_english", None) if language == "english" else ("mls", "de")
    found = rows(load(mls.write(tmp_path, language, form), config, corpus))
    parts = {"train": "train", "dev": "validation", "test": "test"}
    assert {(parts[row["part"]], row["id"]) for row in stored} == {(s, name) for s in found for name in found[s]}
    for theirs in stored:
        ours = found[parts[theirs["part"]]][theirs["id"]]
        gender = {"F": "female", "M": "male"}[theirs["gender"]]
        assert ours["gender"] == ("male" if theirs["id"] == "9508_1240_000001" else gender)
        assert (theirs["text"] or None, theirs["speaker"]) == (ours["text"], ours["speaker_id"])
        assert (CODES[theirs["language"]], theirs["start"]) == (ours["language"], ours["offset"])
        assert theirs["duration"] == ours["duration"]
