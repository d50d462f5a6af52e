"""CKA and PWCCA against the formulas over frames, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles

from features.clock import FrameClock
from probes import ProbeError, probe, products
from probes.products import Whitening, covariance, pwcca, scales, squared_norms
from probes.sample import nearest
from tests.probes.probe_tables import PHONES, clouds, manifest, segment, speech, with_column

MEL = FrameClock(hop=160, offset=0, field=400, padded=True)


def gram_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Kornblith's formula over frames: centred Gram matrices, HSIC of linear kernels."""
    n = len(x)
    h = np.eye(n) - 1 / n
    k, l = h @ (x @ x.T) @ h, h @ (y @ y.T) @ h  # noqa: E741
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


def frame_pwcca(x: np.ndarray, y: np.ndarray) -> float:
    """Morcos' formula over frames: canonical variables from QR, weighted by what they account for in x."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    qx, qy = np.linalg.qr(x)[0], np.linalg.qr(y)[0]
    u, correlations, _ = np.linalg.svd(qx.T @ qy, full_matrices=False)
    weights = np.abs((qx @ u).T @ x).sum(axis=1)
    return float(correlations @ weights / weights.sum())


def layers(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return two layers that share some directions, badly scaled and off centre."""
    draw = np.random.default_rng(seed)
    shared = draw.normal(size=(n, 3))
    x = np.hstack([shared @ draw.normal(size=(3, 5)) + draw.normal(size=(n, 5))]) * np.logspace(-1, 1, 5) + 7
    y = shared @ draw.normal(size=(3, 4)) + 0.5 * draw.normal(size=(n, 4)) - 3
    return x.astype(np.float32), y.astype(np.float32)


def measured(x: np.ndarray, y: np.ndarray, groups: np.ndarray | None = None, weights: np.ndarray | None = None):
    """Return CKA for each draw, and PWCCA of either direction, from streamed products."""
    groups = np.zeros(len(x), dtype=np.int64) if groups is None else groups
    number = int(groups.max()) + 1
    weights = np.ones((1, number)) if weights is None else weights
    both = {"x": x, "y": y}

    def stream(names):
        for start in range(0, len(x), 37):
            part = slice(start, start + 37)
            yield groups[part], {name: both[name][part] for name in names}

    scale = scales(stream, ["x", "y"])
    found = dict(products.products(stream, [("x", "x"), ("y", "y"), ("x", "y")], scale, number))
    norms = {(a, b): squared_norms(one, scale[a], scale[b], weights) for (a, b), one in found.items()}
    whitenings = [Whitening.of(found[name, name], scale[name]) for name in "xy"]
    return norms["x", "y"] / np.sqrt(norms["x", "x"] * norms["y", "y"]), pwcca(found["x", "y"], *whitenings)


def test_cka_equals_the_gram_matrix_formula():
    x, y = layers()
    assert measured(x, y)[0][0] == pytest.approx(gram_cka(x.astype(float), y.astype(float)), abs=1e-5)
    assert measured(x, x)[0][0] == pytest.approx(1, abs=1e-6)


def test_cka_by_hand():
    x = np.array([[1.0], [-1], [1], [-1]])
    y = np.array([[1.0], [1], [-1], [-1]])
    assert measured(x, y)[0][0] == pytest.approx(0, abs=1e-12)
    # covariance of x with (x, y) is (1, 0), of (x, y) with itself the identity: 1 / (1 * sqrt 2)
    assert measured(x, np.hstack([x, y]))[0][0] == pytest.approx(1 / np.sqrt(2), abs=1e-6)


def test_pwcca_equals_the_formula_over_frames_and_scipys_angles():
    x, y = layers()
    forth, back = measured(x, y)[1]
    assert forth == pytest.approx(frame_pwcca(x.astype(float), y.astype(float)), abs=1e-4)
    assert back == pytest.approx(frame_pwcca(y.astype(float), x.astype(float)), abs=1e-4)
    # one dimension on one side: the only canonical correlation is the cosine of scipy's angle
    one = y[:, :1]
    angle = subspace_angles(x - x.mean(axis=0, dtype=float), one - one.mean(axis=0, dtype=float))
    assert measured(x, one)[1] == pytest.approx([np.cos(angle[0])] * 2, abs=1e-4)


def test_directions_that_do_not_vary_do_not_count():
    x, y = layers()
    wide = np.hstack([x, x[:, :2] @ np.ones((2, 1), np.float32), np.full((len(x), 1), 5, np.float32)])
    assert measured(wide, y)[1][1] == pytest.approx(measured(x, y)[1][1], abs=1e-3)
    assert np.isfinite(measured(wide, y)[0]).all()


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(-50, 50))
def test_rotation_scaling_and_shift_change_nothing(seed, factor, shift):
    draw = np.random.default_rng(seed)
    x, y = layers(120, seed)
    turned = (factor * (x @ np.linalg.qr(draw.normal(size=(5, 5)))[0]) + shift).astype(np.float32)
    (cka,), (_, back) = measured(x, y)
    (other,), (_, again) = measured(turned, y)
    assert other == pytest.approx(cka, abs=2e-3)
    assert again == pytest.approx(back, abs=2e-3)


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_any_invertible_map_of_the_other_layer_leaves_pwcca(seed):
    draw = np.random.default_rng(seed)
    x, y = layers(120, seed)
    mixed = (y @ (np.eye(4) + 0.3 * draw.normal(size=(4, 4)))).astype(np.float32)
    assert measured(x, mixed)[1][0] == pytest.approx(measured(x, y)[1][0], abs=5e-3)


def test_a_draw_of_groups_is_what_frames_taken_so_often_give():
    x, y = layers()
    groups = np.arange(300) % 4
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 3, 0, 1]], dtype=float)
    found = measured(x, y, groups, weights)[0]
    for row, value in zip(weights.astype(int), found, strict=True):
        taken = np.repeat(np.arange(300), row[groups])
        assert value == pytest.approx(gram_cka(x[taken].astype(float), y[taken].astype(float)), abs=1e-5)


def test_little_memory_takes_more_passes_and_gives_the_same(monkeypatch):
    x, y = layers()
    whole = measured(x, y)
    monkeypatch.setattr(products, "BYTES", 1)
    assert measured(x, y) == whole


def test_covariances_of_scaled_features_are_correlations():
    x, _ = layers()

    def stream(names):
        yield np.zeros(len(x), dtype=int), {"x": x}

    found = dict(products.products(stream, [("x", "x")], scales(stream, ["x"]), 1))["x", "x"]
    np.testing.assert_allclose(covariance(found), np.corrcoef(x.astype(float).T), atol=1e-5)


def test_nearest_frames_by_hand():
    whisper, wav2vec = FrameClock(320, 0, 400, True), FrameClock(320, 200, 400, False)
    numbers = np.arange(4)
    assert nearest(whisper, MEL, numbers).tolist() == [0, 2, 4, 6]
    assert nearest(MEL, whisper, np.arange(6)).tolist() == [0, 0, 1, 1, 2, 2]  # halfway: the earlier one
    assert nearest(whisper, wav2vec, numbers).tolist() == [-1, 0, 1, 2]  # 0 is 120 from -120, which isn't there
    assert nearest(wav2vec, whisper, numbers).tolist() == [1, 2, 3, 4]
    for clock, other in ((whisper, wav2vec), (MEL, wav2vec), (wav2vec, MEL)):
        times = numbers * clock.hop + clock.offset
        centres = np.arange(-5, 20) * other.hop + other.offset
        best = np.abs(times[:, None] - centres).argmin(axis=1) - 5
        assert nearest(clock, other, numbers).tolist() == best.tolist()


@pytest.fixture(scope="module")
def toy():
    """Return a table with a layer, the same one turned, noise, and one of a clock twice as fast."""
    table, truth = speech(speakers=5, utterances=3)
    values = clouds(truth)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    table = with_column(table, values)
    table = with_column(table, [part @ turn for part in values], layer="l1", index=1)
    table = with_column(table, clouds(truth, known=0.0, seed=5), layer="l2", index=2)
    fast = [np.repeat(part, 2, axis=0) for part in values]
    return with_column(table, fast, encoder="mel", layer="m", clock=MEL), truth, values


def test_results_of_layers_clocks_and_phones(toy):
    table, truth, values = toy
    found = probe(table, probe="similarity", progress=False, draws=50).to_pandas()
    value = found.set_index(["metric", "encoder", "layer", "other"]).value.to_dict()
    assert len(found) == 2 * (4 * 3 + 4)
    assert value["cka", "toy", "l0", "toy.l1"] == pytest.approx(1, abs=1e-3)  # turned, rounded to float16
    assert value["cka", "toy", "l0", "mel.m"] == pytest.approx(1, abs=1e-5)  # the same moments
    assert value["cka", "toy", "l0", "toy.l2"] < 0.02
    half = np.concatenate(values).astype(np.float16).astype(float)
    onehot = np.eye(len(PHONES))[np.concatenate(truth)]
    assert value["cka", "toy", "l0", "phones"] == pytest.approx(gram_cka(half, onehot), abs=1e-4)
    assert value["pwcca", "toy", "l0", "phones"] == pytest.approx(frame_pwcca(half, onehot[:, :3]), abs=1e-3)
    cka = found[(found.metric == "cka") & (found.other == "phones")]
    assert ((cka.ci_low <= cka.value + 0.02) & (cka.value <= cka.ci_high + 0.02)).all()
    assert found[found.metric == "pwcca"].ci_low.isna().all()
    assert set(found.clock) == {"320+0"} and set(found.n_test) == {900} and set(found.test_speakers) == {5}


def test_a_sample_is_the_same_moments_for_any_order_of_rows(toy):
    table = toy[0]
    options = {"probe": "similarity", "option": {"frames": 100, "metrics": ("cka",)}, "progress": False}
    one = probe(table, **options).to_pandas()
    two = probe(table.select(range(len(table))[::-1]), **options).to_pandas()
    assert set(one.n_test) == {100}
    np.testing.assert_allclose(one.value, two.value, atol=1e-5)
    assert one.value.tolist() != probe(table, **options, seed=1).to_pandas().value.tolist()


def test_the_table_of_the_terminal_and_errors(toy):
    text = str(probe(toy[0], probe="similarity", progress=False, option={"metrics": "cka"}, draws=10))
    line = next(line for line in text.splitlines() if "toy.l0" in line)
    order = [row.split()[1] for row in text.splitlines() if ".l" in row or ".m" in row]
    others = [name for name in order if name != "toy.l0"]
    assert dict(zip(others, line.split()[3:], strict=True))["toy.l1"] == "1.00"  # behind number, name, and phones
    assert "nothing is trained; 5 test speakers" in text
    with pytest.raises(ProbeError, match=r"\['cca'\].*expected some of \['cka', 'pwcca'\]"):
        probe(toy[0], probe="similarity", progress=False, option={"metrics": "cca"})
    with pytest.raises(ProbeError, match="no option 'colour'"):
        probe(toy[0], probe="similarity", progress=False, option={"colour": 1})
    table = with_column(toy[0], [np.full((60, 2), np.nan)] * 15, layer="bad", index=3)
    with pytest.raises(ProbeError, match=r"toy.bad holds values that are not finite"):
        probe(table, probe="similarity", progress=False)


def test_frames_that_one_column_lacks_are_left_out_for_all():
    table = manifest([{"id": "u", "speaker_id": "s", "segments": [segment(0, 1, "aa")]} for _ in range(3)])
    table = table.remove_columns("id").add_column("id", ["a", "b", "c"])
    draw = np.random.default_rng(0)
    table = with_column(table, [draw.normal(size=(10, 2)) for _ in range(3)])
    short = FrameClock(hop=320, offset=200, field=400, padded=False)
    table = with_column(table, [draw.normal(size=(9, 2)) for _ in range(3)], layer="w", clock=short)
    # 120 samples from the frame before: 0 has none, 1 to 9 have 0 to 8
    found = probe(table, probe="similarity", progress=False, option={"metrics": "cka"}).to_pandas()
    assert set(found.n_test) == {27}
