"""Which figures a report has, and how each goes into a page and into files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from probes.class_figures import class_figure, class_scores, confusion_figure, confusion_matrix, map_figure
from probes.figures import LABELS, PERCENT, SMALL, label_of, layer_figure, save, scaled
from probes.methods import unique
from probes.phone_order import ordered
from probes.results import ACOUSTIC, MAJORITY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ONE_COLUMN = (3.6, 3.7)  # inches: fits a column of a paper, and a phone
MOST_LAYERS = 40  # in a heat map of all layers against all
PAIRS = 10  # confusions that the caption names
FURTHER = ("_partial", "_shuffled", "control_accuracy")  # ends of metrics whose figures a page folds away
_XML_ID = re.compile(r'(\bid="|url\(#|href="#)')


@dataclass(frozen=True)
class Drawn:
    """A figure with its caption.

    name : str
        Of its files.
    further : bool
        Whether a page folds it away.
    """

    name: str
    figure: Figure
    caption: str
    further: bool = False

    def save(self, folder: Path, prefix: str) -> list[Path]:
        """Write ``<prefix>.<name>.png`` and ``.svg``; return their paths."""
        return save(self.figure, folder, f"{prefix}.{self.name}")

    def html(self, prefix: str) -> str:
        """Return the figure as an element of a page; `prefix` keeps the ids of several figures apart."""
        buffer = BytesIO()
        self.figure.savefig(buffer, format="svg", metadata={"Date": None})
        svg = buffer.getvalue().decode()
        svg = _XML_ID.sub(lambda found: f"{found[1]}{prefix}-", svg[svg.index("<svg") :])
        svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(self.caption, quote=True)}" ', 1)
        wide = self.figure.get_figwidth() >= SMALL
        held = f'<div class="scroll" tabindex="0">{svg}</div>' if wide else svg
        return f"<figure>{held}<figcaption>{escape(self.caption)}</figcaption></figure>"


def drawn_of(frame: pd.DataFrame, confusions: pd.DataFrame | None) -> list[Drawn]:
    """Return the figures of one probe and target.

    Parameters
    ----------
    frame : DataFrame
        Rows of a results table.
    confusions : DataFrame or None
        Columns ``encoder, init, layer, truth, answer, count``.
    """
    paired = frame["other_layer"].notna() if "other_layer" in frame else pd.Series(False, index=frame.index)
    figures = [*_curves(frame[~paired]), *_pairs(frame[paired])]
    if confusions is not None and len(confusions) and (frame.metric == "accuracy").any():
        figures += _classes(confusions, frame)
    return figures


def _curves(frame: pd.DataFrame) -> Iterator[Drawn]:
    known = {name: place for place, name in enumerate(LABELS)}
    for place, metric in enumerate(sorted(frame.metric.unique(), key=lambda name: known.get(name, len(known)))):
        some = frame[(frame.metric == metric) & frame.value.notna()]
        if some.empty:
            continue
        beside = unique(some, "other")
        of = f" with {beside[0]}" if len(beside) == 1 else ""
        caption = (
            f"{_named(metric, some)}{of} by layer; points trained, hollow squares random weights, lines baselines."
        )
        # What is said of shares twice (macro F1, error reduction) is folded away; other measures stand for themselves.
        further = (metric in PERCENT[1:3] and place > 0) or metric.endswith(FURTHER)
        yield Drawn(f"layers.{metric}", layer_figure(frame, metric, size=ONE_COLUMN, beside=of), caption, further)
        layers = some[some.encoder != MAJORITY].groupby(["encoder", "init"]).layer.nunique()
        if metric not in PERCENT and len(layers) and layers.max() > 1:
            yield Drawn(f"map.{metric}", _layer_map(some, metric), f"{label_of(metric)}{of} of every layer.", further)


def _named(metric: str, frame: pd.DataFrame) -> str:
    return label_of(metric, unique(frame, "examples"))


def _layer_map(frame: pd.DataFrame, metric: str) -> Figure:
    frame = scaled(frame[frame.encoder != MAJORITY], metric)
    frame = frame.assign(who=frame.encoder + ", " + frame.init)
    wide = frame.pivot_table(index="who", columns="layer_index", values="value", sort=False).sort_index(axis=1)
    return map_figure(wide, f"{frame.probe.iloc[0]}: layers from the input", metric)


def _pairs(frame: pd.DataFrame) -> Iterator[Drawn]:
    """Draw a heat map for each measure, all layers against all, or where they are many each pair of encoders."""
    own, other = (["encoder", "init", "layer"], ["other_encoder", "other_init", "other_layer"])
    frame = frame.assign(**{name: "" for name in other if name not in frame})
    for metric, some in frame.groupby("metric", sort=False):
        who = some[own].drop_duplicates()
        if len(who) <= MOST_LAYERS:
            yield Drawn(f"pairs.{metric}", _square(some, metric), f"{label_of(metric)} between all layers.")
            continue
        for (one, init, two, other_init), part in some.groupby([*own[:2], *other[:2]], sort=False, dropna=False):
            title = f"{_who(one, init)} against {_who(two, other_init)}"
            wide = part.pivot_table(index="layer", columns="other_layer", values="value", sort=False)
            figure = map_figure(wide, title.replace(" against", "\nagainst"), metric)
            name = re.sub(r"\W+", "-", f"{metric} {title}")
            yield Drawn(f"pairs.{name}", figure, f"{label_of(metric)}: {title}.")


def _square(frame: pd.DataFrame, metric: str) -> Figure:
    """Draw all layers against all in one order, encoders together, layers from the input."""
    place = frame.assign(came=range(len(frame))).groupby(["encoder", "init"])["came"].transform("min")
    ordered_rows = frame.assign(place=place).sort_values(["place", "layer_index"], kind="stable")
    keys = zip(ordered_rows.encoder, ordered_rows.init, ordered_rows.layer, strict=True)
    names = list(dict.fromkeys(map(_layer_name, keys)))
    kept = frame.assign(
        one=[_layer_name(key) for key in zip(frame.encoder, frame.init, frame.layer, strict=True)],
        two=[_layer_name(key) for key in zip(frame.other_encoder, frame.other_init, frame.other_layer, strict=True)],
    )
    wide = kept.pivot_table(index="one", columns="two", values="value", sort=False)
    wide = wide.reindex(index=names, columns=[*names, *(one for one in wide.columns if one not in names)])
    return map_figure(wide, f"{frame.probe.iloc[0]}: layers of the rows with those of the columns", metric)


def _who(encoder: object, init: object) -> str:
    return str(encoder) if init in (ACOUSTIC, "") or pd.isna(init) else f"{encoder}, {init}"


def _layer_name(key: tuple[str, str, str]) -> str:
    encoder, init, layer = key
    return f"{encoder} {layer}" if init in (ACOUSTIC, "trained", "") else f"{encoder} {init} {layer}"


def _classes(confusions: pd.DataFrame, frame: pd.DataFrame) -> Iterator[Drawn]:
    """Draw the confusions of the best layer of each encoder, and F1 of each class beside its controls."""
    names = ordered(sorted(set(confusions.truth) | set(confusions.answer)))
    counts = {
        key: confusion_matrix(part, names) for key, part in confusions.groupby(["encoder", "init", "layer"], sort=False)
    }
    best = best_layers(frame)
    for encoder, init, layer in best:
        if (encoder, init, layer) not in counts:
            continue
        title = f"{encoder}, {layer}" if init == ACOUSTIC else f"{encoder}, {init}, {layer}"
        matrix = counts[encoder, init, layer]
        slug = re.sub(r"[^\w.]+", "-", title)
        caption = f"What was answered for each class, {title}. Commonest: {_commonest(matrix, names)}."
        random = init.startswith("random")
        yield Drawn(f"confusion.{slug}", confusion_figure(matrix, names, title), caption, random or init == ACOUSTIC)
        if not random:
            chosen = {title: matrix, **_controls(counts, best, encoder, init, layer)}
            scores = {label: class_scores(one, names) for label, one in chosen.items()}
            yield Drawn(
                f"classes.{slug}", class_figure(scores, names, title), f"F1 of each class, {title}.", init == ACOUSTIC
            )


def best_layers(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return encoder, init and layer of the most accurate layer of each encoder and kind of weights."""
    own = frame[(frame.metric == "accuracy") & (frame.encoder != MAJORITY) & frame.value.notna()]
    rows = own.loc[own.groupby(["encoder", "init"], sort=False).value.idxmax()]
    return [tuple(row) for row in rows[["encoder", "init", "layer"]].itertuples(index=False)]


def _controls(counts: dict, best: list[tuple[str, str, str]], encoder: str, init: str, layer: str) -> dict:
    """Return the counts of the same layer with random weights, and of the best layer of each acoustic encoder."""
    if init != "trained":
        return {}
    random = next(
        (key for key in counts if key[0] == encoder and key[1].startswith("random") and key[2] == layer), None
    )
    found = {f"{random[1]} weights, {layer}": counts[random]} if random else {}
    return found | {key[0]: counts[key] for key in best if key[1] == ACOUSTIC and key in counts}


def _commonest(matrix: pd.DataFrame, names: list[str]) -> str:
    pairs = [
        (int(matrix[t, p]), names[t], names[p])
        for t, p in zip(*matrix.nonzero(), strict=True)
        if t != p
    ]  # fmt: skip
    pairs.sort(reverse=True)
    return ", ".join(f"{truth} as {answer} ({count:,})" for count, truth, answer in pairs[:PAIRS]) or "none"
