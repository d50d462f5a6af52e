"""The quality of a recording as numbers: what clipping, silence, an offset and upsampling leave in its samples."""

from __future__ import annotations

import numpy as np
from scipy.signal import get_window

from builders.audio import INT16_SCALE
from builders.schema import SAMPLING_RATE

FLAT = 3  # samples in a row at one extreme: a peak has one or two, what was cut off has more
FAINTEST = 0.1  # of full scale: below, an extreme is a matter of rounding
FRAME = 160  # samples, 10 ms
SILENCE = 1e-3  # of full scale, -60 dB
POINTS, HOP = 512, 256  # of the spectrum, samples
FRAMES = 4_096  # that a spectrum is made of, spread over the recording: memory does not grow with its length
LOUD = 90  # per cent of the frames are below what counts as the level of a frequency: a click is not the signal
ROUNDING = 10.0  # times the power that rounding to 16 bit alone has
RANGE = 1e-8  # of the strongest frequency's power, -80 dB


def peak(samples: np.ndarray) -> float:
    """Return the largest absolute sample [shape=(n,), float, full scale 1]."""
    return float(np.abs(samples).max(initial=0.0))


def dc_offset(samples: np.ndarray) -> float:
    """Return the mean of the samples [shape=(n,), float, full scale 1]."""
    return float(samples.mean(dtype=np.float64)) if len(samples) else 0.0


def clipped_share(samples: np.ndarray) -> float:
    """Return the share of samples, 0 to 1, that lie in flat tops [shape=(n,), float, full scale 1].

    A flat top is a run of at least three samples at the recording's own highest or lowest value: audio that was
    clipped and then made quieter is found as well, as long as it was not resampled or compressed in between.
    """
    if not len(samples):
        return 0.0
    extremes = [value for value in (samples.max(), samples.min()) if abs(value) >= FAINTEST]
    return sum(_in_runs(samples == value) for value in extremes) / len(samples)


def silent_share(samples: np.ndarray) -> float:
    """Return the share of frames of 10 ms, 0 to 1, under -60 dB of full scale, once the offset is taken out.

    samples : np.ndarray [shape=(n,), float, full scale 1]
        Those behind the last whole frame count only where there is no whole one.
    """
    if not len(samples):
        return 0.0
    whole = len(samples) // FRAME * FRAME
    frames = samples[:whole].reshape(-1, FRAME) if whole else samples[np.newaxis]
    centred = frames - np.float32(dc_offset(samples))
    return float(np.mean(np.einsum("ij,ij->i", centred, centred) < SILENCE**2 * frames.shape[1]))


def bandwidth(samples: np.ndarray, rate: int = SAMPLING_RATE) -> float:
    """Return the highest frequency, Hz, at which there is more than rounding; 0 for silence.

    Resampling leaves nothing above half of the old rate: an 8 kHz source shows 4,000 Hz at 16 kHz.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,), float, full scale 1]
    rate : int
        Hz.
    """
    power = _spectrum(samples)
    strongest = power[1:].max(initial=0.0)
    rounding = (1 / INT16_SCALE) ** 2 / 12 * np.square(_window()).sum()  # of white noise of half a step
    heard = np.flatnonzero(power[1:] > max(strongest * RANGE, rounding * ROUNDING)) + 1
    return min((heard[-1] + 0.5) * rate / POINTS, rate / 2) if len(heard) else 0.0


def _spectrum(samples: np.ndarray) -> np.ndarray:
    """Return the power of each frequency [shape=(257,)] in the louder frames."""
    filled = np.pad(samples, (0, max(0, POINTS - len(samples))))
    starts = np.arange(0, len(filled) - POINTS + 1, HOP)
    chosen = starts[np.linspace(0, len(starts) - 1, min(len(starts), FRAMES)).astype(int)]
    frames = filled[chosen[:, np.newaxis] + np.arange(POINTS)]
    centred = (frames - frames.mean(axis=1, keepdims=True)) * _window()
    return np.percentile(np.abs(np.fft.rfft(centred, axis=1)) ** 2, LOUD, axis=0)


def _window() -> np.ndarray:
    # Of low side lobes: those of a Hann window would be taken for signal next to a strong tone.
    return get_window("blackmanharris", POINTS).astype(np.float32)


def _in_runs(flat: np.ndarray) -> int:
    """Return how many places are in runs of at least `FLAT` [shape=(n,), bool]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= FLAT].sum())
