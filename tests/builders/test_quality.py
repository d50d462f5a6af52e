"""Signals whose faults are known, after the rounding to 16 bit that tables have."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from builders import quality
from builders.audio import INT16_SCALE
from tests.corpora.sound import RATE, tone


def stored(samples: np.ndarray) -> np.ndarray:
    """Return samples as a table gives them back."""
    return (np.clip(np.rint(samples * INT16_SCALE), -INT16_SCALE, INT16_SCALE - 1) / INT16_SCALE).astype(np.float32)


def noise(samples: int, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(samples) * level


@pytest.mark.parametrize("over", [1.2, 2.0, 10.0])
def test_a_clipped_sine(over):
    samples = stored(np.clip(tone(100, 2, amplitude=over), -1, 1))
    share = 1 - 2 / np.pi * np.arcsin(1 / over)  # of the time, by the inverse of the sine
    assert quality.clipped_share(samples) == pytest.approx(share, abs=0.015)
    assert quality.peak(samples) == 1.0
    assert quality.clipped_share(samples / 2) == quality.clipped_share(samples)  # made quieter since


@pytest.mark.parametrize("samples", [tone(440, 1, amplitude=0.999), noise(RATE), np.zeros(RATE), np.empty(0)])
def test_what_is_not_clipped(samples):
    assert quality.clipped_share(stored(samples)) == 0.0


@pytest.mark.parametrize("rate", [8_000, 11_025, 12_000])
@pytest.mark.parametrize("level", [0.2, 0.02, 0.002])
def test_upsampled_audio_shows(rate, level):
    upsampled = stored(soxr.resample(noise(2 * rate, level), rate, RATE, quality="HQ"))
    assert quality.bandwidth(upsampled) == pytest.approx(rate / 2, abs=150)
    assert quality.bandwidth(stored(noise(2 * RATE, level))) == RATE / 2


def test_bandwidth_of_a_tone_and_of_a_click():
    assert quality.bandwidth(stored(tone(1_000, 1))) == pytest.approx(1_000, abs=150)
    clicked = soxr.resample(noise(16_000), 8_000, RATE, quality="HQ")
    clicked[5_000] = 0.9
    assert quality.bandwidth(stored(clicked)) == pytest.approx(4_000, abs=150)


def test_half_silence():
    samples = noise(2 * RATE)
    samples[RATE:] = 0
    assert quality.silent_share(stored(samples)) == 0.5
    assert quality.silent_share(stored(samples * 1e-4)) == 1.0


def test_an_offset_is_found_and_is_no_sound():
    assert quality.dc_offset(stored(noise(4 * RATE, 0.05) + 0.1)) == pytest.approx(0.1, abs=1e-3)
    assert quality.dc_offset(stored(tone(100, 1))) == pytest.approx(0, abs=1e-6)
    assert quality.silent_share(stored(np.full(RATE, -0.1))) == 1.0
    assert quality.bandwidth(stored(np.full(RATE, 0.1))) == 0.0


@pytest.mark.parametrize("samples", [0, 1, 100, 159])
def test_almost_nothing(samples):
    empty = np.zeros(samples, np.float32)
    assert (quality.peak(empty), quality.dc_offset(empty), quality.bandwidth(empty)) == (0.0, 0.0, 0.0)
    assert quality.silent_share(empty) == (1.0 if samples else 0.0)
