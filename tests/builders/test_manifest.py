"""`python -m builders manifest`: the rows of the table as JSONL, with the same durations, without decoding audio."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf
from datasets import load_dataset

from builders import corpus as corpus_module
from builders import materialise
from builders.__main__ import main
from builders.errors import CorpusError, TooManyBadFilesError
from builders.manifest import write_manifest
from builders.register import corpora
from tests.corpora import fleurs, libri_mix, librispeech, miniatures, mls, timit, voxconverse
from tests.corpora.archives import pack
from tests.corpora.sound import noise, pack_audio, riff


def call(corpus: str, folder: Path, config: str | None = None, **options: Any) -> dict[str, Any]:
    return {"path": f"builders/{corpus}", "name": config, "data_dir": str(folder), **options}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("corpus", sorted(corpora()))
def test_every_corpus_has_the_rows_and_durations_of_its_table(corpus, tmp_path):
    arguments = {"path": f"builders/{corpus}", **miniatures.write(corpus, tmp_path), "max_bad": 1.0}
    targets, _, _ = write_manifest(arguments, tmp_path / "out")
    table = load_dataset(**arguments)
    assert len(targets) == len(table)
    assert len(table) > 1 or targets[0].name == f"{corpus}.jsonl" or targets[0].name.startswith(f"{corpus}_")
    for path, rows in zip(targets, table.values(), strict=True):
        found = lines(path)
        assert [line["id"] for line in found] == rows["id"]
        assert [line["duration"] for line in found] == rows["duration"]  # to the last bit
        for line, row in zip(found, rows.remove_columns("audio"), strict=True):
            assert list(line)[:5] == ["audio_path", "text", "duration", "speaker_id", "language"]
            same = [name for name in row if name in line]
            assert {name: line[name] for name in same} == {name: row[name] for name in same}
            assert {"segments", "offset", "corpus"} < set(same)


def test_nothing_is_decoded_where_headers_tell(tmp_path, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("decoded")

    for corpus in (timit, librispeech, libri_mix, voxconverse):
        with monkeypatch.context() as patch:
            patch.setattr(corpus_module, "normalise", refuse)
            name = corpus.__name__.rsplit(".", 1)[1]
            write_manifest(call(name, corpus.write(tmp_path / name)), tmp_path / "out")


def test_files_are_named_by_corpus_configuration_and_split(tmp_path):
    folder = mls.write(tmp_path / "c", "english")
    mls.write(tmp_path / "c", "german")
    write_manifest(call("mls_english", folder), tmp_path / "a")
    assert names(tmp_path / "a") == [f"mls_english_{split}.jsonl" for split in ("test", "train", "validation")]
    write_manifest(call("mls_english", folder, "1hr"), tmp_path / "a", split="test")
    assert "mls_english_1hr_test.jsonl" in names(tmp_path / "a")


def test_one_file_of_all_languages_names_the_splits(tmp_path):
    for language in ("german", "french", "polish"):
        mls.write(tmp_path / "c", language)
    write_manifest(call("mls", tmp_path / "c", "all"), tmp_path / "mls_multilingual.jsonl")
    found = lines(tmp_path / "mls_multilingual.jsonl")
    assert sorted((line["language"], line["split"]) for line in found) == [
        ("de", "test"), ("de", "train"), ("de", "train"), ("de", "validation"), ("fr", "test"), ("pl", "validation"),
    ]  # fmt: skip
    table = load_dataset(**call("mls", tmp_path / "c", "all"))
    assert {(line["split"], line["id"]) for line in found} == {(s, name) for s in table for name in table[s]["id"]}
    renamed = (tmp_path / "c" / "mls_german").rename(tmp_path / "else")
    with pytest.raises(CorpusError, match="does not say which language it is of"):
        write_manifest(call("mls", renamed, "all"), tmp_path / "b.jsonl")


def test_an_archive_gives_the_lines_of_the_folder(tmp_path):
    folder = librispeech.write(tmp_path / "c")
    archive = pack(folder, tmp_path / "LibriSpeech.tar.gz")
    (one,), _, _ = write_manifest(call("librispeech", folder), tmp_path / "folder.jsonl")
    (other,), _, _ = write_manifest(call("librispeech", archive), tmp_path / "archive.jsonl")
    assert one.read_bytes() == other.read_bytes()
    for form in ("nemo", "lhotse"):
        with pytest.raises(CorpusError, match=r"no file of its own in .*pass --audio wav\|flac --audio-dir DIR"):
            write_manifest(call("librispeech", archive), tmp_path / "x.jsonl", form=form)
    assert not (tmp_path / "x.jsonl").exists()


def test_same_bytes_with_any_number_of_workers(tmp_path):
    folder = librispeech.write(tmp_path / "c")
    for workers in (1, 2):
        out = tmp_path / str(workers)
        write_manifest(call("librispeech", folder), out, audio="flac", audio_dir=out / "audio", workers=workers)
    one, two = ({p.relative_to(top): p.read_bytes() for p in top.rglob("*") if p.is_file()} for top in
                (tmp_path / "1", tmp_path / "2"))  # fmt: skip
    assert one == two
    assert not [path for path in one if path.name.startswith(".")]


@pytest.mark.parametrize("form", ["flac", "wav"])
def test_audio_is_that_of_the_table(tmp_path, form):
    folder = libri_mix.write(tmp_path / "c")
    targets, _, _ = write_manifest(call("libri_mix", folder), tmp_path / "o", audio=form, audio_dir=tmp_path / "audio")
    table = load_dataset(**call("libri_mix", folder))
    for path, rows in zip(targets, table.values(), strict=True):
        for line, row in zip(lines(path), rows, strict=True):
            stems = {name: row[name] for name in row if isinstance(row[name], dict) and "bytes" in row[name]}
            assert set(line["stems"]) == set(stems) - {"audio"} != set()
            for name, cell in stems.items():
                file = path.parent / (line["audio_path"] if name == "audio" else line["stems"][name])
                samples, rate = sf.read(file, dtype="int16")
                assert (samples == sf.read(io.BytesIO(cell["bytes"]), dtype="int16")[0]).all()
                assert (rate, samples.ndim, sf.info(file).subtype) == (16_000, 1, "PCM_16")
                assert form == "wav" or file.read_bytes() == cell["bytes"]
            assert not Path(line["audio_path"]).is_absolute()
            assert (line["offset"], line["duration"]) == (0.0, row["duration"])


def test_stems_and_turns_without_audio(tmp_path):
    write_manifest(call("libri_mix", libri_mix.write(tmp_path / "a")), tmp_path / "o", split="validation")
    line = lines(tmp_path / "o" / "libri_mix_validation.jsonl")[0]
    assert set(line["stems"]) >= {"source1", "source2"}
    assert all(path.endswith(".wav") for path in line["stems"].values())
    write_manifest(call("voxconverse", voxconverse.write(tmp_path / "b")), tmp_path / "voxconverse.jsonl")
    turns = lines(tmp_path / "voxconverse.jsonl")[0]["segments"]
    assert turns and {turn["tier"] for turn in turns} == {"speakers"}
    assert list(turns[0]) == ["tier", "start", "end", "label", "speaker", "score"]


def test_nemo_lines_lead_to_the_files(tmp_path):
    folder = timit.write(tmp_path / "c")
    write_manifest(call("timit", folder), tmp_path / "deep" / "er", form="nemo", split="train")
    for line in lines(tmp_path / "deep" / "er" / "timit_train.jsonl"):
        assert (tmp_path / "deep" / "er" / line["audio_filepath"]).is_file()
        assert not Path(line["audio_filepath"]).is_absolute()
        assert set(line) == {"audio_filepath", "duration", "text", "lang", "speaker", "id"}


def test_lhotse_cuts_have_alignments_and_turns(tmp_path):
    write_manifest(call("timit", timit.write(tmp_path / "a")), tmp_path / "o", form="lhotse", split="train")
    cut = lines(tmp_path / "o" / "timit_train.jsonl")[0]
    (whole,) = cut["supervisions"]
    row = load_dataset(**call("timit", tmp_path / "a" / "TIMIT"), split="train")[0]
    words = [segment for segment in row["segments"] if segment["tier"] == "words"]
    assert [item[0] for item in whole["alignment"]["word"]] == [word["label"] for word in words]
    assert (whole["gender"], whole["speaker"], whole["text"]) == (row["gender"], row["speaker_id"], row["text"])
    assert cut["recording"]["num_samples"] == cut["recording"]["duration"] * 16_000
    write_manifest(call("voxconverse", voxconverse.write(tmp_path / "b")), tmp_path / "v.jsonl", form="lhotse")
    table = load_dataset(**call("voxconverse", tmp_path / "b"))
    stated = {f"{split}/{row['id']}": row["segments"] for split in table for row in table[split]}
    for cut in lines(tmp_path / "v.jsonl"):
        turns = [(turn["start"], turn["duration"], turn["speaker"]) for turn in cut["supervisions"]]
        assert turns == [(t["start"], t["end"] - t["start"], t["speaker"]) for t in stated[cut["id"]]]
    assert sum(map(len, stated.values())) > len(stated)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "gone"])
def test_bad_recordings_are_those_of_prepare(tmp_path, capsys, damage):
    folder = librispeech.write(tmp_path / "c")
    victim = sorted(folder.rglob("*.flac"))[0]
    whole = victim.read_bytes()
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes({"empty": b"", "text": b"no audio", "cut": whole[: len(whole) - 9]}[damage])
    arguments = ["librispeech", "--data-dir", str(folder), "--max-bad", "0.5"]
    assert main(["prepare", *arguments, "--out", str(tmp_path / "p")]) == 3
    assert main(["manifest", *arguments, "--out", str(tmp_path / "m")]) == 3
    assert "quarantined: 1, see " in capsys.readouterr().err
    prepared = (tmp_path / "p" / "librispeech" / "quarantine.jsonl").read_text()
    assert (tmp_path / "m" / "librispeech.quarantine.jsonl").read_text() == prepared
    with pytest.raises(TooManyBadFilesError, match=r"more than max_bad=0\.01 allows: see .*quarantine\.jsonl"):
        write_manifest(call("librispeech", folder), tmp_path / "n")
    assert [name for name in names(tmp_path / "n") if not name.startswith(".")] == ["librispeech.quarantine.jsonl"]


def test_formats_that_have_to_be_decoded(tmp_path):
    """FLEURS' rows are whole files of any kind."""
    folder = fleurs.write(tmp_path / "c")
    for number, path in enumerate(sorted(folder.rglob("*.wav"))):
        form, subtype = [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("WAV", "IMA_ADPCM"), ("OGG", "OPUS")][
            number % 4
        ]
        path.write_bytes(pack_audio(noise(30_000 + 7 * number, number), 24_000, form=form, subtype=subtype))
    targets, _, _ = write_manifest(call("fleurs", folder), tmp_path / "o")
    table = load_dataset(**call("fleurs", folder))
    for path, rows in zip(targets, table.values(), strict=True):
        assert [line["duration"] for line in lines(path)] == rows["duration"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "dev"], "timit has no split 'dev': expected one of ['train', 'test']"),
        (["--out", "there.jsonl"], "there.jsonl exists already: remove it or choose another --out"),
        (["--out", "x.json"], "x.json: a manifest's name ends in .jsonl"),
        (["--audio", "wav"], "--audio and --audio-dir go together"),
    ],
)
def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys, more, message):
    folder = timit.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("there.jsonl").touch()
    assert main(["manifest", "timit", "--data-dir", str(folder), "--out", "o", *more]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert message in error


def test_a_finished_manifest_stays_and_nothing_else_is_left(tmp_path):
    folder = timit.write(tmp_path / "c")
    write_manifest(call("timit", folder), tmp_path / "o", audio="wav", audio_dir=tmp_path / "a")
    assert names(tmp_path / "o") == ["timit_test.jsonl", "timit_train.jsonl"]
    assert names(tmp_path / "a") == ["timit"]
    with pytest.raises(CorpusError, match="exists already"):
        write_manifest(call("timit", folder), tmp_path / "o")


def test_audio_of_another_copy_is_not_written_over(tmp_path, capsys):
    folders = [timit.write(tmp_path / name) for name in ("one", "two")]
    (folders[1] / "TRAIN/DR1/FCJF0/SI1027.WAV").write_bytes(riff(noise(8_000)))  # another cut of it

    def run(folder: Path, out: str, *more: str) -> int:
        where = ["--data-dir", str(folder), "--out", str(tmp_path / out), "--audio-dir", str(tmp_path / "a")]
        return main(["manifest", "timit", *where, *more])

    assert run(folders[0], "first", "--audio", "flac") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "a").rglob("*.flac")}
    assert run(folders[1], "second", "--audio", "flac") == 2
    assert f"{tmp_path / 'a/timit'} holds other files" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*.flac")} == before
    assert not (tmp_path / "second").exists() or not names(tmp_path / "second")
    assert run(folders[0], "nemo", "--audio", "flac", "--format", "nemo") == 0  # of the same one: the same bytes
    assert run(folders[0], "wav", "--audio", "wav") == 0
    assert {path: path.read_bytes() for path in (tmp_path / "a").rglob("*.flac")} == before


def test_audio_is_not_written_into_a_folder_of_others(tmp_path):
    folder = timit.write(tmp_path / "c")
    (tmp_path / "a/timit").mkdir(parents=True)
    (tmp_path / "a/timit/notes.txt").touch()
    with pytest.raises(CorpusError, match="holds other files"):
        write_manifest(call("timit", folder), tmp_path / "o", audio="wav", audio_dir=tmp_path / "a")


def test_file_names_of_ids():
    assert materialise.file_stem("8699_3011_000001") == "8699_3011_000001"
    odd = ["a/b", "a:b", "../x", ".hidden", "x" * 500, "ü" * 150, "a b"]
    made = [materialise.file_stem(name) for name in odd]
    assert len(set(made)) == len(odd)
    assert all(len(name.encode()) < 240 and "/" not in name and not name.startswith(".") for name in made)
    assert materialise.file_stem("a/b") == "a_b-c14cddc0"  # sha256sum
    assert materialise.file_stem("Ab", marked=True) != materialise.file_stem("aB", marked=True)


def test_many_files_are_spread_over_folders(tmp_path, monkeypatch):
    monkeypatch.setattr(materialise, "MANY", 2)
    write_manifest(call("timit", timit.write(tmp_path)), tmp_path / "o", audio="flac", audio_dir=tmp_path / "a")
    assert sorted(str(p.parent.relative_to(tmp_path / "a/timit")) for p in (tmp_path / "a").rglob("*.flac")) == [
        "test/00000", "test/00000", "test/00001", "test/00001", "train/00000", "train/00000", "train/00001",
    ]  # fmt: skip
