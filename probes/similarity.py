"""How alike layers are: linear CKA and PWCCA between layers, encoders, and the labels as one-hot vectors.

All are compared on the same frames, at the moments of the coarsest clock. See `probes.products` for the formulas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from probes.measuring import MOST_GROUPS, Asked, about, joined, value_and_interval
from probes.options import check_least, check_names
from probes.products import Products, Scale, Whitening, products, pwcca, scales, squared_norms
from probes.sample import FrameSample, draw_sample

METRICS = ("cka", "pwcca")


def measure(asked: Asked, *, frames: int = 70_000, metrics: tuple[str, ...] = METRICS) -> Iterator[dict[str, Any]]:
    """Yield for each layer its similarity with each other one and with the labels.

    CKA is symmetric and has intervals from resampling speakers. PWCCA is weighted by the layer that the row is of, and
    has none: a canonical analysis for each draw would take hours.

    Parameters
    ----------
    asked : Asked
    frames : int
        Sampled frames, 0 for all. PWCCA of few frames is too high: the sample should have ten times as many as the
        layers have dimensions.
    metrics : tuple of "cka" and "pwcca"

    Raises
    ------
    ProbeError
        If a metric is unknown, or `frames` makes no sense.
    """
    check_names("metrics", metrics, METRICS)
    check_least(0, frames=frames)
    sample = draw_sample(asked, asked.columns, frames)
    groups = asked.groups(MOST_GROUPS, np.unique(sample.rows))
    weights = asked.weights(groups.count)
    compared = _Compared(asked, sample, groups.of[sample.rows])
    scale = scales(compared, compared.names)
    alone, norms, whitenings = [(name, name) for name in compared.names], {}, {}
    for (name, _), found in products(compared, alone, scale, groups.count):
        norms[name] = squared_norms(found, scale[name], scale[name], weights)
        if "pwcca" in metrics:
            whitenings[name] = Whitening.of(found, scale[name])
    shared = {
        "n_test": len(sample.rows), "split": "none", "classes": len(sample.classes),
        "test_speakers": len(np.unique(asked.speakers(np.unique(sample.rows)))),
        "note": joined(asked.note, f"interval over {groups.unit}" if groups.count > 1 else ""),
        "clock": f"{sample.clock.hop}+{sample.clock.offset}",
    }  # fmt: skip
    for pair, found in products(compared, combinations(compared.names, 2), scale, groups.count):
        for name, other, row in _rows(pair, found, metrics, scale, norms, whitenings, weights):
            if name in asked.columns:
                yield {**about(asked.columns[name]), **shared, **_compared(asked, other), **row}


def _compared(asked: Asked, other: str) -> dict[str, str]:
    """Return the columns of the results that say what a layer is compared with: a layer, or the labels."""
    if other not in asked.columns:
        return {"other": other}
    card = asked.columns[other]
    names = {"other_encoder": card.encoder, "other_init": card.init, "other_layer": card.layer}
    return {"other": other, **names}


def _rows(
    pair: tuple[str, str], found: Products, metrics: Collection[str], scale: dict[str, Scale],
    norms: dict[str, np.ndarray], whitenings: dict[str, Whitening], weights: np.ndarray,
) -> Iterator[tuple[str, str, dict[str, Any]]]:  # fmt: skip
    """Yield a result for either direction of a pair and each metric."""
    one, two = pair
    if "cka" in metrics:
        between = squared_norms(found, scale[one], scale[two], weights)
        with np.errstate(invalid="ignore", divide="ignore"):  # a layer that never changes
            values = value_and_interval(between / np.sqrt(norms[one] * norms[two]))
        yield one, two, {"metric": "cka", **values}
        yield two, one, {"metric": "cka", **values}
    if "pwcca" in metrics:
        forth, back = pwcca(found, whitenings[one], whitenings[two])
        yield one, two, {"metric": "pwcca", "value": forth}
        yield two, one, {"metric": "pwcca", "value": back}


class _Compared:
    """The layers and the labels as a stream of frames, see `probes.products.Stream`."""

    def __init__(self, asked: Asked, sample: FrameSample, groups: np.ndarray) -> None:
        self.asked, self.sample, self.groups = asked, sample, groups
        self.names = [*asked.columns, asked.tier]

    def __call__(self, names: Collection[str]) -> Iterable[tuple[np.ndarray, dict[str, np.ndarray]]]:
        columns = {name: card for name, card in self.asked.columns.items() if name in names}
        for part, values in self.sample.batches(self.asked.table, columns):
            if self.asked.tier in names:
                values[self.asked.tier] = np.eye(len(self.sample.classes), dtype=np.float32)[self.sample.labels[part]]
            yield self.groups[part], values
