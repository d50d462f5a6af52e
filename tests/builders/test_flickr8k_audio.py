from __future__ import annotations

import json
from pathlib import Path

import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError
from builders.phones import fold
from tests.corpora import flickr8k_audio as corpus
from tests.corpora.archives import pack, zip_of


def load(path: Path, config: str = "default", **options):
    return load_dataset("builders/flickr8k_audio", config, data_dir=str(path), **options)


def rows(table) -> dict[str, dict]:
    return {row["id"]: row for part in table.values() for row in part}


def spans(row: dict, tier: str) -> list[tuple[float, float, str]]:
    return [(round(s["start"], 6), round(s["end"], 6), s["label"]) for s in row["segments"] if s["tier"] == tier]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return corpus.write(tmp_path / "data")


def test_rows_by_hand(top):
    table = load(top)
    assert {split: part["id"][:] for split, part in table.items()} == {
        "train": ["1000268201_693b08cb0e_0", "1000268201_693b08cb0e_1"],
        "validation": ["1001773457_577c3a7d70_0"],
        "test": ["renamed_3"],
    }
    row = table["train"][0]
    assert row["text"] == "A child in a pink dress is climbing up a set of stairs in an entry way ."
    assert (row["speaker_id"], row["image"], row["caption_index"]) == ("35", corpus.CHILD, 0)
    assert (row["audio_path"], row["duration"], row["language"]) == ("wavs/1000268201_693b08cb0e_0.wav", 1.0, "en")
    assert (row["segments"], row["fully_aligned"], row["text_ja"]) == ([], None, None)
    assert row["source"] == {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}
    assert table["train"][1]["text"] == 'A girl going into a "wooden building .'


def test_the_photograph_comes_from_the_list_not_from_the_name(top):
    row = load(top)["test"][0]
    assert (row["image"], row["caption_index"], row["text"]) == (corpus.BOAT, 2, "A man in a boat .")


def test_karpathys_file_gives_the_same_texts_and_splits(top, tmp_path):
    other = corpus.write(tmp_path / "other", texts="karpathy")
    expected, found = load(top), load(other)
    for split in expected:
        assert (
            found[split].remove_columns(["audio", "text_ja"])[:]
            == expected[split].remove_columns(["audio", "text_ja"])[:]
        )
    assert found["test"]["text_ja"][:] == ["子供"]
    renamed = (other / "dataset.json").rename(other / "dataset_flickr8k.json")
    assert load(other)["test"]["text"][:] == ["A man in a boat ."]
    renamed.rename(other / "dataset_multilingual.json")
    assert load(other)["test"]["text"][:] == ["A man in a boat ."]


def test_alignment(tmp_path):
    found = rows(load(corpus.write(tmp_path, alignment=True)))
    row = found["1000268201_693b08cb0e_0"]
    assert spans(row, "words") == [(0.1, 0.16, "A"), (0.16, 0.5, "child")]
    assert spans(row, "phones") == [
        (0.1, 0.16, "ah"), (0.16, 0.26, "ch"), (0.26, 0.4, "ay"), (0.4, 0.45, "l"), (0.45, 0.5, "d")
    ]  # fmt: skip
    assert all(fold(label, "arpabet") for _, _, label in spans(row, "phones"))
    assert row["fully_aligned"] is True
    assert row["text"].startswith("A child in a pink dress")  # not the transcript of the aligner
    other = found["1001773457_577c3a7d70_0"]
    assert (spans(other, "words"), spans(other, "phones")) == ([(0.0, 0.05, "A")], [(0.0, 0.05, "oov")])
    assert fold("oov", "arpabet") is None  # a word that the aligner did not know is no phone
    assert other["fully_aligned"] is False
    assert (found["renamed_3"]["fully_aligned"], found["renamed_3"]["segments"]) == (None, [])


def test_alignment_of_another_corpus_beside_it_is_left_alone(tmp_path):
    top = corpus.write(tmp_path, alignment=True)
    other = top / "librispeech" / "fa.json"
    other.parent.mkdir()
    other.write_text("not even JSON")
    assert rows(load(top))["1000268201_693b08cb0e_0"]["fully_aligned"] is True


def test_all_recordings_need_no_texts(tmp_path):
    top = corpus.write(tmp_path, texts="none")
    with pytest.raises(CorpusError, match=r"dataset\.json"):
        load(top)
    (top / "flickr_audio/wavs/extra.wav").write_bytes((top / "flickr_audio/wavs/renamed_3.wav").read_bytes())
    table = load(top, "all")["train"]
    assert len(table) == 5
    found = {row["id"]: (row["text"], row["speaker_id"], row["image"], row["caption_index"]) for row in table}
    assert found["renamed_3"] == (None, "7", corpus.BOAT, 2)
    assert found["extra"] == (None, None, None, None)


def test_folders_and_archives_of_all_copies(top, tmp_path):
    def without(table):
        return {name: {k: v for k, v in row.items() if k != "audio"} for name, row in rows(table).items()}

    expected = without(load(top))
    assert without(load(corpus.write(tmp_path / "kaggle", kaggle=True))) == expected
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    pack(top / "flickr_audio", downloads / "flickr_audio.tar.gz")
    texts = {path.name: path.read_bytes() for path in (top / "Flickr8k_text").iterdir()}
    zip_of(downloads / "Flickr8k_text.zip", {**texts, "__MACOSX/._Flickr8k.token.txt": b"\0"})
    assert without(load(downloads)) == expected
    assert without(load(pack(top, tmp_path / "x.zip"))) == expected


def test_it_bites(top, caplog):
    (top / "flickr_audio/wavs/1000268201_693b08cb0e_1.wav").unlink()
    capt = top / "flickr_audio/wav2capt.txt"
    lines = capt.read_text().splitlines()
    swapped = [
        line.replace("#2", "#0") for line in lines if "577c3a7d70" not in line
    ]  # a row dropped, a column changed
    capt.write_text("\n".join(swapped))
    table = load(top, max_bad=0.5)
    assert {split: len(part) for split, part in table.items()} == {"train": 1, "test": 1}
    assert "1000268201_693b08cb0e_1.wav" in caplog.text
    assert table["test"][0]["text"] is None  # photograph and index without a caption


def test_split_moves_with_its_list(tmp_path):
    top = corpus.write(tmp_path, texts="karpathy")
    path = top / "dataset.json"
    made = json.loads(path.read_text())
    made["images"][2]["split"] = "train"
    path.write_text(json.dumps(made))
    assert {split: len(part) for split, part in load(top).items()} == {"train": 3, "validation": 1}
