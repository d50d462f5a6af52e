"""Whisper's log-mel spectrogram: the input of the Whisper encoders and an acoustic baseline.

Equal to the feature extractor of `transformers`: the utterance is followed by zeros up to 30 s (or,
where it is longer, to a whole number of hops), reflected at both ends of that, and the floor is 8
(80 dB) below the loudest value of all of it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.fft

from builders.compiled import librosa
from features import cpu
from features.checkpoint import Spec, without_weights
from features.clock import SAMPLING_RATE, FrameClock
from features.encoder import Axis

HOP = 160  # samples, 10 ms
N_FFT = 400  # samples, 25 ms
WINDOW_SAMPLES = 480_000  # 30 s
FLOOR = -10.0  # log10 of the smallest power
BLOCK_FRAMES = 512  # frames that are transformed at once: 2.5 MB

CONFIGS = {"log_mel": {"model_type": "log_mel", "num_mel_bins": 80}}


class LogMel:
    """The log-mel spectrogram as an encoder with one layer, ``mel``."""

    init = "none"
    version = 1
    axis: Axis = "frame"
    clock = FrameClock(hop=HOP, offset=0, field=N_FFT, padded=True)
    window: int | None = None

    def __init__(self, spec: Spec) -> None:
        without_weights(spec)
        self.name = spec.name
        self.revision = spec.revision
        self.layers: Mapping[str, int] = {"mel": (spec.config or {}).get("num_mel_bins", 80)}

    def encode(self, inputs: np.ndarray, lengths: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Return ``{"mel": (batch, frames, width)}``; see `features.encoder.Encoder`."""
        width = self.layers["mel"]
        out = np.zeros((len(inputs), self.clock.frames(max(lengths, default=0)), width), np.float32)
        for row, wave, length in zip(out, inputs, lengths, strict=True):
            row[: self.clock.frames(length)] = log_mel(wave[:length], width)
        return dict.fromkeys(layers, out)


def log_mel(
    wave: np.ndarray, n_mels: int, *, frames: int | None = None, window: int = WINDOW_SAMPLES
) -> np.ndarray:  # fmt: skip
    """Return the log-mel spectrogram of one utterance as Whisper sees it.

    Parameters
    ----------
    wave : np.ndarray [shape=(samples,), float32]
        At 16 kHz, without padding.
    n_mels : int > 0
        Mel bands, 80 or 128 in Whisper.
    frames : int or None
        Frames to return, those behind the utterance included; all whose centre lies inside the
        utterance, ``ceil(samples / 160)``, if None.
    window : int
        Samples to which zeros are added before the ends are reflected, whole hops.

    Returns
    -------
    np.ndarray [shape=(frames, n_mels), float32]
        ``(max(log10(power), loudest - 8) + 4) / 4``; frame ``t`` is centred at sample ``160 * t``.
    """
    real = -(-len(wave) // HOP)
    frames = real if frames is None else frames
    # Frames just behind the end still hear the utterance and count for the loudest value.
    heard = min(-(-(len(wave) + N_FFT // 2) // HOP), max(real, window // HOP)) if len(wave) else 0
    log_power = np.full((max(frames, heard), n_mels), FLOOR, np.float32)
    padded = _padded(wave, window)

    def fill(start: int, stop: int) -> None:
        log_power[start:stop] = _log_power(padded[start * HOP : (stop - 1) * HOP + N_FFT], n_mels)

    cpu.share(fill, [(start, min(start + BLOCK_FRAMES, heard)) for start in range(0, heard, BLOCK_FRAMES)])
    loudest = log_power.max(initial=FLOOR)
    return (np.maximum(log_power[:frames], loudest - 8.0) + 4.0) / 4.0


def _padded(wave: np.ndarray, window: int) -> np.ndarray:
    """Return zeros behind the utterance, and half an FFT reflected at both ends of the window."""
    whole = max(window, -(-len(wave) // HOP) * HOP)
    alone = np.pad(np.asarray(wave, np.float32), (0, whole - len(wave)))
    return np.pad(alone, N_FFT // 2, mode="reflect")


def _log_power(samples: np.ndarray, n_mels: int) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP]  # (frames, 400)
    spectrum = scipy.fft.rfft(frames * _hann(), axis=-1)  # float32 stays float32
    power = spectrum.real**2 + spectrum.imag**2
    return np.log10(np.maximum(power @ _filters(n_mels), 10.0**FLOOR))


@functools.cache
def _hann() -> np.ndarray:
    return librosa().filters.get_window("hann", N_FFT, fftbins=True).astype(np.float32)


@functools.cache
def _filters(n_mels: int) -> np.ndarray:
    """Return Slaney's mel filters [shape=(201, n_mels)]."""
    return np.ascontiguousarray(librosa().filters.mel(sr=SAMPLING_RATE, n_fft=N_FFT, n_mels=n_mels).T)


Model = LogMel
