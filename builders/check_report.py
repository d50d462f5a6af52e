"""What `check` tells of a split: means, how many rows are beyond a limit, the worst twenty, and a figure."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset
from tabulate import tabulate

MISSING = "no figure: matplotlib is not installed; pip install 'phonelayers[report]'"
WORST = 20
ROWS = 10_000  # that are looked at together
CAP = 1_000.0
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito


class Measure(NamedTuple):
    """A measure, and from where on it is a fault.

    title : str
        With its unit.
    limit : float
        From which a row counts as faulty.
    edges : np.ndarray
        Of the histogram's bins.
    low : bool
        Whether less is worse.
    """

    title: str
    limit: float
    edges: np.ndarray
    low: bool = False


MEASURES = {
    "peak": Measure("peak (of full scale)", 0.01, np.linspace(0, 1, 41), low=True),
    "clipped": Measure("clipped samples (share)", 0.001, np.linspace(0, 0.1, 41)),
    "silent": Measure("silence (share)", 0.5, np.linspace(0, 1, 41)),
    "dc_offset": Measure("DC offset (of full scale)", 0.01, np.linspace(-0.05, 0.05, 41)),
    "bandwidth": Measure("bandwidth (Hz)", 6_000.0, np.linspace(0, 8_000, 41), low=True),
    "missing": Measure("header less decoded (s)", 0.5 / 16_000, np.linspace(0, 1, 41)),
}


@dataclass
class Summary:
    """What was found in a split; its size does not grow with the split's.

    rows, without : int
        All, and those without audio.
    sums : dict of str to (float, int)
        Per measure: the sum over the rows that have it, and their number.
    beyond : dict of str to int
        Rows beyond the limit.
    histograms : dict of str to np.ndarray [shape=(bins,)]
        What lies outside the bins is in the outer ones.
    worst : list of (float, int, dict)
        How many times the limit, order, and the row: id, what is wrong, its measures.
    """

    rows: int = 0
    without: int = 0
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    beyond: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, np.ndarray] = field(default_factory=dict)
    worst: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)

    @classmethod
    def of(cls, made: Dataset, table: Dataset) -> Summary:
        """Sum up the quality column of a split beside its manifest table, which says how long the rows should be."""
        summary = cls()
        durations = table.select_columns("duration") if "duration" in table.features else None
        for first in range(0, len(made), ROWS):
            rows = range(first, min(first + ROWS, len(made)))
            batch = made.select(rows).with_format("arrow")[:]
            stated = None if durations is None else np.array(durations.select(rows)["duration"], float)
            summary._add(batch.column("id").to_pylist(), _measures(batch.column("quality"), stated))
        return summary

    def told(self) -> dict[str, Any]:
        """Return the summary for a JSON file."""
        means = {name: total / count if count else None for name, (total, count) in self.sums.items()}
        worst = [row for _, _, row in self.worst]
        return {"rows": self.rows, "without_audio": self.without, "mean": means, "beyond": self.beyond, "worst": worst}

    def text(self) -> str:
        """Return the summary for people."""
        means = self.told()["mean"]
        lines = [
            [kind.title, means[name], f"{'under' if kind.low else 'over'} {kind.limit:g}", self.beyond[name]]
            for name, kind in MEASURES.items()
        ] if self.rows else []  # fmt: skip
        worst = [[row["id"], row["fault"], row["times"]] for _, _, row in self.worst]
        return (
            f"{self.rows} rows, {self.without} without audio\n"
            + tabulate(lines, headers=["measure", "mean", "limit", "rows beyond"], floatfmt=".4g")
            + "\n\n"
            + tabulate(worst, headers=["worst rows", "by", "times the limit"], floatfmt=".2f", disable_numparse=[0])
        )

    def _add(self, ids: list[str], values: dict[str, np.ndarray]) -> None:
        times = np.stack([_times(values[name], kind) for name, kind in MEASURES.items()])
        for number, (name, kind) in enumerate(MEASURES.items()):
            known = values[name][~np.isnan(values[name])]
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + float(known.sum()), count + len(known))
            self.beyond[name] = self.beyond.get(name, 0) + int(np.count_nonzero(times[number] > 1))
            bins, _ = np.histogram(np.clip(known, kind.edges[0], kind.edges[-1]), kind.edges)
            self.histograms[name] = self.histograms.get(name, 0) + bins
        self.without += int(np.isnan(values["missing"]).sum())
        self._keep_worst(ids, times, values)
        self.rows += len(ids)

    def _keep_worst(self, ids: list[str], times: np.ndarray, values: dict[str, np.ndarray]) -> None:
        names, total = list(MEASURES), times.max(axis=0)
        for row in np.argsort(-total, kind="stable")[:WORST].tolist():
            found = {name: None if np.isnan(values[name][row]) else float(values[name][row]) for name in names}
            told = {"id": ids[row], "fault": names[times[:, row].argmax()], "times": float(total[row]), **found}
            self.worst.append((float(total[row]), self.rows + row, told))
        self.worst = heapq.nsmallest(WORST, self.worst, key=lambda entry: (-entry[0], entry[1]))


def _measures(column: Any, stated: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return the values of each measure [shape=(rows,)], NaN where there is none."""

    def values(name: str) -> np.ndarray:
        return pc.cast(pc.struct_field(column, name), "float64").to_numpy().astype(float)

    made = {name: values(name) for name in MEASURES if name != "missing"}
    claimed = values("header_duration") if stated is None else np.fmax(values("header_duration"), stated)
    decoded = values("decoded_duration")
    made["missing"] = np.where(np.isnan(decoded), np.nan, np.abs(claimed - decoded))
    return made


def _times(values: np.ndarray, kind: Measure) -> np.ndarray:
    """Return how many times worse than the limit each value is, `CAP` at most, 0 where there is none."""
    with np.errstate(divide="ignore"):
        times = kind.limit / values if kind.low else np.abs(values) / kind.limit
    return np.minimum(np.nan_to_num(times, nan=0.0, posinf=CAP), CAP)


def figure(summaries: Mapping[str, Summary], path: Path) -> bool:
    """Draw the histograms of all measures; return False if matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure  # without pyplot: no display, no global state
    except ImportError:
        return False
    drawing = Figure(figsize=(9, 5), dpi=150, layout="constrained")
    for axes, (name, kind) in zip(drawing.subplots(2, 3).flat, MEASURES.items(), strict=True):
        for (split, summary), colour in zip(summaries.items(), itertools.cycle(COLOURS), strict=False):
            bins = summary.histograms.get(name, np.zeros(len(kind.edges) - 1))
            axes.stairs(100 * bins / max(1, bins.sum()), kind.edges, color=colour, label=split)
        axes.axvline(kind.limit, color="0.4", linestyle=":", linewidth=1)
        axes.set_xlabel(kind.title)
        axes.set_ylabel("rows (%)")
        axes.spines[["top", "right"]].set_visible(False)
    drawing.axes[0].legend(fontsize=8)
    drawing.savefig(path, format="png")
    return True
