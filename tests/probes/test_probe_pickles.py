"""The exported pickles through the published formulas, against our own probes on the same utterances.

The formulas are those of https://github.com/gchrupala/analyzing-analytical-methods, written out with numpy, scipy and
scikit-learn; Adam is replaced by a solver that ends, with the weight decay that our probe chose.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from datasets import DatasetDict, load_dataset
from scipy.stats import pearsonr
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import StandardScaler

import builders  # noqa: F401  makes the corpus known to load_dataset
from builders.phones import fold
from features import open_table
from features.__main__ import main
from probes import probe

LAYER = "mel"


@pytest.fixture(scope="module")
def spoken(tmp_path_factory, request):
    """Return a table of 20 sentences by speakers, with the corpus' parts, and its pickles."""
    shared = request.getfixturevalue("shared_data")
    root = tmp_path_factory.mktemp("pickles")
    timit = load_dataset("builders/timit", data_dir=str(shared("timit_nltk_sample")))["train"]
    kinds, voices = timit["sentence_type"], np.array(timit["speaker_id"])
    parts, names = {}, np.unique(voices)
    for part, who in (("train", names[:5]), ("validation", names[5:6]), ("test", names[6:])):
        rows = [n for v in who for n in np.flatnonzero(voices == v) if kinds[n] != "SA"]
        parts[part] = rows[:: 4 if part == "test" else 2]
    order = [n for rows in parts.values() for n in rows]
    DatasetDict(train=timit.select(order)).save_to_disk(str(root / "table"))
    assert main([str(root / "table"), "--encoder", "log_mel"]) == 0
    command = ["export", str(root / "table"), "--format", "vgs", "--trained", "log_mel", "--out", str(root / "vgs")]
    assert main(command) == 0
    whole = open_table(root / "table")["train"]
    ends = np.cumsum([len(rows) for rows in parts.values()])
    ranges = dict(zip(parts, map(range, [0, *ends[:-1]], ends), strict=True))
    return whole, DatasetDict({part: whole.select(rows) for part, rows in ranges.items()}), ranges, root / "vgs"


def read(folder, name):
    return pickle.loads((folder / name).read_bytes())


def values_of(found):
    found = found.to_pandas()
    found = found[found.encoder == "log_mel"]
    return found.set_index("metric").value, found


def rer(accuracy: float, baseline: float) -> float:
    return ((1 - baseline) - (1 - accuracy)) / (1 - baseline)


def utterance_of(local, whole, labels_per_utterance):
    """Return the utterance of each local row: they follow each other in the order of the utterances."""
    assert sum(labels_per_utterance) == len(local["labels"])
    return np.repeat(np.arange(len(whole)), labels_per_utterance)


def test_local_diagnostic(spoken):
    from probes.frames import frame_table

    whole, parts, ranges, folder = spoken
    local = read(folder, f"local_trained_{LAYER}.pkl")[LAYER]
    ours, found = values_of(probe(parts, progress=False, draws=2))
    frames = frame_table(whole, "log_mel.mel")
    labels = np.array([fold(label, "arpabet") for label in local["labels"]])
    np.testing.assert_array_equal(labels, np.array(frames.classes)[frames.labels])
    utterance = utterance_of(local, whole, np.bincount(frames.utterance, minlength=len(whole)))
    learn, tune, test = (np.isin(utterance, list(ranges[part])) for part in ("train", "validation", "test"))
    scaler = StandardScaler().fit(local["features"][learn])
    both = learn | tune
    model = LogisticRegression(C=1 / (found.decay.iloc[0] * both.sum()), max_iter=2000, tol=1e-4)
    model.fit(scaler.transform(local["features"][both]), labels[both])
    accuracy = (model.predict(scaler.transform(local["features"][test])) == labels[test]).mean()
    names, counts = np.unique(labels[learn], return_counts=True)
    baseline = (labels[test] == names[counts.argmax()]).mean()
    assert ours["accuracy"] == pytest.approx(accuracy, abs=0.01)
    assert ours["error_reduction"] == pytest.approx(rer(accuracy, baseline), abs=0.01)
    assert accuracy > baseline + 0.1


def test_local_rsa(spoken):
    whole, _, _, folder = spoken
    local = read(folder, f"local_trained_{LAYER}.pkl")[LAYER]
    ours, _ = values_of(probe(whole, probe="rsa", progress=False, draws=2, option={"scopes": "local", "frames": 0}))
    labels = np.unique([fold(label, "arpabet") for label in local["labels"]], return_inverse=True)[1].astype(np.int16)
    upper = np.triu_indices(len(labels), 1)
    similar = cosine_similarity(local["features"])[upper]
    r = pearsonr(similar, (labels[:, None] == labels)[upper]).statistic
    assert ours["local_rsa"] == pytest.approx(r, abs=1e-4)
    # the newer code: pairs in which each frame is once; many such drawings, since the sample is small
    draw, drawn, unit = np.random.default_rng(0), [], local["features"]
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    for _ in range(60):
        one, two = draw.permutation(len(labels))[: len(labels) // 2 * 2].reshape(2, -1)
        drawn.append(np.corrcoef((unit[one] * unit[two]).sum(axis=1), labels[one] == labels[two])[0, 1])
    assert ours["local_rsa"] == pytest.approx(np.mean(drawn), abs=0.01)


def edit_distance(a: str, b: str) -> int:
    row = np.arange(len(b) + 1)
    for i, letter in enumerate(a):
        new = [i + 1]
        for j, other in enumerate(b):
            new.append(min(row[j] + (letter != other), row[j + 1] + 1, new[j] + 1))
        row = new
    return int(row[-1])


def test_global_rsa_with_mean_pooling(spoken):
    whole, _, _, folder = spoken
    texts = read(folder, "global_input.pkl")["ipa"].tolist()
    states = read(folder, f"global_trained_{LAYER}.pkl")[LAYER]
    ours, _ = values_of(probe(whole, probe="rsa", progress=False, draws=2, option={"scopes": "global"}))
    upper = np.triu_indices(len(texts), 1)
    similar = cosine_similarity(np.stack([one.mean(axis=0) for one in states]))[upper]
    pairs = [(texts[i], texts[j]) for i, j in zip(*upper, strict=True)]
    alike = [1 - edit_distance(one, other) / max(len(one), len(other)) for one, other in pairs]
    assert ours["global_rsa"] == pytest.approx(pearsonr(similar, alike).statistic, abs=1e-4)


def test_global_diagnostic_with_mean_pooling(spoken):
    whole, parts, ranges, folder = spoken
    texts = read(folder, "global_input.pkl")["ipa"].tolist()
    states = np.stack([one.mean(axis=0) for one in read(folder, f"global_trained_{LAYER}.pkl")[LAYER]])
    option = {"targets": "letters"}
    ours, found = values_of(probe(parts, probe="global_diagnostic", progress=False, draws=2, option=option))
    target = CountVectorizer(lowercase=False, analyzer="char", binary=True).fit_transform(texts).toarray().astype(bool)
    assert found.classes.iloc[0] == target.shape[1]
    learn, tune, test = (list(ranges[part]) for part in ("train", "validation", "test"))
    scaler, both = StandardScaler().fit(states[learn]), [*learn, *tune]
    answers, guesses = np.zeros((2, len(test), target.shape[1]), dtype=bool)
    for letter, truth in enumerate(target.T):
        guesses[:, letter] = truth[learn].mean() >= 0.5
        answers[:, letter] = truth[both].all()
        if 0 < truth[both].sum() < len(both):
            model = LogisticRegression(C=1 / (found.decay.iloc[0] * len(both)), tol=1e-6, max_iter=5000)
            model.fit(scaler.transform(states[both]), truth[both])
            answers[:, letter] = model.predict(scaler.transform(states[test]))
    accuracy, baseline = ((one == target[test]).mean() for one in (answers, guesses))
    assert len(whole) == len(texts)
    assert ours["accuracy"] == pytest.approx(accuracy, abs=0.01)
    assert ours["error_reduction"] == pytest.approx(rer(accuracy, baseline), abs=0.01)
