"""RSA against scipy on the explicit pairs, and what it must find."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr

from probes import ProbeError, probe
from probes.local_rsa import local_sums, unit
from probes.pairs import PairSums
from probes.spellings import edit_similarities
from tests.probes.probe_tables import clouds, manifest, segment, speech, with_column

LETTERS = {"aa": "ɑ", "b": "b", "s": "s", "sil": ""}


def frames(n: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames that lean to their label and to their speaker, labels, and speakers."""
    draw = np.random.default_rng(seed)
    labels, speakers = draw.integers(0, 5, n), np.sort(draw.integers(0, 6, n))
    values = draw.normal(size=(5, 7))[labels] + draw.normal(size=(6, 7))[speakers] + draw.normal(size=(n, 7)) + 1
    values[3] = 0
    return values, labels, speakers


def explicit(values, labels, speakers):
    """Return cosine, same label and same speaker of all pairs i < j."""
    lengths = np.linalg.norm(values, axis=1)
    cosine = values @ values.T / np.maximum(np.outer(lengths, lengths), 1e-30)
    upper = np.triu_indices(len(values), 1)
    return (cosine[upper], (labels[:, None] == labels)[upper], (speakers[:, None] == speakers)[upper])


def residual_r(x, y, *nuisances):
    """Return r of what a regression on the nuisances leaves of x and y."""
    design = np.column_stack([np.ones(len(x)), *nuisances]).astype(float)
    left = [v - design @ np.linalg.lstsq(design, v.astype(float), rcond=None)[0] for v in (x, y)]
    return pearsonr(*left).statistic


def sums(values, labels, speakers, groups=None):
    groups = speakers if groups is None else groups
    parts = [slice(start, start + 50) for start in range(0, len(values), 50)]
    return local_sums(((p, values[p]) for p in parts), labels, speakers, groups, int(groups.max()) + 1)


@pytest.mark.parametrize("groups", [None, np.array([0, 1, 0, 1, 0, 0])])
def test_local_r_equals_scipy_on_all_pairs(groups):
    values, labels, speakers = frames()
    found = sums(values, labels, speakers, None if groups is None else groups[speakers])
    x, y, z = explicit(values, labels, speakers)
    once = np.ones((1, len(found.count)))
    assert found.pearson(once)[0] == pytest.approx(pearsonr(x, y).statistic, abs=1e-10)
    assert found.partial(once)[0] == pytest.approx(residual_r(x, y, z), abs=1e-10)


def test_a_draw_of_speakers_takes_the_pairs_within_so_often_and_those_between_by_the_product():
    values, labels, speakers = frames()
    x, y, z = explicit(values, labels, speakers)
    weights = np.array([[2, 0, 1, 1, 3, 0]], dtype=float)
    i, j = np.triu_indices(len(values), 1)
    w = weights[0]
    times = np.where(speakers[i] == speakers[j], w[speakers[i]], w[speakers[i]] * w[speakers[j]]).astype(int)
    found = sums(values, labels, speakers)
    taken = [np.repeat(one, times) for one in (x, y, z)]
    assert found.pearson(weights)[0] == pytest.approx(pearsonr(*taken[:2]).statistic, abs=1e-10)
    assert found.partial(weights)[0] == pytest.approx(residual_r(*taken), abs=1e-10)


def test_pair_sums_of_matrices_equal_the_closed_form():
    values, labels, speakers = frames()
    made = unit(values)
    matrices = {
        "cosine": made @ made.T, "label": labels[:, None] == labels, "speaker": speakers[:, None] == speakers,
    }  # fmt: skip
    explicit_sums, closed = PairSums.of(matrices, speakers, 6), sums(values, labels, speakers)
    for name in ("count", "first", "second"):
        np.testing.assert_allclose(getattr(explicit_sums, name), getattr(closed, name), atol=1e-8)


def test_a_nuisance_that_never_changes_does_not_count():
    values, labels, _ = frames()
    found = sums(values, labels, np.zeros(len(values), dtype=np.int64))
    x, y, _ = explicit(values, labels, labels)
    assert found.partial(np.ones((1, 1)))[0] == pytest.approx(pearsonr(x, y).statistic, abs=1e-10)


def test_edit_similarities_known_by_hand():
    found = edit_similarities(["kitten", "sitting", "k", "kitten"])
    assert found[0, 1] == pytest.approx(1 - 3 / 7)
    assert found[0, 2] == pytest.approx(1 - 5 / 6)
    assert found[1, 2] == 0
    assert found[0, 3] == found[2, 2] == 1
    assert np.array_equal(found, found.T)
    with pytest.raises(ProbeError, match="no phones"):
        edit_similarities(["a", ""])


def test_edit_distances_equal_the_recursive_definition():
    from functools import cache

    @cache
    def distance(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        return min(distance(a[1:], b) + 1, distance(a, b[1:]) + 1, distance(a[1:], b[1:]) + (a[0] != b[0]))

    draw = np.random.default_rng(0)
    texts = ["".join(draw.choice(list("abɑ"), draw.integers(1, 9))) for _ in range(25)]
    wanted = [[1 - distance(a, b) / max(len(a), len(b)) for b in texts] for a in texts]
    np.testing.assert_allclose(edit_similarities(texts), wanted)


@pytest.fixture(scope="module")
def toy():
    """Return a table of which a layer is the phones, one noise."""
    table, truth = speech(speakers=6, utterances=4, frames=60)
    table = table.add_column("duration", [1.2 + 0.01 * n for n in range(len(table))])
    values = clouds(truth)
    table = with_column(table, values)
    return with_column(table, clouds(truth, known=0.0), layer="l1", index=1), truth, values


def test_results_equal_explicit_pairs_of_frames_and_utterances(toy):
    table, truth, values = toy
    found = probe(table, probe="rsa", progress=False, draws=100).to_pandas()
    value = found.set_index(["layer", "metric"]).value
    half = [part.astype(np.float16).astype(float) for part in values]
    labels, speakers = np.concatenate(truth), np.repeat(np.arange(24) // 4, 60)
    x, y, z = explicit(np.concatenate(half), labels, speakers)
    assert value["l0", "local_rsa"] == pytest.approx(pearsonr(x, y).statistic, abs=1e-6)
    assert value["l0", "local_rsa_partial"] == pytest.approx(residual_r(x, y, z), abs=1e-6)
    texts = ["".join(LETTERS[("aa", "b", "s", "sil")[c]] for c in classes[::3]) for classes in truth]
    x, _, z = explicit(np.stack([part.mean(axis=0) for part in half]), np.zeros(24), np.arange(24) // 4)
    upper = np.triu_indices(24, 1)
    y, apart = edit_similarities(texts)[upper], 0.01 * (upper[1] - upper[0])
    assert value["l0", "global_rsa"] == pytest.approx(pearsonr(x, y).statistic, abs=1e-5)
    assert value["l0", "global_rsa_partial"] == pytest.approx(residual_r(x, y, z, apart), abs=1e-5)


def test_noise_and_shuffled_labels_give_nothing_and_intervals_hold_the_value(toy):
    found = probe(toy[0], probe="rsa", progress=False).to_pandas()
    value = found.set_index(["layer", "metric"]).value
    assert value["l0", "local_rsa"] > 0.8
    assert abs(value["l1", "local_rsa"]) < 0.01
    assert abs(value["l0", "local_rsa_shuffled"]) < 0.02
    assert abs(value["l1", "global_rsa"]) < 0.2 and abs(value["l0", "global_rsa_shuffled"]) < 0.2
    local = found[found.metric.str.startswith("local")]
    assert ((local.ci_low <= local.value) & (local.value <= local.ci_high)).mean() > 0.7
    assert set(found.note) == {"interval over speakers"}
    assert set(found[found.metric == "local_rsa"].n_test) == {1440}


def test_one_speaker_resamples_utterances(toy):
    alone = toy[0].remove_columns("speaker_id").add_column("speaker_id", ["s"] * 24)
    found = probe(alone, probe="rsa", progress=False, draws=50, option={"frames": 500}).to_pandas()
    assert set(found[found.metric == "local_rsa"].n_test) == {500}
    assert set(found.note) == {"interval over 20 groups of utterances", "interval over utterances"}
    assert found.ci_low.notna().all()


def test_a_sample_of_frames_is_near_all_pairs(toy):
    whole, some = (
        probe(toy[0], probe="rsa", progress=False, draws=2, option={"scopes": "local", "frames": n}).to_pandas()
        for n in (0, 700)
    )
    assert set(some.n_test) == {700}
    assert some.value[0] == pytest.approx(whole.value[0], abs=0.03)


@pytest.mark.parametrize("kind", ["linear", "scalar"])
def test_attention_finds_the_frames_that_tell(kind):
    """Frames of phones are marked in one dimension; loud frames of silence drown them in the mean."""
    draw = np.random.default_rng(0)
    rows, values = [], []
    for number in range(60):
        classes = draw.choice(3, size=20, p=draw.dirichlet([0.3] * 3))
        names = [("aa", "b", "s")[c] for c in classes] + ["sil"] * 20
        spans = [segment(0.02 * i, 0.02 * (i + 1), name) for i, name in enumerate(names)]
        rows.append({"id": f"u{number}", "speaker_id": f"s{number % 6}", "segments": spans})
        told = np.hstack([3 * np.eye(3)[classes], np.ones((20, 1))])
        noise = np.hstack([draw.normal(size=3) * 6 + draw.normal(size=(20, 3)), np.zeros((20, 1))])
        values.append(np.vstack([told, noise]))
    table = manifest(rows).add_column("duration", [0.8] * 60)
    table = with_column(table, values)
    option = {"scopes": "global", "pool": ("mean", kind)}
    found = probe(table, probe="rsa", progress=False, draws=20, folds=3, option=option).to_pandas()
    value = found.set_index("metric").value
    assert value[f"global_rsa_{kind}"] > value["global_rsa"] + 0.3
    assert abs(value[f"global_rsa_{kind}_shuffled"]) < 0.2
    trained = found[found.metric == f"global_rsa_{kind}"].iloc[0]
    assert (trained.split, trained.folds, trained.disjoint, trained.n_test) == ("folds", 3, True, 60)


@pytest.mark.parametrize("pool", ["mean", "linear"])
def test_utterances_without_frames_are_left_out_and_local_results_stay(toy, pool):
    table, _, values = toy
    cells = [part[:0] if row == 5 else part for row, part in enumerate(values)]
    short = with_column(table.remove_columns(["toy.l0", "toy.l1"]), cells)
    rest = table.remove_columns("toy.l1").select([row for row in range(24) if row != 5])
    asked = {"probe": "rsa", "progress": False, "draws": 20, "folds": 2, "option": {"pool": (pool,), "epochs": 2}}
    found, wanted = (probe(one, **asked).to_pandas().set_index("metric") for one in (short, rest))
    told = found.index.str.startswith("global")
    assert (found.note.str.contains("1 utterances without frames left out") == told).all()
    np.testing.assert_allclose(found.value, wanted.value, atol=1e-5)
    assert found.n_test.tolist() == wanted.n_test.tolist()


def test_mistakes_are_named(toy):
    for option, said in (({"scopes": "utterance"}, "expected some of"), ({"pool": "max"}, "expected one of")):
        with pytest.raises(ProbeError, match=said):
            probe(toy[0], probe="rsa", progress=False, option=option)
