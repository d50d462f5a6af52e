from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.clock import FrameClock

WHISPER = FrameClock(hop=320, offset=0, field=400, padded=True)
WAV2VEC2 = FrameClock(hop=320, offset=200, field=400, padded=False)
MEL = FrameClock(hop=160, offset=0, field=400, padded=True)

CLOCKS = st.builds(
    FrameClock, hop=st.integers(1, 500), offset=st.integers(0, 600), field=st.integers(1, 900), padded=st.booleans()
)


@pytest.mark.parametrize(
    ("samples", "frames"),
    [
        (0, 0), (1, 1), (319, 1), (320, 1), (321, 2), (640, 2), (641, 3),
        (480_000, 1500),  # the window of 30 s
        (480_001, 1501),
        (46_797, 147),  # TIMIT's FCJF0 SA1: 146.2 hops
        (681_600, 2130),
    ],
)  # fmt: skip
def test_whisper_frames_by_hand(samples, frames):
    assert WHISPER.frames(samples) == frames


@pytest.mark.parametrize(
    ("samples", "frames"),
    [
        (0, 0), (1, 0), (399, 0),  # too short for one frame
        (400, 1), (719, 1), (720, 2), (1039, 2), (1040, 3),
        (16_000, 49),  # 48.75 hops behind the first frame
        (681_600, 2129),
    ],
)  # fmt: skip
def test_wav2vec2_frames_by_hand(samples, frames):
    assert WAV2VEC2.frames(samples) == frames


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (160, 1), (161, 2), (480_000, 3000)])
def test_mel_frames_by_hand(samples, frames):
    assert MEL.frames(samples) == frames


@given(st.integers(0, 5_000_000))
def test_formulas_of_the_models(samples):
    assert WHISPER.frames(samples) == -(-samples // 320)
    assert WAV2VEC2.frames(samples) == max(0, (samples - 400) // 320 + 1)


# Kernel widths and strides of wav2vec 2.0's convolutions: an independent count of its frames.
CONVOLUTIONS = [(10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)]


@given(st.integers(400, 1_000_000))
def test_wav2vec2_frames_are_those_of_its_convolutions(samples):
    length = samples
    for width, stride in CONVOLUTIONS:
        length = (length - width) // stride + 1
    assert WAV2VEC2.frames(samples) == length


@given(CLOCKS, st.integers(0, 3_000))
def test_frames_by_brute_force(clock, samples):
    if clock.padded:
        expected = sum(1 for t in range(samples + 1) if t * clock.hop + clock.offset < samples)
    else:
        expected = sum(1 for t in range(samples + 1) if t * clock.hop + clock.field <= samples)
    assert clock.frames(samples) == expected


@given(CLOCKS, st.integers(0, 100_000))
def test_a_longer_utterance_has_no_fewer_frames(clock, samples):
    assert 0 <= clock.frames(samples + 1) - clock.frames(samples) <= 1


def test_times_by_hand():
    np.testing.assert_array_equal(WHISPER.times(4), [0.0, 0.02, 0.04, 0.06])
    np.testing.assert_array_equal(WAV2VEC2.times(3), [0.0125, 0.0325, 0.0525])
    assert MEL.times(0).shape == (0,)
    assert MEL.times(0).dtype == np.float64


@given(CLOCKS, st.integers(0, 300_000))
def test_padded_frames_are_centred_within_the_utterance(clock, samples):
    times = clock.times(clock.frames(samples))
    assert len(times) == clock.frames(samples)
    if clock.padded and len(times):
        assert times[-1] * 16_000 < samples
        assert (times[-1] * 16_000) + clock.hop >= samples - 1e-6


def test_times_stay_exact_over_hours():
    assert WHISPER.times(900_000)[-1] == 899_999 * 320 / 16_000  # five hours


@pytest.mark.parametrize("wrong", [{"hop": 0}, {"field": 0}, {"offset": -1}, {"hop": -320}])
def test_impossible_clocks(wrong):
    with pytest.raises(ValueError, match="hop >= 1, field >= 1 and offset >= 0"):
        FrameClock(**{"hop": 320, "offset": 0, "field": 400, "padded": True, **wrong})


def test_plain_values_go_to_json_and_back():
    text = json.dumps(WAV2VEC2.to_dict())
    assert FrameClock(**json.loads(text)) == WAV2VEC2
