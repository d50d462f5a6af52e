"""Ridge regression of scores: against scikit-learn and scipy, known answers, and the command."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import DatasetDict
from scipy.stats import pearsonr
from sklearn.linear_model import Ridge as Peer

from probes import ProbeError
from probes.__main__ import main
from probes.number_scores import NumberScorer, measures, moments
from probes.regression import pooled, regress
from probes.results import Results
from probes.ridge import RidgePath
from probes.splits import make_splits
from tests.probes.probe_tables import manifest, with_column


def scored(known: float = 1.0, *, speakers: int = 12, each: int = 10, seed: int = 0):
    """Return a table whose score is half in the mean frame of one encoder, half in that of a text encoder."""
    draw = np.random.default_rng(seed)
    rows = [{"id": f"s{s}-{u}", "speaker_id": f"s{s}"} for s in range(speakers) for u in range(each)]
    sound, text = draw.normal(size=(2, len(rows), 6))
    score = known * (sound[:, 0] + text[:, 0]) + (1 - known) * draw.normal(size=len(rows))
    table = manifest(rows).add_column("score_total", score.tolist())
    offsets = [draw.normal(size=(5, 6)) for _ in rows]
    frames = [mean + offset - offset.mean(axis=0) for mean, offset in zip(sound, offsets, strict=True)]
    table = with_column(table, frames, encoder="net", layer="block1", init="trained", dtype="float32")
    table = with_column(table, [row[None] for row in text], encoder="bert", layer="layer1", init="trained",
                        dtype="float32", clock=None, axis="utterance", pool="mean")  # fmt: skip
    return table, score, sound


@pytest.mark.parametrize(("rows", "width"), [(40, 7), (20, 50)])
@pytest.mark.parametrize("alpha", [0.1, 10.0, 1000.0])
def test_equals_scikit_learn(rows, width, alpha):
    draw = np.random.default_rng(0)
    values, targets = draw.normal(size=(rows, width)) * 3 + 1, draw.normal(size=rows)
    ours = RidgePath(values, targets)(alpha)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    theirs = Peer(alpha=alpha).fit(scaled, targets)
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=1e-9)
    np.testing.assert_allclose(ours.predict(values), theirs.predict(scaled), atol=1e-9)


def test_a_column_that_does_not_vary_is_no_infinity():
    values = np.column_stack([np.ones(9), np.arange(9.0)])
    assert RidgePath(values, np.arange(9.0))(1e-9).predict(values) == pytest.approx(np.arange(9.0), abs=1e-6)


def test_measures_equal_scipy():
    draw = np.random.default_rng(0)
    truth, answers, guess, groups = draw.normal(size=50), draw.normal(size=50), np.full(50, 0.3), np.arange(50) % 4
    found = measures(moments(truth, answers, guess, groups).sum(axis=0))
    assert found["pearson_r"] == pytest.approx(pearsonr(truth, answers).statistic)
    assert found["mse"] == pytest.approx(np.mean((truth - answers) ** 2))
    assert found["r2"] == pytest.approx(1 - np.sum((truth - answers) ** 2) / np.sum((truth - 0.3) ** 2))
    assert np.isnan(measures(moments(truth, guess, guess, groups).sum(axis=0))["pearson_r"])


def test_a_large_offset_leaves_the_correlation_as_it_is():
    """Seconds since 1970: scipy takes means off first."""
    draw = np.random.default_rng(0)
    truth = 1.7e9 + draw.normal(size=200)
    answers = truth + draw.normal(size=200)
    found = measures(moments(truth, answers, truth.mean() + 0 * truth, np.arange(200) % 7).sum(axis=0))
    assert found["pearson_r"] == pytest.approx(pearsonr(truth, answers).statistic, abs=1e-9)
    assert found["mse"] == pytest.approx(np.mean((truth - answers) ** 2))
    small = measures(moments(truth * 1e-20, answers * 1e-20, answers * 0, np.arange(200) % 7).sum(axis=0))
    assert small["pearson_r"] == pytest.approx(pearsonr(truth, answers).statistic, abs=1e-6)


@pytest.mark.parametrize("speakers", [3, 4, 5])
def test_draws_in_which_the_truth_does_not_vary_have_no_correlation(speakers):
    """The age of a speaker: each draw by scipy, those of one speaker alone left out."""
    draw = np.random.default_rng(speakers)
    voice = np.repeat(np.arange(speakers), 20)
    truth = draw.normal(40, 11.3, speakers).round(1)[voice]
    answers = truth + draw.normal(0, 15, len(truth))
    splits = make_splits([f"u{n}" for n in range(len(voice))], [f"s{n}" for n in voice], folds=speakers)
    sums = moments(truth, answers, truth * 0, voice)
    drawn = np.random.default_rng(0).multinomial(speakers, np.full(speakers, 1 / speakers), size=1000)
    drawn = np.concatenate([drawn, speakers * np.eye(speakers, dtype=np.int64)])
    found, alone = measures(drawn @ sums)["pearson_r"], drawn.max(axis=1) == speakers
    assert alone.any() and np.isnan(found[alone]).all() and np.isfinite(found[~alone]).all()
    wanted = [
        pearsonr(*(np.repeat(one, times[voice]) for one in (truth, answers))).statistic for times in drawn[~alone]
    ]
    np.testing.assert_allclose(found[~alone], wanted, atol=1e-9)
    row = next(iter(NumberScorer(truth, splits, np.full(len(truth), truth.mean()), 0).rows(answers)))
    assert row["metric"] == "pearson_r"
    assert -1 <= row["ci_low"] <= row["value"] <= row["ci_high"] <= 1


def test_the_mean_of_an_utterance_is_its_frames_mean():
    table, _, sound = scored()
    np.testing.assert_allclose(pooled(table, "net.block1"), sound, atol=1e-5)


def test_half_in_the_sound_half_in_the_text_all_in_both():
    table, score, _ = scored()
    found = regress(table, "score_total").to_pandas().set_index(["encoder", "metric"])
    value = found.value
    # Of two independent halves each explains half of the variance: r = sqrt(1/2).
    assert value["net", "pearson_r"] == pytest.approx(np.sqrt(0.5), abs=0.12)
    assert value["bert", "pearson_r"] == pytest.approx(np.sqrt(0.5), abs=0.12)
    assert value["text+audio", "pearson_r"] > 0.999 and value["text+audio", "mse"] < 1e-3
    assert found.layer["text+audio", "mse"] == "bert.mean.layer1 + net.block1"
    assert value["majority", "mse"] == pytest.approx(score.var(), rel=0.2)
    assert value["majority", "r2"] == 0 and ("majority", "pearson_r") not in value
    low, high = found.ci_low["net", "pearson_r"], found.ci_high["net", "pearson_r"]
    assert low < value["net", "pearson_r"] < high and high - low > 0.02
    assert found.disjoint.all() and set(found.split) == {"folds"} and set(found.test_speakers) == {12}


def test_noise_gives_nothing():
    table, _, _ = scored(known=0.0)
    found = regress(table, "score_total").to_pandas().query("metric == 'r2'").set_index("encoder").value
    assert found["net"] < 0.05 and found["text+audio"] < 0.05


@pytest.mark.parametrize(
    ("target", "encoders", "message"),
    [
        ("speaker_id", None, "expected one of"),
        ("segments", None, r"expected one of \['score_total'\]"),
        ("score_x", None, "score_total"),
        ("score_total", ["x"], "net"),
    ],
)
def test_mistakes(target, encoders, message):
    with pytest.raises(ProbeError, match=message):
        regress(scored(speakers=3, each=3)[0], target, encoders=encoders)


def test_command(tmp_path, capsys):
    DatasetDict({"train": scored(speakers=6, each=5)[0]}).save_to_disk(tmp_path / "table")
    arguments = ["regression", tmp_path / "table", "--target", "score_total", "--out", tmp_path / "out"]
    assert main([str(one) for one in arguments]) == 0
    assert "text+audio" in capsys.readouterr().out
    assert set(Results.load(tmp_path / "out" / "results.parquet").to_pandas().metric) == {"pearson_r", "mse", "r2"}
    assert main(["regression", str(tmp_path / "table"), "--target", "age", "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err.startswith("error: no column of numbers 'age'")
