"""Figures of classes and of pairs: confusion between phones, F1 of each phone, values by encoder and layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probes.figures import COLOURS, empty, label_of
from probes.phone_order import groups

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^v<>"
PRINTED = 14  # a matrix of at most so many rows and columns has its values printed


def confusion_matrix(confusions: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Return how often each class was taken for each.

    Parameters
    ----------
    confusions : DataFrame
        Columns ``truth, answer, count``.
    names : sequence of str
        The classes in the wanted order.

    Returns
    -------
    np.ndarray [shape=(classes, classes), int64]
        ``[t, p]``: examples of class t for which p was answered.
    """
    wide = confusions.pivot_table(index="truth", columns="answer", values="count", aggfunc="sum", fill_value=0)
    return wide.reindex(index=names, columns=names, fill_value=0).to_numpy().astype(np.int64)


def class_scores(counts: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Return precision, recall, F1 and number of examples of each class, indexed by name.

    ``f1 = 2 hits / (examples + answers)``; not a number for a class that neither occurs nor is answered.
    """
    hits, examples, answers = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "precision": hits / answers, "recall": hits / examples, "f1": 2 * hits / (examples + answers), "n": examples
        }  # fmt: skip
    return pd.DataFrame(columns, index=list(names))


def confusion_figure(counts: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Return a picture of confusion counts (classes, classes), each row as shares of its class."""
    size = max(3.6, min(7.2, 1.4 + 0.15 * len(names)))
    figure = empty((size, 0.9 * size))
    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    font = 6.5 if len(names) > 20 else 8
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font)
    axes.set_yticks(range(len(names)), names, fontsize=font)
    axes.tick_params(length=0)
    for _, first, _ in groups(names)[1:]:
        axes.axhline(first - 0.5, color="0.6", linewidth=0.5)
        axes.axvline(first - 0.5, color="0.6", linewidth=0.5)
    _name_groups(axes, names)
    axes.set_xlabel("answered")
    axes.set_ylabel("said")
    axes.set_title(title, fontsize=8, loc="left")
    figure.colorbar(image, ax=axes, shrink=0.5, pad=0.02 if not groups(names) else 0.1, label="% of the class")
    return figure


def class_figure(scores: Mapping[str, pd.DataFrame], names: Sequence[str], title: str) -> Figure:
    """Return a figure of the F1 of each class, one kind of point for each table of `class_scores`."""
    figure = empty((3.6, 1.3 + 0.155 * len(names)))
    axes = figure.add_subplot()
    places = np.arange(len(names))
    first = next(iter(scores.values()))
    axes.barh(places, 100 * first.f1.fillna(0), color=COLOURS[0], alpha=0.25, height=0.8)
    for (label, table), marker, colour in zip(scores.items(), MARKERS, COLOURS, strict=False):
        points = axes.plot(100 * table.f1, places, marker, color=colour, markersize=3.5, label=label)
        points[0].set_markerfacecolor("white" if "random" in label else colour)
    counted = [f"{name}  ({n:,})" for name, n in zip(names, first.n, strict=True)]
    axes.set_yticks(places, counted, fontsize=6.5)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("F1 (%); examples in brackets")
    for _, start, _ in groups(names)[1:]:
        axes.axhline(start - 0.5, color="0.8", linewidth=0.5)
    axes.grid(axis="x", linewidth=0.4, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=7, loc="left")
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=7)
    return figure


def map_figure(values: pd.DataFrame, title: str, metric: str) -> Figure:
    """Return a heat map of a table of values, its index and columns named on the axes; gaps stay white."""
    rows, columns = values.shape
    figure = empty((max(3.6, min(9.0, 2.0 + 0.42 * columns)), max(1.6, min(9.0, 1.1 + 0.26 * rows))))
    axes = figure.add_subplot()
    numbers = values.to_numpy(dtype=float)
    low, high = (np.nanmin(numbers), np.nanmax(numbers)) if np.isfinite(numbers).any() else (0, 1)
    options = {"cmap": "RdBu_r", "vmin": -abs(low), "vmax": abs(low)} if low < 0 else {"cmap": "Blues", "vmin": 0}
    if low < 0:
        options |= {"vmin": -max(-low, high), "vmax": max(-low, high)}
    image = axes.imshow(numbers, aspect="auto", interpolation="nearest", **options)
    axes.set_xticks(
        range(columns), [str(name) for name in values.columns], rotation=90 if columns > 6 else 0, fontsize=7
    )
    axes.set_yticks(range(rows), [str(name) for name in values.index], fontsize=7)
    axes.tick_params(length=0)
    if max(rows, columns) <= PRINTED:
        _print_values(axes, numbers, image.norm)
    axes.set_title(title, fontsize=7, loc="left")
    figure.colorbar(image, ax=axes, label=label_of(metric), pad=0.02)
    return figure


def _print_values(axes: Axes, numbers: np.ndarray, norm: object) -> None:
    for row, column in np.argwhere(np.isfinite(numbers)):
        strength = abs(norm(numbers[row, column]) - (0.5 if np.nanmin(numbers) < 0 else 0.0))  # type: ignore[operator]
        dark = strength > (0.33 if np.nanmin(numbers) < 0 else 0.6)
        text = f"{numbers[row, column]:.2f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")


def _name_groups(axes: Axes, names: Sequence[str]) -> None:
    for group, first, last in groups(names):
        axes.text(len(names) - 0.3, (first + last - 1) / 2, group, fontsize=6, va="center", ha="left", color="0.35")
