"""Differences between layers, and between trained and random weights, with paired bootstrap intervals.

The same speakers are drawn for both sides of a difference, so what makes a speaker hard for both cancels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from features.card import FeatureCard
from probes.results import ACOUSTIC
from probes.scores import interval

METRICS = ("accuracy", "macro_f1", "selectivity")
SCHEMA = pa.schema(
    [
        ("kind", pa.string()),  # layers: of one encoder; init: trained minus random; baseline: minus an acoustic one
        ("encoder", pa.string()),
        ("init", pa.string()),
        ("layer", pa.string()),
        ("other_encoder", pa.string()),
        ("other_init", pa.string()),
        ("other_layer", pa.string()),
        ("probe", pa.string()),
        ("target", pa.string()),
        ("metric", pa.string()),
        ("difference", pa.float64()),  # first minus other
        ("ci_low", pa.float64()),  # 95 % interval from resampling test speakers
        ("ci_high", pa.float64()),
        ("p", pa.float64()),  # two-sided, of a difference of 0; not corrected for the number of comparisons
        ("draws", pa.int64()),
        ("test_speakers", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Entry:
    """What one column scored.

    card : FeatureCard
    values : mapping of str to float
        Metrics.
    drawn : mapping of str to np.ndarray [shape=(draws,)]
        The same on resampled speakers.
    units : tuple of str
        The speakers.
    """

    card: FeatureCard
    values: Mapping[str, float]
    drawn: Mapping[str, np.ndarray]
    units: tuple[str, ...]


def comparisons(entries: Sequence[Entry], about: Mapping[str, Any]) -> pa.Table:
    """Return the differences of all pairs that tell something, of the schema `SCHEMA`.

    Parameters
    ----------
    entries : sequence of Entry
    about : mapping
        Columns that all rows have: probe, target.
    """
    rows = [
        {**about, "kind": kind, **_sides(one.card, other.card), **row}
        for kind, one, other in _pairs(entries)
        for row in _differences(one, other)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _pairs(entries: Sequence[Entry]) -> Iterator[tuple[str, Entry, Entry]]:
    for one, other in combinations(entries, 2):
        if one.units != other.units or not one.drawn:
            continue  # not the same speakers, or a single one
        a, b = one.card, other.card
        if (a.encoder, a.init) == (b.encoder, b.init):
            yield "layers", other, one  # upper minus lower
        elif (a.encoder, a.layer) == (b.encoder, b.layer) and "trained" in (a.init, b.init):
            yield ("init", one, other) if a.init == "trained" else ("init", other, one)
        elif ACOUSTIC in (a.init, b.init) and a.init != b.init:
            yield ("baseline", other, one) if a.init == ACOUSTIC else ("baseline", one, other)


def _differences(one: Entry, other: Entry) -> Iterator[dict[str, Any]]:
    for metric in METRICS:
        if metric in one.drawn and metric in other.drawn:
            drawn = one.drawn[metric] - other.drawn[metric]
            low, high = interval(drawn)
            yield {
                "metric": metric,
                "difference": float(one.values[metric] - other.values[metric]),
                "ci_low": low,
                "ci_high": high,
                "p": bootstrap_p(drawn),
                "draws": len(drawn),
                "test_speakers": len(one.units),
            }


def bootstrap_p(drawn: np.ndarray) -> float:
    """Return twice the share of draws on the rarer side of 0, never below ``2 / (draws + 1)``.

    Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 15; one is added to either count
    so that a finite number of draws never claims certainty (Davison and Hinkley 1997, section 4.2).
    """
    rarer = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(drawn) + 1))


def _sides(one: FeatureCard, other: FeatureCard) -> dict[str, str]:
    own = {"encoder": one.encoder, "init": one.init, "layer": one.layer}
    return own | {"other_encoder": other.encoder, "other_init": other.init, "other_layer": other.layer}
