from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from builders.audio import decode, encode, normalise
from builders.errors import AudioError
from tests.corpora.sound import RATE, flac, noise, pack_audio, riff, sphere, tone

ODD = (
    "odd_wav_scipy", "odd_audio_mutagen", "odd_soundfile", "hf_datasets_audio", "pocketsphinx_fixtures",
    "deepspeech_smoke", "whisper_jfk", "lhotse_fixtures",
)  # fmt: skip
SUFFIXES = {".wav", ".flac", ".mp3", ".opus", ".ogg", ".sph", ".aif", ".mp4", ".m4a", ".aac", ".raw"}
SHORTENED = sphere(noise(9), "x").replace(b"end_head\n", b"sample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n")
# What libsndfile does not open, and files that are valid but hold nothing.
UNUSABLE = {
    "test-8000Hz-le-3ch-5S-36bit.wav", "test-8000Hz-le-3ch-5S-45bit.wav", "test-8000Hz-le-3ch-5S-53bit.wav",
    "test-8000Hz-le-3ch-5S-64bit.wav", "test-44100Hz-le-1ch-4bytes-early-eof.wav",
    "test-44100Hz-le-1ch-4bytes-early-eof-no-data.wav", "test-44100Hz-le-1ch-4bytes-incomplete-chunk.wav",
    "52-too-short-block-size.flac", "ooming-header.flac", "106-invalid-streaminfo.flac", "52-overwritten-metadata.flac",
    "variable-block.flac", "adif.aac", "too-short.mp3", "emptyfile.mp3", "truncated-64bit.mp4", "64bit.mp4",
    "mono.raw", "goforward.raw", "bad.wav", "evil.wav", "null.wav",
}  # fmt: skip


def samples_of(data: bytes, **options) -> np.ndarray:
    """Normalise and decode back, as int16."""
    return np.rint(decode({"bytes": normalise(data, **options).flac}) * 32768).astype(np.int16)


def level(signal: np.ndarray) -> float:
    """Return the RMS level in dB of full scale, the ends left out."""
    return 20 * np.log10(np.sqrt(np.mean(signal[500:-500] ** 2)) + 1e-12)


def with_length(data: bytes, total: int) -> bytes:
    """Write another total into the STREAMINFO of a FLAC file: 36 bits from the middle of byte 21 on."""
    changed = bytearray(data)
    changed[21] = (changed[21] & 0xF0) | (total >> 32)
    changed[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(changed)


# What passes through, and what it becomes otherwise


def test_target_form_passes_through_byte_for_byte():
    data = flac(noise(5000))
    made = normalise(data)
    assert made.flac == data
    assert made.samples == 5000
    assert made.source == {"format": "FLAC/PCM_16", "sampling_rate": 16000, "channels": 1}


@pytest.mark.parametrize(
    "data",
    [
        flac(noise(5000), 8000),
        pack_audio(np.stack([noise(5000)] * 2, axis=1), form="FLAC"),
        pack_audio(noise(5000), form="FLAC", subtype="PCM_24"),
        riff(noise(5000)),
    ],
    ids=["rate", "channels", "bits", "container"],
)
def test_any_other_form_is_encoded_anew(data):
    made = normalise(data)
    assert made.flac != data
    header = sf.info(io.BytesIO(made.flac))
    assert (header.format, header.subtype, header.samplerate, header.channels) == ("FLAC", "PCM_16", 16000, 1)
    assert header.frames == made.samples


@pytest.mark.parametrize("pack", [riff, lambda pcm: sphere(pcm, "cjf0_sa1"), flac], ids=["riff", "sphere", "flac"])
def test_16_bit_samples_survive_exactly(pack):
    pcm = np.concatenate([noise(4000), np.array([-32768, 32767, 0, 1, -1], np.int16)])
    np.testing.assert_array_equal(samples_of(pack(pcm)), pcm)


def test_header_fields_of_the_source_are_kept():
    made = normalise(pack_audio(np.stack([noise(800)] * 3, axis=1), 8000, subtype="PCM_24"))
    assert made.source == {"format": "WAV/PCM_24", "sampling_rate": 8000, "channels": 3}
    assert made.samples == 1600


def test_24_bits_round_to_the_nearest_16():
    # In units of 1/256 of a 16-bit step; halves go to the even neighbour.
    sent = np.array([0, 127, 128, 129, 384, 385, -127, -128, -129, -384, -385, 256 * 1000 + 200], np.int32)
    expected = np.array([0, 0, 0, 1, 2, 2, 0, 0, -1, -2, -2, 1001], np.int16)
    data = pack_audio(sent << 8, subtype="PCM_24")
    assert normalise(data).clipped == 0
    np.testing.assert_array_equal(samples_of(data), expected)


def test_clipping_is_counted_and_not_wrapped():
    loud = np.tile(np.array([1.5, -2.0, 0.25, -1.0, 1.0]), 100)
    data = pack_audio(loud, subtype="FLOAT")
    # 1.0 is one step above the largest 16-bit value: it clips as well, -1.0 does not
    assert normalise(data).clipped == 300
    np.testing.assert_array_equal(samples_of(data)[:5], [32767, -32768, 8192, -32768, 32767])


def test_golden_samples():
    """Raise `MACHINERY_VERSION` in builders/corpus.py when this changes: tables in caches are then made anew."""
    signal = (tone(440, 0.5, 44_100) + tone(3_000, 0.5, 44_100, 0.3)) * 20_000
    stereo = np.stack([signal, noise(len(signal))], axis=1).astype(np.int16)
    # soxr's last bit may differ between processors
    np.testing.assert_allclose(samples_of(riff(stereo, 44_100))[100::800], GOLDEN_RESAMPLED, atol=1)
    pair = np.stack([noise(8_000, 1), noise(8_000, 2)], axis=1).astype(np.int32) * 200_003
    mixed = samples_of(pack_audio(pair, subtype="PCM_24"))
    assert hashlib.sha256(mixed.astype("<i2").tobytes()).hexdigest() == GOLDEN_MIXED


GOLDEN_RESAMPLED = [-8546, -7274, -8714, -8381, -7997, -7853, -7341, -8003, -8283, -7709]
GOLDEN_MIXED = "f978f33f344e5fa875fab40fd8a37cbd6d7e294ae1befb6842a27762fa119645"


# Resampling


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000])
def test_length_follows_the_rate(rate):
    made = normalise(riff(noise(rate + 7), rate))
    assert abs(made.samples - (rate + 7) * RATE / rate) <= 1


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_speech_band_is_kept_and_what_is_above_vanishes(rate):
    kept = decode({"bytes": normalise(pack_audio(tone(0.9 * 8000, 1, rate), rate, subtype="FLOAT")).flac})
    expected = 20 * np.log10(0.5 / np.sqrt(2))
    assert abs(level(kept) - expected) < 0.1
    gone = normalise(pack_audio(tone(9_000, 1, rate), rate, subtype="FLOAT"))
    # Below the 16-bit step, so the samples are zero throughout
    assert level(decode({"bytes": gone.flac})) < -100


def test_8k_is_raised_without_images():
    raised = decode({"bytes": normalise(pack_audio(tone(1_000, 1, 8000), 8000, subtype="FLOAT")).flac})
    spectrum = np.abs(np.fft.rfft(raised[:16_000] * np.hanning(16_000)))
    assert np.argmax(spectrum) == 1_000
    assert 20 * np.log10(spectrum[4_100:].max() / spectrum.max()) < -85


# Channels


def test_mean_of_the_channels_and_choice_of_one():
    left, right = noise(3000, 1).astype(np.int32) * 2, noise(3000, 2).astype(np.int32) * 2
    data = riff(np.stack([left, right], axis=1).astype(np.int16))
    np.testing.assert_array_equal(samples_of(data), (left + right) // 2)
    np.testing.assert_array_equal(samples_of(data, channel="0"), left)
    np.testing.assert_array_equal(samples_of(data, channel="1"), right)


@pytest.mark.parametrize("channel", ["2", "left", "-1"])
def test_unknown_channel_is_an_error(channel):
    data = riff(np.stack([noise(10), noise(10)], axis=1))
    with pytest.raises(AudioError, match="2 channels"):
        normalise(data, channel=channel)


# Parts


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
)
@pytest.mark.parametrize("signal", ["noise", "tones"])
def test_parts_are_sample_exact(form, subtype, signal):
    # Tones: MP3 frames of a few bytes that lean on many frames before them.
    steps = [tone(300 + 100 * step, 1) for step in range(5)]
    wave = np.concatenate(steps) if signal == "tones" else noise(5 * RATE) / 32768
    data = pack_audio(wave, form=form, subtype=subtype)
    whole = samples_of(data).astype(int)
    for start, end in [(0.0, 0.5), (0.5, 1.25), (2.000125, 2.75), (4.5, None), (3.99999, 4.5)]:
        first = round(start * RATE)
        last = None if end is None else round(end * RATE)
        part = samples_of(data, start=start, end=end).astype(int)
        expected = whole[first:last]
        assert len(part) == len(expected)
        assert np.abs(part - expected).max() <= 1


def test_part_of_another_rate_is_cut_before_resampling():
    pcm = noise(8000)
    np.testing.assert_array_equal(
        samples_of(riff(pcm, 8000), start=0.25, end=0.75), samples_of(riff(pcm[2000:6000], 8000))
    )


@pytest.mark.parametrize(("start", "end"), [(2.0, 3.0), (0.5, 0.5), (0.5, 0.2)])
def test_part_without_samples_is_an_error(start, end):
    with pytest.raises(AudioError, match="no samples"):
        normalise(riff(noise(RATE)), start=start, end=end)


def test_end_behind_the_file_is_the_end_of_the_file():
    assert normalise(riff(noise(RATE)), start=0.5, end=7.0).samples == RATE // 2


# Bad files: each with its reason


@pytest.mark.parametrize("cut", [1, 100, 0.5, 0.9])
@pytest.mark.parametrize(
    "data",
    [
        riff(noise(RATE)), flac(noise(RATE)), sphere(noise(RATE), "cjf0_sa1"), pack_audio(noise(RATE), form="AIFF"),
        pack_audio(noise(RATE), form="RF64"), pack_audio(noise(RATE), form="AU"),
        pack_audio(noise(20 * RATE), form="OGG", subtype="VORBIS"),
        pack_audio(noise(20 * RATE), form="OGG", subtype="OPUS"),
    ],
    ids=["wav", "flac", "sphere", "aiff", "rf64", "au", "vorbis", "opus"],
)  # fmt: skip
def test_truncated_file_is_an_error(data, cut):
    left = len(data) - cut if isinstance(cut, int) else int(len(data) * (1 - cut))
    with pytest.raises(AudioError, match=r"truncated|decoded|libsndfile"):
        normalise(data[:left])
    assert normalise(data).samples >= RATE


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_wav_written_to_a_pipe_is_whole(size):
    data = bytearray(riff(noise(500)))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    np.testing.assert_array_equal(samples_of(bytes(data)), noise(500))


@pytest.mark.parametrize("total", [0, RATE + 1, 2**36 - 1])
def test_flac_with_a_wrong_length_in_its_header_is_an_error(total):
    # 0 stands for unknown; 2^36 samples would be 256 GB of floats
    with pytest.raises(AudioError):
        normalise(with_length(flac(noise(RATE)), total))


def test_flac_with_a_flipped_byte_is_an_error():
    data = bytearray(flac(noise(RATE)))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(AudioError):
        normalise(bytes(data))
    assert normalise(bytes(data), trust=True).flac == bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"hello " * 100, "not audio"),
        (b"\0" * 2000, "not audio"),
        (riff(noise(0)), "no samples"),
        (sphere(noise(0), "x"), "no samples"),
        (riff(noise(1), 48_000), "too short: 1 samples at 48000 Hz"),
        (pack_audio(np.array([0.1, np.nan, 0.2]), subtype="FLOAT"), "not finite"),
        (pack_audio(np.array([0.1, np.inf, 0.2]), subtype="FLOAT"), "not finite"),
        (SHORTENED, "unimplemented"),
    ],
    ids=["empty", "text", "zeros", "no samples", "no samples sphere", "too short", "nan", "inf", "shorten"],
)  # fmt: skip
def test_unusable_audio_has_a_reason(data, reason):
    with pytest.raises(AudioError, match=reason):
        normalise(data)


def odd_files(shared_data) -> list[Path]:
    found = [path for name in ODD for path in sorted(shared_data(name).rglob("*"))]
    return [path for path in found if path.suffix.lower() in SUFFIXES]


def test_every_odd_file_normalises_or_gives_a_reason(shared_data):
    files = odd_files(shared_data)
    assert len(files) > 70
    refused = set()
    for path in files:
        try:
            made = normalise(path.read_bytes())
        except AudioError as error:
            assert str(error), path
            refused.add(path.name)
            continue
        if made.source["format"].startswith("MP4"):
            continue  # libsndfile can't say what is in it: see the tests of MP4
        source, rate = sf.read(path, always_2d=True)  # decoded, since headers of MP3 announce too much
        assert abs(made.samples - len(source) * RATE / rate) <= 1, path
        assert made.source["channels"] == source.shape[1], path
        assert made.source["sampling_rate"] == rate, path
    assert refused == UNUSABLE


def test_one_sentence_at_three_rates_is_one_sentence(shared_data):
    folder = shared_data("deepspeech_smoke") / "data" / "smoke_test"
    names = ("LDC93S1_pcms16le_1_16000.wav", "LDC93S1_pcms16le_2_44100.wav", "LDC93S1_pcms16le_1_8000.wav")
    wide, stereo, narrow = (samples_of((folder / name).read_bytes())[:46_000].astype(float) for name in names)
    assert np.corrcoef(wide, stereo)[0, 1] > 0.999
    assert np.corrcoef(wide, narrow)[0, 1] > 0.9


def test_sphere_and_riff_of_one_recording_are_equal(shared_data):
    folder = shared_data("pocketsphinx_fixtures") / "test" / "regression"
    np.testing.assert_array_equal(
        samples_of((folder / "chan3.sph").read_bytes()), samples_of((folder / "chan3.wav").read_bytes())
    )


# Reading back


def test_decode_gives_float_samples():
    found = decode({"bytes": encode(np.array([0, 16384, -32768, 32767], np.int16)), "path": "x.flac"})
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 0.5, -1, 32767 / 32768])


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "no bytes"),
        ({"bytes": None, "path": "a.flac"}, "no bytes"),
        ({"bytes": riff(noise(100), 8000), "path": "a.wav"}, r"a\.wav: 8000 Hz"),
        ({"bytes": riff(np.stack([noise(100)] * 2, axis=1)), "path": "a.wav"}, r"shape \(100, 2\)"),
        ({"bytes": b"nothing of the kind", "path": "a.wav"}, "not audio"),
        ({"bytes": flac(noise(9000))[:4000], "path": "a.flac"}, "decoded"),
    ],
)
def test_decode_refuses_what_no_builder_wrote(cell, message):
    with pytest.raises(AudioError, match=message):
        decode(cell)


@pytest.mark.parametrize(("form", "subtype"), [("WAV", "PCM_16"), ("OGG", "VORBIS")])
@pytest.mark.parametrize(("start", "end"), [(np.nan, 1.0), (0.0, np.nan), (np.nan, None), (0.0, np.inf)])
def test_times_that_are_not_finite(form, subtype, start, end):
    data = pack_audio(noise(RATE), form=form, subtype=subtype)
    for part in ({"start": start, "end": end}, {"parts": [(0.0, 0.5), (start, end)]}):
        with pytest.raises(AudioError, match="times that are not finite"):
            normalise(data, **part)
