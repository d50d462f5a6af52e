from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from datasets import load_dataset

import builders
from builders.audio import decode
from builders.librispeech.librispeech import PUBLISHED, SUBSETS, condensed_words
from builders.register import builder_class
from tests.corpora import librispeech
from tests.corpora.archives import pack

# As the Hub's librispeech_asr has them, and the mini corpus.
HUB = {
    "all": {"train.clean.100", "train.clean.360", "train.other.500", "validation.clean", "validation.other",
            "test.clean", "test.other"},
    "clean": {"train.100", "train.360", "validation", "test"},
    "other": {"train.500", "validation", "test"},
    "mini": {"train", "validation"},
}  # fmt: skip


def load(path: Path, *config: str, **options):
    return load_dataset("builders/librispeech", *config, data_dir=str(path), **options)


def tier(row: dict, name: str) -> list[tuple[float, float, str]]:
    return [(s["start"], s["end"], s["label"]) for s in row["segments"] if s["tier"] == name]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return librispeech.write(tmp_path / "corpus")


# Rows


def test_rows_by_hand(top):
    first, second = load(top, "clean", split="validation")
    assert first["id"] == "84-121123-0000"
    assert first["text"] == "GO DO YOU HEAR"
    assert (first["speaker_id"], first["chapter"], first["gender"], first["subset"]) == (
        "84",
        "121123",
        "female",
        "dev-clean",
    )
    assert first["audio_path"] == "dev-clean/84/121123/84-121123-0000.flac"
    assert first["audio"]["path"] == "84-121123-0000.flac"
    assert first["duration"] == 33440 / 16000 == 2.09
    assert (first["language"], first["corpus"], first["offset"], first["segments"]) == ("en", "librispeech", 0.0, [])
    assert second["text"] == "BUT IN LESS THAN FIVE MINUTES"


def test_audio_passes_through_byte_for_byte(top):
    for row in load(top, "clean", split="validation"):
        assert row["audio"]["bytes"] == (top / row["audio_path"]).read_bytes()


def test_reader_60_has_a_bar_in_his_name(top):
    (row,) = load(top, "clean", split="train.100")
    assert (row["speaker_id"], row["gender"]) == ("60", "male")


def test_unknown_reader_has_no_gender(top):
    (row,) = load(top, "other", split="test")
    assert (row["speaker_id"], row["gender"]) == ("367", None)
    (top / "SPEAKERS.TXT").unlink()
    assert load(top, "clean", split="validation")["gender"][:] == [None, None]


def test_top_folder_of_another_name(top):
    renamed = top.rename(top.parent / "ls960")
    for path in (renamed, renamed.parent):
        assert load(path, "clean", split="validation")["gender"][:] == ["female", "female"]


def test_byte_order_mark_and_crlf(top):
    path = top / "dev-clean/84/121123/84-121123.trans.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(top, "clean", split="validation")["text"][:] == ["GO DO YOU HEAR", "BUT IN LESS THAN FIVE MINUTES"]


def test_audio_without_text_and_text_without_audio(top):
    chapter = top / "dev-clean/84/121123"
    shutil.copy(chapter / "84-121123-0001.flac", chapter / "84-121123-0002.flac")  # not in the transcript
    (chapter / "84-121123-0000.flac").unlink()
    table = load(top, "clean", split="validation", max_bad=0.5)
    assert dict(zip(table["id"], table["text"], strict=True)) == {
        "84-121123-0001": "BUT IN LESS THAN FIVE MINUTES",
        "84-121123-0002": None,
    }


def test_chapter_without_a_transcript_is_not_lost(top):
    (top / "dev-clean/84/121123/84-121123.trans.txt").unlink()
    table = load(top, "clean", split="validation")
    assert dict(zip(table["id"], table["text"], strict=True)) == {"84-121123-0000": None, "84-121123-0001": None}


# Configurations and splits


def test_configurations_are_those_of_the_hub_and_each_subset():
    configurations = {config.name: set(config.splits) for config in builder_class("librispeech").BUILDER_CONFIGS}
    for name, splits in HUB.items():
        assert configurations.pop(name) == splits
    assert configurations == {
        "dev-clean": {"validation"}, "dev-other": {"validation"}, "test-clean": {"test"}, "test-other": {"test"},
        "train-clean-100": {"train"}, "train-clean-360": {"train"}, "train-other-500": {"train"},
        "dev-clean-2": {"validation"}, "train-clean-5": {"train"},
    }  # fmt: skip
    assert sum(PUBLISHED[subset].utterances for subset in librispeech.OFFICIAL) == 292_367


@pytest.mark.parametrize("name", [*HUB, *SUBSETS])
def test_every_configuration_gives_its_subsets(tmp_path, name):
    top = librispeech.write(tmp_path, librispeech.UTTERANCES)
    (config,) = (config for config in builder_class("librispeech").BUILDER_CONFIGS if config.name == name)
    table = load(top, name)
    assert list(table) == list(config.splits)
    for split, part in table.items():
        (subset,) = set(part["subset"])
        assert sorted(part["id"]) == sorted(librispeech.UTTERANCES[subset])
        kind = split.split(".")[0].replace("validation", "dev")
        assert subset.startswith(kind)
        assert all(word in subset.split("-") for word in split.split(".")[1:])
        if name in ("clean", "other"):
            assert name in subset
        elif name not in HUB:
            assert subset == name


def test_default_configuration_is_all(top):
    assert set(load(top)) == HUB["all"]


def test_subsets_that_are_not_there_are_left_out(tmp_path):
    assert list(load(librispeech.write(tmp_path, ["dev-other", "test-clean"]))) == ["validation.other", "test.clean"]


def test_subset_folder_alone(top):
    assert load(top / "dev-clean", "dev-clean", split="validation")["id"][:] == ["84-121123-0000", "84-121123-0001"]


def test_folder_of_archives_opens_those_that_the_configuration_needs(tmp_path):
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for subset in ("dev-clean", "test-clean", "train-clean-100"):
        pack(librispeech.write(tmp_path / subset, [subset]), downloads / f"{subset}.tar.gz")
    (downloads / "train-clean-100.tar.gz").write_bytes(b"still downloading")
    table = load(downloads, "dev-clean")
    assert table["validation"]["id"][:] == ["84-121123-0000", "84-121123-0001"]
    assert table["validation"]["gender"][:] == ["female", "female"]
    assert load(downloads, "test-clean")["test"]["id"][:] == ["121-121726-0000"]


def test_folder_and_archives_together(tmp_path):
    home = tmp_path / "home"
    librispeech.write(home, ["dev-clean"])
    pack(librispeech.write(tmp_path / "other", ["test-clean"]), home / "test-clean.tar.gz")
    assert {split: part["id"][:] for split, part in load(home).items()} == {
        "validation.clean": ["84-121123-0000", "84-121123-0001"],
        "test.clean": ["121-121726-0000"],
    }


# Forced alignments


@pytest.mark.parametrize("form", ["long", "short"])
@pytest.mark.parametrize("leading", ["", "LibriSpeech"])
@pytest.mark.parametrize("packed", [False, True])
def test_textgrids_in_all_their_forms(top, tmp_path, form, leading, packed):
    folder = librispeech.write_alignments(tmp_path / "alignments", form, leading=leading)
    path = pack(folder, tmp_path / "librispeech_alignments.zip") if packed else folder
    first, second = load(top, "clean", split="validation", alignments=str(path))
    assert tier(first, "words") == [interval for interval in librispeech.WORDS if interval[2]]
    assert tier(first, "phones") == list(librispeech.PHONES)
    assert second["segments"] == []  # some were never aligned


@pytest.mark.parametrize("leading", ["", "LibriSpeech"])
@pytest.mark.parametrize("packed", [False, True])
def test_condensed_alignment(top, tmp_path, leading, packed):
    folder = librispeech.write_alignments(tmp_path / "alignments", "condensed", leading=leading)
    path = pack(folder, tmp_path / "LibriSpeech-Alignments.zip") if packed else folder
    first, second = load(top, "clean", split="validation", alignments=str(path))
    assert tier(first, "words") == [
        (0.49, 0.89, "GO"), (1.27, 1.38, "DO"), (1.38, 1.49, "YOU"), (1.49, 1.89, "HEAR"),
    ]  # fmt: skip
    assert tier(first, "phones") == []
    assert second["segments"] == []


def test_condensed_line_with_silences_of_no_length():
    words = condensed_words('1-2-0003 ",SO,," "0.000,0.5,0.5,0.75"')
    assert [(word.start, word.end, word.label) for word in words] == [(0.0, 0.5, "SO")]


def test_zip_with_several_folders_at_its_top(top, tmp_path):
    # dev-clean/... at the root of the zip, as the archive on Zenodo may have it
    folder = librispeech.write_alignments(tmp_path / "alignments")
    archive = tmp_path / "bare.zip"
    shutil.make_archive(str(archive.with_suffix("")), "zip", folder)
    first, _ = load(top, "clean", split="validation", alignments=str(archive))
    assert len(tier(first, "phones")) == len(librispeech.PHONES)


def test_alignments_beside_the_audio(top):
    librispeech.write_alignments(top.parent, leading="LibriSpeech")
    first, _ = load(top, "clean", split="validation", alignments=str(top))
    assert len(tier(first, "phones")) == len(librispeech.PHONES)


def test_table_with_alignments_is_another_table(top, tmp_path):
    folder = librispeech.write_alignments(tmp_path / "alignments")
    assert load(top, "clean", split="validation")[0]["segments"] == []
    assert load(top, "clean", split="validation", alignments=str(folder))[0]["segments"]
    assert load(top, "clean", split="validation")[0]["segments"] == []
    (path,) = folder.rglob("*.TextGrid")
    path.write_text(path.read_text().replace('"hear"', '"here"'))
    changed = load(top, "clean", split="validation", alignments=str(folder))[0]
    assert tier(changed, "words")[-1][2] == "here"


def test_relative_alignments(top, tmp_path, monkeypatch):
    librispeech.write_alignments(tmp_path / "alignments")
    monkeypatch.chdir(tmp_path)
    assert load(top, "clean", split="validation", alignments="alignments")[0]["segments"]


def test_alignments_stream(top, tmp_path):
    folder = librispeech.write_alignments(tmp_path / "alignments")
    options = {"alignments": str(folder), "split": "validation"}
    assert list(load(top, "clean", streaming=True, **options)) == list(load(top, "clean", **options))


@pytest.mark.parametrize(
    ("alignments", "message"),
    [("nowhere", "nowhere does not exist"), ("broken", r"84-121123-0000\.TextGrid is no TextGrid")],
)
def test_wrong_alignments(top, tmp_path, alignments, message):
    (path,) = librispeech.write_alignments(tmp_path / "broken").rglob("*.TextGrid")
    path.write_text("File type = nonsense")
    with pytest.raises(builders.errors.CorpusError, match=message):
        load(top, "clean", alignments=str(tmp_path / alignments))


# Real recordings


def test_real_tree(shared_data):
    folder = shared_data("librispeech_layout")
    table = load(folder, "clean")
    assert list(table) == ["test"]
    texts = {}
    for path in folder.rglob("*.trans.txt"):
        for line in path.read_text().splitlines():
            texts.update([re.fullmatch(r"(\S+) (.*)", line).groups()])
    assert dict(zip(table["test"]["id"], table["test"]["text"], strict=True)) == texts
    assert len(texts) == 4
    for row in table["test"]:
        samples, _ = sf.read(folder / "LibriSpeech" / row["audio_path"], dtype="float32")
        np.testing.assert_array_equal(decode(row["audio"]), samples)
        assert row["duration"] == len(samples) / 16_000
    assert sum(table["test"]["duration"]) == pytest.approx(21, abs=0.6)
