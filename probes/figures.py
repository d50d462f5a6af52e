"""The figure of a results table: a metric by layer, trained against random and the acoustic baselines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from builders.cache import writing
from probes.errors import ProbeError
from probes.results import ACOUSTIC, MAJORITY, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSING = "no figure: matplotlib is not installed; pip install 'phonelayers[report]'"
FORMATS = ("png", "svg")
SMALL = 5.0  # inches; narrower figures are for one column of a paper, or a phone
# Okabe and Ito: told apart by colour-blind readers, and in grey together with the line styles.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE_STYLES = ((0, (6, 2)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 2, 2)))
LABELS = {
    "accuracy": "frame accuracy (%)",
    "macro_f1": "macro F1 (%)",
    "error_reduction": "error reduction over majority (%)",
    "selectivity": "selectivity: accuracy minus control task (%)",
    "control_accuracy": "accuracy on the control task (%)",
    "weight": "weight of the layer",
    "cka": "linear CKA",
    "pwcca": "PWCCA",
    "abx_within_speaker": "ABX error within a speaker",
    "abx_across_speakers": "ABX error across speakers",
    "local_rsa": "local RSA, Pearson r",
    "local_rsa_partial": "local RSA, r with the speaker held constant",
    "local_rsa_shuffled": "local RSA of shuffled labels, r",
    "global_rsa": "global RSA, Pearson r",
    "global_rsa_partial": "global RSA, r with speaker, duration constant",
    "global_rsa_shuffled": "global RSA of shuffled utterances, r",
    "global_rsa_linear": "global RSA behind attention, Pearson r",
    "pearson_r": "Pearson r",
    "mse": "mean squared error",
    "r2": "R², explained variance",
}
OF = {"segments": "segments", "centres": "centre frames", "utterances": "utterances"}
PERCENT = ("accuracy", "macro_f1", "error_reduction", "selectivity", "control_accuracy")


def plot(results: Results, folder: str | Path, *, metric: str = "accuracy") -> list[Path]:
    """Draw a metric by layer for all encoders into ``layers.png`` and ``layers.svg``.

    Parameters
    ----------
    results : Results
    folder : path
    metric : str
        One of the table's.

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
    with style():
        return save(layer_figure(results.to_pandas(), metric), folder, "layers")


def layer_figure(
    results: pd.DataFrame, metric: str, *, size: tuple[float, float] = (6.4, 4.4), beside: str = ""
) -> Figure:
    """Return a figure of a metric by layer.

    Trained layers are filled points with 95 % intervals, random weights hollow points in the same
    colour; encoders that have nothing to train, and the majority class, are horizontal lines.

    Parameters
    ----------
    results : DataFrame
        Rows of a results table, of one probe and target.
    metric : str
    size : (width, height)
        Inches.
    beside : str
        Behind the name of the metric, e.g. " with phones".

    Raises
    ------
    ProbeError
        If the metric is not in the table.
    """
    frame = results.query("metric == @metric")
    if frame.empty:
        raise ProbeError(f"no results of metric {metric!r}: expected one of {sorted(set(results.metric))}")
    figure = empty(size)
    axes = figure.add_subplot()
    _draw(axes, frame, metric, beside)
    axes.set_title(_title(results), fontsize=7 if size[0] < SMALL else 9, loc="left")
    _legend(axes)
    return figure


def empty(size: tuple[float, float]) -> Figure:
    """Return a figure without pyplot: no display, no global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=200, layout="constrained")


def style() -> AbstractContextManager[None]:
    """Return the context that figures are drawn and saved in.

    Raises
    ------
    ImportError
        If matplotlib is missing; the message says what to install.
    """
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise ImportError(MISSING) from error
    plain = {"text.parse_math": False}  # a label may hold a dollar sign
    return rc_context({"font.size": 9, "svg.hashsalt": "phonelayers", "svg.fonttype": "none", **plain})


def save(figure: Figure, folder: str | Path, name: str) -> list[Path]:
    """Write ``<name>.png`` and ``<name>.svg``, each whole or not at all; return their paths."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"{name}.{kind}" for kind in FORMATS]
    for path, kind in zip(paths, FORMATS, strict=True):
        with writing(path) as temporary:
            figure.savefig(temporary, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return paths


def label_of(metric: str, examples: Sequence[str] = ()) -> str:
    """Return how a metric is named on an axis; accuracy also says of what, where that is not frames."""
    if metric == "accuracy" and len(examples) == 1 and examples[0] in OF:
        return f"accuracy on {OF[examples[0]]} (%)"
    return LABELS.get(metric, metric.replace("_", " "))


def scaled(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the results with shares as percentages."""
    factor = 100 if metric in PERCENT else 1
    bounds = ["value", "ci_low", "ci_high"]
    return frame.assign(**{name: factor * frame[name].astype(float) for name in bounds})


def _draw(axes: Axes, frame: pd.DataFrame, metric: str, beside: str) -> None:
    examples = frame.examples.dropna().unique() if "examples" in frame else ()
    frame = scaled(frame, metric)
    levels = frame[(frame.init == ACOUSTIC) | (frame.encoder == MAJORITY)]
    curves = frame.drop(levels.index)
    colours = dict(zip(dict.fromkeys(curves.encoder), cycle(COLOURS), strict=False))
    series = list(curves.groupby(["encoder", "init"], sort=False))
    for number, ((encoder, init), part) in enumerate(series):
        shift = 0.06 * (number - (len(series) - 1) / 2)  # intervals of two curves side by side
        _curve(axes, part.sort_values("layer_index"), shift, colours[encoder], f"{encoder}, {init}")
    _levels(axes, levels, alone=curves.empty)
    _ticks(axes, curves)
    axes.set_ylabel(label_of(metric, examples) + beside)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    axes.set_ylim(min(0, axes.get_ylim()[0]), None)


def _curve(axes: Axes, part: pd.DataFrame, shift: float, colour: str, label: str) -> None:
    random = part.init.iloc[0].startswith("random")
    style: dict[str, Any] = {"marker": "s" if random else "o", "linestyle": "--" if random else "-"}
    style |= {"markerfacecolor": "white" if random else colour, "markersize": 4, "linewidth": 1.2}
    errors = _errors(part)
    places = part.layer_index + shift
    axes.errorbar(places, part.value, errors, color=colour, capsize=2, label=_name(label), **style)


def _levels(axes: Axes, levels: pd.DataFrame, *, alone: bool) -> None:
    """Draw a line with its interval for each acoustic layer, and one for the majority class."""
    acoustic = levels[levels.encoder != MAJORITY]
    for (_, row), style in zip(acoustic.iterrows(), cycle(BASELINE_STYLES), strict=False):
        several = (acoustic.encoder == row.encoder).sum() > 1
        name = f"{row.encoder} {row.layer}" if several else row.encoder
        axes.axhline(row.value, color="0.25", linestyle=style, linewidth=1, label=name)
        if pd.notna(row.ci_low):
            axes.axhspan(row.ci_low, row.ci_high, color="0.25", alpha=0.08, linewidth=0)
    majority = levels[levels.encoder == MAJORITY]
    if not majority.empty:
        axes.axhline(majority.value.mean(), color="0.6", linewidth=1, label="majority class")
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
    longest, small = max((len(label) for _, label in entries), default=0), axes.figure.get_figwidth() < SMALL
    columns = (1 if longest > 22 else 2) if small else (2 if longest > 25 else 3)
    options = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": 7 if small else 8}
    if not entries:
        return
    axes.figure.legend(*zip(*entries, strict=True), **options)


def _errors(part: pd.DataFrame) -> Any:
    if part.ci_low.isna().any():
        return None
    # clipped: the mean over seeds of a bound need not lie beyond the mean
    return [(part.value - part.ci_low).clip(lower=0), (part.ci_high - part.value).clip(lower=0)]


def _name(label: str) -> str:
    return label.replace("random", "random weights, seed ")


def _title(results: pd.DataFrame) -> str:
    first = results.iloc[0]
    what = [f"{first.probe} probe", f"target {first.target}"]
    what += [f"{int(first.classes)} classes"] if pd.notna(first.classes) else []
    speakers = f"{int(first.test_speakers)} test speakers, " if pd.notna(first.test_speakers) else ""
    return f"{', '.join(what)}\n{speakers}95 % intervals"
