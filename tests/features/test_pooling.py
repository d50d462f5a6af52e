from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import FrameClock
from features.pooling import Pool, frame_ranges, segment_means

CLOCK = FrameClock(hop=320, offset=200, field=400, padded=False)  # centres at 12.5, 32.5, 52.5, ... ms
STATES = np.array([[1, 10], [2, 20], [4, 40], [8, 80], [16, 160]], np.float32)


def segments(*bounds, tier="words"):
    return [{"tier": tier, "start": start, "end": end, "label": "x"} for start, end in bounds]


# Values by hand


def test_mean_over_the_utterance():
    for clock in (CLOCK, None):  # tokens have none
        found = Pool("mean")(STATES, clock)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, [[31 / 5, 62]], rtol=1e-7)


def test_nothing_is_pooled_by_none():
    assert Pool()(STATES, CLOCK) is STATES


def test_mean_of_each_segment():
    cell = segments((0.0, 0.040), (0.040, 0.1), (0.030, 0.060))
    found = Pool.read("segments:words")(STATES, CLOCK, cell)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[1.5, 15], [28 / 3, 280 / 3], [3, 30]], rtol=1e-7)


def test_a_segment_holds_the_frame_at_its_start_and_not_the_one_at_its_end():
    cell = segments((0.0125, 0.0325), (0.0325, 0.0725))
    np.testing.assert_array_equal(Pool.read("segments:words")(STATES, CLOCK, cell), [[1, 10], [3, 30]])


def test_boundaries_survive_a_rounding_error():
    start = 4.3125 - 4.3  # a little more than 0.0125
    assert start != 0.0125
    assert frame_ranges(np.array([[start, 0.02]]), CLOCK, 5)[0].tolist() == [0]


def test_centre_frame_of_each_segment():
    cell = segments(
        (0.0, 0.060),  # middle 30 ms: 32.5
        (0.010, 0.035),  # middle 22.5, between two frames: the earlier
        (0.0525, 0.0725),  # the frame at its start, not the one at its end
        (0.080, 5.0),  # past the end: the last one
    )
    np.testing.assert_array_equal(Pool.read("centre:words")(STATES, CLOCK, cell)[:, 0], [2, 1, 4, 16])


@pytest.mark.parametrize("kind", ["segments", "centre"])
def test_segments_without_a_frame_are_nan(kind):
    cell = segments((0.013, 0.032), (0.0, 0.02), (3.0, 4.0), (0.04, 0.04))
    found = Pool(kind, "words")(STATES, CLOCK, cell)
    np.testing.assert_array_equal(found, [[np.nan] * 2, [1, 10], [np.nan] * 2, [np.nan] * 2])
    nothing = Pool(kind, "words")(STATES[:0], CLOCK, cell)
    assert nothing.shape == (4, 2) and np.isnan(nothing).all()


@pytest.mark.parametrize("kind", ["segments", "centre"])
def test_only_the_tier_counts_in_the_order_of_the_column(kind):
    cell = [*segments((0.06, 0.08)), *segments((0.0, 0.1), tier="phones"), *segments((0.0, 0.02))]
    np.testing.assert_array_equal(Pool(kind, "words")(STATES, CLOCK, cell)[:, 0], [8, 1])
    assert Pool(kind, "speakers")(STATES, CLOCK, cell).shape == (0, 2)


def test_utterance_without_a_frame_has_no_mean():
    assert Pool("mean")(STATES[:0], CLOCK).shape == (0, 2)


def test_sums_are_precise():
    many = np.full((2_000_000, 1), 0.1, np.float32)  # summed in float32: 0.1008
    whole = frame_ranges(np.array([[0.0, 1e6]]), CLOCK, len(many))
    np.testing.assert_allclose(Pool("mean")(many, None), 0.1, rtol=1e-6)
    np.testing.assert_allclose(segment_means(many, *whole), 0.1, rtol=1e-6)


# Against the definition

BOUNDS = st.tuples(st.integers(-50, 900), st.integers(0, 400)).map(lambda pair: (pair[0] / 1000, sum(pair) / 1000))


@settings(max_examples=200)
@given(
    st.builds(
        FrameClock, hop=st.integers(40, 800), offset=st.integers(0, 400), field=st.just(400), padded=st.booleans()
    ),
    st.integers(0, 40),
    st.lists(BOUNDS, max_size=8),
)
def test_segments_equal_a_search_through_all_frames(clock, frames, bounds):
    states = np.random.default_rng(frames).normal(size=(frames, 3)).astype(np.float32)
    times = np.rint(clock.times(frames) * 1e9).astype(np.int64)
    cell = segments(*bounds)
    means, centres = (Pool(kind, "words")(states, clock, cell) for kind in ("segments", "centre"))
    for row, (start, end) in enumerate(bounds):
        begin, until = round(start * 1e9), round(end * 1e9)
        inside = np.flatnonzero((times >= begin) & (times < until))
        if not len(inside):
            assert np.isnan(means[row]).all() and np.isnan(centres[row]).all()
            continue
        np.testing.assert_allclose(means[row], states[inside].mean(axis=0), atol=1e-5)
        nearest = inside[np.argmin(np.abs(2 * times[inside] - begin - until))]
        np.testing.assert_array_equal(centres[row], states[nearest])


# Reading


@pytest.mark.parametrize(
    ("text", "axis"), [("none", None), ("mean", "utterance"), ("segments:phones", "segment"), ("centre:a:b", "segment")]
)
def test_text_and_back(text, axis):
    assert str(Pool.read(text)) == text
    assert Pool.read(text).axis == axis


@pytest.mark.parametrize("text", ["", "max", "mean:words", "segments", "segments:", "centre", "none:", ":words"])
def test_what_is_no_pooling(text):
    with pytest.raises(ValueError, match=r"expected none, mean, segments:TIER or centre:TIER"):
        Pool.read(text)
