from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.audio import decode
from builders.files import Files
from builders.libri_mix.libri_mix import LibriMix
from builders.libri_mix.metadata import read_sources
from tests.corpora import libri_mix as corpus
from tests.corpora.archives import pack

STORED = Path(__file__).parents[1] / "corpora/references/libri_mix.json"
BOTH = "libri2mix-16k-max-both"


def load(path: Path, config: str = BOTH, **options):
    return load_dataset("builders/libri_mix", config, data_dir=str(path), **options)


def pcm(cell: dict) -> np.ndarray:
    return np.rint(decode(cell) * 32768).astype(np.int16)


def rows(table) -> dict[str, dict]:
    audio = ("audio", *LibriMix.FACTS.audio_columns)
    return {row["id"]: {k: v for k, v in row.items() if k not in audio} for part in table.values() for row in part}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return corpus.write(tmp_path / "data")


@pytest.fixture
def metadata(tmp_path: Path) -> str:
    return str(corpus.write_metadata(tmp_path / "repository"))


def test_sources_and_mixture_are_audio_columns(top):
    table = load(top)
    assert list(table) == ["train.100", "validation"]
    row = next(row for row in table["validation"] if row["id"] == corpus.FIRST)
    made = corpus.parts(corpus.FIRST)
    for column, kind in {"audio": "mix_both", "source1": "s1", "source2": "s2", "noise": "noise"}.items():
        np.testing.assert_array_equal(pcm(row[column]), made[kind], err_msg=column)
    assert row["source3"] is None
    mixed = pcm(row["source1"]) + pcm(row["source2"]) + pcm(row["noise"])
    np.testing.assert_array_equal(mixed, pcm(row["audio"]))
    assert row["source1"]["path"] == f"{corpus.FIRST}.source1.flac"
    assert (row["duration"], row["audio_path"]) == (0.2, f"Libri2Mix/wav16k/max/dev/mix_both/{corpus.FIRST}.wav")
    assert (row["speaker_id"], row["text"], row["language"], row["subset"]) == (None, None, "en", "dev")
    assert (row["speakers"], row["source_ids"]) == (["3536", "1673"], ["3536-8226-0026", "1673-143397-0009"])
    assert (row["snrs"], row["noise_snr"]) == ([1.5, 3.0], 4.5)
    assert (row["texts"], row["gains"], row["genders"], row["segments"]) == (None, None, [None, None], [])


def test_readers_without_noise(top):
    row = load(top, "libri2mix-16k-min-clean")["validation"][0]
    assert row["noise"] is None
    np.testing.assert_array_equal(pcm(row["audio"]), pcm(row["source1"]) + pcm(row["source2"]))
    assert (row["noise_snr"], row["snrs"]) == (None, [1.5, 3.0])
    lengths = {row["id"]: row["duration"] for row in load(top, "libri2mix-16k-min-clean")["validation"]}
    assert lengths == {corpus.FIRST: 0.1, corpus.SECOND: 0.0625}


def test_one_reader_with_noise(top, metadata):
    row = next(row for row in load(top, "libri2mix-16k-max-single", metadata=metadata)["validation"])
    np.testing.assert_array_equal(pcm(row["audio"]), pcm(row["source1"]) + pcm(row["noise"]))
    assert (row["source2"], row["speakers"], len(row["gains"])) == (None, [row["speaker_id"]], 1)
    assert (row["snrs"], row["noise_snr"]) == ([1.5], 3.0)


def test_three_readers(tmp_path):
    row = load(corpus.write_three(tmp_path), "libri3mix-16k-min-both")["train.100"][0]
    assert row["speakers"] == ["103", "1034", "19"]
    total = sum(pcm(row[column]) for column in ("source1", "source2", "source3", "noise"))
    np.testing.assert_array_equal(pcm(row["audio"]), total)


def test_eight_kilohertz(top):
    row = load(top, "libri2mix-8k-min-both")["validation"][0]
    assert row["source"] == {"format": "WAV/PCM_16", "sampling_rate": 8000, "channels": 1}
    assert len(pcm(row["audio"])) == len(pcm(row["source2"])) == round(row["duration"] * 16000)


@pytest.mark.parametrize(("mode", "ends"), [("max", [0.2, 0.1]), ("min", [0.1, 0.1])])
def test_metadata_of_the_repository(top, metadata, mode, ends):
    found = {row["id"]: row for row in load(top, f"libri2mix-16k-{mode}-both", metadata=metadata)["validation"]}
    row = found[corpus.FIRST]
    assert row["gains"] == [0.7925878276419455, 0.2142791008161834]
    assert (row["noise_id"], row["noise_gain"]) == (corpus.NOISE, 1.1114428047969456)
    assert (row["genders"], found[corpus.SECOND]["genders"]) == (["female", "female"], ["female", "male"])
    spans = [(s["tier"], s["start"], s["end"], s["label"], s["speaker"]) for s in row["segments"]]
    assert spans == [
        ("speakers", 0.0, ends[0], "3536-8226-0026", "3536"), ("speakers", 0.0, ends[1], "1673-143397-0009", "1673")
    ]  # fmt: skip
    for segment, column in zip(row["segments"], ("source1", "source2"), strict=True):
        assert not pcm(row[column])[round(segment["end"] * 16000) :].any()


@pytest.mark.parametrize(("mix", "part"), [("clean", ""), ("both", "_noisy")])
def test_same_as_lhotse(top, metadata, mix, part):
    """Differences: the recipe mixes by itself, 16 kHz and as long as the longest only; it lists the sources from the
    last to the first and puts the gain, which we have as a label, into their ids.
    """
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    found = load(top, f"libri2mix-16k-max-{mix}", metadata=metadata)
    for split, name in (("validation", "libri2mix_dev-clean"), ("train.100", "libri2mix_train-clean-100")):
        theirs = {row["id"]: row for row in stored if row["part"] == f"{name}{part}"}
        assert sorted(found[split]["id"]) == sorted(theirs)
        for row in found[split]:
            assert row["duration"] == theirs[row["id"]]["duration"]
            sources = theirs[row["id"]]["sources"][::-1]
            assert [s["id"] for s in sources] == [
                f"{source}_vp{gain}" for source, gain in zip(row["source_ids"], row["gains"], strict=True)
            ]
            assert [(s["speaker"], s["start"], s["duration"]) for s in sources] == [
                (s["speaker"], s["start"], s["end"]) for s in row["segments"]
            ]


def test_metadata_beside_the_mixtures(top, metadata, tmp_path):
    expected = rows(load(top, metadata=metadata))
    corpus.write_metadata(top.parent)
    assert rows(load(top.parent)) == expected


def test_texts_of_librispeech(top, tmp_path):
    librispeech = corpus.write_librispeech(tmp_path / "ls")
    found = rows(load(top, librispeech=str(librispeech)))
    assert found[corpus.FIRST]["texts"] == ["HE WAS A MAN", "THE KING"]
    assert found[corpus.SECOND]["texts"] == ["BUT IN LESS THAN", None]
    single = rows(load(top, "libri2mix-16k-max-single", librispeech=str(librispeech)))
    assert (single[corpus.FIRST]["text"], single[corpus.FIRST]["speaker_id"]) == ("HE WAS A MAN", "3536")
    archives = tmp_path / "archives"
    archives.mkdir()
    pack(librispeech, archives / "dev-clean.tar.gz")
    assert rows(load(top, librispeech=str(archives))) == found


def test_without_tables_the_folders_are_enough(top, tmp_path):
    bare = corpus.write(tmp_path / "bare", tables=False)
    expected, found = rows(load(top)), rows(load(bare))
    without = {"snrs": None, "noise_snr": None}
    assert found == {name: {**row, **without} for name, row in expected.items()}


def test_mixtures_without_noise_have_no_such_folder(tmp_path):
    top = corpus.write(tmp_path, noisy=False)
    assert load(top, "libri2mix-16k-max-clean")["validation"][0]["noise"] is None


def test_folder_and_archives(top, tmp_path):
    expected = rows(load(top))
    assert rows(load(top.parent)) == expected
    assert rows(load(pack(top, tmp_path / "Libri2Mix.tar.gz"))) == expected
    assert rows(load(pack(top, tmp_path / "x.zip"))) == expected


def test_it_bites(top, caplog):
    folder = top / "wav16k/max/dev"
    (folder / f"s2/{corpus.FIRST}.wav").unlink()
    assert load(top, max_bad=0.5)["validation"]["id"][:] == [corpus.SECOND]
    assert f"s2/{corpus.FIRST}.wav" in caplog.text
    (folder / f"mix_both/{corpus.FIRST}.wav").unlink()  # still listed by the table
    assert load(top, max_bad=0.5)["validation"]["id"][:] == [corpus.SECOND]


def test_sources_swapped(top):
    folder = top / "wav16k/max/dev"
    shutil.move(folder / "s1", folder / "s3")
    shutil.move(folder / "s2", folder / "s1")
    shutil.move(folder / "s3", folder / "s2")
    row = next(row for row in load(top)["validation"] if row["id"] == corpus.FIRST)
    np.testing.assert_array_equal(pcm(row["source1"]), corpus.parts(corpus.FIRST)["s2"])


def test_row_less_in_the_table_is_found_in_the_folder(top):
    table = top / "wav16k/max/metadata/mixture_dev_mix_both.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    assert len(load(top)["validation"]) == 2


def test_published_counts():
    found = {config.name: config.splits for config in LibriMix.BUILDER_CONFIGS}
    assert len(found) == 24
    assert found[BOTH]["train.360"].utterances == 50_800
    assert (found[BOTH]["validation"].hours, found["libri2mix-16k-min-clean"]["test"].hours) == (7.60, 4.19)
    assert found["libri3mix-8k-min-clean"]["train.100"].utterances == 9_300


# Real metadata


@pytest.mark.parametrize(("subset", "utterances"), [("dev-clean", 2703), ("test-clean", 2620)])
def test_real_table_of_sources(shared_data, subset, utterances):
    folder = shared_data("corpora_metadata") / "librispeech_librimix"
    found = list(read_sources(Files(folder, root=LibriMix.FACTS.root), subset))
    lines = list(csv.DictReader((folder / f"{subset}.csv").read_text().splitlines()))
    assert len(found) == len(lines) <= utterances
    assert len({source for source, _, _ in found}) == len(found)
    assert {sex for _, sex, _ in found} == {"F", "M"}
    assert len({source.split("-")[0] for source, _, _ in found}) == 40
    for (source, sex, length), line in zip(found, lines, strict=True):
        assert (source.split("-")[0], sex, str(length)) == (line["speaker_ID"], line["sex"], line["length"])


def test_real_table_gives_genders_and_turns(shared_data, top):
    folder = shared_data("corpora_metadata") / "librispeech_librimix"
    row = rows(load(top, metadata=str(folder)))[corpus.FIRST]
    assert row["genders"] == ["female", "female"]
    assert [segment["label"] for segment in row["segments"]] == row["source_ids"]
