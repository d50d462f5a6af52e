"""The published protocol of the probes that look at whole utterances, against its formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.feature_extraction.text import CountVectorizer

from probes import ProbeError, probe
from probes.attention import Utterances
from probes.published import best_answers, halves, padded, start
from probes.splits import Fold, Splits
from tests.probes.probe_tables import clouds, manifest, segment, with_column
from tests.probes.test_probe_pickles import edit_distance

import mlx.core as mx  # isort: skip  after features, which brings it a fast BLAS

IPA = {"aa": "ɑ", "b": "b", "s": "s", "sil": ""}


@pytest.fixture(scope="module")
def toy():
    """Return a table of utterances of different lengths, their frames and their IPA."""
    draw = np.random.default_rng(0)
    rows, truth, texts = [], [], []
    for number in range(40):
        classes = draw.choice(4, size=draw.integers(5, 12), p=draw.dirichlet([0.4] * 4))
        names = [("aa", "b", "s", "sil")[c] for c in classes]
        spans = [segment(0.06 * i, 0.06 * (i + 1), name) for i, name in enumerate(names)]
        rows.append({"id": f"u{number}", "speaker_id": f"s{number % 4}", "segments": spans})
        truth.append(np.repeat(classes, 3))
        texts.append("".join(IPA[name] for name in names))
    keep = [n for n, text in enumerate(texts) if text]
    rows, truth, texts = ([one[n] for n in keep] for one in (rows, truth, texts))
    table = manifest(rows).add_column("duration", [0.02 * len(one) for one in truth])
    values = clouds(truth, known=0.6)
    table = with_column(with_column(table, values), clouds(truth, known=0.0), layer="l1", index=1)
    return table, [one.astype(np.float16).astype(np.float64) for one in values], texts


def half_of(table, seed=0):
    """Return the places of the two random halves."""
    order = np.random.default_rng(seed).permutation(len(table))
    return np.sort(order[: len(table) // 2]), np.sort(order[len(table) // 2 :])


def test_halves_share_speakers_and_nothing_else():
    speakers = np.array(["a", "b"] * 10)
    splits = Splits((Fold(np.arange(5), np.arange(5, 10), np.arange(10, 20)),), "speakers", speakers, True, "")
    found = halves(splits, np.arange(20), 0)
    (fold,) = found.folds
    assert sorted([*fold.train, *fold.test]) == list(range(20)) and len(fold.train) == 10
    assert fold.validation.tolist() == fold.test.tolist()
    assert set(speakers[fold.train]) == set(speakers[fold.test]) and not found.disjoint
    with pytest.raises(ProbeError, match="at least 6"):
        halves(splits, np.arange(5), 0)


def test_padding_takes_part():
    frames = [np.ones((2, 3), dtype=np.float32), np.full((4, 3), 2, dtype=np.float32)]
    batch = Utterances(frames, np.zeros(3, np.float32), np.ones(3, np.float32)).batch(np.array([0, 1]))[0]
    made = np.asarray(padded({"out": mx.array([[1.0], [0.0], [0.0]])}, batch))
    shares = np.exp([1.0, 1.0, 0.0, 0.0]) / np.exp([1.0, 1.0, 0.0, 0.0]).sum()
    np.testing.assert_allclose(made[0], np.full(3, shares[:2].sum()), rtol=1e-5)
    np.testing.assert_allclose(made[1], np.full(3, 2.0), rtol=1e-5)


def adam(values, truth, first, epochs):
    """Yield weights and bias after each full-batch step of Adam (Kingma and Ba 2015) on the mean cross entropy."""
    theta = np.vstack([np.asarray(first["weights"]), np.asarray(first["bias"])]).astype(np.float64)
    inputs = np.hstack([values, np.ones((len(values), 1))])
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, epochs + 1):
        slope = inputs.T @ (1 / (1 + np.exp(-inputs @ theta)) - truth) / truth.size
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        theta = theta - 1e-3 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        yield theta[:-1], theta[-1]


def test_mean_diagnostic_equals_the_published_formulas(toy):
    table, values, texts = toy
    learn, test = half_of(table)
    option = {"epochs": 40}
    found = probe(table, probe="global_diagnostic", protocol="published", option=option, progress=False, draws=5)
    found = found.to_pandas()
    vectorizer = CountVectorizer(lowercase=False, analyzer="char", binary=True)
    truth = vectorizer.fit_transform([texts[n] for n in learn]).toarray().astype(bool)
    told = vectorizer.transform([texts[n] for n in test]).toarray().astype(bool)
    longest = [max(len(values[n]) for n in half) for half in (learn, test)]  # each half is one batch, zeros included
    means = [
        np.stack([values[n].sum(axis=0) / size for n in half])
        for half, size in zip((learn, test), longest, strict=True)
    ]
    first = start(means[0].shape[1], truth.shape[1], "mean", 0)
    scored = [((means[1] @ w + b >= 0) == told).mean() for w, b in adam(means[0], truth, first, 40)]
    own = found[(found.encoder == "toy") & (found.layer == "l0")].set_index("metric")
    assert own.value["accuracy"] == pytest.approx(max(scored), abs=0.01)
    majority = (truth.mean(axis=0) >= 0.5) == told
    assert own.value["error_reduction"] == pytest.approx(1 - (1 - max(scored)) / (1 - majority.mean()), abs=0.05)
    assert set(found.protocol) == {"published"} and set(found.split) == {"published"} and not found.disjoint.any()
    assert (own.n_train.iloc[0], own.n_test.iloc[0]) == (len(learn), len(test))


def test_the_best_epoch_of_the_scored_half_flatters_noise(toy):
    """Chosen on the half that is scored, answers to random questions are never worse than after the last epoch."""
    table, _, _ = toy
    learn, test = half_of(table)
    truth = np.random.default_rng(1).random((len(table), 6)) < 0.5
    utterances = Utterances.read(table, "toy.l1", np.arange(len(table)), learn)
    answers, epoch = best_answers(utterances, truth, learn, test, "linear", epochs=30)
    accuracy = {
        n: (best_answers(utterances, truth, learn, test, "linear", epochs=n)[0] == truth[test]).mean()
        for n in (1, 10, 30)
    }
    assert accuracy[1] <= accuracy[10] <= accuracy[30] == (answers == truth[test]).mean()
    assert 1 <= epoch <= 30


def test_local_rsa_is_one_pairing_of_the_frames(toy):
    table, _, _ = toy
    option = {"scopes": "local", "frames": 0}
    found = [
        probe(table, probe="rsa", protocol="published", option=option, seed=seed, progress=False).to_pandas()
        for seed in range(12)
    ]
    whole = probe(table, probe="rsa", option=option, progress=False, draws=2).to_pandas().value[0]
    drawn = [one.value[0] for one in found]
    assert len(set(drawn)) == 12  # a pairing of its own for each seed
    assert np.mean(drawn) == pytest.approx(whole, abs=0.03)
    assert found[0].ci_low.isna().all() and set(found[0].metric) == {"local_rsa"}


def test_global_rsa_is_of_a_half_and_attention_of_its_best_epoch(toy):
    table, values, texts = toy
    _, test = half_of(table)
    option = {"scopes": "global", "pool": ("mean", "linear"), "epochs": 30}
    found = probe(table, probe="rsa", protocol="published", option=option, progress=False, draws=5).to_pandas()
    own = found[found.layer == "l0"].set_index("metric")
    pooled = np.stack([values[n].mean(axis=0) for n in test])
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    upper = np.triu_indices(len(test), 1)
    alike = [1 - distance(texts[test[i]], texts[test[j]]) for i, j in zip(*upper, strict=True)]
    assert own.value["global_rsa"] == pytest.approx(pearsonr((pooled @ pooled.T)[upper], alike).statistic, abs=1e-4)
    assert set(own.n_test) == {len(test)} and set(own.split) == {"published"}
    shorter = probe(
        table, probe="rsa", protocol="published", option={**option, "epochs": 2}, progress=False, draws=5
    ).to_pandas()
    shorter = shorter[shorter.layer == "l0"].set_index("metric").value
    assert own.value["global_rsa_linear"] >= shorter["global_rsa_linear"]  # more epochs to choose from


def distance(a: str, b: str) -> float:
    """Return Levenshtein's distance over the longer length."""
    return edit_distance(a, b) / max(len(a), len(b))


def test_what_has_no_published_protocol_says_so(toy, tmp_path):
    for name in ("similarity", "abx"):
        with pytest.raises(ProbeError, match="no published protocol"):
            probe(toy[0], probe=name, protocol="published", progress=False)
    for options in ({"option": {"pool": "scalar"}}, {"save_probes": tmp_path}):
        with pytest.raises(ProbeError, match="the published protocol pools by mean or linear"):
            probe(toy[0], probe="global_diagnostic", protocol="published", progress=False, **options)
    with pytest.raises(ProbeError, match="not scalar"):
        probe(toy[0], probe="rsa", protocol="published", progress=False, option={"scopes": "global", "pool": "scalar"})
