"""Words by their stamps: synthetic words with known answers, new words from few examples, real digits."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import DatasetDict, load_dataset
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import builders  # noqa: F401  makes the corpus known to load_dataset
import probes.words as words_module
from builders.audio import Signal
from builders.audio import render as flac
from builders.schema import SEGMENTS
from probes import ProbeError, stamp_network
from probes.__main__ import main
from probes.splits import make_splits
from probes.stamp_network import train, untrained
from probes.words import Words, recognise, svm_answers, transfer
from probes.words_command import words_results

RATE = 16_000
# A word is a tone that rises, falls, or stays: each speaker at a pitch of their own.
TUNES = {"up": (400, 1600), "down": (1600, 400), "low": (500, 500), "high": (2500, 2500)}


def tune(word: str, pitch: float, seed: int) -> np.ndarray:
    draw, (first, last) = np.random.default_rng(seed), TUNES[word]
    length = int(RATE * draw.uniform(0.3, 0.5))
    phase = 2 * np.pi * np.cumsum(np.geomspace(first, last, length) * pitch) / RATE
    return (0.3 * np.sin(phase) + 0.003 * draw.normal(size=length)).astype(np.float32)


@pytest.fixture(scope="module")
def table():
    from datasets import Dataset, Features, Value

    kinds = {"id": Value("string"), "speaker_id": Value("string"), "text": Value("string")}
    kinds |= {"audio": {"bytes": Value("binary"), "path": Value("string")}, "segments": SEGMENTS}
    rows = []
    for speaker in range(5):
        for word in TUNES:
            for turn in range(6):
                sound = tune(word, 0.85 + 0.07 * speaker, seed=len(rows))
                made = flac(Signal(sound[:, None], RATE, "WAV")).flac
                rows.append({"id": f"s{speaker}-{word}-{turn}", "speaker_id": f"s{speaker}", "text": word,
                             "audio": {"bytes": made, "path": "x.flac"}, "segments": []})  # fmt: skip
    return Dataset.from_list(rows, features=Features(kinds))


def test_two_words_that_sound_different_are_told_apart_and_teach_two_others(table, monkeypatch):
    monkeypatch.setattr(stamp_network, "EPOCHS", 15)
    monkeypatch.setattr(words_module, "REPEATS", 3)
    found = words_results(table, new=["low", "high"], shots=[2]).to_pandas().query("metric == 'accuracy'")
    value = found.set_index(["probe", "encoder", "init"]).value
    assert value["words", "stamp_cnn", "trained"] > 0.95
    assert value["words", "majority", "none"] == 0.5
    assert value["svm_2_examples", "stamp_cnn", "trained"] > 0.8
    assert value["svm_2_examples", "stamp", "none"] > 0.8  # the pixels are a strong baseline
    assert value["svm_2_examples", "majority", "none"] == 0.5
    assert found.disjoint.all() and set(found.split) == {"folds"}
    assert set(found.query("probe == 'svm_2_examples' and encoder != 'majority'").n_train) == {4}


def test_labels_without_sense_give_chance(monkeypatch):
    monkeypatch.setattr(stamp_network, "EPOCHS", 2)
    monkeypatch.setattr(words_module, "REPEATS", 2)
    draw = np.random.default_rng(0)
    speakers, labels = np.arange(200) // 40, draw.integers(0, 2, 200)
    words = Words(draw.integers(0, 255, (200, 64, 32)).astype(np.uint8), labels, speakers, ("a", "b"))
    splits = make_splits([str(n) for n in range(200)], [f"s{n}" for n in speakers])
    rows, networks = recognise(words, splits, ("a", "b"))
    accuracy = next(r["value"] for r in rows if r["encoder"] == "stamp_cnn" and r["metric"] == "accuracy")
    assert accuracy == pytest.approx(0.5, abs=0.12)
    few = transfer(words, splits.folds, networks, ("a", "b"), [5])
    assert all(abs(row["value"] - 0.5) < 0.12 for row in few if row["metric"] == "accuracy")


def test_the_same_seed_gives_the_same_network(monkeypatch):
    monkeypatch.setattr(stamp_network, "EPOCHS", 2)
    draw = np.random.default_rng(0)
    stamps, labels = draw.integers(0, 255, (40, 64, 32)).astype(np.uint8), np.arange(40) % 2
    runs = [train(stamps, labels, words=2, seed=s).logits(stamps) for s in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-3


def test_network_has_the_workflows_layers():
    shapes = {name: tuple(value.shape) for name, value in
              stamp_network.nn.utils.tree_flatten(untrained(10, 0).parameters())}  # fmt: skip
    assert shapes == {
        "first.weight": (16, 5, 5, 1), "first.bias": (16,), "second.weight": (16, 5, 5, 16), "second.bias": (16,),
        "dense.weight": (32, 2048), "dense.bias": (32,), "out.weight": (10, 32), "out.bias": (10,),
    }  # fmt: skip


def test_svm_equals_scikit_learns():
    draw = np.random.default_rng(0)
    values, labels = draw.normal(size=(60, 5)) + np.arange(60)[:, None] % 3, np.arange(60) % 3
    scaler = StandardScaler().fit(values[:30])
    theirs = LinearSVC(C=1.0, max_iter=5000).fit(scaler.transform(values[:30]), labels[:30])
    ours = svm_answers(values, labels, np.arange(30), np.arange(30, 60))
    assert ours.tolist() == theirs.predict(scaler.transform(values[30:])).tolist()


def test_speakers_that_the_network_heard_are_not_tested_in_a_second_table(table, monkeypatch):
    monkeypatch.setattr(stamp_network, "EPOCHS", 1)
    monkeypatch.setattr(words_module, "REPEATS", 2)
    known = table.filter(lambda row: row["text"] in ("up", "down"))
    new = table.filter(lambda row: row["text"] in ("low", "high"))
    found = words_results(known, new, shots=[1]).to_pandas()
    second = found[found.target.str.startswith("words of the second")]
    assert set(second.test_speakers) == {1}  # the one that tests the network's fold
    others = new.map(lambda row: {"speaker_id": f"new {row['speaker_id']}"})
    found = words_results(known, others, shots=[1]).to_pandas()
    assert set(found[found.target.str.startswith("words of the second")].test_speakers) == {5}


def test_mistakes_are_one_line(table, tmp_path, capsys):
    with pytest.raises(ProbeError, match=r"no words \['seven'\]"):
        words_results(table, new=["seven", "up"])
    with pytest.raises(ProbeError, match="1 new ones"):
        words_results(table, new=["up"])
    with pytest.raises(ProbeError, match="'word'"):
        words_results(table, label="word")
    DatasetDict({"train": table}).save_to_disk(tmp_path / "t")
    assert main(["words", str(tmp_path / "t"), "--out", str(tmp_path / "o"), "--label", "word"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: the table has no columns ['word']")


@pytest.mark.slow
def test_real_digits_of_speakers_that_were_not_heard(shared_data):
    digits = load_dataset("builders/free_spoken_digits", data_dir=str(shared_data("fsdd_subset")))
    found = words_results(digits, new=["seven", "eight", "nine"], shots=[5]).to_pandas()
    found = found.query("metric == 'accuracy'").set_index(["probe", "encoder", "init"])
    assert found.value["words", "stamp_cnn", "trained"] > 0.3  # of 7 words; three speakers to learn from
    assert found.value["svm_5_examples", "stamp", "none"] > 0.6  # of 3 words
    assert set(found.test_speakers) == {4} and found.disjoint.all()
