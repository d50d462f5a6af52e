"""Headers that are trusted tell what decoding gives; the others are not trusted."""

from __future__ import annotations

import io

import pytest

from builders.audio import Header, decoded_header, normalise, read_header
from builders.errors import AudioError
from tests.corpora.sound import flac, m4a, noise, pack_audio, riff, sphere

TRUSTED = [
    ("WAV", "PCM_16"), ("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAVEX", "PCM_32"),
    ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("AU", "ALAW"), ("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("NIST", "PCM_16"),
]  # fmt: skip
UNTRUSTED = [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("WAV", "IMA_ADPCM"), ("WAV", "GSM610"), ("CAF", "PCM_16")]
RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000)
LENGTHS = (1, 2, 3, 160, 1_151, 4_096, 4_097, 20_001)


def header(data: bytes) -> Header | None:
    return read_header(io.BytesIO(data))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("form", "subtype"), TRUSTED)
def test_trusted_headers_tell_the_samples(form, subtype, rate):
    for length in LENGTHS:
        data = pack_audio(noise(length), rate, form=form, subtype=subtype)
        found = header(data)
        assert found == decoded_header(data)
        for start, end in [(0.0, None), (0.3, None), (0.1, 0.25), (0.05, 1e6), (99.0, 100.0), (0.2, 0.1)]:
            try:
                made = normalise(data, start=start, end=end).samples
            except AudioError:
                made = 0
            assert found.samples([(start, end)]) == made


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
def test_opus_whose_last_page_is_whole(rate):
    for length in LENGTHS[1:]:
        data = pack_audio(noise(length), rate, form="OGG", subtype="OPUS")
        assert header(data).samples([(0.0, None)]) == normalise(data).samples
    assert header(data[:-1]) is None
    assert header(data + pack_audio(noise(900, 1), rate, form="OGG", subtype="OPUS")[:200]) is None


@pytest.mark.parametrize(("form", "subtype"), UNTRUSTED)
def test_other_formats_are_decoded(form, subtype):
    assert (
        header(pack_audio(noise(20_000), 8_000 if subtype == "GSM610" else 16_000, form=form, subtype=subtype)) is None
    )


def test_damaged_files_are_decoded():
    whole = flac(noise(50_000))
    assert header(whole).frames == 50_000
    assert [header(whole[: len(whole) - cut]) for cut in (1, 20, 3_000, 30_000)] == [None] * 4
    wav = riff(noise(50_000))
    assert header(wav[:-2]) is None  # claims a sample more than there is
    streamed = wav[:4] + b"\xff\xff\xff\xff" + wav[8:40] + b"\xff\xff\xff\xff" + wav[44:]
    assert header(streamed) is None
    assert header(sphere(noise(5_000), "cjf0_sa1")[:-2]) is None
    assert [header(data) for data in (b"", b"no audio", wav[:44])] == [None] * 3


def test_mp4_is_decoded():
    data = m4a(noise(16_000))
    assert header(data) is None
    assert decoded_header(data).frames == normalise(data).samples
