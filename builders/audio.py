"""Audio in, 16 kHz mono 16-bit FLAC out, and back."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO

import numpy as np
import soundfile as sf
import soxr

from builders.errors import AudioError
from builders.mp4 import decode_mp4, is_mp4
from builders.schema import SAMPLING_RATE

# libsndfile's own parse log is the only place where it says that a file claims more than it holds:
# WAV (data), AIFF (SSND), AU (Data Size), RF64 (Riff size).
CLAIMED = re.compile(r"(?:data|SSND|Data Size|Riff size)\s*:\s*(\d+)\s*\(should be (\d+)\)")
STREAMED = 0x7FFF_FFFF - 0x1_0000  # a claim this large is what writers put who didn't know the length
SPHERE_COUNT = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)
UNKNOWN_LENGTH = 0x7FFF_FFFF_FFFF_FFFF  # frames of a FLAC whose writer didn't know them
OGG = b"OggS"  # libsndfile's seeks in Vorbis land up to some hundred samples off
MP3_LEAD = 32 * 1152  # a frame of MP3 leans on up to 511 bytes of those before it: seek back by this, then read on
BLOCK = 1 << 20  # frames; what a header claims is not a size to allocate
INT16_SCALE = 32_768  # libsndfile's: int16 -32768 is float -1.0
PAGE = 65_307  # bytes of the largest page of Ogg
# Where the header's length is that of the samples: so many bytes a sample, and a claim that can be compared.
COUNTED = {
    *itertools.product(
        ("WAV", "WAVEX", "RF64", "AIFF", "AU", "NIST"),
        ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    )
}


@dataclass(frozen=True)
class Signal:
    """Samples as they were in the source.

    samples : np.ndarray [shape=(frames, channels), float32]
    rate : int
        Hz.
    format : str
        Container and sample type, e.g. ``WAV/PCM_16``.
    """

    samples: np.ndarray
    rate: int
    format: str


@dataclass(frozen=True)
class Normalised:
    """One utterance as the manifest table holds it.

    flac : bytes
        16 kHz mono 16-bit FLAC.
    samples : int
        Number of samples in it, counted on decoded audio.
    source : dict
        The `source` column: format, sampling_rate in Hz, channels.
    clipped : int
        Samples that resampling or mixing pushed out of the 16-bit range.
    """

    flac: bytes
    samples: int
    source: dict[str, Any]
    clipped: int = 0


@dataclass(frozen=True)
class Header:
    """How much sound a file holds.

    frames, channels : int
    rate : int
        Hz.
    format : str
        Container and sample type, e.g. ``WAV/PCM_16``.
    """

    frames: int
    rate: int
    channels: int
    format: str

    def span(self, start: float = 0.0, end: float | None = None) -> tuple[int, int]:
        """Return the first frame of a part of the file, seconds, and the one behind its last."""
        first, last = _span(self.rate, self.frames, start, end)
        return min(first, self.frames), max(min(first, self.frames), last)

    def samples(self, parts: Sequence[tuple[float, float | None]]) -> int:
        """Return how many samples `normalise` makes of parts of the file, seconds, put together."""
        kept = sum(last - first for first, last in (self.span(*part) for part in parts))
        return (2 * kept * SAMPLING_RATE + self.rate) // (2 * self.rate)  # soxr rounds half up


def normalise(
    data: bytes,
    *,
    start: float = 0.0,
    end: float | None = None,
    parts: Sequence[tuple[float, float]] = (),
    channel: str = "mean",
    stream: int = 0,
    trust: bool = False,
) -> Normalised:
    """Turn a recording, or a part of it, into 16 kHz mono 16-bit FLAC.

    A whole file that is 16 kHz mono 16-bit FLAC already is passed through byte for byte, after one
    decoding that proves it whole.

    Parameters
    ----------
    data : bytes
        The file: anything that libsndfile reads (WAV, FLAC, Ogg, MP3, NIST SPHERE, ...), or MP4.
    start, end : float
        Part of the file, seconds; None is the end of the file.
    parts : sequence of (start, end)
        Several parts, seconds, put together in this order; `start` and `end` don't count then.
    channel : str
        ``mean`` of the channels, or the number of the channel to keep.
    stream : int
        Which sound stream of an MP4, from 0; all else has one.
    trust : bool
        Skip the decoding of audio that passes through.

    Raises
    ------
    AudioError
        If the file is empty, truncated, not audio or holds no samples: the message is the reason.
    """
    if not data:
        raise AudioError("empty file (0 bytes)")
    whole = start == 0.0 and end is None and not parts
    if stream and not is_mp4(data):
        raise AudioError(f"no sound stream {stream}: not an MP4 file")
    if is_mp4(data) or (data[:4] == OGG and not whole):
        samples, rate, form = _decoded(data, stream)
        pieces = [samples[slice(*_span(rate, len(samples), *part))] for part in parts or [(start, end)]]
        return render(Signal(np.concatenate(pieces), rate, form), channel=channel)
    with _open(io.BytesIO(data)) as file:
        _check_whole(file, data)
        source = {"format": _format(file), "sampling_rate": file.samplerate, "channels": file.channels}
        if whole and _is_target(file):
            if not trust:
                _read(file, 0, file.frames)
            return Normalised(data, file.frames, source)
        pieces = [_read(file, *_span(file.samplerate, file.frames, *part)) for part in parts or [(start, end)]]
        signal = Signal(np.concatenate(pieces), file.samplerate, source["format"])
    return render(signal, channel=channel)


@lru_cache(maxsize=1)
def _decoded(data: bytes, stream: int) -> tuple[np.ndarray, int, str]:
    """Return all samples, the rate and the format of a file in which seeking is not exact.

    The last file stays decoded: rows that are cut from one long recording follow each other.
    """
    if is_mp4(data):
        return decode_mp4(data, stream)
    with _open(io.BytesIO(data)) as file:
        _check_whole(file, data)
        return _read(file, 0, file.frames), file.samplerate, _format(file)


def render(signal: Signal, *, channel: str = "mean") -> Normalised:
    """Mix a signal to mono, resample it to 16 kHz with soxr HQ, round to 16 bit and encode it as FLAC."""
    if not len(signal.samples):
        raise AudioError("no samples")
    if not np.isfinite(signal.samples).all():
        raise AudioError("samples that are not finite numbers")
    mono = to_mono(signal.samples, channel)
    if signal.rate != SAMPLING_RATE:
        mono = soxr.resample(mono, signal.rate, SAMPLING_RATE, quality="HQ")
    if not len(mono):
        raise AudioError(f"too short: {len(signal.samples)} samples at {signal.rate} Hz leave none at 16 kHz")
    scaled = np.rint(mono * INT16_SCALE)
    clipped = int(np.count_nonzero((scaled < -INT16_SCALE) | (scaled > INT16_SCALE - 1)))
    pcm = np.clip(scaled, -INT16_SCALE, INT16_SCALE - 1).astype(np.int16)
    source = {"format": signal.format, "sampling_rate": signal.rate, "channels": signal.samples.shape[1]}
    return Normalised(encode(pcm), len(pcm), source, clipped)


def to_mono(samples: np.ndarray, channel: str) -> np.ndarray:
    """Return one channel of `samples` [shape=(frames, channels)] or the mean of all."""
    if samples.shape[1] == 1:
        return samples[:, 0]
    if channel == "mean":
        return samples.mean(axis=1, dtype=np.float32)
    if not channel.isdigit() or int(channel) >= samples.shape[1]:
        raise AudioError(f"no channel {channel!r} in a recording of {samples.shape[1]} channels")
    return samples[:, int(channel)]


def encode(pcm: np.ndarray) -> bytes:
    """Encode int16 samples [shape=(n,)] at 16 kHz as FLAC."""
    buffer = io.BytesIO()
    sf.write(buffer, pcm, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def decode(audio: Mapping[str, Any]) -> np.ndarray:
    """Decode a cell of the `audio` column.

    Parameters
    ----------
    audio : mapping
        ``{"bytes": ..., "path": ...}`` as the table holds it.

    Returns
    -------
    np.ndarray [shape=(samples,), float32, 16 kHz, -1 to 1]

    Raises
    ------
    AudioError
        If the cell has no bytes or is not the mono 16 kHz audio of a manifest table.
    """
    if audio is None or not audio.get("bytes"):
        raise AudioError("this audio cell holds no bytes: it does not come from a manifest table")
    with _open(io.BytesIO(audio["bytes"])) as file:
        rate, samples = file.samplerate, _blocks(file, 0, file.frames)
    samples = samples[:, 0] if samples.shape[1] == 1 else samples
    if rate != SAMPLING_RATE or samples.ndim != 1:
        raise AudioError(
            f"{audio.get('path')}: {rate} Hz, shape {samples.shape}, where a manifest table has 16 kHz mono: "
            "load the corpus through its builder"
        )
    return samples


def read_header(file: BinaryIO) -> Header | None:
    """Return how much sound a file holds without decoding it; None where only decoding it tells.

    Trusted are uncompressed samples whose header claims what is there, FLAC whose last frame decodes, and Ogg Opus
    whose last page is whole. Not trusted, hence None: MP3, MP4, Ogg Vorbis, compressed samples in WAV, streams of
    unknown length, headers that claim more than there is, and whatever is not audio.

    file : binary file that can be sought in
    """
    head = file.read(4096)
    try:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - PAGE))
        tail = file.read() if head[:4] == OGG else b""
        file.seek(0)
        with sf.SoundFile(file) as sound:
            if not sound.frames or not _counted(sound, head, tail):
                return None
            return Header(sound.frames, sound.samplerate, sound.channels, _format(sound))
    except (sf.LibsndfileError, OSError):
        return None


def decoded_header(data: bytes) -> Header:
    """Return how much sound a file holds, counted on decoded samples.

    Raises
    ------
    AudioError
        If it is truncated or not audio.
    """
    if is_mp4(data):
        samples, rate, form = decode_mp4(data)
        return Header(len(samples), rate, samples.shape[1], form)
    with _open(io.BytesIO(data)) as file:
        _check_whole(file, data)
        return Header(len(_read(file, 0, file.frames)), file.samplerate, file.channels, _format(file))


def _counted(file: sf.SoundFile, head: bytes, tail: bytes) -> bool:
    """Tell whether as many frames decode as the header of an open file says, given its first and last bytes."""
    if (file.format, file.subtype) in COUNTED:
        count = SPHERE_COUNT.search(head) if file.format == "NIST" else None
        return not CLAIMED.search(file.extra_info) and (count is None or file.frames >= int(count[1]))
    if file.format == "FLAC" and file.frames < UNKNOWN_LENGTH:
        file.seek(file.frames - 1)  # fails where the end is missing
        return len(file.read(1)) == 1
    if (file.format, file.subtype) == ("OGG", "OPUS"):
        last = tail.rfind(OGG)  # of the same stream as the first page: else several lie one behind the other
        return last >= 0 and not _cut_page(tail) and tail[last + 14 : last + 18] == head[14:18]
    return False


def _open(file: BinaryIO) -> sf.SoundFile:
    try:
        return sf.SoundFile(file)
    except sf.LibsndfileError as error:
        raise AudioError(f"not audio that libsndfile can read ({error.error_string})") from None


def _span(rate: int, frames: int, start: float, end: float | None) -> tuple[int, int]:
    """Return the frames of a part of the file."""
    if not all(math.isfinite(time) for time in (start, end or 0.0)):
        raise AudioError(f"the part from {start} s to {end} s: times that are not finite numbers")
    last = frames if end is None else min(round(end * rate), frames)
    return round(start * rate), last


def _format(file: sf.SoundFile) -> str:
    return f"{file.format}/{file.subtype}"


def _is_target(file: sf.SoundFile) -> bool:
    wanted = ("FLAC", "PCM_16", SAMPLING_RATE, 1)
    return (file.format, file.subtype, file.samplerate, file.channels) == wanted and file.frames > 0


def _check_whole(file: sf.SoundFile, data: bytes) -> None:
    """Raise AudioError if the file's own headers say that there was more of it."""
    claim = CLAIMED.search(file.extra_info)
    if claim and int(claim[2]) < int(claim[1]) < STREAMED:
        raise AudioError(f"truncated: the header claims {claim[1]} bytes of samples, {claim[2]} are there")
    count = SPHERE_COUNT.search(data[:4096]) if file.format == "NIST" else None
    if count and file.frames < int(count[1]):
        raise AudioError(f"truncated: the header claims {int(count[1])} samples, {file.frames} are there")
    if file.format == "OGG" and _cut_page(data):
        raise AudioError("truncated: the last page of the Ogg stream is cut")
    if file.frames >= UNKNOWN_LENGTH:
        raise AudioError(f"a {file.format} file that does not say how long it is: encode it again")


def _cut_page(data: bytes) -> bool:
    page = data.rfind(b"OggS")
    count = data[page + 26] if page + 26 < len(data) else 0  # of the lengths that follow: those of the page's parts
    return page + 27 + count + sum(data[page + 27 : page + 27 + count]) > len(data)


def _read(file: sf.SoundFile, first: int, last: int) -> np.ndarray:
    """Read frames, shape (frames, channels) float32, and prove that what the header claims is there."""
    lead = min(first, MP3_LEAD) if file.format == "MP3" else 0
    samples = _blocks(file, first - lead, max(0, last - first + lead))[lead:]
    # MP3 headers announce more frames than there are as a matter of course; those of FLAC don't.
    if file.format == "FLAC" and len(samples) < last - first:
        raise AudioError(f"truncated: {len(samples)} of {last - first} samples decode")
    return samples


def _blocks(file: sf.SoundFile, first: int, frames: int) -> np.ndarray:
    """Read `frames` frames from `first` on, or what there is of them, shape (frames, channels) float32."""
    blocks = [np.empty((0, file.channels), np.float32)]
    try:
        if first:
            file.seek(min(first, file.frames))
        while frames > 0:
            blocks.append(file.read(min(frames, BLOCK), dtype="float32", always_2d=True))
            frames = frames - len(blocks[-1]) if len(blocks[-1]) else 0
    except sf.LibsndfileError as error:
        raise AudioError(f"cannot be decoded ({error.error_string})") from None
    return np.concatenate(blocks) if len(blocks) > 2 else blocks[-1]
