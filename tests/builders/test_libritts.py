from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.corpus import Expected
from builders.libritts_tree import PUBLISHED, SPLITS, read_snr, read_texts
from builders.register import builder_class
from tests.corpora import libritts
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.rows import by_id

STORED = Path(__file__).parents[1] / "corpora/references/libritts.json"
CORPORA = ("libritts", "libritts_r")
NOUN = "84_121123_000007_000001"


def load(path: Path, *config: str, corpus: str = "libritts", **options):
    return load_dataset(f"builders/{corpus}", *config, data_dir=str(path), **options)


def rows(tables) -> dict[str, dict]:
    return {name: row for table in tables.values() for name, row in by_id(table).items()}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return libritts.write(tmp_path / "corpus")


# Rows


def test_rows_by_hand(top):
    found = by_id(load(top, "clean", split="validation"))
    assert sorted(found) == [NOUN, "84_121123_000008_000000", "84_121550_000007_000000"]
    row = found[NOUN]
    assert (row["text"], row["text_original"], row["snr"]) == ("Maximilian.", "Maximilian.", 17.914165)
    assert (row["speaker_id"], row["chapter"], row["gender"], row["subset"]) == ("84", "121123", "female", "dev-clean")
    assert row["audio_path"] == f"dev-clean/84/121123/{NOUN}.wav"
    assert row["source"] == {"format": "WAV/PCM_16", "sampling_rate": 24000, "channels": 1}
    assert (row["duration"], len(row["audio"])) == (1.0, 16000)
    assert (row["language"], row["corpus"], row["offset"], row["segments"]) == ("en", "libritts", 0.0, [])
    quoted = found["84_121550_000007_000000"]  # an odd number of quotation marks
    assert (quoted["text"], quoted["text_original"]) == ('"I paid three pounds, "he said', '"I paid 3 pounds, "he said')
    assert quoted["snr"] == 9.0


def test_sentences_that_have_no_audio_are_no_rows(top):
    assert "84_121123_000001_000000" in (top / "dev-clean/84/121123/84_121123.book.tsv").read_text()
    assert "84_121123_000001_000000" not in rows(load(top))


def test_utterance_that_the_table_of_sentences_lacks_has_no_snr(top):
    found = by_id(load(top, "clean", split="train.360"))
    assert (found["446_123502_000030_000003"]["snr"], found["446_123502_000030_000003"]["text"]) == (None, "“Yes.”")
    assert found["1092_134562_000013_000004"]["snr"] == 11.0


def test_snr_in_every_notation_and_texts_with_quotes():
    class Lines:
        def lines(self, _):
            return iter(['a\t"x\ty"\t1e1', "b\tx\ty\t-3", "c\tx\ty\tnan", "d"])

    assert read_snr(Lines(), "") == {"a": 10.0, "b": -3.0}
    assert read_texts(Lines(), "") == {"a": ('"x', 'y"'), "b": ("x", "y"), "c": ("x", "y")}


@pytest.mark.parametrize("document", ["SPEAKERS.txt", "speakers.tsv"])
def test_genders_from_either_document(top, document):
    other = {"SPEAKERS.txt": "speakers.tsv", "speakers.tsv": "SPEAKERS.txt"}[document]
    expected = rows(load(top))
    (top / other).unlink()
    assert rows(load(top)) == expected
    assert expected["60_121082_000003_000000"]["gender"] == "male"  # his name has a bar
    assert expected["367_130732_000001_000000"]["gender"] is None  # in neither
    (top / document).unlink()
    assert {row["gender"] for row in rows(load(top)).values()} == {None}


# Layouts


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_folder_and_archive_give_the_same_rows(tmp_path, corpus, suffix):
    top = libritts.write(tmp_path, corpus)
    expected = load(top, corpus=corpus)
    found = load(pack(top, tmp_path / f"any{suffix}"), corpus=corpus)
    assert list(found) == list(expected) == list(SPLITS["all"])
    assert rows(found) == rows(expected)


def test_folders_that_the_user_may_point_at(top):
    expected = by_id(load(top, "dev-clean", split="validation"))
    assert by_id(load(top.parent, "dev-clean", split="validation")) == expected
    assert list(by_id(load(top / "dev-clean", "dev-clean", split="validation"))) == list(expected)
    renamed = top.rename(top.parent / "24k")
    assert by_id(load(renamed, "dev-clean", split="validation")) == expected


@pytest.mark.parametrize("corpus", CORPORA)
def test_pairs_of_texts_without_tables(tmp_path, corpus):
    with_tables = rows(load(libritts.write(tmp_path / "a", corpus), corpus=corpus))
    without = rows(load(libritts.write(tmp_path / "b", corpus, tables=False), corpus=corpus))
    assert without == {name: {**row, "snr": None} for name, row in with_tables.items()}


def test_audio_without_any_text_is_not_lost(top):
    place = top / "dev-clean/84/121550"
    for path in place.glob("*.t*"):
        path.unlink()
    row = by_id(load(top, "dev-clean", split="validation"))["84_121550_000007_000000"]
    assert (row["text"], row["text_original"]) == (None, None)


def test_subsets_that_are_not_there_are_left_out(tmp_path):
    top = libritts.write(tmp_path, subsets=["dev-other", "test-clean"])
    assert list(load(top)) == ["validation.other", "test.clean"]


@pytest.mark.parametrize("corpus", CORPORA)
def test_every_configuration_gives_its_subsets(tmp_path, corpus):
    top = libritts.write(tmp_path, corpus)
    configurations = {config.name: config for config in builder_class(corpus).BUILDER_CONFIGS}
    assert set(configurations) == {"all", "clean", "other", *PUBLISHED}
    for name, config in configurations.items():
        tables = load(top, name, corpus=corpus)
        assert list(tables) == list(config.splits)
        for split, table in tables.items():
            (subset,) = set(table["subset"])
            assert set(table["id"]) == set(libritts.UTTERANCES[subset])
            assert config.splits[split] == PUBLISHED[subset]
            assert subset.startswith(split.split(".")[0].replace("validation", "dev"))
            assert name in (subset, "all") or name in subset.split("-")


def test_published_counts():
    assert sum(expected.utterances for expected in PUBLISHED.values()) == 375_086
    assert sum(expected.hours for expected in PUBLISHED.values()) == pytest.approx(585.8, abs=0.05)
    assert PUBLISHED["test-clean"] == Expected(4837, 8.56)


def test_both_corpora_in_one_folder_are_told_apart(tmp_path):
    libritts.write(tmp_path, "libritts", ["dev-clean"])
    libritts.write(tmp_path, "libritts_r", ["test-clean"])
    assert list(load(tmp_path)) == ["validation.clean"]
    assert list(load(tmp_path, corpus="libritts_r")) == ["test.clean"]


def test_downloads_of_each_corpus_are_found_by_their_names(tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    pack(libritts.write(tmp_path / "a", "libritts", ["dev-clean"]), downloads / "dev-clean.tar.gz")
    (downloads / "train-clean-100.tar.gz").write_bytes(b"still downloading")
    assert set(load(downloads, "dev-clean")["validation"]["gender"]) == {"female"}


# LibriTTS-R


def archives_of_r(tmp_path: Path, name: str) -> Path:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    pack(libritts.write(tmp_path / "audio", "libritts_r", ["train-clean-100"]), downloads / name)
    pack(libritts.write_documents(tmp_path / "doc"), downloads / "doc.tar.gz")
    pack(libritts.write_failed(tmp_path / "failed"), downloads / f"{libritts.FAILED}.tar.gz")
    return downloads


@pytest.mark.parametrize("name", ["train_clean_100.tar.gz", "train-clean-100.tar.gz"])
@pytest.mark.parametrize("config", ["clean", "train-clean-100"])
def test_failed_restorations_are_marked_and_kept(tmp_path, name, config):
    (table,) = load(archives_of_r(tmp_path, name), config, corpus="libritts_r").values()
    found = by_id(table)
    assert {name: row["restoration_failed"] for name, row in found.items()} == {
        "60_121082_000003_000000": False, "103_1241_000000_000001": True,
    }  # fmt: skip
    assert {row["gender"] for row in found.values()} == {"male", "female"}
    assert (found["103_1241_000000_000001"]["text"], found["103_1241_000000_000001"]["snr"]) == ("CHAPTER one.", 15.25)
    assert found["103_1241_000000_000001"]["corpus"] == "libritts_r"


def test_an_empty_list_says_that_none_failed_and_no_list_says_nothing(tmp_path):
    libritts.write(tmp_path, "libritts_r", ["dev-clean", "test-clean"])
    libritts.write_failed(tmp_path)  # has no list of test-clean
    tables = load(tmp_path, "clean", corpus="libritts_r")
    assert set(tables["validation"]["restoration_failed"]) == {False}
    assert set(tables["test"]["restoration_failed"]) == {None}
    assert set(tables["test"]["gender"]) == {None}  # no document


def test_corrupt_recording_and_junk_beside_it(tmp_path, caplog):
    top = libritts.write(tmp_path, "libritts_r", ["train-clean-360", "dev-clean"])
    bad = top / "train-clean-360/1092/134562/1092_134562_000013_000004.wav"
    bad.write_bytes(b"RIFF\x00\x00")
    shutil.copy(bad, top / f"dev-clean/84/121550/._{bad.name}")
    (top / "dev-clean/84/121550/._84_121550.trans.tsv").write_bytes(b"\x00\x05\x16\x07")
    found = load(top, "clean", corpus="libritts_r", max_bad=0.6)
    assert found["train.360"]["id"][:] == ["446_123502_000030_000003"]
    assert len(found["validation"]) == 3
    assert f"train-clean-360/1092/134562/{bad.name}" in caplog.text


# Each part of the corpus counts


def test_a_file_less_a_row_less_a_column_swapped(top, caplog):
    expected = rows(load(top))
    table = top / "dev-clean/84/121123/84_121123.trans.tsv"
    for path in table.parent.glob("84_121123_000008_000000.*"):
        path.unlink()
    assert set(expected) - set(rows(load(top, max_bad=0.5))) == {"84_121123_000008_000000"}
    assert "84_121123_000008_000000.wav" in caplog.text
    assert "listed in the metadata, but there is no such file: quarantined" in caplog.text

    lines = (top / "train-clean-100/60/121082/60_121082.trans.tsv").read_text()
    name, original, text = lines.rstrip("\n").split("\t")
    (top / "train-clean-100/60/121082/60_121082.trans.tsv").write_text(f"{name}\t{text}\t{original}\n")
    swapped = rows(load(top, max_bad=0.5))[name]
    assert (swapped["text"], swapped["text_original"]) == (original, text) != (text, original)

    table.write_text("".join(table.read_text().splitlines(keepends=True)[1:]))  # NOUN still has its pair of texts
    for path in table.parent.glob(f"{NOUN}.*.txt"):
        path.unlink()
    assert rows(load(top, max_bad=0.5))[NOUN]["text"] is None


# What lhotse makes of the same files


def test_rows_are_those_of_the_recipe(top):
    """The recipe differs in these.

    - Gender and language are F and English where we have female and en.
    - It leaves 1092_134562_000013_000004 out by name; we decode it, and quarantine it if that fails.
    - Durations are those of the source at 24 kHz; ours are of the 16 kHz samples, half a sample off at most.
    """
    stored = {row["id"]: row for row in json.loads(STORED.read_text())}
    found = rows(load(top))
    assert set(found) - set(stored) == {"1092_134562_000013_000004"}
    assert set(stored) <= set(found)
    for name, theirs in stored.items():
        ours = found[name]
        assert {"F": "female", "M": "male", None: None}[theirs["gender"]] == ours["gender"]
        assert (theirs["language"], theirs["start"]) == ("English", ours["offset"])
        assert ours["duration"] == pytest.approx(theirs["duration"], abs=1 / 16000)
        assert theirs["speaker"] == ours["speaker_id"]
        for column in ("text", "text_original", "snr", "subset"):
            assert theirs[column] == ours[column]
