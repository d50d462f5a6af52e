"""MP4: decoded in place, stream by stream."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from builders.audio import decode, normalise
from builders.errors import AudioError, CorpusError
from tests.builders.test_audio import level, samples_of
from tests.corpora.sound import m4a, riff, stem_mp4, tone

SINE = np.round(tone(440, 3) * 32767).astype(np.int16)


@pytest.mark.parametrize("first", [False, True])
def test_m4a_is_decoded_in_place(first):
    data = m4a(SINE, first=first)
    made = normalise(data)
    assert made.source == {"format": "MP4/AAC", "sampling_rate": 16000, "channels": 1}
    found = samples_of(data)
    # AAC codes 1024 samples at a time: silence is put behind, none in front.
    assert len(SINE) <= len(found) < len(SINE) + 1024
    assert level(found[: len(SINE)] / 32768) == pytest.approx(level(SINE / 32768), abs=0.2)


def test_part_of_an_m4a_and_another_rate():
    whole = samples_of(m4a(SINE))
    np.testing.assert_array_equal(samples_of(m4a(SINE), start=0.5, end=1.5), whole[8000:24000])
    parts = samples_of(m4a(SINE), parts=[(0.0, 0.5), (2.0, 2.5)])
    np.testing.assert_array_equal(parts, np.concatenate([whole[:8000], whole[32000:40000]]))
    made = normalise(m4a(np.round(tone(440, 3, 44100) * 32767).astype(np.int16), 44100))
    assert made.source["sampling_rate"] == 44100
    assert made.samples == pytest.approx(48_000, abs=400)


def test_m4a_begins_where_its_source_began():
    late = np.concatenate([np.zeros(8000, np.int16), SINE])
    assert np.argmax(np.abs(samples_of(m4a(late)).astype(int)) > 8000) == pytest.approx(8000, abs=40)


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_m4a(first, share):
    data = m4a(SINE, first=first)
    with pytest.raises(AudioError, match=r"not MP4 sound that FFmpeg can read|truncated"):
        normalise(data[: int(len(data) * share)])


def test_m4a_that_lost_whole_frames(monkeypatch):
    monkeypatch.setattr("builders.mp4.EDGE", -2000)  # as if the header claimed more than the edges explain
    with pytest.raises(AudioError, match=r"truncated: 48128 of 48000 samples decode"):
        normalise(m4a(SINE))


def test_streams_of_an_mp4_by_number():
    sounds = [np.stack([np.round(tone(pitch, 0.5, 44_100) * 20_000)] * 2, axis=1) for pitch in (300, 500, 900)]
    data = stem_mp4([sound.astype(np.int16) for sound in sounds], cover=True)
    for number, pitch in enumerate((300, 500, 900)):
        made = normalise(data, stream=number)
        assert made.source == {"format": "MP4/AAC", "sampling_rate": 44_100, "channels": 2}
        samples = decode({"bytes": made.flac, "path": "x.flac"})[:8000]
        assert np.argmax(np.abs(np.fft.rfft(samples, 16_000))) == pitch
    assert normalise(data).flac == normalise(data, stream=0).flac
    with pytest.raises(AudioError, match=r"^no sound stream 3 in an MP4 file of 3$"):
        normalise(data, stream=3)
    with pytest.raises(AudioError, match="no sound stream 1: not an MP4 file"):
        normalise(riff(SINE), stream=1)


def test_mp4_without_pyav_names_the_extra(monkeypatch):
    data = m4a(SINE)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(CorpusError, match=r"needs PyAV: pip install 'phonelayers\[video\]'"):
        normalise(data)
    normalise(riff(SINE))  # other containers don't need it


@pytest.mark.parametrize(
    ("name", "form", "rate", "channels"),
    [
        ("lhotse_fixtures/test/fixtures/big_buck_bunny_small.mp4", "MP4/AAC", 48000, 6),
        ("odd_audio_mutagen/tests/data/no-tags.m4a", "MP4/AAC", 44100, 2),
        ("odd_audio_mutagen/tests/data/alac.m4a", "MP4/ALAC", 44100, 2),
    ],
)
def test_real_mp4(shared_data, name, form, rate, channels):
    made = normalise(shared_data(name).read_bytes())
    assert made.source == {"format": form, "sampling_rate": rate, "channels": channels}
