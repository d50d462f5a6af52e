"""Where the words of a reading are: stretches of sound between silences."""

from __future__ import annotations

import numpy as np

from builders.compiled import librosa
from builders.schema import SAMPLING_RATE

WINDOW, STEP, POINTS = 400, 160, 512  # samples at 16 kHz: 25 ms every 10 ms
EMPHASIS = 0.25
LEVEL = 0.25  # of the range of the log energy, where sound begins
SMOOTHING = 31  # frames; widens a stretch by about 15 to each side
KEPT = 0.01

Span = tuple[float, float]


def sounds(samples: np.ndarray, top_db: float | None = None) -> list[Span]:
    """Return the stretches of sound, seconds.

    The rule is that of the word recognition workflow (https://github.com/mdda/cnn-speech-mnist): frames
    whose log energy is above the lowest by a quarter of the range, smoothed.

    Parameters
    ----------
    samples : np.ndarray [shape=(n,), 16 kHz]
    top_db : float > 0 or None
        If given, sound is instead what is less than so many dB below the loudest frame, by
        `librosa.effects.split`, which does not smooth.
    """
    if not len(samples):
        return []
    if top_db is not None:
        found = librosa().effects.split(samples, top_db=top_db, frame_length=POINTS, hop_length=STEP)
        return [(int(first) / SAMPLING_RATE, int(last) / SAMPLING_RATE) for first, last in found]
    energy = np.log(frame_energy(samples))
    loud = energy > energy.min() + LEVEL * (energy.max() - energy.min())
    smooth = np.convolve(loud.astype(float), np.hamming(SMOOTHING), "full")[SMOOTHING // 2 :][: len(loud)]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], smooth > KEPT, [False]]).astype(np.int8)))
    end = len(samples) / SAMPLING_RATE  # sound in the last frame goes on to there
    pairs = edges.reshape(-1, 2).tolist()
    return [
        (first * STEP / SAMPLING_RATE, end if last == len(loud) else last * STEP / SAMPLING_RATE)
        for first, last in pairs
    ]


def frame_energy(samples: np.ndarray) -> np.ndarray:
    """Return the energy of each frame [shape=(frames,)], as python_speech_features' ``fbank`` gives it."""
    return power(samples).sum(axis=1).clip(np.finfo(float).eps)


def power(samples: np.ndarray) -> np.ndarray:
    """Return the power spectrum of each frame [shape=(frames, 257)]; the last frame is filled up with zeros."""
    signal = np.asarray(samples, np.float64)
    signal = np.concatenate([signal[:1], signal[1:] - EMPHASIS * signal[:-1]])
    frames = 1 if len(signal) <= WINDOW else 1 + -(-(len(signal) - WINDOW) // STEP)
    padded = np.zeros((frames - 1) * STEP + WINDOW)
    padded[: len(signal)] = signal
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP] * np.hamming(WINDOW)
    return np.abs(np.fft.rfft(windows, POINTS)) ** 2 / POINTS
