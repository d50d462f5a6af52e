"""How far a variant of an encoder is off, and how much faster it is: on a sample of a table's own utterances."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tabulate import tabulate

from features.encode import check
from features.manifests import heads
from features.moments import Moments
from features.plan import sample
from features.step import Encode
from features.variants import exact

UTTERANCES = 8  # of the sample


@dataclass(frozen=True)
class Deviation:
    """What a variant is off by.

    layers : dict of str to (float, float)
        Largest and mean difference of a value, in standard deviations of the exact layer's values in the sample.
    utterances : int
    seconds : (float, float)
        That the exact encoder and the variant took.
    """

    layers: dict[str, tuple[float, float]]
    utterances: int
    seconds: tuple[float, float]

    def __str__(self) -> str:
        rows = [[layer, *found] for layer, found in self.layers.items()]
        headers = ["layer", "largest deviation", "mean deviation"]
        table = tabulate(rows, headers=headers, floatfmt=("", ".4f", ".4f"))
        whole, less = self.seconds
        return (
            f"{table}\nin standard deviations of the exact layer, {self.utterances} utterances of the table\n"
            f"speed: {whole / less:.2f} times that of the exact encoder ({less:.1f} s in place of {whole:.1f} s)"
        )


def deviation(path: str | Path, step: Encode) -> Deviation | None:
    """Encode a few utterances of a table on disk both ways; None where it has no utterance.

    Raises
    ------
    ValueError
        If the table cannot be encoded.
    """
    part = max(heads(path), key=len)
    check(part, step, tier=False)
    if not len(part):
        return None
    rows = part.select(sample(part)[:UTTERANCES]).with_format("arrow")[:]
    return compare(step, step.read(rows).waves)


def compare(step: Encode, waves: Iterable[np.ndarray]) -> Deviation:
    """Return what a step's encoder is off by on utterances: see `Encode.encode` for these.

    Nothing is pooled or rounded to the stored type. One utterance is in memory at a time.
    """
    steps = [Encode(encoder, layers=step.layers, dtype="float32") for encoder in (exact(step.encoder), step.encoder)]
    width = {layer: card.width for layer, card in step.cards.items()}
    moments: dict[str, list[Moments]] = {layer: [] for layer in step.layers}
    off: dict[str, list[tuple[float, float]]] = {layer: [] for layer in step.layers}
    took, count = np.zeros(2), 0
    for number, wave in enumerate(waves):
        (whole, less), seconds = zip(*(_timed(one, wave, warm=number == 0) for one in steps), strict=True)
        took, count = took + seconds, count + 1
        for layer in step.layers:
            moments[layer].append(Moments.of(whole[layer]))
            differences = np.abs(less[layer] - whole[layer])
            off[layer].append((float(differences.max(initial=0)), float(differences.sum(dtype=np.float64))))
    layers = {layer: _relative(off[layer], Moments.sum(moments[layer], width[layer])) for layer in step.layers}
    return Deviation(layers, count, (float(took[0]), float(took[1])))


def _timed(step: Encode, wave: np.ndarray, *, warm: bool) -> tuple[dict[str, np.ndarray], float]:
    if warm:  # what is compiled at the first call does not count
        step.encode([wave])
    begun = time.perf_counter()
    found = step.encode([wave])
    return {layer: matrices[0] for layer, matrices in found.items()}, time.perf_counter() - begun


def _relative(off: list[tuple[float, float]], moments: Moments) -> tuple[float, float]:
    """Return the largest and the mean difference by the deviation of all values of the layer around their mean."""
    values = max(1, moments.count * len(moments.total))
    scale = np.sqrt(max(moments.squares.sum() / values - (moments.total.sum() / values) ** 2, 0)) or 1.0
    largest, sums = zip(*off, strict=True)
    return max(largest) / scale, sum(sums) / values / scale
