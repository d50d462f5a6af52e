"""The MFCC of the VGS phoneme analysis: not those of `features.encoders.mfcc`, which are librosa's.

After https://github.com/spokenlanguage/platalea, ``platalea/audio/features.py``: 25 ms Hamming windows every
10 ms, centred on their step, pre-emphasis 0.97 inside each; amplitude spectrum; 40 triangles, of which the first is
left out; cosine transform, coefficients 1 to 12; the logarithm of the window's energy before them; and both differences
over two frames on either side.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy.fft
import scipy.signal

from features.clock import SAMPLING_RATE, FrameClock

ENCODER, LAYER = "vgs_mfcc", "mfcc"
WIDTH = 39
HOP, WINDOW, POINTS = 160, 400, 512  # samples
FILTERS = 40
EMPHASIS = 0.97
BLOCK = 4096  # frames that are transformed at once: 13 MB
SILENT = -50.0  # in place of the logarithm of zero
SCALE = 32768  # the original reads 16-bit integers as they are

# floor(samples / 160) frames; the window of 400 reaches 120 samples beyond each step of 160.
CLOCK = FrameClock(hop=HOP, offset=HOP // 2, field=HOP, padded=False)


def vgs_mfcc(wave: np.ndarray) -> np.ndarray:
    """Return energy, cepstra and their differences.

    Parameters
    ----------
    wave : np.ndarray [shape=(samples,), -1 to 1]
        At 16 kHz.

    Returns
    -------
    np.ndarray [shape=(samples // 160, 39), float64]
        Frame ``t`` is centred at sample ``160 * t + 80``; zeros lie before and behind the utterance.
    """
    count = len(wave) // HOP
    if not count:
        return np.empty((0, WIDTH))
    # Takes away what is constant in the recording.
    steady = scipy.signal.lfilter(*scipy.signal.iirnotch(0.001, 3.5), np.asarray(wave, np.float64) * SCALE)
    side = (WINDOW - HOP) // 2
    padded = np.pad(steady, (side, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: count * HOP : HOP]
    static = np.concatenate([_static(frames[first : first + BLOCK]) for first in range(0, count, BLOCK)])
    first = _difference(static)
    return np.concatenate([static, first, _difference(first)], axis=1)


def _static(frames: np.ndarray) -> np.ndarray:
    """Return energy and cepstra [shape=(n, 13)] of windows [shape=(n, 400)]."""
    energy = _log((frames**2).sum(axis=1))
    emphasised = frames - EMPHASIS * np.pad(frames, ((0, 0), (1, 0)))[:, :-1]
    amplitude = np.abs(scipy.fft.rfft(emphasised * np.hamming(WINDOW), POINTS)) * (2 / POINTS)
    amplitude[:, [0, -1]] /= 2
    bands = _log(amplitude @ _triangles().T)
    cepstra = scipy.fft.dct(bands[:, 1:], axis=1)[:, 1:13]
    return np.concatenate([energy[:, None], cepstra], axis=1)


def _difference(values: np.ndarray) -> np.ndarray:
    edged = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    count = len(values)
    near, far = edged[3 : 3 + count] - edged[1 : 1 + count], edged[4 : 4 + count] - edged[:count]
    return (near + 2 * far) / 10


def _log(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(values > 0, np.log(values), SILENT)


@functools.cache
def _triangles() -> np.ndarray:
    """Return the filters [shape=(40, 257)], their corners moved to the nearest point of the spectrum."""
    points = np.linspace(0, SAMPLING_RATE / 2, POINTS // 2 + 1)
    top = 1125 * np.log(1 + SAMPLING_RATE / 2 / 700)
    wanted = 700 * (np.exp(np.linspace(0, top, FILTERS + 2) / 1125) - 1)
    corners = points[np.abs(points[None, :] - wanted[:, None]).argmin(axis=1)][:, None]
    low, middle, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (points - low) / (middle - low), (high - points) / (high - middle)
    inside = np.where((points >= low) & (points <= middle), rising, 0.0)
    return np.where((points > middle) & (points <= high), falling, inside)
