"""Which segment holds a moment, against a loop that reads like the rule."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.schema import SEGMENTS
from probes.segments import nanoseconds, tier_segments, tiers
from tests.probes.probe_tables import segment

STORAGE = pa.list_(pa.struct([(name, pa.string() if feature.dtype == "string" else pa.float64())
                              for name, feature in SEGMENTS.feature.items()]))  # fmt: skip


def column(*rows: list[dict] | None) -> pa.Array:
    return pa.array(rows, type=STORAGE)


def held(rows: pa.Array, row: int, time: float, tier: str = "phones") -> str | None:
    segments = tier_segments(rows, tier)
    found = segments.at(np.array([row]), np.array([time]))[0]
    return None if found < 0 else segments.names[segments.labels[found]]


def by_the_rule(row: list[dict], time: float, tier: str) -> str | None:
    ordered = sorted(row, key=lambda one: nanoseconds(one["start"]))  # stable, as the corpus lists them
    moment = nanoseconds(time)
    for one in ordered:
        if one["tier"] == tier and nanoseconds(one["start"]) <= moment < nanoseconds(one["end"]):
            return one["label"]
    return None


def test_start_belongs_to_the_segment_and_end_does_not():
    rows = column([segment(0.02, 0.04, "a"), segment(0.04, 0.06, "b")])
    assert [held(rows, 0, t) for t in (0.0, 0.0199, 0.02, 0.0399, 0.04, 0.0599, 0.06)] == [
        None, None, "a", "a", "b", "b", None,
    ]  # fmt: skip


def test_a_boundary_moved_by_a_subtraction_does_not_move_the_label():
    start = 4.3 - 4.0
    assert start < 0.3
    end = 0.1 + 0.2
    assert end > 0.3
    rows = column(
        [segment(0.1, end, "a"), segment(end, 0.5, "b")], [segment(0.1, start, "a"), segment(start, 0.5, "b")]
    )
    assert held(rows, 0, 4800 / 16000) == "b"
    assert held(rows, 1, 4800 / 16000) == "b"


def test_the_first_of_overlapping_segments_wins_nested_and_equal_starts_included():
    rows = column(
        [segment(0, 1, "outer"), segment(0.2, 0.4, "inner"), segment(0.9, 1.5, "late")],
        [segment(0.5, 0.6, "short"), segment(0.5, 0.9, "long")],
        [segment(0.5, 0.9, "long"), segment(0.5, 0.6, "short")],
    )
    assert [held(rows, 0, t) for t in (0.3, 0.95, 1.0, 1.4)] == ["outer", "outer", "late", "late"]
    assert [held(rows, 1, t) for t in (0.55, 0.7)] == ["short", "long"]
    assert held(rows, 2, 0.55) == "long"


def test_other_tiers_and_rows_without_segments_hold_nothing():
    rows = column([], None, [segment(0, 1, "word", tier="words")], [segment(0, 1, "a")])
    assert [held(rows, row, 0.5) for row in range(4)] == [None, None, None, "a"]
    assert held(rows, 2, 0.5, tier="words") == "word"
    assert tiers(rows) == {"phones", "words"}
    assert tiers(pa.chunked_array([rows, column()])) == {"phones", "words"}


def test_empty_backward_and_undefined_segments_hold_nothing():
    rows = column([segment(0.5, 0.5, "empty"), segment(0.8, 0.2, "backward"), segment(float("nan"), 1, "undefined")])
    assert [held(rows, 0, t) for t in (0.2, 0.5, 0.8)] == [None, None, None]
    null = segment(0, 1, "a") | {"start": None}
    assert held(column([null]), 0, 0.5) is None


def test_a_segment_that_begins_before_its_row_does_not_reach_into_the_one_before():
    rows = column([segment(0, 0.9, "aa")], [segment(-0.15, 0.2, "b"), segment(-0.3, -0.1, "gone")])
    assert [held(rows, 0, t) for t in (0.89, 0.9, 0.98, 1.0)] == ["aa", None, None, None]
    segments = tier_segments(rows, "phones")
    moments = np.arange(0, 1, 0.02)
    found = segments.at(np.repeat([0, 1], 50), np.tile(moments, 2)).reshape(2, 50)
    names = [[None if i < 0 else segments.names[segments.labels[i]] for i in one] for one in found]
    assert names == [["aa"] * 45 + [None] * 5, ["b"] * 10 + [None] * 40]


def test_slices_and_chunks_of_a_column_read_alike():
    rows = column([segment(0, 1, "a")], [segment(0, 1, "b")], [segment(0, 1, "c"), segment(1, 2, "d")])
    chunked = pa.chunked_array([rows.slice(0, 1), rows.slice(1)])
    assert held(rows.slice(2), 0, 1.5) == "d"
    assert [held(chunked.slice(1), row, 0.5) for row in range(2)] == ["b", "c"]


moments = st.integers(0, 40).map(lambda n: n / 8)
bounds = st.integers(-16, 40).map(lambda n: n / 8)  # cut out of a longer recording, a segment may begin before it
spans = st.builds(segment, bounds, bounds, st.sampled_from("abc"), st.sampled_from(["phones", "words"]))


@settings(max_examples=300)
@given(st.lists(st.lists(spans, max_size=6), min_size=1, max_size=4), st.data())
def test_equals_the_rule_for_any_segments(rows, data):
    asked = data.draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), moments), max_size=10))
    segments = tier_segments(column(*rows), "phones")
    found = segments.at(np.array([row for row, _ in asked], dtype=int), np.array([time for _, time in asked]))
    names = [None if i < 0 else segments.names[segments.labels[i]] for i in found]
    assert names == [by_the_rule(rows[row], time, "phones") for row, time in asked]


@pytest.mark.parametrize("sample", [0, 1, 319, 320, 16000 * 3600])
def test_sample_times_are_whole_nanoseconds(sample):
    assert nanoseconds(sample / 16000) == sample * 62_500
