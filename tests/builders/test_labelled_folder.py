from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import Audio, concatenate_datasets, load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.register import builder_class
from builders.schema import SHARED_LABELS
from tests.corpora import crema_d, labelled_folder, ravdess
from tests.corpora.archives import pack
from tests.corpora.labelled_folder import json_lines, odd, put, wavs
from tests.corpora.rows import by_id


def load(path: Path, config: str = "category", **options):
    table = load_dataset("builders/labelled_folder", config, data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


def labels(path: Path, config: str = "category", column: str = "category", **options):
    return {
        split: {name: row[column] for name, row in part.items()}
        for split, part in load(path, config, **options).items()
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return labelled_folder.write(tmp_path)


# Folders


def test_row_by_hand(folder):
    row = load(folder)["train"]["train/happy/a.wav"]
    assert len(row.pop("audio")) == 3200
    assert row == {
        "id": "train/happy/a.wav", "audio_path": "train/happy/a.wav", "offset": 0.0, "duration": 0.2, "text": None,
        "speaker_id": None, "language": None, "corpus": "labelled_folder", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}, "category": "happy",
    }  # fmt: skip


def test_folders_are_labels_in_splits_of_any_format(folder):
    rows = load(folder)
    assert {split: {name: row["category"] for name, row in part.items()} for split, part in rows.items()} == {
        "train": {
            "train/happy/a.wav": "happy", "train/happy/deeper/b.flac": "deeper", "train/sad/c.ogg": "sad",
            "train/sad/d.mp3": "sad",
        },
        "validation": {"dev/happy/e.WAV": "happy"},
        "test": {"test/sad/f.aiff": "sad"},
    }  # fmt: skip
    for part in rows.values():
        for name, row in part.items():
            form, subtype, rate = labelled_folder.RECORDINGS[name]
            assert row["source"] == {"format": f"{form}/{subtype}", "sampling_rate": rate, "channels": 1}
            assert row["duration"] == pytest.approx(0.2, abs=0.06)  # MP3 is longer by its frames


def test_which_folder_is_the_label(folder):
    assert labels(folder, level=0)["train"]["train/happy/deeper/b.flac"] == "happy"
    second = labels(folder, level="1")["train"]  # as the command passes it
    assert (second["train/happy/deeper/b.flac"], second["train/happy/a.wav"]) == ("deeper", None)


def test_without_folders_of_splits_all_is_train(tmp_path, caplog):
    put(tmp_path, wavs(["belt/a.wav", "fry/b.wav", "c.wav"]))
    assert labels(tmp_path) == {"train": {"belt/a.wav": "belt", "fry/b.wav": "fry", "c.wav": None}}
    assert "train: 1 recordings have no label: they lie in no folder" in caplog.text


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_folder_and_archive(folder, tmp_path, suffix):
    assert load(pack(folder, tmp_path / f"x{suffix}")) == load(folder)


def test_archive_of_one_label_keeps_it(tmp_path):
    for name in ("happy", "singing"):
        put(tmp_path / name, wavs(["a.wav", "b.wav"]))
        archive = pack(tmp_path / name, tmp_path / f"{name}.zip")
        assert set(labels(archive)["train"].values()) == {name}
    put(tmp_path / "train", wavs(["a/x.wav", "b/y.wav"]))
    assert labels(pack(tmp_path / "train", tmp_path / "t.tar")) == {
        "train": {"train/a/x.wav": "a", "train/b/y.wav": "b"}
    }


@pytest.fixture
def no_torch(monkeypatch):
    """Let `audiofolder` run without torchcodec, which it wants even for paths."""
    monkeypatch.setattr(Audio, "encode_example", lambda _, value: {"bytes": None, "path": str(value)})


@pytest.mark.usefixtures("no_torch")
def test_audiofolder_reads_the_same(folder):
    theirs = load_dataset("audiofolder", data_dir=str(folder), drop_labels=False)
    read = {}
    for split, part in theirs.items():
        names = part.features["label"].names
        for row in part.cast_column("audio", Audio(decode=False)):
            read[split, Path(row["audio"]["path"]).relative_to(folder).as_posix()] = names[row["label"]]
    ours = {(split, name): label for split, part in labels(folder).items() for name, label in part.items()}
    assert ours == read


@pytest.mark.usefixtures("no_torch")
def test_audiofolder_reads_the_same_table(tmp_path):
    lines = [{"file_name": "a.wav", "label": "x", "text": "one"}, {"file_name": "b.wav", "label": "y", "text": "two"}]
    put(tmp_path, wavs(["a.wav", "b.wav"]) | {"metadata.jsonl": "".join(json.dumps(line) + "\n" for line in lines)})
    theirs = load_dataset("audiofolder", data_dir=str(tmp_path), split="train").cast_column(
        "audio", Audio(decode=False)
    )
    read = {Path(row["audio"]["path"]).name: (row["label"], row["text"]) for row in theirs}
    assert {name: (row["category"], row["text"]) for name, row in load(tmp_path)["train"].items()} == read


# Tables

TABLED = ["wavs/a.wav", "wavs/b.wav", "wavs/c.wav"]


def test_metadata_csv(tmp_path):
    table = 'file_name,label,text,speaker,mood,fold\nwavs/a.wav,joy,"Well, yes.",s1,3,2\nwavs/b.wav,,No.,,,\n'
    put(tmp_path, wavs(TABLED) | {"metadata.csv": "\ufeff" + table})
    rows = load(tmp_path, columns=["mood", "fold"])["train"]
    row = rows["wavs/a.wav"]
    kept = ("category", "text", "speaker_id", "mood", "fold", "language")
    assert [row[name] for name in kept] == ["joy", "Well, yes.", "s1", "3", 2, None]
    assert [rows["wavs/b.wav"][name] for name in kept] == [None, "No.", None, None, None, None]
    assert [rows["wavs/c.wav"][name] for name in kept] == [None] * 6  # in no row: there, without a label
    assert "mood" not in load(tmp_path)["train"]["wavs/a.wav"]


def test_table_wins_over_folders(folder, caplog):
    put(folder, {"metadata.csv": "file_name,label\ntrain/happy/a.wav,bored\n"})
    found = labels(folder)
    assert found["train"]["train/happy/a.wav"] == "bored"
    assert set(found["validation"].values()) | set(found["test"].values()) == {None}
    assert "train: 3 recordings have no label: no table names them" in caplog.text


def test_json_lines_and_a_table_a_split(tmp_path):
    members = wavs(["train/a.wav", "train/b.wav", "test/c.wav"])
    members["train/metadata.jsonl"] = json_lines([
        {"file_name": "a.wav", "label": "x", "language": "en", "events": ["p", "q"], "n": 3, "gender": None},
        {"file_name": "b.wav", "label": "y"},
    ])  # fmt: skip
    members["test/metadata.jsonl"] = json_lines([{"file_name": "c.wav", "label": "z"}])
    put(tmp_path, members)
    rows = load(tmp_path, columns="events,n,gender")
    assert labels(tmp_path) == {"train": {"train/a.wav": "x", "train/b.wav": "y"}, "test": {"test/c.wav": "z"}}
    row = rows["train"]["train/a.wav"]
    assert [row[name] for name in ("language", "events", "n", "gender")] == ["en", ["p", "q"], "3", None]


def test_tsv_named_for_its_split_and_a_split_column(tmp_path):
    put(tmp_path, wavs(TABLED) | {
        "train.tsv": 'path\tsentence\tlabel\nwavs/a.wav\tsaid "so\thigh\n',
        "val.tsv": "path\tsentence\tlabel\nwavs/b.wav\t\tlow\n",
        "rest.csv": "path,label,split\nwavs/c.wav,mid,test\n",
    })  # fmt: skip
    assert labels(tmp_path) == {
        "train": {"wavs/a.wav": "high"}, "validation": {"wavs/b.wav": "low"}, "test": {"wavs/c.wav": "mid"},
    }  # fmt: skip
    assert load(tmp_path)["train"]["wavs/a.wav"]["text"] == 'said "so'


@pytest.mark.parametrize(
    "written", ["wavs/a.wav", "./wavs/a.wav", "/home/me/old/wavs/a.wav", "C:\\old\\wavs\\a.wav", "a.wav", "a"]
)
def test_paths_as_tables_write_them(tmp_path, written):
    put(tmp_path, wavs(TABLED) | {"meta.csv": f"path,label\n{written},x\n"})
    assert labels(tmp_path)["train"]["wavs/a.wav"] == "x"


def test_name_that_two_files_have_is_not_guessed(tmp_path):
    put(tmp_path, wavs(["p/a.wav", "q/a.wav"]) | {"meta.csv": "path,label\na.wav,x\np/a.wav,y\n"})
    assert labels(tmp_path, max_bad=0.5) == {"train": {"p/a.wav": "y", "q/a.wav": None}}


def test_columns_by_option(tmp_path):
    put(
        tmp_path,
        wavs(TABLED) | {"data.csv": "clip,style,label\nwavs/a.wav,belt,no\n", "x.csv": "path,label\nwavs/b.wav,n\n"},
    )
    assert labels(tmp_path, label_column="style", file_column="clip")["train"]["wavs/a.wav"] == "belt"
    assert labels(tmp_path, table="x.csv")["train"] == {"wavs/a.wav": None, "wavs/b.wav": "n", "wavs/c.wav": None}
    with pytest.raises(CorpusError, match=r"no table with 'tune': there are \{'data.csv': \['clip'"):
        load(tmp_path, label_column="tune")


@pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
def test_archive_with_a_table(tmp_path, suffix):
    top = put(tmp_path / "mine", wavs(TABLED) | {"metadata.csv": "file_name,label\nwavs/a.wav,x\n"})
    assert load(pack(top, tmp_path / f"x{suffix}")) == load(top)
    flat = put(tmp_path / "flat", wavs(["a.wav"]) | {"metadata.csv": "file_name,label\na.wav,x\n"})
    assert load(pack(flat, tmp_path / f"y{suffix}")) == load(flat)


def test_row_without_a_name_is_reported(tmp_path, caplog):
    put(tmp_path, wavs(TABLED) | {"metadata.csv": "file_name,label\n,x\nwavs/a.wav,y\n"})
    load(tmp_path)
    assert "metadata.csv: row 1 names no file: left out" in caplog.text


# Emotions


def test_emotions_in_the_words_of_all_corpora(tmp_path):
    put(tmp_path / "e", wavs(["joy/a.wav", "Anger/b.wav", "boredom/c.wav"]))
    assert labels(tmp_path / "e", "emotion", "emotion")["train"] == {
        "joy/a.wav": "happy", "Anger/b.wav": "angry", "boredom/c.wav": "boredom",
    }  # fmt: skip
    assert labels(tmp_path / "e", "emotion")["train"]["joy/a.wav"] == "joy"
    put(tmp_path / "t", wavs(TABLED) | {"m.csv": "path,emotion,label\nwavs/a.wav,fear,7\n"})
    row = load(tmp_path / "t", "emotion")["train"]["wavs/a.wav"]
    assert (row["emotion"], row["category"]) == ("fearful", "fear")


def test_mixes_with_other_corpora(folder, tmp_path):
    mine = load_dataset("builders/labelled_folder", "emotion", data_dir=str(folder), split="train")
    assert mine.features["emotion"] == SHARED_LABELS["emotion"]
    others = [
        load_dataset("builders/crema_d", data_dir=str(crema_d.write(tmp_path / "c")), split="train", max_bad=1.0),
        load_dataset("builders/ravdess", data_dir=str(ravdess.write(tmp_path / "r")), split="train"),
    ]
    both = concatenate_datasets([mine, *others])
    assert set(both["corpus"]) == {"labelled_folder", "crema_d", "ravdess"}
    assert both["emotion"][:4] == mine["emotion"][:]


# Recordings as they are


def test_odd_recordings(tmp_path):
    table = load(put(tmp_path, odd()), max_bad=0.5)["train"]
    assert {name: row["source"]["channels"] for name, row in table.items()} == {
        "x/stereo.wav": 2, "x/eight.wav": 1, "x/high.wav": 1, "x/four.flac": 4,
    }  # fmt: skip
    assert table["x/high.wav"]["duration"] == 0.1
    assert max(map(abs, table["x/stereo.wav"]["audio"])) <= 1500  # the mean of a channel of up to 3000 and silence
    report = load_dataset_builder("builders/labelled_folder", data_dir=str(tmp_path)).quarantine_file("train")
    reasons = {entry["member"]: entry["reason"] for entry in map(json.loads, report.read_text().splitlines())}
    assert set(reasons) == {"x/empty.wav", "x/silent.wav", "x/cut.wav"}
    assert reasons["x/empty.wav"] == "empty file (0 bytes)"


def test_real_recordings(shared_data):
    rows = load(shared_data("hf_datasets_audio"), max_bad=0.5)["train"]
    assert {row["category"] for row in rows.values()} <= {None, *(Path(name).parent.name for name in rows)}
    assert len(rows) >= 3


# It bites


def test_verify(folder, monkeypatch, capsys):
    config = builder_class("labelled_folder").BUILDER_CONFIGS[0]
    monkeypatch.setattr(config, "splits", {"train": Expected(4), "validation": Expected(1), "test": Expected(1)})
    command = ["verify", "labelled_folder", "--data-dir", str(folder)]
    assert main(command) == 0
    (folder / "train/sad/c.ogg").unlink()
    assert main(command) == 1
    assert "-1 utterances" in capsys.readouterr().out


def test_listed_file_that_is_missing(tmp_path, capsys):
    put(tmp_path, wavs(TABLED) | {"metadata.csv": "file_name,label\nwavs/a.wav,x\nwavs/gone.wav,y\n"})
    assert main(["verify", "labelled_folder", "--data-dir", str(tmp_path)]) == 1
    assert "1 files missing" in capsys.readouterr().out
    with pytest.raises(CorpusError, match=r"wavs/gone.wav: .*there is no such file"):
        load(tmp_path)


def test_column_swapped(tmp_path):
    put(tmp_path, wavs(TABLED) | {"metadata.csv": "label,file_name\nwavs/a.wav,x\n"})
    assert main(["verify", "labelled_folder", "--data-dir", str(tmp_path)]) == 1


def test_nothing_there(tmp_path):
    put(tmp_path, {"notes.txt": "x"})
    with pytest.raises(CorpusError, match=r"no utterances of labelled_folder .*put recordings into one folder a label"):
        load(tmp_path)
    with pytest.raises(CorpusError, match="needs data_dir"):
        load_dataset("builders/labelled_folder")
