"""The global diagnostic against scikit-learn and numpy, and what it must find."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score

from features.columns import matrices
from probes import ProbeError, probe
from probes.attention import Utterances, initial, pooled
from probes.multilabel import choose_questions, fit_questions, question_counts, question_scores
from tests.probes.probe_tables import manifest, segment, with_column

import mlx.core as mx  # isort: skip  after features, which brings it a fast BLAS

PHONES = ("aa", "b", "s", "m", "iy")


def utterances(count: int = 120, seed: int = 0):
    """Return rows of 20 frames in which each phone but one occurs in about half of the utterances."""
    draw = np.random.default_rng(seed)
    rows, occurs, labels = [], draw.random((count, 5)) < 0.5, []
    occurs[:, 4] = True
    for number in range(count):
        classes = draw.choice(np.flatnonzero(occurs[number]), 20)
        classes[: occurs[number].sum()] = np.flatnonzero(occurs[number])
        spans = [segment(0.02 * i, 0.02 * (i + 1), PHONES[c]) for i, c in enumerate(classes)]
        rows.append({"id": f"u{number}", "speaker_id": f"s{number % 10}", "segments": [*spans, segment(0.4, 1, "pau")]})
        labels.append(classes)
    return manifest(rows), occurs, labels


@pytest.fixture(scope="module")
def toy():
    """Return a table of a layer whose means tell the phones, of noise, and of frames that only attention can use."""
    table, occurs, _ = utterances()
    draw = np.random.default_rng(1)
    told = [np.where(row, 2, -2) + 0.5 * draw.normal(size=(20, 5)) for row in occurs]
    noise = [draw.normal(size=(20, 5)) for _ in occurs]
    table = with_column(table, told)
    table = with_column(table, noise, layer="l1", index=1)
    return table, occurs


def scored(table, **options):
    found = probe(table, probe="global_diagnostic", progress=False, **options).to_pandas()
    return found, found.set_index(["encoder", "layer", "metric"]).value


@pytest.mark.parametrize("protocol", ["standard", "published"])
def test_utterances_without_frames_are_left_out_for_all_layers(toy, protocol):
    """The results are those of the table without them, and the note counts them."""
    table, _ = toy
    frames, lengths = matrices(table, "toy.l1", slice(0, len(table)))
    cells = np.split(frames, np.cumsum(lengths)[:-1])
    for row in (5, 70):
        cells[row] = cells[row][:0]
    short = with_column(table.remove_columns("toy.l1"), cells, layer="l1", index=1)
    rest = table.select([row for row in range(len(table)) if row not in (5, 70)])
    asked = {"protocol": protocol, "draws": 20, "option": {"epochs": 5}}
    found, wanted = (scored(one, **asked)[0] for one in (short, rest))
    assert found.note.str.contains("2 utterances without frames left out").all()
    assert set(found.n_test) == set(wanted.n_test) and set(found.layer) == {"", "l0", "l1"}
    if protocol == "standard":  # the halves are drawn of all rows
        same = ~found.metric.isin(["control_accuracy", "selectivity"])
        np.testing.assert_allclose(found[same].value, wanted[same].value, atol=1e-6)


def test_each_question_is_scikit_learns_logistic_regression():
    draw = np.random.default_rng(0)
    values = draw.normal(size=(300, 6)).astype(np.float32)
    truth = values @ draw.normal(size=(6, 3)) + draw.normal(size=(300, 3)) > 0.5
    theta = fit_questions(values, truth, 0.01).reshape(7, 3)
    for question in range(3):
        peer = LogisticRegression(C=1 / (0.01 * 300), tol=1e-8, max_iter=5000).fit(values, truth[:, question])
        np.testing.assert_allclose(theta[:-1, question], peer.coef_[0], atol=5e-3)
        np.testing.assert_allclose(theta[-1, question], peer.intercept_[0], atol=5e-3)


def test_parameters_are_of_the_values_as_they_are():
    draw = np.random.default_rng(0)
    values = (draw.normal(size=(80, 4)) * [1, 10, 0.1, 3] + 5).astype(np.float32)
    truth = draw.random((80, 2)) < 0.4
    answers, parameters, _ = choose_questions(values, truth, np.arange(50), np.arange(50, 80))
    np.testing.assert_array_equal(values @ parameters[:-1] + parameters[-1] >= 0, answers)


def test_scores_equal_scikit_learn():
    draw = np.random.default_rng(0)
    truth, answers, guesses = draw.random((3, 90, 4)) < 0.4
    groups = draw.integers(0, 3, 90)
    counts = [question_counts(truth, one, groups, 3).sum(axis=0) for one in (answers, guesses)]
    found = question_scores(*counts, counts[1])
    accuracy, guessed = (accuracy_score(truth.ravel(), one.ravel()) for one in (answers, guesses))
    assert found["accuracy"] == pytest.approx(accuracy)
    assert found["macro_f1"] == pytest.approx(f1_score(truth, answers, average="macro"))
    assert found["error_reduction"] == pytest.approx(((1 - guessed) - (1 - accuracy)) / (1 - guessed))
    assert found["selectivity"] == pytest.approx(accuracy - guessed)


@pytest.mark.parametrize("kind", ["linear", "scalar"])
def test_attention_equals_numpy_utterance_by_utterance_without_padding(kind):
    draw = np.random.default_rng(0)
    frames = [draw.normal(size=(n, 3)).astype(np.float16) for n in (4, 9, 1)]
    held = Utterances(frames, np.full(3, 0.5, np.float32), np.array([1, 2, 3], np.float32))
    parameters = initial(kind, 3, seed=0)
    parameters["out"] = mx.array(draw.normal(size=parameters["out"].shape).astype(np.float32))
    found = np.asarray(pooled(parameters, *held.batch(np.arange(3))))
    weights = {name: np.asarray(value, dtype=float) for name, value in parameters.items()}
    for part, row in zip(frames, found, strict=True):
        x = (part.astype(float) - 0.5) / [1, 2, 3]
        inner = np.tanh(x @ weights["hidden"] + weights["hidden_bias"]) if kind == "scalar" else x
        alpha = np.exp(inner @ weights["out"])
        np.testing.assert_allclose(row, (alpha / alpha.sum() * x).sum(axis=0), atol=1e-5)


def test_means_that_tell_the_phones_are_found_and_noise_is_not(toy):
    found, value = scored(toy[0])
    assert value["toy", "l0", "accuracy"] > 0.97
    assert value["toy", "l0", "error_reduction"] > 0.9
    assert value["toy", "l0", "macro_f1"] > 0.97
    assert abs(value["toy", "l1", "error_reduction"]) < 0.25
    assert abs(value["toy", "l1", "selectivity"]) < 0.08
    assert value["toy", "l0", "selectivity"] > 0.3
    test = found[found.encoder == "toy"]
    assert (test.split.unique(), test.folds.unique(), test.disjoint.unique()) == (["folds"], [5], [True])
    assert set(test.n_test) == {120} and set(test.test_speakers) == {10}
    assert ((test.ci_low <= test.value) & (test.value <= test.ci_high)).all()


def test_the_majority_row_is_the_commoner_answer_of_train(toy):
    table, occurs = toy
    found, value = scored(table)
    error = np.minimum(occurs.mean(axis=0), 1 - occurs.mean(axis=0)).mean()
    assert value["majority", "", "accuracy"] == pytest.approx(1 - error, abs=0.05)  # of train
    assert value["majority", "", "error_reduction"] == 0
    assert set(found[found.encoder == "majority"].metric) == {"accuracy", "macro_f1", "error_reduction"}
    assert set(found.classes) == {5}  # those that occur, without silence


def test_letters_are_those_of_the_ipa(toy):
    found, value = scored(toy[0], option={"targets": "letters"})
    assert set(found.classes) == {5}
    assert value["toy", "l0", "accuracy"] > 0.97


@pytest.mark.parametrize("kind", ["linear", "scalar"])
def test_attention_learns_what_means_hide(kind, tmp_path):
    """Each utterance has one frame with a mark that tells the phones; the mean drowns it in noise."""
    table, occurs, _ = utterances(160, seed=2)
    draw = np.random.default_rng(3)
    values = []
    for row in occurs:
        frames = np.hstack([4 * draw.normal(size=(20, 5)), np.zeros((20, 1))])
        frames[draw.integers(20)] = [*np.where(row, 3, -3), 8]
        values.append(frames)
    table = with_column(table, values)
    mean = scored(table, folds=3)[1]["toy", "l0", "error_reduction"]
    options = {"option": {"pool": kind, "epochs": 100}, "folds": 3, "save_probes": tmp_path}
    attended = scored(table, **options)[1]["toy", "l0", "error_reduction"]
    assert attended > mean + 0.3
    assert json.loads((tmp_path / "toy.l0.fold0.json").read_text())["pool"] == kind
    stored = mx.load(str(tmp_path / "toy.l0.fold0.safetensors"))
    assert stored["weights"].shape == (6, 5)


def test_mistakes_are_named(toy):
    for option in ({"pool": "max"}, {"targets": "words"}):
        with pytest.raises(ProbeError, match="expected mean, linear or scalar"):
            scored(toy[0], option=option)
