from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clock import FrameClock
from features.windows import Window, windows

WHISPER = FrameClock(hop=320, offset=0, field=400, padded=True)
WAV2VEC2 = FrameClock(hop=320, offset=200, field=400, padded=False)
SECOND = 16_000

CLOCKS = st.one_of(
    st.just(WHISPER),
    st.just(WAV2VEC2),
    st.builds(
        lambda hop, share, field, padded: FrameClock(hop=hop, offset=hop * share // 10, field=field, padded=padded),
        st.integers(40, 1_000), st.integers(0, 10), st.integers(1, 2_000), st.booleans(),
    ),
)  # fmt: skip


def test_short_utterance_is_one_piece():
    assert windows(16_001, window=480_000, clock=WHISPER) == [Window(0, 16_001, 0, 51)]
    assert windows(480_000, window=480_000, clock=WHISPER) == [Window(0, 480_000, 0, 1500)]
    assert windows(9_000_000, window=None, clock=WAV2VEC2) == [Window(0, 9_000_000, 0, 28124)]


def test_utterance_without_a_frame_has_no_piece():
    assert windows(0, window=480_000, clock=WHISPER) == []
    assert windows(399, window=None, clock=WAV2VEC2) == []


def test_whisper_windows_by_hand():
    # 31 s; the second window begins 28 s later, and each gives up 1 s at the seam at 29 s
    assert windows(31 * SECOND, window=30 * SECOND, clock=WHISPER) == [
        Window(0, 480_000, 0, 1450),
        Window(448_000, 496_000, 50, 100),
    ]


def test_one_sample_more_than_the_window():
    first, second = windows(480_001, window=480_000, clock=WHISPER)
    assert (first.frames, second.frames) == (1450, 51)
    assert (second.first, second.last) == (448_000, 480_001)


@settings(max_examples=500)
@given(CLOCKS, st.integers(0, 200 * SECOND), st.integers(3 * SECOND, 40 * SECOND))
def test_pieces_give_every_frame_exactly_once(clock, samples, window):
    pieces = windows(samples, window=window, clock=clock)
    taken = []
    for piece in pieces:
        assert 0 <= piece.first < piece.last <= samples
        assert piece.last - piece.first <= window
        assert piece.first % clock.hop == 0  # so that a piece's frames are the utterance's
        assert piece.skip >= 0 and piece.frames >= 1
        assert piece.skip + piece.frames <= clock.frames(piece.last - piece.first)
        begin = piece.first // clock.hop + piece.skip
        taken.extend(range(begin, begin + piece.frames))
    assert taken == list(range(clock.frames(samples)))


@settings(max_examples=500)
@given(CLOCKS, st.integers(0, 200 * SECOND), st.integers(3 * SECOND, 40 * SECOND))
def test_frames_beside_a_seam_have_a_second_of_context(clock, samples, window):
    pieces = windows(samples, window=window, clock=clock)
    for piece in pieces[1:]:
        assert piece.skip * clock.hop + clock.offset >= SECOND
    for piece in pieces[:-1]:
        last = (piece.skip + piece.frames - 1) * clock.hop + clock.offset
        assert piece.last - piece.first - last >= SECOND


@pytest.mark.parametrize("window", [32_000, 16_000, 320])
def test_window_no_longer_than_the_overlap(window):
    with pytest.raises(ValueError, match=f"a window of {window} samples is no longer than the overlap of 2 s"):
        windows(10 * SECOND, window=window, clock=WHISPER)


@settings(max_examples=300)
@given(CLOCKS, st.integers(0, 200 * SECOND), st.integers(5 * SECOND, 60 * SECOND), st.integers(0, 4 * SECOND))
def test_any_overlap(clock, samples, window, overlap):
    if window // clock.hop <= 2 * -(-overlap // 2 // clock.hop):
        return  # refused, as above
    pieces = windows(samples, window=window, clock=clock, overlap=overlap)
    assert sum(piece.frames for piece in pieces) == clock.frames(samples)
    for before, after in itertools.pairwise(pieces):
        assert before.first + (before.skip + before.frames) * clock.hop == after.first + after.skip * clock.hop
        assert after.skip * clock.hop + clock.offset >= overlap // 2
        assert before.last - after.first >= overlap - clock.hop
