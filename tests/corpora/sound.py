"""Small deterministic recordings and the containers that corpora keep them in."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 16_000


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Return quiet white noise [shape=(samples,), int16], the same for the same seed on every machine."""
    # A congruential generator of our own: numpy does not promise that its streams stay as they are.
    with np.errstate(over="ignore"):
        state = (np.arange(samples, dtype=np.uint64) + np.uint64(seed * 1_000_003 + 1)) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(29)
        state *= np.uint64(0xBF58476D1CE4E5B9)
    return ((state >> np.uint64(40)) % np.uint64(6001)).astype(np.int16) - np.int16(3000)


def tone(frequency: float, seconds: float, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    """Return a sine [shape=(samples,), float64]."""
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def pack_audio(samples: np.ndarray, rate: int = RATE, *, form: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """Return samples as a file of a libsndfile format."""
    buffer = io.BytesIO()
    sf.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def riff(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Return int16 samples as a RIFF WAV."""
    return pack_audio(samples, rate)


def flac(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Return int16 samples as FLAC."""
    return pack_audio(samples, rate, form="FLAC")


def sphere(samples: np.ndarray, utterance: str, rate: int = RATE) -> bytes:
    """Return int16 samples as NIST SPHERE with the header lines of TIMIT, e.g. of ``cjf0_sa1``."""
    lines = [
        "NIST_1A", "   1024", "database_id -s5 TIMIT", "database_version -s3 1.0",
        f"utterance_id -s{len(utterance)} {utterance}", "channel_count -i 1", f"sample_count -i {len(samples)}",
        f"sample_rate -i {rate}", f"sample_min -i {samples.min(initial=0)}", f"sample_max -i {samples.max(initial=0)}",
        "sample_n_bytes -i 2", "sample_byte_format -s2 01", "sample_sig_bits -i 16", "end_head",
    ]  # fmt: skip
    header = "".join(f"{line}\n" for line in lines).encode() + b"\n" * 4
    return header.ljust(1024, b" ") + samples.astype("<i2").tobytes()


def m4a(samples: np.ndarray, rate: int = RATE, *, first: bool = False) -> bytes:
    """Return int16 samples as AAC in MP4, through PyAV; with `first` the headers come before the sound."""
    import av

    with tempfile.TemporaryDirectory() as folder:  # headers in front take a second pass over a real file
        path = Path(folder, "sound.m4a")
        options = {"movflags": "faststart"} if first else {}
        with av.open(str(path), "w", format="mp4", options=options) as file:
            stream = file.add_stream("aac", rate=rate, layout="mono", options={"b": "64000"})
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16p", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                file.mux(packet)
        return path.read_bytes()


def stem_mp4(streams: Sequence[np.ndarray], rate: int = 44_100, *, cover: bool = False) -> bytes:
    """Return stereo sounds [shape=(n, 2), int16] as the AAC streams of one MP4, with `cover` a picture behind them."""
    import av

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "song.mp4")
        with av.open(str(path), "w", format="mp4") as file:
            tracks = [file.add_stream("aac", rate=rate, layout="stereo", options={"b": "256000"}) for _ in streams]
            if cover:
                picture = file.add_stream("png", rate=1)
                picture.width, picture.height, picture.pix_fmt = 16, 16, "rgb24"
                frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = 0, Fraction(1)
                for packet in [*picture.encode(frame), *picture.encode(None)]:
                    file.mux(packet)
            for track, samples in zip(tracks, streams, strict=True):
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="s16p", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
                for packet in [*track.encode(frame), *track.encode(None)]:
                    file.mux(packet)
        return path.read_bytes()
