"""The local metric through `evaluate`, offline and by absolute path."""

from __future__ import annotations

import evaluate
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from probes import ProbeError
from probes.metrics import metric_path


@pytest.fixture
def metric(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)  # the path must not depend on the working directory
    return evaluate.load(metric_path("phone_accuracy"))


def test_equals_scikit_learn_for_any_class_codes(metric):
    draw = np.random.default_rng(0)
    truth, predicted = draw.choice([3, 7, 40], 200), draw.choice([3, 7, 12], 200)
    found = metric.compute(predictions=predicted, references=truth)
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    most = np.bincount(truth).max() / 200
    assert found["error_reduction"] == pytest.approx((found["accuracy"] - most) / (1 - most))


def test_the_documented_example_and_a_majority_class_from_train(metric):
    inputs = {"predictions": [0, 0, 1, 1], "references": [0, 0, 1, 0]}
    assert metric.compute(**inputs) == pytest.approx({"accuracy": 0.75, "macro_f1": 11 / 15, "error_reduction": 0.0})
    # The train data's commonest class is 1: its 3 errors come down to 1.
    assert metric.compute(**inputs, majority=1)["error_reduction"] == pytest.approx(2 / 3)
    assert metric.compute(**inputs, majority=9)["error_reduction"] == pytest.approx(3 / 4)


def test_batches_add_up_and_metrics_combine(metric):
    draw = np.random.default_rng(1)
    truth, predicted = draw.integers(0, 4, 100), draw.integers(0, 4, 100)
    whole = metric.compute(predictions=predicted, references=truth)
    for start in range(0, 100, 25):
        metric.add_batch(predictions=predicted[start : start + 25], references=truth[start : start + 25])
    assert metric.compute() == pytest.approx(whole)
    both = evaluate.combine([metric, evaluate.load(metric_path("phone_accuracy"))])
    assert both.compute(predictions=predicted, references=truth)["phone_accuracy_0_macro_f1"] == whole["macro_f1"]


def test_an_unknown_metric_names_the_known():
    with pytest.raises(ProbeError, match=r"expected one of \['phone_accuracy'\]"):
        metric_path("word_accuracy")
