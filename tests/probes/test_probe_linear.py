"""The linear probe against scikit-learn, against numbers, and its file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info, threadpool_limits

from probes import ProbeError, objective, solver
from probes.frames import FrameTable
from probes.linear import DECAYS, LinearProbe, fit
from probes.objective import Objective, cpu_cross_entropy, mlx_cross_entropy, standardisation
from probes.solver import Solver, first_guess


def blobs(frames: int = 3000, classes: int = 8, width: int = 20, *, spread: float = 2.0, seed: int = 0) -> FrameTable:
    """Return overlapping classes of unequal size in badly scaled, correlated dimensions."""
    draw = np.random.default_rng(seed)
    labels = draw.choice(classes, size=frames, p=np.arange(1, classes + 1) / (classes * (classes + 1) / 2))
    values = draw.normal(size=(classes, width))[labels] + spread * draw.normal(size=(frames, width))
    values = values @ (np.eye(width) + 0.3 * draw.normal(size=(width, width)))
    values = values * np.logspace(-2, 2, width) + 5 * np.arange(width)
    speaker = np.arange(frames) % 5
    names = tuple(f"c{n}" for n in range(classes))
    return FrameTable(values.astype(np.float32), labels, speaker, speaker, names, tuple("abcde"))


def parts(table: FrameTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    third = np.arange(len(table.labels)) % 10
    return tuple(np.flatnonzero(mask) for mask in (third < 6, third == 6, third > 6))


def peer(table: FrameTable, train: np.ndarray, decay: float) -> tuple[StandardScaler, LogisticRegression]:
    scaler = StandardScaler().fit(table.values[train].astype(np.float64))
    model = LogisticRegression(C=1 / (decay * len(train)), max_iter=5000, tol=1e-8)
    return scaler, model.fit(scaler.transform(table.values[train].astype(np.float64)), table.labels[train])


@pytest.mark.parametrize("decay", [1.0, 1e-2, 1e-4])
def test_same_minimum_and_accuracy_as_scikit_learn(decay):
    table = blobs()
    train, validation, test = parts(table)
    scaler, model = peer(table, train, decay)
    ours = fit(table, train, validation, decays=(decay,), refit=False)
    theirs = model.predict(scaler.transform(table.values[test].astype(np.float64)))
    right = table.labels[test]
    assert (ours.predict(table.values[test]) == right).mean() == pytest.approx((theirs == right).mean(), abs=0.005)
    assert (ours.predict(table.values[test]) == theirs).mean() > 0.985
    loss = Objective(table.values[train], table.labels[train], ours.mean, ours.scale, 8)
    peer_theta = np.vstack([model.coef_.T, model.intercept_]).ravel()
    our_theta = np.vstack([ours.weights, ours.bias]).astype(np.float64).ravel()
    assert loss(our_theta, decay)[0] == pytest.approx(loss(peer_theta, decay)[0], rel=2e-4)


def test_chosen_decay_is_the_best_of_the_grid_by_scikit_learn():
    table = blobs(600, 4, 40, spread=3.0)  # few frames in many dimensions: decay matters
    train, validation, _ = parts(table)
    truth, accuracies = table.labels[validation], {}
    for decay in DECAYS:
        scaler, model = peer(table, train, decay)
        accuracies[decay] = (model.predict(scaler.transform(table.values[validation])) == truth).mean()
    chosen = fit(table, train, validation).decay
    assert accuracies[chosen] >= max(accuracies.values()) - 0.02
    assert chosen in DECAYS
    assert 1e-5 < chosen < 1  # inside the grid: neither the start nor the end of the path


@pytest.mark.parametrize("entropy", [mlx_cross_entropy, cpu_cross_entropy])
def test_loss_and_gradient_equal_numpy_in_double_precision(entropy, monkeypatch):
    monkeypatch.setattr(objective, "cross_entropy", entropy)
    draw = np.random.default_rng(0)
    values, labels = draw.normal(size=(200, 5)).astype(np.float32), draw.integers(0, 3, 200)
    theta, decay = draw.normal(size=18), 0.3
    loss = Objective(values, labels, np.zeros(5, np.float32), np.ones(5, np.float32), 3)

    def plain(theta):
        weights, bias = theta.reshape(6, 3)[:5], theta.reshape(6, 3)[5]
        logits = values.astype(np.float64) @ weights + bias
        log_sum = np.log(np.exp(logits).sum(axis=1))
        return (log_sum - logits[np.arange(200), labels]).mean() + decay / 2 * (weights**2).sum()

    value, gradient = loss(theta, decay)
    assert value == pytest.approx(plain(theta), rel=1e-6)
    assert check_grad(plain, lambda _: gradient, theta) < 1e-5


@pytest.mark.parametrize("entropy", [mlx_cross_entropy, cpu_cross_entropy])
def test_large_logits_neither_overflow_nor_underflow(entropy):
    inputs, weights = np.array([[1000.0], [-1000.0]], np.float32), np.array([[1.0, -1.0]], np.float32)
    losses, gradient, excess = entropy(inputs, np.array([0, 0]), weights, np.zeros(2, np.float32))
    assert losses.tolist() == [0.0, 2000.0]
    assert gradient.tolist() == [[1000.0, -1000.0]]
    assert excess.tolist() == [-1.0, 1.0]


def test_chunks_and_half_precision_give_the_same_loss(monkeypatch):
    table = blobs(500)
    half = table.values.astype(np.float16)
    moments = standardisation(half)
    theta = np.random.default_rng(0).normal(size=21 * 8)
    whole = Objective(half, table.labels, *moments, 8)(theta, 0.1)
    monkeypatch.setattr(objective, "CHUNK_BYTES", 4 * 20 * 7)  # 7 frames at a time
    monkeypatch.setattr(objective, "CACHE_BYTES", 0)
    pieces = Objective(half, table.labels, *standardisation(half), 8)
    assert len(list(pieces._chunks())) == 72
    assert pieces(theta, 0.1)[0] == pytest.approx(whole[0], rel=1e-6)
    np.testing.assert_allclose(pieces(theta, 0.1)[1], whole[1], atol=1e-5)


def test_standardisation_equals_scikit_learn_and_keeps_constant_columns():
    values = blobs(400).values.astype(np.float16)
    values[:, 3] = 7.5
    scaler = StandardScaler().fit(values.astype(np.float64))
    mean, scale = standardisation(values)
    np.testing.assert_allclose(mean, scaler.mean_, rtol=1e-5)
    np.testing.assert_allclose(scale, scaler.scale_, rtol=1e-4)
    assert scale[3] == 1


def test_the_solver_ends_where_the_gradient_is_flat_from_any_start():
    table = blobs(800, 4, 10)
    learning = Objective(table.values, table.labels, *standardisation(table.values), 4)
    solver = Solver(learning)
    draw = np.random.default_rng(0)
    ends = [solver.minimise(scale * draw.normal(size=44), 0.01, tolerance=1e-9) for scale in (0, 1)]
    assert all(np.abs(learning(end, 0.01)[1]).max() < 1e-3 for end in ends)
    np.testing.assert_allclose(ends[0].reshape(11, 4)[:-1], ends[1].reshape(11, 4)[:-1], atol=0.02)


def test_only_the_pool_that_makes_the_products_keeps_its_threads(monkeypatch):
    def threads():
        pools = (pool for pool in threadpool_info() if pool["prefix"] == solver.OWN_BLAS)
        return {Path(pool["filepath"]).parent.name: pool["num_threads"] for pool in pools}

    with threadpool_limits(2):
        if set(threads()) != {"numpy.libs", "scipy.libs"}:
            pytest.skip("numpy and scipy are not from wheels with a BLAS of their own")
        for slow_cpu, kept in ((True, 2), (False, 1)):
            monkeypatch.setattr(solver, "SLOW_CPU", slow_cpu)
            with solver.scarce_threads():
                assert threads() == {"numpy.libs": kept, "scipy.libs": 1}
            assert threads() == {"numpy.libs": 2, "scipy.libs": 2}


@pytest.mark.parametrize("seed", [2, 4, 6])
def test_strong_decays_that_answer_one_class_alike_do_not_end_the_search(seed):
    """Of an uneven label the two strongest decays answer the commoner class alone; scikit-learn says so."""
    draw = np.random.default_rng(seed)
    labels = (draw.random(4000) < 0.05).astype(np.int64)
    values = draw.normal(size=(4000, 10)).astype(np.float32)
    values[:, :2] += 1.3 * labels[:, None]
    table = FrameTable(values, labels, np.arange(4000), np.arange(4000), ("modal", "creaky"), ("s",))
    train, validation, test = np.split(np.arange(4000), [2000, 3000])
    accuracies = []
    for decay in DECAYS:
        scaler, model = peer(table, train, decay / 2)  # one vector for two classes, where ours are two of half its size
        accuracies.append(model.score(scaler.transform(values[validation].astype(np.float64)), labels[validation]))
    assert accuracies[0] == accuracies[1] == (labels[validation] == 0).mean() < max(accuracies) - 0.005
    found = fit(table, train, validation, refit=False)
    right = (found.predict(values[validation]) == labels[validation]).mean()
    assert right == pytest.approx(max(accuracies), abs=0.002)
    assert (found.predict(values[test])[labels[test] == 1] == 1).mean() > 0.1


def test_refitting_learns_from_validation_and_keeps_the_decay():
    table = blobs(600, 4, 40, spread=3.0)
    train, validation, _ = parts(table)
    without, with_it = (fit(table, train, validation, refit=refit) for refit in (False, True))
    assert without.decay == with_it.decay
    assert np.array_equal(without.mean, with_it.mean)
    hits = [(one.predict(table.values[validation]) == table.labels[validation]).mean() for one in (without, with_it)]
    assert hits[1] > hits[0] + 0.02


def test_classes_that_train_lacks_are_never_answered():
    table = blobs()
    train, validation, test = parts(table)
    train = train[table.labels[train] != 7]
    answers = fit(table, train, validation, decays=(0.01,)).predict(table.values[test])
    assert 7 not in answers
    assert set(answers) == set(range(7))


def test_a_saved_probe_answers_the_same(tmp_path):
    table = blobs(600)
    train, validation, test = parts(table)
    trained = fit(table, train, validation, details={"column": "toy.l0"})
    trained.save(tmp_path / "deep" / "whisper-tiny.en.block1.fold0")
    names = sorted(path.name for path in (tmp_path / "deep").iterdir())
    assert names == ["whisper-tiny.en.block1.fold0.json", "whisper-tiny.en.block1.fold0.safetensors"]
    again = LinearProbe.load(tmp_path / "deep" / "whisper-tiny.en.block1.fold0")
    assert np.array_equal(again.predict(table.values[test]), trained.predict(table.values[test]))
    assert (again.classes, again.decay, again.details) == (trained.classes, trained.decay, {"column": "toy.l0"})


def test_loading_something_else_says_so(tmp_path):
    with pytest.raises(ProbeError, match=r"no probe at .*expected x.json"):
        LinearProbe.load(tmp_path / "x")
    (tmp_path / "x.json").write_text(json.dumps({"probe": "other"}))
    with pytest.raises(ProbeError, match="not a linear probe"):
        LinearProbe.load(tmp_path / "x")


def test_errors_name_the_trouble():
    table = blobs(600)
    train, validation, _ = parts(table)
    with pytest.raises(ProbeError, match="more data"):
        fit(table, train[table.labels[train] == 1], validation)
    with pytest.raises(ProbeError, match="0 frames to tune on"):
        fit(table, train, validation[:0])
    with pytest.raises(ProbeError, match="expects a width of 20"):
        fit(table, train, validation, decays=(0.1,)).predict(np.ones((3, 4)))
    table.values[train[0], 0] = np.inf
    with pytest.raises(ProbeError, match="not finite"):
        fit(table, train, validation)


def test_a_first_guess_on_a_sample_saves_evaluations_and_ends_at_the_same_minimum(monkeypatch):
    table = blobs(6000)
    mean, scale = standardisation(table.values)
    whole = Objective(table.values, table.labels, mean, scale, 8)
    counted = []
    monkeypatch.setattr(solver, "SAMPLE", 1000)
    monkeypatch.setattr(Objective, "__call__", lambda self, *given, call=Objective.__call__: (
        counted.append(self.frames), call(self, *given))[1])  # fmt: skip
    found = []
    for start in (np.zeros(21 * 8), first_guess(table.values, table.labels, mean, scale, 8, 1e-3)):
        counted.clear()
        theta = Solver(whole).minimise(start, 1e-3, tolerance=1e-6)
        found.append((len(counted), whole(theta, 1e-3)[0]))
    (cold, loss), (warm, same) = found
    assert same == pytest.approx(loss, rel=1e-5)
    assert warm < cold
    few = table.values[:3000], table.labels[:3000]
    plain = first_guess(*few, mean, scale, 8, 1e-3).reshape(21, 8)  # of so few frames it would save nothing
    assert not plain[:-1].any()
    np.testing.assert_allclose(np.exp(plain[-1]), np.bincount(few[1]) / 3000)
