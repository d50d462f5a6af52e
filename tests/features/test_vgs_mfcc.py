from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from features.vgs_mfcc import CLOCK, vgs_mfcc
from tests.features.platalea.make_vgs_mfcc import chirp

REFERENCE = json.loads(Path(__file__).with_name("platalea").joinpath("vgs_mfcc.json").read_text())


def test_equal_to_the_original_code():
    found = vgs_mfcc(chirp() / 32768)
    assert list(found.shape) == REFERENCE["shape"]
    np.testing.assert_allclose(found[:: REFERENCE["every"]], REFERENCE["frames"], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("samples", [0, 159, 160, 399, 400, 16_000, 16_159])
def test_as_many_frames_as_the_clock_says(samples):
    found = vgs_mfcc(np.zeros(samples, np.float32))
    assert found.shape == (CLOCK.frames(samples), 39) == (samples // 160, 39)
    assert np.isfinite(found).all()


def test_a_click_is_loudest_where_its_frame_is_centred():
    wave = np.zeros(16_000)
    wave[8_000] = 0.9
    energy = vgs_mfcc(wave)[:, 0]
    times = CLOCK.times(len(energy))
    heard = times[energy > energy.max() - 1]
    assert abs(heard.mean() - 0.5) < 0.006
