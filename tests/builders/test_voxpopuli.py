from __future__ import annotations

import gzip
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError
from builders.register import builder_class
from builders.voxpopuli.annotations import read_rows
from tests.corpora import voxpopuli
from tests.corpora.archives import pack
from tests.corpora.rows import pcm

REFERENCE = Path(__file__).parents[1] / "corpora" / "references" / "voxpopuli.json"
FIRST = "20100210-0900-PLENARY-3-nl_20100210-09:06:43_4"
QUOTE = "20100210-0900-PLENARY-3-nl_20100210-09:07:43_0"
SPLITS = {
    "train": [FIRST, QUOTE, "20180704-0900-PLENARY-nl_20180704-09:00:01_2"],
    "validation": ["20180704-0900-PLENARY-nl_20180704-09:10:01_0"],
    "test": ["20180704-0900-PLENARY-nl_20180704-09:20:01_0"],
}
OF_LAYOUT = ("audio", "audio_path", "offset", "source", "speech")


def load(path: Path, *config: str, **options):
    return load_dataset("builders/voxpopuli", *config, data_dir=str(path), **options)


def rows(table) -> dict[str, dict]:
    return {row["id"]: row for row in table}


def facts(table) -> dict[str, list[dict]]:
    """Return the rows of each split without what depends on the layout, sorted."""
    kept = {
        split: [{name: value for name, value in row.items() if name not in OF_LAYOUT} for row in part]
        for split, part in table.items()
    }
    return {split: sorted(part, key=lambda row: row["id"]) for split, part in kept.items()}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return voxpopuli.write_raw(tmp_path / "raw")


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return voxpopuli.write_hub(tmp_path / "hub")


# Rows


def test_rows_of_sessions_by_hand(raw):
    table = load(raw, "nl")
    assert {split: sorted(part["id"]) for split, part in table.items()} == SPLITS  # the row of no split is left out
    row = rows(table["train"])[FIRST]
    assert (row["text"], row["raw_text"]) == ("dank u wel voorzitter", "Dank u wel, voorzitter.")
    assert (row["speaker_id"], row["gender"], row["language"], row["subset"]) == ("28117", "female", "nl", "nl")
    assert (row["session"], row["year"], row["is_gold_transcript"], row["accent"]) == (
        "20100210-0900-PLENARY-3",
        2010,
        False,
        None,
    )
    assert row["audio_path"] == "original/2010/20100210-0900-PLENARY-3_original.ogg"
    assert (row["offset"], row["duration"]) == (0.25, 0.5 + 0.125 + 0.25)  # three stretches, put together
    assert row["speech"] == [{"start": 0.25, "end": 0.75}, {"start": 1.0, "end": 1.125}, {"start": 1.5, "end": 1.75}]
    session, _ = sf.read(raw / "raw_audios" / row["audio_path"], dtype="float32")
    expected = np.concatenate([session[4000:12000], session[16000:18000], session[24000:28000]])
    # libsndfile's Vorbis decoder is exact from the begin on, and only some samples behind a place that it was sent to.
    found, expected = pcm(row), np.rint(expected * 32768)
    np.testing.assert_array_equal(found[:8000], expected[:8000])
    assert np.count_nonzero(found != expected) <= 2 * 384
    assert row["source"] == {"format": "OGG/VORBIS", "sampling_rate": 16_000, "channels": 1}
    row = rows(table["train"])[QUOTE]
    assert (row["raw_text"], row["speaker_id"], row["gender"]) == ('"Ja" zei hij | en zweeg.', None, None)
    row = rows(table["train"])[SPLITS["train"][2]]
    assert (row["text"], row["raw_text"]) == (None, None)
    assert table["validation"]["is_gold_transcript"][:] == [True]


def test_rows_of_the_hub_by_hand(hub):
    table = load(hub, "nl")
    assert {split: sorted(part["id"]) for split, part in table.items()} == SPLITS
    row = rows(table["train"])[FIRST]
    assert row["audio_path"] == f"nl/train/train_part_0/{FIRST}.wav"
    assert rows(table["train"])[QUOTE]["audio_path"] == f"nl/train/train_part_1/{QUOTE}.wav"
    assert rows(table["train"])[QUOTE]["raw_text"] == '"Ja" zei hij | en zweeg.'
    np.testing.assert_array_equal(pcm(row), voxpopuli.samples_of(voxpopuli.ROWS["nl"][0]))
    assert (row["offset"], row["speech"], row["source"]["format"]) == (0.0, None, "WAV/PCM_16")


def test_accented_english(raw, hub):
    for top in (raw, hub):
        table = load(top, "en_accented")
        assert list(table) == ["test"]
        (row,) = table["test"]
        assert (row["accent"], row["language"], row["subset"]) == ("en_nl", "en", "en_accented")
        assert (row["text"], row["duration"]) == ("thank you", 0.25)


def test_all_languages_leave_the_accented_set_out(hub):
    assert {split: sorted(part["id"]) for split, part in load(hub).items()} == SPLITS


def test_configurations():
    configs = {config.name: config.splits for config in builder_class("voxpopuli").BUILDER_CONFIGS}
    assert len(configs) == 18 + 26 + 23  # transcribed, unlabelled, interpreted
    assert list(configs["en_accented"]) == ["test"]
    assert [known.utterances for known in configs["en"].values()] == [182482, 1753, 1842]


# Layouts


def test_all_layouts_give_the_same_rows(raw, hub, tmp_path):
    processed = voxpopuli.write_processed(tmp_path / "processed")
    expected = facts(load(raw, "nl"))
    for top in (hub, hub / "data", hub / "data/nl", processed, processed / "transcribed_data/nl"):
        assert facts(load(top, "nl")) == expected
    (row,) = load(processed, "nl")["test"]
    assert row["audio_path"] == f"nl/2018/{row['id']}.ogg"
    assert row["source"]["format"] == "OGG/VORBIS"
    renamed = (hub / "data/nl").rename(tmp_path / "dutch")
    assert facts(load(renamed, "nl")) == expected


def test_sessions_in_archives_of_a_year(raw, tmp_path):
    expected = {split: rows(part) for split, part in load(raw, "nl").items()}
    original = raw / "raw_audios" / "original"
    for year in sorted(original.iterdir()):
        top = tmp_path / "packing" / "original"
        top.mkdir(parents=True)
        shutil.move(year, top)
        pack(top, raw / "raw_audios" / f"original_{year.name}.tar")
        shutil.rmtree(top.parent)
    assert not list(raw.rglob("*.ogg"))
    assert {split: rows(part) for split, part in load(raw, "nl").items()} == expected


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".zip"])
def test_archive_of_a_layout(hub, tmp_path, suffix):
    processed = voxpopuli.write_processed(tmp_path / "processed")
    for top in (hub / "data/nl", processed / "transcribed_data"):
        archive = pack(top, tmp_path / f"voxpopuli{suffix}")
        expected = {split: rows(part) for split, part in load(top, "nl").items()}
        assert {split: rows(part) for split, part in load(archive, "nl").items()} == expected


def test_shards_packed_on_the_hub(hub):
    expected = facts(load(hub, "nl"))
    for shard in sorted(hub.glob("data/*/*/*_part_*")):
        pack(shard, shard.with_name(f"{shard.name}.tar.gz"))
        shutil.rmtree(shard)
    for top in (hub, hub / "data", hub / "data/nl"):
        assert facts(load(top, "nl")) == expected
    assert len(load(hub, "en_accented")["test"]) == 1
    for top in (hub, hub / "data"):
        assert facts(load(top)) == expected


# The annotations


def test_annotations_without_quotes_and_without_the_later_columns(tmp_path):
    table = load(voxpopuli.write_raw(tmp_path, quoted=False, newer=False), "nl")
    assert {split: sorted(part["id"]) for split, part in table.items()} == SPLITS
    # A reader of CSV, such as the one that the published data were made with, takes the marks off.
    assert rows(table["train"])[QUOTE]["raw_text"] == "Ja zei hij / en zweeg."
    assert table["validation"]["is_gold_transcript"][:] == [False]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ("1|b|c", ["1", "b", "c"]), ('1|"b|b"|c', ["1", "b|b", "c"]), ('1|"b ""b"""|c', ["1", 'b "b"', "c"]),
        ('1|"never closed|c', ["1", '"never closed', "c"]), ('1|"two\nlines"|c', ["1", "two\nlines", "c"]),
        ("1||", ["1", "", ""]), ("1|" + "b" * 200_000 + "|c", ["1", "b" * 200_000, "c"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_quotes_in_annotations(line, cells, newline):
    lines = io.StringIO(f"x|y|z{newline}{line}{newline}2|b|c{newline}", newline="")
    assert [list(row.values()) for row in read_rows(lines)] == [cells, ["2", "b", "c"]]


@pytest.mark.parametrize("text", ["1|b\n", "1|b\n" * 1000, "1|b|c|d\n"])
def test_row_that_does_not_fit_its_header(text):
    with pytest.raises(CorpusError, match="does not have the 3 cells of their header"):
        list(read_rows(io.StringIO(f"x|y|z\n{text}")))


# What must change the result


def test_audio_that_is_not_there_is_quarantined(raw, hub, caplog):
    (raw / "raw_audios/original/2010/20100210-0900-PLENARY-3_original.ogg").unlink()
    assert load(raw, "nl", max_bad=0.7)["train"]["id"][:] == SPLITS["train"][2:]
    (hub / f"data/nl/train/train_part_0/{FIRST}.wav").unlink()
    assert sorted(load(hub, "nl", max_bad=0.5)["train"]["id"]) == SPLITS["train"][1:]
    assert caplog.text.count("is listed in the metadata, but there is no such file") == 3


def test_columns_are_read_by_name_and_rows_count(hub):
    path = hub / "data/nl/asr_train.tsv"
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    expected = facts(load(hub, "nl"))
    path.write_text("".join("\t".join(reversed(line)) + "\n" for line in lines))
    assert facts(load(hub, "nl")) == expected
    lines[0][1:3] = lines[0][2:0:-1]
    path.write_text("".join("\t".join(line) + "\n" for line in lines[:2]))
    (row,) = load(hub, "nl")["train"]
    assert (row["text"], row["raw_text"]) == ("Dank u wel, voorzitter.", "dank u wel voorzitter")


def test_stretches_decide_the_audio(raw):
    path = raw / "asr_nl.tsv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace("(1.0, 1.125), ", "").encode()))
    row = rows(load(raw, "nl")["train"])[FIRST]
    assert row["duration"] == 0.75
    path.write_bytes(gzip.compress(text.replace("[(0.25, 0.75), (1.0, 1.125), (1.5, 1.75)]", "[]").encode()))
    row = rows(load(raw, "nl")["train"])[FIRST]
    assert (row["duration"], row["speech"]) == (1.875 - 0.25, [])  # from start_time to end_time


# Another reader


def test_rows_are_those_of_lhotse(raw):
    ours = load(raw, "nl")
    reference = json.loads(REFERENCE.read_text())
    assert set(reference) == {"train", "dev", "test"}
    for split, theirs in reference.items():
        # Its ids number the utterances of a session, whatever their split: here they are told by where they begin.
        part = {(row["session"], row["offset"]): row for row in ours[split.replace("dev", "validation")]}
        assert len(theirs) == len(part)
        for identifier, recording, text, raw_text, speaker, language, gender, start, duration in theirs:
            row = part[recording, start]
            assert identifier.startswith(f"{row['session']}-")
            assert (text, raw_text) == (row["text"] or "", row["raw_text"] or "")  # empty where ours is null
            assert (speaker, gender) == (row["speaker_id"] or "None", row["gender"] or "None")
            assert language == row["language"]
            # It takes all from the first stretch to the end of the utterance, pauses included.
            pauses = sum(b["start"] - a["end"] for a, b in zip(row["speech"], row["speech"][1:], strict=False))
            end = row["offset"] + row["duration"] + pauses + 0.125  # the miniature says so of every utterance
            end = min(end, voxpopuli.SESSIONS[recording] / 16_000)  # one is at the end of its session
            assert duration == pytest.approx(end - row["offset"])


# Channels without transcripts, and interpretations


@pytest.mark.parametrize("cut", [False, True])
def test_unlabelled_channels(tmp_path, cut, caplog):
    top = voxpopuli.write_channels(tmp_path, cut=cut)
    names = {
        "unlabelled": ["20180704-0900-PLENARY_nl_0", "20180704-0900-PLENARY_nl_1", "20190114-1700-PLENARY_en_0",
                       "20190115-1500-ENVI_en_3"],
        "unlabelled_100k": ["20180704-0900-PLENARY_nl_0", "20180704-0900-PLENARY_nl_1", "20190114-1700-PLENARY_en_0"],
        "unlabelled_10k": ["20190114-1700-PLENARY_en_0"],
        "unlabelled_nl": ["20180704-0900-PLENARY_nl_0", "20180704-0900-PLENARY_nl_1"],
    }  # fmt: skip
    for config, expected in names.items():
        assert sorted(load(top, config)["train"]["id"]) == expected
    assert "1 segments of languages and years that are not here" in caplog.text
    row = rows(load(top, "unlabelled")["train"])["20180704-0900-PLENARY_nl_1"]
    assert (row["language"], row["subset"], row["session"], row["year"]) == ("nl", "nl", "20180704-0900-PLENARY", 2018)
    assert (row["text"], row["duration"], row["offset"]) == (None, 0.5, 0.0 if cut else 0.75)


def test_unlabelled_segment_that_is_gone_is_quarantined(tmp_path):
    top = voxpopuli.write_channels(tmp_path)
    (top / "raw_audios/en/2019/20190115-1500-ENVI_en.ogg").unlink()
    with pytest.raises(CorpusError, match="20190115-1500-ENVI_en"):
        load(top, "unlabelled")
    assert len(load(top, "unlabelled", max_bad=1.0)["train"]) == 3


def test_unlabelled_segments_without_their_table(tmp_path):
    top = voxpopuli.write_channels(tmp_path, cut=True)
    expected = sorted(load(top, "unlabelled")["train"]["id"])
    (top / "unlabelled_v2.tsv.gz").unlink()
    assert sorted(load(top, "unlabelled")["train"]["id"]) == expected


@pytest.mark.parametrize("cut", [False, True])
def test_interpretations(tmp_path, cut):
    found = rows(load(voxpopuli.write_channels(tmp_path, cut=cut), "s2s_en")["train"])
    one, two = (found[f"{source}-en"] for source, *_ in voxpopuli.INTERPRETED)
    assert len(found) == 2
    assert (one["text"], one["language"], one["duration"]) == ("Good.", "en", 0.5)
    assert (one["source_text"], one["source_language"], one["source_speaker_id"]) == ("Goed.", "nl", "5730")
    assert one["source_id"] == "20180704-0900-PLENARY-nl_20180704-09:10:01_0"
    assert (two["text"], two["source_text"], two["duration"], two["offset"]) == (
        None,
        "Nee.",
        0.375,
        0.0 if cut else 1.0,
    )


def test_archive_of_a_channel(tmp_path):
    top = voxpopuli.write_channels(tmp_path / "corpus")
    expected = facts(load(top, "unlabelled_en"))
    pack(top / "raw_audios/en", top / "en_2019.tar")
    shutil.rmtree(top / "raw_audios")
    assert facts(load(top, "unlabelled_en")) == expected
