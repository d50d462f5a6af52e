"""Controls, comparisons, seeds and protocols; shuffled labels and noise through the command, its tables read back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from datasets import DatasetDict
from scipy.stats import binomtest

from probes import probe
from probes.comparisons import bootstrap_p
from probes.control import control_labels
from probes.results import Results
from tests.probes.probe_tables import manifest, segment, with_column

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = ("aa", "b", "s", "sil", "iy", "m")
SHARES = np.array([0.3, 0.1, 0.15, 0.25, 0.1, 0.1])


def many_phones(*, speakers=6, utterances=12, segments=24, seed=0):
    """Return utterances whose phones last 3 frames of 20 ms, and the class of each frame."""
    draw = np.random.default_rng(seed)
    rows, truth = [], []
    for speaker in range(speakers):
        for number in range(utterances):
            classes = draw.choice(len(NAMES), size=segments, p=SHARES)
            spans = [segment(0.06 * i, 0.06 * (i + 1), NAMES[c]) for i, c in enumerate(classes)]
            rows.append({"id": f"s{speaker}-u{number}", "speaker_id": f"s{speaker}", "segments": spans})
            truth.append(np.repeat(classes, 3))
    return manifest(rows), truth


def features(truth, known, seed=0, width=8):
    """Return frames that show their class in a share `known` of the frames, any class in the others."""
    draw = np.random.default_rng(seed)
    centres = 7 * np.eye(len(NAMES), width)
    values = []
    for classes in truth:
        shown = np.where(draw.random(len(classes)) < known, classes, draw.integers(0, len(NAMES), len(classes)))
        values.append(centres[shown] + draw.normal(size=(len(classes), width)))
    return values


def pick(results, metric, **where):
    frame = results.to_pandas().query("metric == @metric")
    for name, wanted in where.items():
        frame = frame[frame[name] == wanted]
    assert len(frame) == 1
    return frame.iloc[0]


def command(folder, out, *options):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    arguments = [folder, "--out", out, "--no-plot", "--folds", 3, *options]
    done = subprocess.run(
        [sys.executable, "-m", "probes", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return Results.load(out / "results.parquet"), done.stdout


@pytest.fixture(scope="module")
def encoder():
    """Return an encoder of three layers: the class in every frame, noise, the class in 70 % of the frames."""
    table, truth = many_phones()
    noise = [np.random.default_rng(9).normal(size=(72, 8)) for _ in truth]
    for place, (layer, values) in enumerate(
        [("k0", features(truth, 1.0)), ("k1", noise), ("k2", features(truth, 0.7, seed=1))]
    ):
        table = with_column(table, values, encoder="net", layer=layer, init="trained", index=place)
    return table


@pytest.fixture(scope="module")
def told(encoder, tmp_path_factory):
    """What the command says of it."""
    folder = tmp_path_factory.mktemp("encoder")
    DatasetDict({"train": encoder}).save_to_disk(folder / "table")
    results, text = command(folder / "table", folder / "out", "--control")
    return results, text, folder


def test_a_layer_of_noise_is_chance_and_a_known_rate_comes_out(told):
    results, text, _ = told
    majority = pick(results, "accuracy", encoder="majority").value
    assert majority == pytest.approx(0.3, abs=0.03)
    assert pick(results, "accuracy", layer="k0").value > 0.99
    assert pick(results, "accuracy", layer="k1").value == pytest.approx(majority, abs=0.03)
    assert pick(results, "error_reduction", layer="k1").value == pytest.approx(0, abs=0.04)
    # Of the 70 % all, of the others the one in six that points to its own class by chance.
    assert pick(results, "accuracy", layer="k2").value == pytest.approx(0.7 + 0.3 / 6, abs=0.02)
    assert "selectivity" in text


def test_selectivity_is_high_where_the_class_shows_and_near_zero_in_noise(told):
    results, _, _ = told
    for layer in ("k0", "k2"):
        own = pick(results, "selectivity", layer=layer)
        assert own.value > 0.3 and own.ci_low < own.value < own.ci_high
        difference = pick(results, "accuracy", layer=layer).value - pick(results, "control_accuracy", layer=layer).value
        assert own.value == pytest.approx(difference)
    assert pick(results, "selectivity", layer="k1").value == pytest.approx(0, abs=0.05)


def test_comparisons_between_layers(told):
    results, _, folder = told
    frame = pd.read_csv(folder / "out" / "comparisons.csv")
    own = frame.query("metric == 'accuracy'").set_index(["layer", "other_layer"])
    assert set(own.kind) == {"layers"} and len(own) == 3
    row = own.loc[("k1", "k0")]
    assert row.ci_low <= row.difference <= row.ci_high < -0.6
    assert row.p == pytest.approx(2 / 1001)
    accuracies = [pick(results, "accuracy", layer=name).value for name in ("k2", "k0")]
    assert own.loc[("k2", "k0")].difference == pytest.approx(accuracies[0] - accuracies[1])


def test_confusions_add_up_to_the_test_frames(told):
    results, _, folder = told
    frame = pyarrow.parquet.read_table(folder / "out" / "confusions.parquet").to_pandas()
    own = frame[frame.layer == "k2"]
    right = own[own.truth == own.answer]["count"].sum()
    assert own["count"].sum() == pick(results, "accuracy", layer="k2").n_test
    assert right / own["count"].sum() == pytest.approx(pick(results, "accuracy", layer="k2").value)


def test_shuffled_labels_give_chance_and_no_selectivity_through_the_command(tmp_path):
    # The features show the true classes; the table's labels are those of segments drawn anew.
    _, truth = many_phones(seed=1)
    shuffled, _ = many_phones(seed=2)
    DatasetDict({"train": with_column(shuffled, features(truth, 1.0))}).save_to_disk(tmp_path / "table")
    results, _ = command(tmp_path / "table", tmp_path / "out", "--control", "--seeds", 2)
    majority = pick(results, "accuracy", encoder="majority").value
    assert pick(results, "accuracy", encoder="toy").value == pytest.approx(majority, abs=0.02)
    assert pick(results, "selectivity", encoder="toy").value == pytest.approx(0, abs=0.05)


def test_trained_against_random_with_and_without_a_difference():
    table, truth = many_phones()
    for init, known, seed in (("trained", 0.8, 0), ("random0", 0.6, 1), ("random1", 0.8, 2)):
        table = with_column(table, features(truth, known, seed=seed), encoder="net", layer="top", init=init)
    table = with_column(table, features(truth, 0.5, seed=3), encoder="mel", layer="mel", init="none")
    found = probe(table, folds=3, progress=False)
    frame = found.comparisons.to_pandas().query("metric == 'accuracy'")
    init = frame[frame.kind == "init"].set_index("other_init")
    assert list(init.index) == ["random0", "random1"] and set(init.init) == {"trained"}
    apart, alike = init.loc["random0"], init.loc["random1"]
    assert apart.difference == pytest.approx(0.2 * 5 / 6, abs=0.03)
    assert apart.ci_low > 0.1 and apart.p < 0.01
    assert alike.ci_low < 0.01 and alike.ci_high > -0.01 and alike.p > 0.02
    baseline = frame[frame.kind == "baseline"]
    assert set(baseline.init) == {"trained", "random0", "random1"} and set(baseline.other_encoder) == {"mel"}


def test_paired_intervals_are_narrower_than_those_of_one_layer():
    # Speakers differ much, layers little: the difference is sure although neither accuracy is.
    table, truth = many_phones(speakers=8, utterances=6)
    hard = np.repeat(np.linspace(0.3, 0.9, 8), 6)
    for layer, more in (("low", 0.0), ("top", 0.08)):
        values = [features([one], h + more, seed=row)[0] for row, (one, h) in enumerate(zip(truth, hard, strict=True))]
        table = with_column(table, values, encoder="net", layer=layer, init="trained", index=int(layer == "top"))
    found = probe(table, folds=4, progress=False)
    row = found.comparisons.to_pandas().query("metric == 'accuracy'").iloc[0]
    own = pick(found, "accuracy", layer="low")
    assert (row.layer, row.other_layer) == ("top", "low")
    assert row.ci_high - row.ci_low < 0.5 * (own.ci_high - own.ci_low)
    assert row.ci_low > 0 and row.p < 0.05


def test_p_of_the_bootstrap():
    assert bootstrap_p(np.ones(999)) == pytest.approx(0.002)
    assert bootstrap_p(np.tile([-1.0, 1.0], 500)) == 1.0
    assert bootstrap_p(np.zeros(10)) == 1.0
    draws = np.repeat([-1.0, 1.0], [25, 974])
    assert bootstrap_p(draws) == pytest.approx(2 * 26 / 1000)
    # as often below 5 % as it says where there is no difference
    rejected = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        speakers = draw.normal(size=40)
        rejected += bootstrap_p(draw.choice(speakers, size=(1000, 40)).mean(axis=1)) < 0.05
    assert binomtest(rejected, 200, 0.05).pvalue > 0.01


def test_control_labels_belong_to_types_and_are_as_frequent_as_the_true_ones():
    draw = np.random.default_rng(0)
    types = draw.zipf(1.5, 20_000).clip(max=3000)
    labels = draw.choice(6, size=len(types), p=SHARES)
    labels[types == 1] = 0  # one type is a third of all
    found = control_labels(types, labels, 6, seed=1)
    for kind in np.unique(types)[:50]:
        assert len(np.unique(found[types == kind])) == 1
    assert np.abs(np.bincount(found, minlength=6) - np.bincount(labels, minlength=6)).max() < 0.05 * len(types)
    assert np.array_equal(found, control_labels(types, labels, 6, seed=1))
    assert not np.array_equal(found, control_labels(types, labels, 6, seed=2))
    # and have nothing to do with them: over many types the labels agree as often as chance has it
    each = np.arange(5000)
    truth = draw.choice(6, size=5000, p=SHARES)
    assert (control_labels(each, truth, 6, seed=0) == truth).mean() == pytest.approx((SHARES**2).sum(), abs=0.03)


def test_seeds_give_mean_and_spread():
    table, truth = many_phones(speakers=4, utterances=4)
    table = with_column(table, features(truth, 0.7))
    options = {"hidden": (8,), "epochs": 2, "batch": 128}
    results = [
        probe(table, probe="mlp", option=options, folds=2, seed=seed, seeds=seeds, progress=False, draws=50)
        for seed, seeds in ((3, 1), (4, 1), (3, 2))
    ]
    one, other, both = (pick(found, "accuracy", encoder="toy") for found in results)
    assert both.value == pytest.approx((one.value + other.value) / 2)
    assert both.spread == pytest.approx(np.std([one.value, other.value], ddof=1))
    assert (both.seeds, one.seeds, both.seed) == (2, 1, 3) and np.isnan(one.spread)
    assert one.value != other.value
    linear = pick(probe(table, folds=2, seeds=2, progress=False, draws=50), "accuracy", encoder="toy")
    assert linear.spread == 0


def test_published_protocol_has_its_flaws_and_says_so():
    # Each utterance has its own offset of all frames: who has heard half of its frames knows the rest.
    table, truth = many_phones(speakers=4, utterances=6)
    draw = np.random.default_rng(0)
    code = [draw.permutation(6)[one] for one in truth]
    values = [np.eye(144)[6 * row + c] * 5 + 0.1 * draw.normal(size=(72, 144)) for row, c in enumerate(code)]
    table = with_column(table, values)
    strict = pick(probe(table, folds=2, progress=False, draws=50), "accuracy", encoder="toy")
    found = probe(table, protocol="published", progress=False, draws=50)
    loose = pick(found, "accuracy", encoder="toy")
    assert loose.value > 0.97 and strict.value < 0.5
    assert (loose.protocol, loose.split, loose.disjoint, loose.folds) == ("published", "published", False, 1)
    assert "frames of one utterance in train and test, tuned on test" in loose.note
    assert loose.n_test == 24 * 72 / 2 and loose.n_train == 24 * 72 / 2
    assert "as the published code does" in str(found)
    assert strict.protocol == "standard"
