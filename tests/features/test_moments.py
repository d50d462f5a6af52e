"""Means and deviations, added up over parts, against NumPy over the whole."""

from __future__ import annotations

import numpy as np
import pytest

from features.moments import CHUNK, Moments


@pytest.mark.parametrize("frames", [0, 1, CHUNK, 3 * CHUNK + 7])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_parts_add_up_to_the_whole(frames, dtype):
    values = (np.random.default_rng(0).normal(size=(frames, 5)) * [1, 10, 100, 0.1, 1] + 3).astype(dtype)
    whole = Moments.sum([Moments.of(part) for part in np.array_split(values, 3)], 5).summary()
    assert whole["frames"] == frames
    if frames:
        np.testing.assert_allclose(whole["mean"], values.mean(0, dtype=np.float64), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(whole["std"], values.std(0, dtype=np.float64), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_frames_that_are_no_numbers_do_not_count(bad):
    values = np.random.default_rng(0).normal(size=(2 * CHUNK, 3)).astype(np.float32)
    spoiled = values.copy()
    spoiled[[0, CHUNK + 1], 1] = bad
    kept = np.delete(values, [0, CHUNK + 1], axis=0)
    found, expected = Moments.of(spoiled), Moments.of(kept)
    assert found.count == expected.count == len(kept)
    np.testing.assert_allclose(found.total, expected.total)
    np.testing.assert_allclose(found.squares, expected.squares)


def test_kept_exactly():
    made = Moments.of(np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32))
    again = Moments.from_json(made.to_json())
    assert again.count == made.count
    np.testing.assert_array_equal(again.total, made.total)
