"""The frame clock: which moment of the utterance a frame of features stands for."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

SAMPLING_RATE = 16_000


@dataclass(frozen=True)
class FrameClock:
    """Frame ``t`` is centred at sample ``t * hop + offset`` of the 16 kHz utterance.

    hop : int > 0
        Samples between the centres of neighbouring frames.
    offset : int >= 0
        Sample at the centre of frame 0.
    field : int > 0
        Receptive field of one frame in samples, as far as the convolutions go
        (self-attention sees the whole window).
    padded : bool
        True where the encoder pads the utterance with zeros, so that every frame whose centre
        lies inside the utterance exists (Whisper, mel, MFCC); False where a frame exists only if
        its whole receptive field lies inside (wav2vec 2.0, HuBERT, WavLM).
    """

    hop: int
    offset: int
    field: int
    padded: bool

    def __post_init__(self) -> None:
        if self.hop < 1 or self.field < 1 or self.offset < 0:
            raise ValueError(f"a frame clock needs hop >= 1, field >= 1 and offset >= 0, not {self}")

    def frames(self, samples: int) -> int:
        """Return how many frames an utterance of `samples` samples has, 0 where it is too short."""
        if self.padded:  # every t with t * hop + offset < samples
            return max(0, -(-(samples - self.offset) // self.hop))
        return max(0, (samples - self.field) // self.hop + 1)

    def times(self, frames: int) -> np.ndarray:
        """Return the frame centres in seconds: ``times[t] = (t * hop + offset) / 16000``.

        Returns
        -------
        np.ndarray [shape=(frames,), float64]
        """
        return (np.arange(frames, dtype=np.float64) * self.hop + self.offset) / SAMPLING_RATE

    def to_dict(self) -> dict[str, int | bool]:
        """Return the fields as plain values, for the feature card."""
        return asdict(self)
