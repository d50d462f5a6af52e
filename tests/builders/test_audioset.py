from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.audioset.audioset import PUBLISHED, segments
from builders.corpus import Expected
from builders.errors import CorpusError, TooManyBadFilesError
from builders.files import Files
from builders.lookup import Lookup
from builders.register import builder_class
from tests.corpora import audioset
from tests.corpora.archives import pack
from tests.corpora.rows import by_id


def load(path: Path, config: str = "balanced", **options):
    table = load_dataset("builders/audioset", config, data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


def labels(rows: dict) -> dict:
    """Leave out what depends on where a clip lies and in which format."""
    left_out = ("audio", "audio_path", "source", "duration", "video_start", "video_end")
    return {
        split: {name: {key: value for key, value in row.items() if key not in left_out} for name, row in part.items()}
        for split, part in rows.items()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return audioset.write(tmp_path)


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> dict:
    """Return the labels of all rows, read from a folder."""
    return labels(load(audioset.write(tmp_path_factory.mktemp("full")), "full"))


def test_row_by_hand(folder):
    row = load(folder)["train"]["-0RWZT-miFs"]
    assert len(row.pop("audio")) == 4000
    assert row == {
        "id": "-0RWZT-miFs", "audio_path": "balanced_train_segments/-0RWZT-miFs.flac", "offset": 0.0, "duration": 0.25,
        "text": None, "speaker_id": None, "language": None, "corpus": "audioset", "segments": [],
        "source": {"format": "FLAC/PCM_24", "sampling_rate": 48000, "channels": 2},
        "events": ["Keys jangling", "Car"], "mids": ["/m/03v3yw", "/m/0k4j"], "subset": "bal_train",
        "video_start": 420.0, "video_end": 430.0,
    }  # fmt: skip


def test_configurations(folder):
    found = {
        config: {
            split: {name: row["subset"] for name, row in part.items()} for split, part in load(folder, config).items()
        }
        for config in ("balanced", "unbalanced", "full")
    }
    balanced, unbalanced, test = (
        dict.fromkeys(audioset.here(subset), subset) for subset in ("bal_train", "unbal_train", "eval")
    )
    assert found == {
        "balanced": {"train": balanced, "test": test},
        "unbalanced": {"train": unbalanced, "test": test},
        "full": {"train": balanced | unbalanced, "test": test},
    }
    row = load(folder, "unbalanced")["train"]["---1_cCGK4M"]
    assert row["events"] == ["Railroad car, train wagon", "Train horn"]
    assert load(folder)["train"]["Yabcdefghi_"]["video_end"] == 17.5


def test_published_counts_add_up():
    assert sum(PUBLISHED.values()) == 2_084_320


# Missing clips


def test_missing_clips_are_listed_and_the_run_goes_on(folder, caplog):
    rows = load(folder)  # two of six are missing, and max_bad is 1 %
    assert set(rows["train"]) == set(audioset.here("bal_train"))
    report = load_dataset_builder("builders/audioset", "balanced", data_dir=str(folder)).quarantine_file("train")
    entries = [json.loads(line) for line in report.read_text().splitlines()]
    assert {entry["member"] for entry in entries} == {"gone1234567", "gone7654321"}  # videos to ask for
    assert all("there is no such file" in entry["reason"] for entry in entries)
    assert "train: 2 of 6 recordings quarantined, 2 of them missing" in caplog.text
    assert "gone1234567" not in caplog.text  # there may be hundreds of thousands


def test_load_says_so_by_its_exit_status(folder, capsys):
    assert main(["load", "audioset", "--data-dir", str(folder)]) == 3
    assert main(["verify", "audioset", "--data-dir", str(folder)]) == 1
    assert "2 files missing, -22,156 utterances" in capsys.readouterr().out


def test_bad_clips_still_count(folder):
    (folder / "audios/balanced_train_segments/--PJHxphWEs.flac").write_bytes(b"no audio")
    with pytest.raises(TooManyBadFilesError, match=r"train: 1 of 4 recordings are bad.*--PJHxphWEs"):
        load(folder)
    assert set(load(folder, max_bad=0.25)["train"]) == set(audioset.here("bal_train")) - {"--PJHxphWEs"}


def test_split_without_any_clip_is_left_out(folder, caplog):
    shutil.rmtree(folder / "audios/balanced_train_segments")
    assert set(load(folder)) == {"test"}
    assert "audioset: train: none of the 6 recordings is here: left out" in caplog.text
    shutil.rmtree(folder / "audios")
    with pytest.raises(CorpusError, match=r"no utterances of audioset .*published without sound"):
        load(folder)


# Layouts


@pytest.mark.parametrize(
    ("name", "folders"),
    [("{video}.wav", True), ("Y{video}.wav", True), ("{video}_{start}_{end}.wav", False),
     ("{video}_{start}.flac", True), ("Y{video}_{ms}.wav", False), ("{video}_{long}_{end}.flac", False)],
)  # fmt: skip
def test_forms_of_names(full, tmp_path, name, folders):
    rows = load(audioset.write(tmp_path, name=name, folders=folders), "full")
    assert labels(rows) == full
    if name == "Y{video}.wav":
        row = rows["train"]["---1_cCGK4M"]
        part = "unbalanced_train_segments/unbalanced_train_segments_part00"
        assert row["audio_path"] == f"{part}/Y---1_cCGK4M.wav"
        assert row["source"] == {"format": "WAV/PCM_16", "sampling_rate": 32000, "channels": 1}


@pytest.mark.parametrize(("suffix", "folders"), [(".tar.gz", True), (".zip", False)])
def test_folder_archive_and_the_folder_above(tmp_path, suffix, folders):
    folder = audioset.write(tmp_path / "x", folders=folders)
    expected = load(folder, "full")
    assert load(pack(folder, tmp_path / f"copy{suffix}"), "full") == expected == load(folder.parent, "full")


def test_tars_of_the_hub(full, tmp_path):
    tars = audioset.write_tars(tmp_path / "tars")
    rows = load(tars, "full")
    assert labels(rows) == full
    assert rows["train"]["--PJHxphWEs"]["audio_path"] == "bal_train/--PJHxphWEs.flac"
    for table in tars.glob("*.csv"):
        table.rename(tars / "data" / table.name)
    assert load(tars / "data")["train"].keys() == set(audioset.here("bal_train"))


def test_shards_of_the_hub(folder, full, tmp_path):
    shards = audioset.write_shards(tmp_path / "shards")
    rows, expected = load(shards, "full"), load(folder)["train"]
    assert labels(rows) == full
    assert set(load(shards, "unbalanced")["train"]) == {"---1_cCGK4M"}
    row = rows["train"]["--PJHxphWEs"]
    assert row["audio_path"] == "bal_train/--PJHxphWEs.flac"
    assert row["audio"] == expected["--PJHxphWEs"]["audio"]
    assert (row["video_start"], row["video_end"]) == (None, None)  # the shards don't have them
    assert load(shards, num_proc=2) == load(shards / "data") == load(shards)
    audioset.write_tables(shards)  # with the tables, what is missing is known
    assert load(shards)["train"] == {
        name: {**row, "audio_path": f"bal_train/{name}.flac"} for name, row in expected.items()
    }


def test_shard_without_names_of_audio(tmp_path):
    shards = audioset.write_shards(tmp_path)
    path = shards / "data/bal_train/01.parquet"
    table = pq.read_table(path)
    audio = [{"bytes": row["bytes"], "path": None} for row in table.column("audio").to_pylist()]
    audio.append(None)  # a row without any audio
    rows = table.drop_columns("audio").to_pylist()
    rows.append({**rows[0], "video_id": "gone1234567"})
    made = pa.Table.from_pylist([{**row, "audio": cell} for row, cell in zip(rows, audio, strict=True)])
    pq.write_table(made, path)
    found = load(shards, max_bad=0.5)["train"]
    assert set(found) == set(audioset.here("bal_train"))
    assert found["Yabcdefghi_"]["audio_path"] == "bal_train/01-0-0"


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_shards_in_an_archive(tmp_path, suffix):
    shards = audioset.write_shards(tmp_path / "shards")
    assert load(pack(shards, tmp_path / f"x{suffix}")) == load(shards)


def test_damaged_shard_is_named(tmp_path):
    shards = audioset.write_shards(tmp_path / "shards")
    victim = shards / "data/bal_train/01.parquet"
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(CorpusError, match=r"bal_train/01\.parquet is damaged or truncated"):
        load(shards)


def test_names_out_of_the_ontology_or_none(folder):
    (folder / "class_labels_indices.csv").unlink()
    row = load(folder)["train"]["--PJHxphWEs"]
    assert row["events"] == ["Speech", "/t/dd00088"]  # of mid_to_display_name.tsv, and one that it lacks
    (folder / "ontology.json").write_text(json.dumps(audioset.ONTOLOGY))
    assert load(folder)["train"]["--PJHxphWEs"]["events"] == ["Speech", "Gush"]


# Strong labels


def test_strong_labels(folder):
    rows = load(folder, "strong")
    assert {split: set(part) for split, part in rows.items()} == {
        "train": {"---1_cCGK4M", "--PJHxphWEs"}, "test": {"s9d-2nhuJCQ", "-1nilez17Dg"},
    }  # fmt: skip
    row = rows["test"]["s9d-2nhuJCQ"]
    assert [tuple(segment.values()) for segment in row["segments"]] == [
        ("events", 0.5, 1.0, "Clapping", None, None),
        ("events", 2.627, 7.237, "Cheering", None, None),
        ("events", 8.0, 8.5, "Cheering", None, None),
    ]
    assert (row["events"], row["mids"]) == (["Clapping", "Cheering"], ["/m/0l15bq", "/m/053hz1"])
    assert (row["subset"], row["video_start"], row["video_end"]) == ("eval_strong", 30.0, 40.0)
    assert rows["train"]["---1_cCGK4M"]["audio"] == load(folder, "full")["train"]["---1_cCGK4M"]["audio"]


def test_groups_of_a_lookup():
    with Lookup([("b", "1"), ("a", "2"), ("b", "0")]) as table:
        assert list(table.groups()) == [("a", ["2"]), ("b", ["1", "0"])]
        assert (table.values("b"), table.values("c")) == (["1", "0"], [])


# It bites


def verify(folder: Path, monkeypatch, train: int) -> int:
    config = next(config for config in builder_class("audioset").BUILDER_CONFIGS if config.name == "balanced")
    monkeypatch.setattr(config, "splits", {"train": Expected(train), "test": Expected(2)})
    return main(["verify", "audioset", "--data-dir", str(folder)])


def test_verify_against_what_a_copy_has(tmp_path, monkeypatch, capsys):
    shards = audioset.write_shards(tmp_path / "shards")
    assert verify(shards, monkeypatch, 4) == 0
    (shards / "data/bal_train/01.parquet").unlink()
    assert verify(shards, monkeypatch, 4) == 1
    assert "-1 utterances" in capsys.readouterr().out


def test_row_dropped(folder):
    table = folder / "balanced_train_segments.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(keepends=True) if "__0nBk" not in line))
    assert set(load(folder)["train"]) == set(audioset.here("bal_train")) - {"__0nBkXcrgo"}


def test_columns_swapped(folder):
    table = folder / "balanced_train_segments.csv"
    rows = list(csv.reader(table.read_text().splitlines()[3:], skipinitialspace=True))
    table.write_text("".join(f'{video}, {end}, {start}, "{mids}"\n' for video, start, end, mids in rows))
    row = load(folder)["train"]["--PJHxphWEs"]
    assert (row["video_start"], row["video_end"]) == (40.0, 30.0)


def test_clip_renamed_is_missing(folder):
    clip = folder / "audios/balanced_train_segments/--PJHxphWEs.flac"
    clip.rename(clip.with_name("PJHxphWEs.flac"))
    assert "--PJHxphWEs" not in load(folder)["train"]


def test_segments_are_read_as_they_are_asked_for(folder):
    files = Files(folder, root=builder_class("audioset").FACTS.root)
    with Lookup([]) as nothing:
        rows = segments(files, "bal_train", nothing, {})
        assert next(rows).id == "--PJHxphWEs"
        rows.close()
    files.close()
