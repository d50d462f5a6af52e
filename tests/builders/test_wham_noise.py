from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.wham_noise.wham_noise import SUBSETS, WhamNoise
from tests.corpora import wham_noise
from tests.corpora.archives import pack
from tests.corpora.rows import by_id
from tests.corpora.sound import pack_audio, riff

REFERENCE = Path(__file__).parents[1] / "corpora" / "references" / "wham_noise.json"
FIRST = "40na010x_1.9857_01xo031a_-1.9857"


def load(path: Path, *config: str, **options):
    table = load_dataset("builders/wham_noise", *config, data_dir=str(path), **options)
    return {split: by_id(part) for split, part in table.items()}


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return wham_noise.write(tmp_path / "corpus")


def test_row_by_hand(top):
    assert load(top)["train"][f"tr/{FIRST}"] == {
        "id": f"tr/{FIRST}", "audio": wham_noise.samples_of(FIRST)[:, 0].tolist(), "audio_path": f"tr/{FIRST}.wav",
        "offset": 0.0, "duration": 0.1, "text": None, "speaker_id": None, "language": None, "corpus": "wham_noise",
        "segments": [], "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 2}, "subset": "tr",
        "noise_band": 2, "reverberation": "high", "microphone_distance": 17.0, "file_id": "12", "location_id": "3",
        "location_day_id": "31",
    }  # fmt: skip


def test_splits_and_labels(top):
    rows = load(top)
    assert {split: sorted(part) for split, part in rows.items()} == {
        split: sorted(f"{subset}/{stem}" for stem in wham_noise.CLIPS[subset]) for split, subset in SUBSETS.items()
    }
    found = {name: (row["noise_band"], row["reverberation"], row["microphone_distance"])
             for part in rows.values() for name, row in part.items()}  # fmt: skip
    assert found == {
        f"tr/{FIRST}": (2, "high", 17.0), "tr/01ao030b_0.1_40po030k_-0.1": (0, "low", 15.0),
        "tr/01bo030x_2_401c020s_-2": (None, None, None),  # the table lacks it
        "cv/40pc020b_0.52421_409c021e_-0.52421": (3, "medium", 17.0),
        "cv/01jo030v_1.5_22go010p_-1.5": (1, "medium", 17.0),
        "tt/050a0501_1.7783_442o030z_-1.7783": (1, "high", None),
    }  # fmt: skip


def test_channel_is_stated(top):
    both = wham_noise.samples_of(FIRST).astype(np.int64)
    for options, expected in (
        ((("wham",), {}), both[:, 0]),
        ((("wham",), {"channel": "1"}), both[:, 1]),
        ((("wham",), {"channel": 1}), both[:, 1]),  # as the command passes it
        ((("wham-mean",), {}), both.mean(axis=1)),
        ((("wham",), {"channel": "mean"}), both.mean(axis=1)),
    ):
        found = load(top, *options[0], **options[1])["train"][f"tr/{FIRST}"]["audio"]
        np.testing.assert_allclose(found, expected, atol=0.5)


def test_channel_that_there_is_not(top, tmp_path):
    with pytest.raises(CorpusError, match="no channel '2' in a recording of 2 channels"):
        load(top, channel="2")


# Variants


def test_what_librimix_adds_is_left_out_with_a_word(top, tmp_path, caplog):
    augmented = wham_noise.write(tmp_path / "augmented", augmented=True)
    assert load(augmented) == load(top)
    assert "6 files of tr left out: copies at other speeds" in caplog.text


def test_folders_and_archives_give_the_same_rows(top, tmp_path):
    expected = load(top)
    assert load(wham_noise.write(tmp_path / "nested", nested=True)) == load(top.parent) == expected
    for suffix in (".tar.gz", ".zip"):
        (tmp_path / suffix).mkdir()
        archive = pack(top, tmp_path / suffix / f"wham_noise{suffix}")
        assert load(archive) == load(archive.parent) == expected
    assert load(top / "cv")["validation"].keys() == expected["validation"].keys()


def test_without_tables(top):
    for path in (top / "metadata").iterdir():
        path.unlink()
    rows = load(top)
    assert {split: len(part) for split, part in rows.items()} == {"train": 3, "validation": 2, "test": 1}
    assert rows["train"][f"tr/{FIRST}"]["noise_band"] is None


# Recordings


def test_high_resolution(tmp_path):
    top = wham_noise.write_high_res(tmp_path)
    rows = load(top, "high_res")
    assert {split: sorted(part) for split, part in rows.items()} == {
        "train": ["rec_0012"], "validation": ["rec_0014"], "test": ["rec_0015"],  # 0016 is in no split
    }  # fmt: skip
    row = rows["train"]["rec_0012"]
    assert row["source"] == {"format": "WAV/PCM_24", "sampling_rate": 48000, "channels": 2}
    assert (row["audio_path"], row["duration"], row["subset"]) == ("audio/rec_0012.wav", 0.3, "tr")
    assert (row["file_id"], row["location_id"], row["reverberation"], row["noise_band"]) == ("12", "3", "high", None)
    assert load(tmp_path, "high_res") == load(pack(top, tmp_path / "high_res_wham.zip"), "high_res") == rows


def test_high_resolution_in_windows(tmp_path):
    rows = load(wham_noise.write_high_res(tmp_path), "high_res-30s", window=0.125)["train"]
    assert {name: (row["offset"], row["duration"]) for name, row in rows.items()} == {
        "rec_0012_0000": (0.0, 0.125), "rec_0012_0001": (0.125, 0.125), "rec_0012_0002": (0.25, 0.05),
    }  # fmt: skip


def test_both_releases_in_one_folder(top, tmp_path):
    expected = load(top)
    recordings = load(wham_noise.write_high_res(top.parent), "high_res")
    assert load(top.parent) == expected
    assert load(top.parent, "high_res") == recordings


# Published counts


@pytest.fixture
def published(monkeypatch) -> None:
    counts = {"train": 3, "validation": 2, "test": 1}
    splits = {split: Expected(count, count * 0.1 / 3600) for split, count in counts.items()}
    monkeypatch.setattr(WhamNoise.BUILDER_CONFIGS[0], "splits", splits)


def verify(top: Path, *options: str) -> int:
    return main(["verify", "wham_noise", "--data-dir", str(top), *options])


def test_published_counts():
    splits = WhamNoise.BUILDER_CONFIGS[0].splits
    assert {split: expected.utterances for split, expected in splits.items()} == {
        "train": 20_000, "validation": 5_000, "test": 3_000,
    }  # fmt: skip
    assert (splits["validation"].hours, splits["test"].hours) == (14.65, 9.0)


def test_whole_miniature_is_as_published(top, published):
    assert (verify(top), verify(top, "--deep")) == (0, 0)


# It bites


def test_clip_that_the_table_lists_and_is_not_there(top, published, caplog):
    (top / f"tr/{FIRST}.wav").unlink()
    assert verify(top) == 1
    assert sorted(load(top, max_bad=0.5)["train"]) == ["tr/01ao030b_0.1_40po030k_-0.1", "tr/01bo030x_2_401c020s_-2"]
    assert f"tr/{FIRST}.wav" in caplog.text


def test_clip_without_a_row_that_is_not_there(top, published):
    (top / "tr/01bo030x_2_401c020s_-2.wav").unlink()
    assert verify(top) == 1


def test_dropped_row_shows(top):
    table = top / "metadata/noise_meta_tr.csv"
    table.write_text("\n".join([wham_noise.HEADER, wham_noise.TABLES["tr"][1]]) + "\n")
    assert load(top)["train"][f"tr/{FIRST}"]["noise_band"] is None


def test_columns_are_read_by_name(top):
    table = top / "metadata/noise_meta_tt.csv"
    table.write_text(
        "Location ID,utterance_id,Reverberation Level,Noise Band,File ID,Location Day ID,L to R Width (cm)\n"
        f"9,{wham_noise.CLIPS['tt'][0]}.wav,l,3,8,7,6.5 cm,one cell more\n"
    )
    (row,) = load(top)["test"].values()
    assert (row["location_id"], row["reverberation"], row["noise_band"], row["file_id"]) == ("9", "low", 3, "8")
    assert (row["location_day_id"], row["microphone_distance"]) == ("7", 6.5)


def test_swapped_columns_show(top, published):
    table = top / "metadata/noise_meta_tr.csv"
    table.write_text(table.read_text().replace("utterance_id,Noise Band,File ID", "File ID,Noise Band,utterance_id"))
    assert verify(top) == 1
    rows = load(top, max_bad=0.9)["train"]
    assert rows[f"tr/{FIRST}"]["file_id"] is None


def test_clip_in_another_split_shows(top):
    name = wham_noise.CLIPS["cv"][0]
    (top / f"cv/{name}.wav").rename(top / f"tr/{name}.wav")
    rows = load(top, max_bad=0.5)
    assert f"tr/{name}" in rows["train"]
    assert f"cv/{name}" not in rows["validation"]


def test_odd_files(top, published, caplog):
    clip = wham_noise.samples_of(FIRST)
    four = np.concatenate([clip, clip[:, ::-1]], axis=1)
    expected = load(top)["train"][f"tr/{FIRST}"]["audio"]
    for samples, subtype in ((four, "PCM_16"), (clip, "PCM_24"), (clip / 32768, "FLOAT"), (clip[:, 0], "PCM_16")):
        (top / f"tr/{FIRST}.wav").write_bytes(pack_audio(samples, subtype=subtype))
        np.testing.assert_allclose(load(top)["train"][f"tr/{FIRST}"]["audio"], expected, atol=1)
    (top / f"tr/{FIRST}.wav").write_bytes(riff(np.zeros((0, 2), np.int16)))
    assert len(load(top, max_bad=0.5)["train"]) == 2
    assert "no samples" in caplog.text
    assert verify(top, "--deep") == 1


@pytest.mark.parametrize(("config", "name"), [("wham-mean", "wham_noise.zip"), ("high_res", "high_res_wham.zip")])
def test_what_is_fetched(monkeypatch, config, name):
    wanted = []

    def fetch(archives, folder):
        wanted.extend(archives)
        raise CorpusError("enough")

    monkeypatch.setattr("builders.corpus.fetch", fetch)
    with pytest.raises(CorpusError, match="enough"):
        load_dataset("builders/wham_noise", config)
    (archive,) = wanted
    assert (archive.name, archive.url.rsplit("/", 1)[1]) == (name, name)


def test_folder_of_something_else_says_where_to_get_it(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no utterances of wham_noise .*wham_noise\.zip"):
        load(tmp_path)


# An independent reader


def test_rows_are_those_of_lhotse(tmp_path):
    rows = load(wham_noise.write(tmp_path, augmented=True))
    for split, subset in SUBSETS.items():
        mine = sorted(
            [name.removeprefix(f"{subset}/"), row["duration"], *list(row["source"].values())[1:]]
            for name, row in rows[split].items()
        )
        theirs = json.loads(REFERENCE.read_text())[subset]
        # lhotse reads every file, the copies at other speeds as well, and no table.
        assert mine == [row for row in theirs if not row[0].endswith(("sp08", "sp12"))]
        assert len(theirs) - len(mine) == (6 if subset == "tr" else 0)
