"""The figure of a results table: accuracy by layer, trained against random and the acoustic baselines."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from builders.cache import writing
from probes.errors import ProbeError
from probes.results import ACOUSTIC, MAJORITY, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MISSING = "no figure: matplotlib is not installed; pip install 'phonelayers[report]'"
FORMATS = ("png", "svg")
# Okabe and Ito: told apart by colour-blind readers, and in grey together with the line styles.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE_STYLES = ((0, (6, 2)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 2, 2)))
LABELS = {
    "accuracy": "frame accuracy (%)",
    "macro_f1": "macro F1 (%)",
    "error_reduction": "error reduction over majority (%)",
}


def plot(results: Results, folder: str | Path, *, metric: str = "accuracy") -> list[Path]:
    """Draw a metric by layer for all encoders into ``layers.png`` and ``layers.svg``.

    Trained layers are filled points with 95 % intervals, random weights hollow points in the same
    colour; encoders that have nothing to train, and the majority class, are horizontal lines.

    Parameters
    ----------
    results : Results
    folder : path
    metric : "accuracy", "macro_f1" or "error_reduction"

    Returns
    -------
    list of Path

    Raises
    ------
    ProbeError
        If the metric is not in the table.
    ImportError
        If matplotlib is missing; the message says what to install.
    """
    frame = results.to_pandas().query("metric == @metric")
    if frame.empty:
        raise ProbeError(f"no results of metric {metric!r}: expected one of {sorted(set(results.to_pandas().metric))}")
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure  # without pyplot: no display, no global state
    except ImportError as error:
        raise ImportError(MISSING) from error
    with rc_context({"font.size": 9, "svg.hashsalt": "phonelayers", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6.4, 4.4), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, frame, LABELS.get(metric, metric))
        axes.set_title(_title(results), fontsize=9, loc="left")
        _legend(axes)
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = [Path(folder) / f"layers.{kind}" for kind in FORMATS]
        for path, kind in zip(paths, FORMATS, strict=True):
            with writing(path) as temporary:
                figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return paths


def _draw(axes: Axes, frame: pd.DataFrame, label: str) -> None:
    levels = frame[(frame.init == ACOUSTIC) | (frame.encoder == MAJORITY)]
    curves = frame.drop(levels.index)
    colours = dict(zip(dict.fromkeys(curves.encoder), cycle(COLOURS), strict=False))
    series = list(curves.groupby(["encoder", "init"], sort=False))
    for number, ((encoder, init), part) in enumerate(series):
        shift = 0.06 * (number - (len(series) - 1) / 2)  # intervals of two curves side by side
        _curve(axes, part.sort_values("layer_index"), shift, colours[encoder], f"{encoder}, {init}")
    _levels(axes, levels, alone=curves.empty)
    _ticks(axes, curves)
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_ylim(min(0, axes.get_ylim()[0]), None)


def _curve(axes: Axes, part: pd.DataFrame, shift: float, colour: str, label: str) -> None:
    random = part.init.iloc[0].startswith("random")
    style: dict[str, Any] = {"marker": "s" if random else "o", "linestyle": "--" if random else "-"}
    style |= {"markerfacecolor": "white" if random else colour, "markersize": 4, "linewidth": 1.2}
    errors = _errors(part)
    axes.errorbar(
        part.layer_index + shift, 100 * part.value, errors, color=colour, capsize=2, label=_name(label), **style
    )


def _levels(axes: Axes, levels: pd.DataFrame, *, alone: bool) -> None:
    """Draw a line with its interval for each acoustic layer, and one for the majority class."""
    acoustic = levels[levels.encoder != MAJORITY]
    for (_, row), style in zip(acoustic.iterrows(), cycle(BASELINE_STYLES), strict=False):
        several = (acoustic.encoder == row.encoder).sum() > 1
        name = f"{row.encoder} {row.layer}" if several else row.encoder
        axes.axhline(100 * row.value, color="0.25", linestyle=style, linewidth=1, label=name)
        if pd.notna(row.ci_low):
            axes.axhspan(100 * row.ci_low, 100 * row.ci_high, color="0.25", alpha=0.08, linewidth=0)
    majority = levels[levels.encoder == MAJORITY]
    if not majority.empty:
        axes.axhline(100 * majority.value.mean(), color="0.6", linewidth=1, label="majority class")
    if alone:
        axes.set_xticks([])


def _ticks(axes: Axes, curves: pd.DataFrame) -> None:
    """Name the layers where all encoders call them alike, else number them."""
    names = curves.groupby("layer_index").layer.unique()
    if curves.empty:
        return
    alike = names.map(len).max() == 1 and len(names) <= 14
    axes.set_xticks(list(names.index), [one[0] for one in names] if alike else None)
    axes.set_xlabel("layer" if alike else "layer, 0 nearest to the input")


def _legend(axes: Axes) -> None:
    """Put the legend below the axes, where it covers nothing: curves first, then the baselines."""
    entries = list(zip(*axes.get_legend_handles_labels(), strict=True))
    entries.sort(key=lambda entry: not hasattr(entry[0], "has_yerr"))  # matplotlib puts curves with intervals last
    columns = 2 if max(len(label) for _, label in entries) > 25 else 3
    options = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 8}
    axes.figure.legend(*zip(*entries, strict=True), **options)


def _errors(part: pd.DataFrame) -> Any:
    if part.ci_low.isna().any():
        return None
    return [100 * (part.value - part.ci_low), 100 * (part.ci_high - part.value)]


def _name(label: str) -> str:
    return label.replace("random", "random weights, seed ")


def _title(results: Results) -> str:
    first = results.table.slice(0, 1).to_pylist()[0]
    what = f"{first['probe']} probe, tier {first['target']}, {first['classes']} classes"
    return f"{what}, {first['test_speakers']} test speakers, 95 % intervals"
