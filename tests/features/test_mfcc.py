"""The MFCC encoder against librosa and against the deltas' definition."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from features.encoders import load
from features.encoders.mfcc import mfcc


def noise(samples, seed=0):
    return (0.1 * np.random.RandomState(seed).randn(samples)).astype(np.float32)


@pytest.mark.parametrize("samples", [1600, 1601, 8000, 20_007])
def test_static_part_equals_librosa(samples):
    wave = noise(samples)
    expected = librosa.feature.mfcc(y=wave, sr=16_000, n_mfcc=13, n_mels=40, n_fft=512, win_length=400, hop_length=160)
    ours = mfcc(wave)
    assert ours.shape == (-(-samples // 160), 39) and ours.dtype == np.float32
    np.testing.assert_allclose(ours[:, :13], expected.T[: len(ours)], atol=1e-4)


def test_deltas_are_slope_and_curvature_of_a_parabola_through_nine_frames():
    values = mfcc(noise(16_000)).astype(np.float64)
    offsets = np.arange(-4, 5)
    for t in (4, 50, 95):
        curvature, slope, _ = np.polyfit(offsets, values[t - 4 : t + 5, :13], 2)
        np.testing.assert_allclose(values[t, 13:26], slope, atol=1e-3)
        np.testing.assert_allclose(values[t, 26:], 2 * curvature, atol=1e-3)


def test_deltas_at_the_edge_repeat_the_edge_frame():
    values = mfcc(noise(16_000)).astype(np.float64)
    padded = np.pad(values[:, :13], ((4, 4), (0, 0)), mode="edge")
    weights = np.arange(-4, 5) / 60  # least-squares slope over nine frames: sum of n^2 is 60
    for t in (0, 1, 98, 99):
        np.testing.assert_allclose(values[t, 13:26], weights @ padded[t : t + 9], atol=1e-3)


@pytest.mark.parametrize("samples, frames", [(0, 0), (1, 1), (160, 1), (161, 2), (1280, 8), (1281, 9), (1600, 10)])
def test_any_length_works(samples, frames, recwarn):
    values = mfcc(noise(samples))
    assert values.shape == (frames, 39)
    assert np.isfinite(values).all()
    assert not recwarn.list


def test_one_frame_has_no_slope():
    values = mfcc(noise(160))
    np.testing.assert_allclose(values[0, 13:], 0, atol=1e-4)
    assert np.abs(values[0, :13]).max() > 1


def test_neighbours_do_not_matter():
    encoder = load("mfcc")
    lengths = np.array([4000, 0, 150, 1601])
    batch = np.zeros((4, 4000), np.float32)
    for seed, (row, length) in enumerate(zip(batch, lengths, strict=True)):
        row[:length] = (10.0**seed) * noise(length, seed)
    out = encoder.encode(batch, lengths, ["mfcc"])["mfcc"]
    assert out.shape == (4, 25, 39)
    for row, wave, length in zip(out, batch, lengths, strict=True):
        alone = encoder.encode(wave[None, :length], np.array([length]), ["mfcc"])["mfcc"][0]
        np.testing.assert_array_equal(row[: len(alone)], alone)


def test_what_the_encoder_says_of_itself():
    encoder = load("mfcc")
    assert (encoder.name, encoder.init, encoder.revision, encoder.layers) == ("mfcc", "none", "", {"mfcc": 39})
    assert (encoder.clock.hop, encoder.clock.offset, encoder.clock.field, encoder.clock.padded) == (160, 0, 400, True)
