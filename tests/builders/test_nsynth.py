from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.files import Files
from builders.nsynth.nsynth import read_notes
from builders.register import builder_class
from tests.corpora import nsynth
from tests.corpora.archives import pack
from tests.corpora.rows import by_id

FIRST = "guitar_acoustic_001-082-050"
SPLITS = {"train": "train", "validation": "valid", "test": "test"}


def load(path: Path, *config: str, **options):
    table = load_dataset("builders/nsynth", *config, data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


def edit(folder: Path, part: str, change) -> None:
    table = {name: nsynth.entry_of(part, name) for name in nsynth.NOTES[part]}
    change(table)
    nsynth.write_examples(folder, part, table)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return nsynth.write(tmp_path)


def test_row_by_hand(folder):
    row = load(folder)["train"][FIRST]
    np.testing.assert_array_equal(row.pop("audio"), nsynth.samples_of(FIRST))
    assert row == {
        "id": FIRST, "audio_path": f"nsynth-train/audio/{FIRST}.wav", "offset": 0.0, "duration": 4.0, "text": None,
        "speaker_id": None, "language": None, "corpus": "nsynth", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}, "subset": "train",
        "instrument_family": "guitar", "instrument_source": "acoustic", "instrument": "guitar_acoustic_001",
        "instrument_id": 37, "pitch": 82, "velocity": 50, "qualities": [], "note": 16629,
    }  # fmt: skip


def test_splits_and_labels(folder):
    rows = load(folder)
    assert {split: set(part) for split, part in rows.items()} == {
        split: set(nsynth.NOTES[part]) for split, part in SPLITS.items()
    }
    lead = rows["train"]["synth_lead_synthetic_001-060-127"]
    assert (lead["instrument_family"], lead["instrument_source"]) == ("synth_lead", "synthetic")
    assert (lead["pitch"], lead["note"], lead["qualities"]) == (60, 151, ["tempo-synced"])
    for split, part in SPLITS.items():
        for name, row in rows[split].items():
            assert row["qualities"] == list(nsynth.NOTES[part][name][2])


def test_gansynth_takes_its_own_splits(folder):
    rows = load(folder, "gansynth")
    assert {name: SPLITS[split] for split, part in rows.items() for name in part} == nsynth.GANSYNTH
    assert rows["train"]["flute_acoustic_002-077-100"]["subset"] == "valid"
    assert rows["train"][FIRST] == load(folder)["train"][FIRST]


def test_gansynth_without_its_table_says_where_it_is(tmp_path):
    folder = nsynth.write(tmp_path, gansynth=False)
    with pytest.raises(CorpusError, match=r"nsynth-gansynth_splits\.csv is not in .*fetch http://download\.magenta"):
        load(folder, "gansynth")
    assert set(load(folder)["test"]) == set(nsynth.NOTES["test"])


@pytest.mark.parametrize("config", ["default", "gansynth"])
@pytest.mark.parametrize("suffix", [".tar.gz", ".zip", "published"])
def test_archives_give_the_same_rows(folder, tmp_path, config, suffix):
    expected = load(folder, config)
    if suffix != "published":
        assert load(pack(folder, tmp_path / f"copy{suffix}"), config) == expected
        return
    packed = tmp_path / "packed"
    packed.mkdir()
    for part in SPLITS.values():
        pack(folder / f"nsynth-{part}", packed / f"nsynth-{part}.jsonwav.tar.gz")
    (folder / "nsynth-gansynth_splits.csv").rename(packed / "nsynth-gansynth_splits.csv")
    assert load(packed, config) == expected
    if config == "default":
        assert load(packed / "nsynth-valid.jsonwav.tar.gz") == {"validation": expected["validation"]}


def test_folder_above_and_one_part_alone(folder):
    expected = load(folder)
    assert load(folder.parent) == expected
    assert load(folder / "nsynth-test") == {"test": expected["test"]}


def test_examples_are_read_with_bounded_memory(tmp_path):
    (tmp_path / "nsynth-train").mkdir()
    with (tmp_path / "nsynth-train/examples.json").open("w") as file:
        for number in range(10_000):
            name = f"guitar_acoustic_{number // 1280:03}-{number // 10 % 128:03}-{number % 10:03}"
            entry = {**nsynth.entry_of("train", FIRST), "note_str": name, "note": number, "velocity": number % 10,
                     "instrument_str": name.split("-")[0], "pitch": number // 10 % 128}  # fmt: skip
            file.write(f"{',' if number else '{'} {json.dumps(name)}: {json.dumps(entry, indent=4)}")
        file.write("}")
    files = Files(tmp_path)
    next(files.names(), None)  # the index is made
    tracemalloc.start()
    count = sum(1 for _ in read_notes(files, "train"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 2_000_000  # bytes, of 6 million in the file


# It bites


def test_missing_recording_is_quarantined(folder):
    (folder / f"nsynth-train/audio/{FIRST}.wav").unlink()
    assert set(load(folder, max_bad=0.5)["train"]) == set(nsynth.NOTES["train"]) - {FIRST}
    report = load_dataset_builder("builders/nsynth", data_dir=str(folder)).quarantine_file("train").read_text()
    assert json.loads(report)["member"] == f"nsynth-train/audio/{FIRST}.wav"


def test_recordings_without_an_entry_are_counted(folder, caplog):
    edit(folder, "train", lambda table: table.pop(FIRST))
    assert set(load(folder)["train"]) == set(nsynth.NOTES["train"]) - {FIRST}
    assert "1 recordings of train left out: examples.json does not list them" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        {"pitch": 16629, "note": 82}, {"velocity": 82, "pitch": 50}, {"instrument_str": "guitar_acoustic_002"},
        {"instrument_family_str": "acoustic", "instrument_source_str": "guitar"}, {"qualities": [1] + [0] * 9},
        {"qualities": [0] * 9}, {"note_str": "guitar_acoustic_001-082-051"}, {"pitch": None},
        {"qualities_str": ["dark"]},
    ],
)  # fmt: skip
def test_entry_that_contradicts_its_name_is_refused(folder, change):
    edit(folder, "train", lambda table: table[FIRST].update(change))
    with pytest.raises(CorpusError, match=f"examples.json of train: entry '{FIRST}' can't be used"):
        load(folder)


def test_entry_that_lacks_something_is_refused(folder):
    edit(folder, "test", lambda table: table["mallet_acoustic_062-066-050"].pop("instrument"))
    with pytest.raises(CorpusError, match=r"examples\.json of test.*KeyError"):
        load(folder)


def test_cut_examples_are_refused(folder):
    path = folder / "nsynth-valid/examples.json"
    path.write_text(path.read_text()[:-40])
    with pytest.raises(CorpusError, match=r"nsynth-valid/examples\.json is damaged or truncated after 'vocal"):
        load(folder)


def test_tfrecords_are_not_the_corpus(tmp_path):
    (tmp_path / "nsynth-test.tfrecord").write_bytes(b"\0" * 100)
    with pytest.raises(CorpusError, match=r"no utterances of nsynth .*TFRecords are not read"):
        load(tmp_path)


@pytest.mark.parametrize("change", ["none", "file", "entry", "split"])
def test_verify(folder, monkeypatch, capsys, change):
    config = builder_class("nsynth").BUILDER_CONFIGS[1 if change == "split" else 0]
    counts = (3, 1, 1) if change == "split" else (5, 2, 2)
    monkeypatch.setattr(config, "splits", {s: Expected(count) for s, count in zip(SPLITS, counts, strict=True)})
    if change == "file":
        (folder / f"nsynth-train/audio/{FIRST}.wav").unlink()
    if change == "entry":
        edit(folder, "train", lambda table: table.pop(FIRST))
    if change == "split":
        table = folder / "nsynth-gansynth_splits.csv"
        table.write_text(table.read_text().replace(f"{FIRST},train", f"{FIRST},test"))
    status = main(["verify", "nsynth", config.name, "--data-dir", str(folder)])
    said = capsys.readouterr().out
    assert status == (0 if change == "none" else 1)
    assert {"none": "as published", "file": "1 files missing"}.get(change, "-1 utterances") in said
