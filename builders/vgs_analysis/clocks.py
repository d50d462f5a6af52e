"""When the frames of the analysis' layers are, as far as its files say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

CONVOLUTION = {"pad": 0, "ksize": 6, "stride": 2}  # of the VGS and ASR models; their recurrent layers keep its frames


class Clock(NamedTuple):
    """As `features.clock.FrameClock`: frame ``t`` is centred at sample ``t * hop + offset``."""

    hop: int
    offset: int
    field: int
    padded: bool = False


# 160 samples a frame, floor(samples / 160) of them; the window of 400 reaches 120 beyond them on either side.
INPUT = Clock(160, 80, 160)


def layer_clock(layer: str, factors: Mapping[str, Any] | None) -> Clock:
    """Return the clock of a layer behind its convolutions, in the order of ``downsampling_factors.pkl``.

    A layer with kernel k, stride s and padding p has ``floor((frames + 2 p - k) / s) + 1`` frames, frame t centred
    in the middle of input frames ``t s - p ... t s - p + k - 1``. Without factors the layers are those of the VGS
    model: ``conv``, and all others behind it.
    """
    clock = INPUT
    for name, factor in ({"conv": CONVOLUTION} if factors is None else factors).items():
        if factor is not None:
            kernel, stride, pad = (int(factor[key]) for key in ("ksize", "stride", "pad"))
            offset = clock.offset + ((kernel - 1) * clock.hop) // 2 - pad * clock.hop
            field = clock.field + (kernel - 1) * clock.hop
            clock = Clock(clock.hop * stride, max(0, offset), field, clock.padded or pad > 0)
        if name == layer:
            break
    return clock
