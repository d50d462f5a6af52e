"""Scores and intervals against scikit-learn and against resampling done frame by frame."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from probes.scores import METRICS, accuracy, confusions, error_reduction, intervals, macro_f1, scores, tallies, tally

pairs = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@settings(max_examples=200)
@given(pairs)
def test_equal_to_scikit_learn(answers):
    truth, predicted = np.array(answers).T
    counts = confusions(truth, predicted, 5)[0]
    assert np.array_equal(counts, confusion_matrix(truth, predicted, labels=range(5)))
    assert accuracy(tally(counts)) == pytest.approx(accuracy_score(truth, predicted))
    assert macro_f1(tally(counts)) == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_error_reduction_by_hand():
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])  # majority class 2: 5 errors of 10
    right = np.array([0, 0, 0, 1, 1, 2, 2, 2, 0, 0])  # 2 errors
    majority = tally(confusions(truth, np.full(10, 2), 3)[0])
    assert error_reduction(tally(confusions(truth, right, 3)[0]), majority) == pytest.approx(3 / 5)
    assert error_reduction(majority, majority) == 0
    perfect = tally(confusions(truth, truth, 3)[0])
    assert np.isnan(error_reduction(perfect, perfect))  # a baseline without errors leaves nothing to reduce


def test_groups_are_counted_apart_and_sum_to_the_whole():
    draw = np.random.default_rng(0)
    truth, predicted, groups = draw.integers(0, 4, 500), draw.integers(0, 4, 500), draw.integers(0, 7, 500)
    counts = confusions(truth, predicted, 4, groups)
    assert counts.shape == (7, 4, 4)
    for group in range(7):
        own = groups == group
        assert np.array_equal(counts[group], confusion_matrix(truth[own], predicted[own], labels=range(4)))
    assert np.array_equal(counts.sum(axis=0), confusions(truth, predicted, 4)[0])
    assert np.array_equal(tallies(truth, predicted, 4, groups), tally(counts))
    stacked = scores(tally(counts), tally(counts), tally(counts))
    assert stacked["macro_f1"][3] == pytest.approx(float(macro_f1(tally(counts[3]))))
    assert np.array_equal(stacked["selectivity"], np.zeros(7))


def speakers(draw, count):
    """Return truth, prediction and speaker of frames whose speakers differ in accuracy."""
    groups = np.repeat(np.arange(count), draw.integers(50, 200, count))
    truth = draw.choice(3, size=len(groups), p=[0.5, 0.3, 0.2])
    hit = draw.random(len(groups)) < draw.uniform(0.4, 0.9, count)[groups]
    return truth, np.where(hit, truth, draw.integers(0, 3, len(groups))), groups


def test_intervals_equal_resampling_the_frames_of_speakers():
    draw = np.random.default_rng(3)
    truth, predicted, groups = speakers(draw, 12)
    zeros = np.zeros_like(truth)
    fast = intervals(tallies(truth, predicted, 3, groups), tallies(truth, zeros, 3, groups), draws=4000)
    slow = {name: [] for name in METRICS}
    for _ in range(1500):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in draw.integers(0, 12, 12)])
        right, base = accuracy_score(truth[rows], predicted[rows]), (truth[rows] == 0).mean()
        slow["accuracy"].append(right)
        slow["macro_f1"].append(f1_score(truth[rows], predicted[rows], average="macro"))
        slow["error_reduction"].append((right - base) / (1 - base))
    for name in METRICS:
        width = fast[name][1] - fast[name][0]
        assert width > 0.02
        assert fast[name] == pytest.approx(np.quantile(slow[name], [0.025, 0.975]), abs=0.1 * width)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    # Speakers drawn from a known population: 95 % intervals over 40 speakers should nearly always hold its mean.
    held = 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        groups = np.repeat(np.arange(40), 50)
        hit = draw.random(2000) < draw.uniform(0.5, 0.9, 40)[groups]
        truth = np.ones(2000, dtype=int)
        counts = tallies(truth, hit.astype(int), 2, groups)
        low, high = intervals(counts, counts, draws=500, seed=seed)["accuracy"]
        held += low <= 0.7 <= high
    assert 87 <= held <= 100


def test_intervals_depend_on_the_seed_only_and_need_two_groups():
    truth, predicted, groups = speakers(np.random.default_rng(0), 5)
    counts, majority = tallies(truth, predicted, 3, groups), tallies(truth, np.zeros_like(truth), 3, groups)
    assert intervals(counts, majority, seed=1) == intervals(counts, majority, seed=1)
    assert intervals(counts, majority, seed=1) != intervals(counts, majority, seed=2)
    assert all(np.isnan(bounds).all() for bounds in intervals(counts[:1], majority[:1]).values())
