from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.errors import CorpusError
from builders.spoken_words.stamps import Stamps, filters, make_stamps, read_stamps, stamp, write_stamps
from tests.corpora import spoken_words as corpus
from tests.corpora.sound import tone


@pytest.fixture
def made() -> Stamps:
    grey = np.arange(3 * 64 * 32).reshape(3, 64, 32).astype(np.uint8)
    return Stamps(grey, np.array([0, 9, 2]), np.array([0.1, 0.95, 0.5]), corpus.NUMBERS)


def test_there_and_back(made, tmp_path):
    write_stamps(tmp_path / "num.pkl", made)
    found = read_stamps(tmp_path / "num.pkl")
    np.testing.assert_array_equal(found.stamps, made.stamps)
    np.testing.assert_array_equal(found.labels, made.labels)
    np.testing.assert_array_equal(found.rand, made.rand)
    assert found.words == made.words


def test_the_workflow_reads_what_is_written(made, tmp_path):
    write_stamps(tmp_path / "num.pkl", made)
    found = pickle.loads((tmp_path / "num.pkl").read_bytes())
    assert list(found) == ["stamp", "label", "rand", "words"]
    assert (type(found["stamp"]), found["stamp"][1].shape, found["stamp"][1].dtype) == (list, (64, 32), np.uint8)
    assert found["label"] == [0, 9, 2]
    assert all(type(label) is int for label in found["label"])
    assert (found["rand"].dtype, found["words"]) == (np.float64, corpus.NUMBERS)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_what_the_workflow_wrote(protocol, tmp_path):
    random = np.random.RandomState(13)  # the stream of the notebook's np.random.seed(13)
    written = {"stamp": [np.full((64, 32), 7, np.uint8)] * 2, "label": [-1, -1], "rand": random.rand(2),
               "words": ["raw_0", "raw_1"]}  # fmt: skip
    (tmp_path / "num-test.pkl").write_bytes(pickle.dumps(written, protocol=protocol))
    found = read_stamps(tmp_path / "num-test.pkl")
    assert (found.stamps.shape, found.labels.tolist(), found.words) == ((2, 64, 32), [-1, -1], ["raw_0", "raw_1"])
    assert found.rand[0] == pytest.approx(0.77770241)


class Harm:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize(
    "content",
    [
        {"stamp": [Harm()], "label": [0], "rand": np.zeros(1), "words": ["a"]},
        {"stamp": [np.zeros((64, 32), np.uint8)], "label": [5], "rand": np.zeros(1), "words": ["a"]},
        {"stamp": [np.zeros((64, 32), np.uint8)], "label": [0, 0], "rand": np.zeros(1), "words": ["a"]},
        {"stamp": [np.zeros((64, 31), np.uint8)], "label": [0], "rand": np.zeros(1), "words": ["a"]},
        {"label": [0], "rand": np.zeros(1), "words": ["a"]},
        [1, 2, 3],
    ],
)
def test_what_is_not_a_table_of_stamps(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "num.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(CorpusError, match=r"num\.pkl"):
        read_stamps(tmp_path / "num.pkl")
    assert not (tmp_path / "harmed").exists()


def test_stamps_of_a_table(tmp_path):
    table = load_dataset("builders/spoken_words", "num", data_dir=str(corpus.write(tmp_path)))
    made = make_stamps(table["train"], corpus.NUMBERS)
    assert made.stamps.shape == (21, 64, 32)
    assert sorted(made.labels.tolist()) == sorted([*range(10), *range(10), 6])
    unknown = make_stamps((row for row in table["test"] if row["label"] is None), corpus.NUMBERS)
    assert unknown.words == ["raw-from-phone_0", "raw-from-phone_1", "raw-from-phone_2"]
    assert unknown.labels.tolist() == [-1, -1, -1]
    write_stamps(tmp_path / "num-test.pkl", unknown)
    assert read_stamps(tmp_path / "num-test.pkl").words == unknown.words


def test_stamp_of_a_tone_is_bright_where_the_tone_is():
    low, high = stamp(tone(300, 0.5)), stamp(tone(3000, 0.5))
    assert low.dtype == np.uint8
    assert (low.min(), high.max()) == (0, 255)
    assert low[32].argmax() < high[32].argmax()
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 34) / 2595) - 1)
    assert edges[high[32].argmax()] < 3000 < edges[high[32].argmax() + 2]


def test_resizing_is_pillows():
    image = pytest.importorskip("PIL.Image")
    from builders.spoken_words.stamps import _resize

    grey = np.random.RandomState(0).randint(0, 256, (91, 32)).astype(np.uint8)
    for length in (64, 91, 120):
        ours = _resize(grey, length, axis=0)
        theirs = np.asarray(image.fromarray(grey).resize((32, length), image.Resampling.BILINEAR))
        assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_filters_by_hand():
    found = filters()
    assert found.shape == (32, 257)
    # The first edges are 0, 54.6 and 113.5 Hz: bins 0, 1 and 3 of 513 for 16 kHz.
    assert found[0, :4].tolist() == [0.0, 1.0, 0.5, 0.0]
    assert found.max() == 1.0


def test_silence_does_not_divide_by_zero(tmp_path: Path):
    assert stamp(np.zeros(8000)).tolist() == np.zeros((64, 32)).tolist()
