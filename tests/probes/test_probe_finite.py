"""Values that are not finite stop a probe wherever they are, with the name of their column."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from features.columns import attach, matrices
from probes import ProbeError, probe
from probes.finite import all_finite, check_finite
from probes.regression import regress
from probes.splits import make_splits
from tests.probes.probe_tables import card, clouds, segment, speech, with_column


@given(arrays(st.sampled_from([np.float16, np.float32, np.float64]), array_shapes(min_dims=0, max_dims=2, min_side=0)))
def test_equals_numpy(values):
    assert all_finite(values) == np.isfinite(values).all()
    assert all_finite(values.T[..., ::-1] if values.ndim else values) == np.isfinite(values).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_edges_of_the_format(dtype):
    info = np.finfo(dtype)
    assert all_finite(np.array([info.max, info.min, info.tiny, -info.tiny, 0.0, -0.0], dtype=dtype))
    for bad in (np.inf, -np.inf, np.nan, -np.nan):
        assert not all_finite(np.array([1, bad, -1], dtype=dtype))


def test_frames_of_utterances_that_do_not_count_may_hold_anything():
    values = np.array([[0.0], [np.nan], [1.0]])
    check_finite("net.l0", values, np.array([1, 1, 1]), np.array([True, False, True]))
    with pytest.raises(ProbeError, match=r"^net\.l0 holds"):
        check_finite("net.l0", values, np.array([1, 2]), np.array([False, True]))


def spoilt(role: str, *, frame: int = 3, dtype: str = "float16", value: float = np.inf):
    """Return a table of 20 speakers with one bad value in a row of one part, in the second of two columns."""
    table, truth = speech(speakers=20, utterances=2, frames=30)
    fold = make_splits(table["id"], table["speaker_id"]).folds[0]
    values = clouds(truth)
    table = with_column(table, values, init="trained", layer="l0")
    values[getattr(fold, role)[0]][frame, 0] = value
    table = table.add_column("gender", ["f", "m"] * 20).add_column("duration", [0.6] * 40)
    table = table.add_column("age", [20.0 + int(name[1:]) for name in table["speaker_id"]])
    return with_column(table, values, init="trained", layer="l1", index=1, dtype=dtype)


NETWORK = {"epochs": 1}


@pytest.mark.parametrize("role", ["train", "validation", "test"])
@pytest.mark.parametrize(
    "asked",
    [
        {"probe": "linear"},
        {"probe": "linear", "examples": "segments"},
        {"probe": "linear", "examples": "utterances", "target": "gender"},
        {"probe": "mlp", "option": NETWORK},
        {"probe": "context", "option": NETWORK},
        {"probe": "mixing", "option": NETWORK},
        {"probe": "global_diagnostic"},
        {"probe": "global_diagnostic", "option": {"pool": "linear", **NETWORK}},
        {"probe": "rsa", "option": {"scopes": ("global",)}},
    ],
    ids=lambda asked: "-".join(str(one) for one in asked.values() if isinstance(one, str)),
)
def test_a_bad_value_in_any_part_names_its_column(role, asked):
    with pytest.raises(ProbeError, match=r"toy\.l1 holds values that are not finite"):
        probe(spoilt(role), progress=False, draws=5, **asked)


@pytest.mark.parametrize("role", ["train", "validation", "test"])
def test_a_bad_value_stops_a_regression(role):
    with pytest.raises(ProbeError, match=r"toy\.l1 holds values that are not finite"):
        regress(spoilt(role), "age")


def test_a_bad_row_of_int8_is_not_taken_for_a_segment_without_frames():
    table, made = spoilt("test"), card(layer="l2", index=2, width=8, dtype="int8")
    frames = [np.asarray(cell, dtype=np.float32) for cell in table["toy.l1"]]
    table = attach(table, made.column, frames, made).remove_columns("toy.l1")
    assert np.isnan(matrices(table, "toy.l2", slice(0, 40))[0]).all(axis=1).sum() == 1
    with pytest.raises(ProbeError, match=r"toy\.l2 holds values that are not finite"):
        probe(table, examples="segments", progress=False, draws=5)


def test_segments_without_frames_are_left_out_as_before():
    table, truth = speech(speakers=4, utterances=4, frames=30)
    table = with_column(table, clouds(truth), init="trained")
    before = probe(table, examples="segments", progress=False, draws=5).to_pandas()
    rows = [[*cell, segment(5.0, 5.1, "b")] for cell in table["segments"]]  # behind the last frame
    longer = table.map(lambda _, place: {"segments": rows[place]}, with_indices=True, load_from_cache_file=False)
    after = probe(longer, examples="segments", progress=False, draws=5).to_pandas()
    assert after.n_test.tolist() == before.n_test.tolist() and after.value.tolist() == before.value.tolist()
