from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError, TooManyBadFilesError
from builders.frame_arrays.inventories import STRESSED71, WSJ46
from builders.phones import fold
from builders.register import builder_class
from features import cards
from features.columns import matrices
from probes.frames import frame_table
from tests.corpora import frame_arrays
from tests.corpora.archives import SUFFIXES, pack


def load(path: Path, *config: str, **options):
    return load_dataset("builders/frame_arrays", *config, data_dir=str(path), **options)


def rows(table):
    (column,) = cards(table)
    values, lengths = matrices(table, column, slice(0, len(table)))
    parts = np.split(values, np.cumsum(lengths)[:-1])
    plain = table.remove_columns(column)
    return {row["id"]: ({**row}, part) for row, part in zip(plain, parts, strict=True)}


def labels(row, tier: str, frames: int) -> list[str]:
    """Return the label of each frame as a probe sees it."""
    centres = (np.arange(frames) * 160 + 80) / 16_000
    found = [s for s in row["segments"] if s["tier"] == tier]
    return [next(s["label"] for s in found if s["start"] <= centre < s["end"]) for centre in centres]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return frame_arrays.write(tmp_path)


def test_row_by_hand(folder):
    row, frames = rows(load(folder)["train"])["103-1240-0001"]
    np.testing.assert_array_equal(frames, frame_arrays.frames_of("103-1240-0001", 28))
    spelt = [("SIL", 0.0, 0.02), ("HH", 0.02, 0.04), ("AH", 0.04, 0.07)]  # AH AH: one run
    assert row == {
        "id": "103-1240-0001", "audio": None, "audio_path": "train-clean-100/mfcc/103-1240-0001.npy", "offset": 0.0,
        "duration": 0.07, "text": None, "speaker_id": "103", "language": "en", "corpus": "frame_arrays", "source": None,
        "segments": [{"tier": "phones", "start": start, "end": end, "label": label, "speaker": None, "score": None}
                     for label, start, end in spelt],
        "chapter": "1240", "subset": "train-clean-100", "number": 1,
    }  # fmt: skip


def test_every_frame_has_its_own_label(folder):
    for name, (row, frames) in rows(load(folder)["train"]).items():
        wanted = [phone.strip("[]") for phone in frame_arrays.phones_of(name)]
        assert labels(row, "phones", len(frames)) == wanted


def test_splits(folder):
    table = load(folder)
    assert {split: sorted(rows(part)) for split, part in table.items()} == {
        "train": sorted(frame_arrays.NAMES["train-clean-100"]), "validation": list(frame_arrays.NAMES["dev-clean"]),
        "test": list(frame_arrays.NAMES["test-clean"]),
    }  # fmt: skip
    assert all(row["segments"] == [] for row, _ in rows(table["test"]).values())


@pytest.mark.parametrize("width", [13, 15, 27, 28])
def test_the_width_is_that_of_the_files(tmp_path, width):
    table = load(frame_arrays.write(tmp_path, width=width))["train"]
    ((name, card),) = cards(table).items()
    assert (name, card.width, card.axis, card.dtype) == ("frames.mfcc", width, "frame", "float32")
    assert (card.clock.hop, card.clock.offset) == (160, 80)
    row, frames = rows(table)["103-1240-0000"]
    assert card.clock.frames(round(row["duration"] * 16_000)) == len(frames) == 12
    assert labels(row, "phones", 3) == ["SIL", "SIL", "HH"]


def test_official_order_and_subset(tmp_path):
    folder = frame_arrays.write(tmp_path, width=13)
    test = load(folder)["test"].sort("number")
    assert test["id"] == list(frame_arrays.ORDER)
    assert load(folder, "s22_subset8192")["train"]["id"] == list(frame_arrays.NAMES["train-clean-100"][:2])


@pytest.mark.parametrize(("width", "classes"), [(40, 138), (40, 71), (13, 346)])
@pytest.mark.parametrize("protocol", [None, 2])
def test_flat_generations(tmp_path, width, classes, protocol):
    table = load(frame_arrays.write_flat(tmp_path / "x", width=width, classes=classes, protocol=protocol))
    assert {split: len(part) for split, part in table.items()} == {"train": 3, "validation": 2, "test": 2}
    assert list(cards(table["train"])) == ["frames.mel"]
    for part, split in (("train", "train"), ("dev", "validation")):
        for number, (name, (row, frames)) in enumerate(rows(table[split]).items()):
            assert name == f"{part}-{number:06d}"
            wanted = frame_arrays.flat_frames(part, number, width)
            np.testing.assert_array_equal(frames, wanted.astype(np.float32))
            states = frame_arrays.flat_labels(part, number, classes)
            if classes == 138:
                assert labels(row, "phones", len(frames)) == [WSJ46[state // 3] for state in states]
                assert labels(row, "states", len(frames)) == [f"{WSJ46[s // 3]}_{s % 3}" for s in states]
            elif classes == 71:
                assert labels(row, "phones", len(frames)) == [STRESSED71[state] for state in states]
            else:
                assert labels(row, "subphones", len(frames)) == [str(state) for state in states]


def test_the_numbers_of_the_stressed_phones():
    wanted = {0: "SIL", 1: "SPN", 2: "AA0", 19: "AY2", 20: "B", 24: "EH0", 29: "ER2", 38: "IH2", 42: "JH", 53: "OY2",
              59: "TH", 62: "UH2", 65: "UW2", 70: "ZH"}  # fmt: skip
    assert {number: STRESSED71[number] for number in wanted} == wanted
    assert len(STRESSED71) == 71
    assert len(WSJ46) == 46


def test_every_label_folds():
    assert {fold(name, "arpabet") for name in [*WSJ46, *STRESSED71]} >= {"sil", "aa", "sh", None}


def test_utterances_of_one_length(tmp_path):
    for part in ("train", "dev", "test"):
        np.save(tmp_path / f"{part}.npy", np.ones((3, 4, 40)))
    np.save(tmp_path / "train_labels.npy", np.full((3, 4), 70))
    np.save(tmp_path / "dev_labels.npy", np.full((3, 4), 70))
    table = load(tmp_path)["train"]
    assert [labels(row, "phones", len(frames)) for row, frames in rows(table).values()] == [["ZH"] * 4] * 3


def python_2(shape: bytes, kind: bytes, raw: bytes) -> bytes:
    """Return an array as Python 2 pickled it: its bytes are a string."""
    order, flags = (b"|", b"?") if kind == b"O8" else (b"<", b"\x00")
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01" + shape
    dtype = b"cnumpy\ndtype\nU\x02" + kind + b"K\x00K\x01\x87R(K\x03U\x01" + order + b"NNN"
    return array + dtype + b"J\xff\xff\xff\xff" * 2 + b"K" + flags + b"tb\x89" + raw + b"tb"


def test_pickles_of_python_2(tmp_path):
    raw = np.arange(80, dtype=np.float32).tobytes()
    inner = python_2(b"K\x02K(\x86", b"f4", b"T" + len(raw).to_bytes(4, "little") + raw)
    with (tmp_path / "train.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": (1,)})
        file.write(b"\x80\x02" + python_2(b"K\x01\x85", b"O8", b"](" + inner + b"e") + b".")
    frame_arrays.save(tmp_path / "train_labels.npy", [np.array([0, 137])])
    ((row, frames),) = rows(load(tmp_path)["train"]).values()
    assert frames.tolist() == np.arange(80.0).reshape(2, 40).tolist()
    assert labels(row, "phones", 2) == ["+BREATH+", "ZH"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("flat", [False, True])
def test_archives_give_the_same(tmp_path, suffix, flat):
    folder = (frame_arrays.write_flat if flat else frame_arrays.write)(tmp_path / "x")
    table, packed = load(folder), load(pack(folder, tmp_path / f"11-785-s22-hw1p2{suffix}"))
    for split in table:
        there, found = rows(table[split]), rows(packed[split])
        assert there.keys() == found.keys()
        for name in there:
            assert there[name][0] == found[name][0]
            np.testing.assert_array_equal(there[name][1], found[name][1])


def test_a_probe_can_use_it(folder):
    table = frame_table(load(folder)["train"], "frames.mfcc")
    assert table.values.shape == (20, 28)
    assert {table.classes[code] for code in table.labels} == {"sil", "hh", "ah", "l", "ow"}


# What is wrong


def bad(folder: Path, name: str, array: np.ndarray) -> str:
    np.save(folder / name, array)
    table = load(folder, max_bad=1.0)["train"]
    assert "103-1240-0000" not in table["id"]
    assert len(table) == 2
    builder = load_dataset_builder("builders/frame_arrays", data_dir=str(folder), max_bad=1.0)
    return builder.quarantine_file("train").read_text()


@pytest.mark.parametrize(
    ("name", "array", "reason"),
    [
        ("transcript", np.array(["[SOS]"] + ["AH"] * 11 + ["[EOS]"]), "11 phonemes without its markers, for 12 frames"),
        ("mfcc", np.zeros((12, 27), np.float32), "not (frames, 28)"),
        ("mfcc", np.zeros(12, np.float32), "not (frames, 28)"),
        ("mfcc", np.zeros((0, 28), np.float32), "no frames"),
        ("mfcc", np.zeros(12, [("a", "f4")]), "is not an .npy file"),
    ],
)
def test_what_does_not_fit_is_quarantined(folder, name, array, reason):
    assert reason in bad(folder, f"train-clean-100/{name}/103-1240-0000.npy", array)


def test_a_label_that_the_inventory_lacks(tmp_path):
    folder = frame_arrays.write_flat(tmp_path / "x", classes=71)
    assert len(load(folder, inventory="states138")["train"]) == 3  # fits, though it is wrong
    folder = frame_arrays.write_flat(tmp_path / "y", classes=138)
    with pytest.raises(TooManyBadFilesError, match=r"labels from .* to .*: stressed71 has 0 to 70"):
        load(folder, inventory="stressed71")


def test_no_transcript_is_no_test_utterance(folder):
    (folder / "train-clean-100/transcript/103-1240-0000.npy").unlink()
    with pytest.raises(TooManyBadFilesError, match=r"there is no train-clean-100/transcript/103-1240-0000\.npy"):
        load(folder)


def test_a_harmful_array_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return Path.touch, (tmp_path / "harmed",)

    folder = frame_arrays.write_flat(tmp_path / "x")
    made = np.empty(1, object)
    made[0] = Harm()
    np.save(folder / "train.npy", made, allow_pickle=True)
    with pytest.raises(CorpusError, match=r"train\.npy: the pickle names "):
        load(folder)
    assert not (tmp_path / "harmed").exists()


def test_nothing_there(tmp_path):
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(CorpusError, match="no utterances of frame_arrays"):
        load(tmp_path)


# Verify


@pytest.fixture
def published(folder, monkeypatch) -> Path:
    config = next(c for c in builder_class("frame_arrays").BUILDER_CONFIGS if c.name == "f24")
    frames = [sum(frame_arrays.LENGTHS[name] for name in names) for names in frame_arrays.NAMES.values()]
    counts = [len(names) for names in frame_arrays.NAMES.values()]
    splits = zip(("train", "validation", "test"), counts, frames, strict=True)
    monkeypatch.setattr(config, "splits", {s: Expected(count, n / 360_000) for s, count, n in splits})
    return folder


def verify(folder: Path, *options: str) -> int:
    return main(["verify", "frame_arrays", "f24", "--data-dir", str(folder), *options])


@pytest.mark.parametrize("change", ["none", "file", "transcripts", "frame"])
def test_verify_bites(published, change, capsys):
    mfcc = published / "train-clean-100/mfcc/103-1240-0000.npy"
    transcript = published / "train-clean-100/transcript/103-1240-0000.npy"
    other = transcript.with_name("103-1240-0001.npy")
    if change == "file":
        mfcc.unlink()
    if change == "transcripts":  # one utterance's labels for another's
        here, there = transcript.read_bytes(), other.read_bytes()
        transcript.write_bytes(there)
        other.write_bytes(here)
    if change == "frame":
        np.save(mfcc, np.load(mfcc)[:-1])
    assert verify(published, "--deep") == (change != "none")
    assert capsys.readouterr().out.count("as published") == (3 if change == "none" else 2)


def test_a_million_frames_need_no_memory_for_them(tmp_path):
    import tracemalloc

    folder = tmp_path / "x"
    folder.mkdir()
    frame_arrays.save(folder / "train.npy", [np.zeros((2_000, 40), np.float32) for _ in range(100)])  # 32 MB
    frame_arrays.save(folder / "train_labels.npy", [np.full(2_000, 70) for _ in range(100)])
    builder = load_dataset_builder("builders/frame_arrays", data_dir=str(folder))
    tracemalloc.start()
    listing = builder.listing("train")
    row = next(iter(itertools.islice(listing.to_pylist(), 50, None)))
    found = builder.cells(row)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found["frames.mel"].shape == (2_000, 40)
    assert peak < 4_000_000
