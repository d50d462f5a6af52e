"""The log-mel encoder against the feature extractor of `transformers` (stored by make_references.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from features.encoders import load
from features.encoders.log_mel import log_mel

REFERENCE = np.load(Path(__file__).parent / "references" / "log_mel.npz")


def noise(samples):
    wave = np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


@pytest.mark.parametrize("name", [name for name in REFERENCE.files if name.startswith("short")])
def test_equals_transformers(name):
    _, samples, bands = name.split("_")
    mel = log_mel(noise(int(samples)), int(bands))
    assert mel.shape == REFERENCE[name].shape
    np.testing.assert_allclose(mel, REFERENCE[name], atol=1e-4, rtol=0)


@pytest.mark.parametrize("samples", [479_900, 504_000])
def test_equals_transformers_at_the_end_of_the_window_and_beyond_30_seconds(samples):
    mel = log_mel(noise(samples), 80)[::-150]
    np.testing.assert_allclose(mel, REFERENCE[f"long_{samples}_80"], atol=1e-4, rtol=0)


def test_equals_transformers_on_speech(shared_data):
    wave, _ = soundfile.read(shared_data("whisper_jfk/jfk_16k.wav"), dtype="float32")
    reference = np.load(shared_data("whisper_tiny_en/jfk_reference.npz"))["mel"].T
    np.testing.assert_allclose(log_mel(wave, 80, frames=3000), reference, atol=1e-4, rtol=0)
    np.testing.assert_allclose(log_mel(wave, 80), reference[: len(wave) // 160], atol=1e-4, rtol=0)


def test_frames_behind_the_utterance_are_silence():
    mel = log_mel(noise(8000), 80, frames=60)
    # the window of frame 51 ends at sample 8360 and begins at 7960; that of frame 52 at 8120
    assert mel[51].max() > mel[52:].max()
    # silence is 1e-10, whose -10 lies under the floor of "loudest - 8"
    np.testing.assert_allclose(mel[52:], mel.max() - 2.0, atol=1e-6)


def test_loudest_frame_behind_the_end_sets_the_floor():
    wave = np.zeros(1600, np.float32)
    wave[1595:] = 1.0  # heard best by frame 10, centred at sample 1600, just outside
    inside, around = log_mel(wave, 80), log_mel(wave, 80, frames=12)
    assert len(inside) == 10 and around.argmax() // 80 == 10
    assert inside.min() == pytest.approx(around.max() - 2.0)


def test_digital_silence_is_the_lowest_value():
    assert np.unique(log_mel(np.zeros(4000, np.float32), 80)) == pytest.approx([-1.5])  # (-10 + 4) / 4


def test_a_tone_is_loudest_in_its_band_and_frame():
    time = np.arange(16_000) / 16_000
    wave = (np.sin(2 * np.pi * 1000 * time) * (time >= 0.5)).astype(np.float32)
    mel = log_mel(wave, 80)
    # Slaney's scale: 1000 Hz is mel 15 and 8000 Hz is mel 45.245; 82 edges from 0, so band 26 peaks at mel 15.08
    assert set(mel[55:95].argmax(axis=1)) == {26}
    # 400 samples around sample 160 t: frame 48 ends before sample 8000, frame 49 hears it
    assert np.ptp(mel[:48]) == 0 and mel[49, 26] > mel[48, 26]


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=4), seed=st.integers(0, 2**16))
def test_neighbours_do_not_matter(lengths, seed):
    encoder = load("log_mel")
    rng = np.random.RandomState(seed)
    batch = np.zeros((len(lengths), max(lengths)), np.float32)
    for row, length in zip(batch, lengths, strict=True):
        row[:length] = rng.randn(length)
    out = encoder.encode(batch, np.array(lengths), ["mel"])["mel"]
    assert out.shape == (len(lengths), encoder.clock.frames(max(lengths)), 80)
    for row, wave, length in zip(out, batch, lengths, strict=True):
        alone = log_mel(wave[:length], 80)
        assert len(alone) == -(-length // 160)
        np.testing.assert_array_equal(row[: len(alone)], alone)


def test_what_the_encoder_says_of_itself():
    encoder = load("log_mel")
    assert (encoder.name, encoder.init, encoder.revision, encoder.layers) == ("log_mel", "none", "", {"mel": 80})
    assert (encoder.clock.hop, encoder.clock.offset, encoder.clock.padded) == (160, 0, True)
    assert encoder.window is None


def test_long_utterances_are_transformed_in_blocks(monkeypatch):
    import features.encoders.log_mel as module

    wave = noise(20_007)
    whole = log_mel(wave, 80)
    monkeypatch.setattr(module, "BLOCK_FRAMES", 7)
    np.testing.assert_allclose(log_mel(wave, 80), whole, atol=1e-6)
