"""The arithmetic of a disk: bytes of normalised audio and of features, and what of them fits."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from builders.errors import CorpusError

PCM = 16_000 * 2  # bytes a second
FLAC = 0.64  # of PCM, speech
DTYPES = {"float16": 2, "float32": 4}
POOLS = ("none", "mean")
UTTERANCE = 12.0  # seconds, where nobody published how many there are: pooled features are one vector each
POOLED_OVERHEAD = 40  # bytes of an id and offsets in a row


def _whisper(width: int, blocks: int) -> tuple[int, tuple[int, ...]]:
    return 50, (width,) * (blocks + 2)  # the convolution's output, the blocks, the last norm


def _waveform(width: int, blocks: int, *, norm: bool = False) -> tuple[int, tuple[int, ...]]:
    return 50, (512, *(width,) * (blocks + 1 + norm))  # the convolution's, its projection, the blocks


# Frames a second, and widths of the layers: what decides the bytes. An encoder of the same family has others.
ENCODERS = {
    "log_mel": (100, (80,)),
    "mfcc": (100, (39,)),
    "whisper-tiny": _whisper(384, 4),
    "whisper-base": _whisper(512, 6),
    "whisper-small": _whisper(768, 12),
    "whisper-medium": _whisper(1024, 24),
    "whisper-large": _whisper(1280, 32),
    "wav2vec2-base": _waveform(768, 12),
    "wav2vec2-large": _waveform(1024, 24),
    "hubert-base": _waveform(768, 12),
    "hubert-large": _waveform(1024, 24, norm=True),
    "wavlm-base": _waveform(768, 12),
    "wavlm-large": _waveform(1024, 24, norm=True),
}


@dataclass(frozen=True)
class Choice:
    """Which features are kept.

    frames : float
        A second.
    widths : sequence of int
        Of the layers.
    dtype, pool : str
        Of `DTYPES` and `POOLS`.
    """

    frames: float
    widths: Sequence[int]
    dtype: str = "float16"
    pool: str = "none"

    def rate(self, utterance: float = UTTERANCE) -> float:
        """Return bytes a second of audio; `utterance` is the mean length of one in seconds."""
        vector = sum(self.widths) * DTYPES[self.dtype]
        return self.frames * vector if self.pool == "none" else (vector + POOLED_OVERHEAD) / utterance

    def __str__(self) -> str:
        return f"{len(self.widths)} layers, {self.dtype}, pool {self.pool}"


def choice(encoder: str, layers: Sequence[str] = ("all",), dtype: str = "float16", pool: str = "none") -> Choice:
    """Return the features of an encoder; `layers` are ``all``, ``last`` or numbers.

    Raises
    ------
    CorpusError
        If nobody told the encoder's shape, or a layer is none of its.
    """
    name = encoder.split("/")[-1].removesuffix(".en")
    known = [other for other in ENCODERS if name == other or name.startswith(f"{other}-")]
    if not known:
        raise CorpusError(
            f"the shape of {encoder} is not known here: pass --feature-rate, bytes of features a second of audio "
            f"(frames a second x widths of all layers x bytes of a number), or one of {list(ENCODERS)}"
        )
    frames, widths = ENCODERS[max(known, key=len)]
    return Choice(frames, _picked(widths, layers, encoder), dtype, pool)


def _picked(widths: Sequence[int], layers: Sequence[str], encoder: str) -> Sequence[int]:
    if list(layers) == ["all"]:
        return widths
    if list(layers) == ["last"]:
        return widths[-1:]
    wrong = [layer for layer in layers if not layer.lstrip("-").isdigit() or not int(layer) < len(widths)]
    if wrong:
        raise CorpusError(f"{encoder} has no layers {wrong}: expected all, last or numbers below {len(widths)}")
    return [widths[int(layer)] for layer in layers]


def audio_rate(measured: float | None = None) -> float:
    """Return bytes of normalised audio a second, as a sample run measured it or as speech mostly has it."""
    return measured or PCM * FLAC


def smaller(wanted: Choice) -> Iterator[Choice]:
    """Yield choices that need less than the wanted one, the largest first."""
    dtypes = [dtype for dtype in DTYPES if DTYPES[dtype] <= DTYPES[wanted.dtype]]
    middle = len(wanted.widths) // 2
    some = {tuple(wanted.widths), (wanted.widths[middle], wanted.widths[-1])[: len(wanted.widths)], wanted.widths[-1:]}
    pools = POOLS if wanted.pool == "none" else ("mean",)
    every = (
        replace(wanted, widths=tuple(widths), dtype=dtype, pool=pool)
        for widths, dtype, pool in itertools.product(some, dtypes, pools)
    )
    yield from sorted((one for one in every if one.rate() < wanted.rate()), key=lambda one: -one.rate())


def fitting(wanted: Choice, seconds: float, room: float, utterance: float = UTTERANCE) -> Choice | None:
    """Return the largest choice whose features of so many seconds fit into `room` bytes, None if none does."""
    every = (wanted, *smaller(wanted))
    return next((one for one in every if one.rate(utterance) * seconds <= room), None)
