"""The results of a suite as tables in Markdown: a row per layer, a column per probe, intervals in brackets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from probes.results import MAJORITY

Column = tuple[str, str, str]  # heading, part, metric
TABLES: dict[str, tuple[Column, ...]] = {
    "Phone of a frame, accuracy": (
        ("linear, 39", "linear", "accuracy"),
        ("linear, 48", "linear-48", "accuracy"),
        ("linear, 61", "linear-61", "accuracy"),
        ("linear, broad", "linear-broad", "accuracy"),
        ("mlp", "mlp", "accuracy"),
        ("context", "context", "accuracy"),
        ("mixing", "mixing", "accuracy"),
    ),
    "Phone of a frame, linear probe, 39 classes: other scores and the control task": (
        ("macro F1", "linear", "macro_f1"),
        ("error reduction", "linear", "error_reduction"),
        ("control task", "linear", "control_accuracy"),
        ("selectivity", "linear", "selectivity"),
    ),
    "Phone of a segment, speaker and gender of an utterance, accuracy": (
        ("segment, mean", "segments", "accuracy"),
        ("segment, centre", "centres", "accuracy"),
        ("gender", "gender", "accuracy"),
        ("speaker", "speaker", "accuracy"),
    ),
    "Which phones occur in the utterance (global diagnostic)": (
        ("mean, accuracy", "occurs", "accuracy"),
        ("mean, error reduction", "occurs", "error_reduction"),
        ("mean, selectivity", "occurs", "selectivity"),
        ("attention, error reduction", "occurs-attention", "error_reduction"),
    ),
    "Representational similarity, Pearson's r": (
        ("local", "rsa", "local_rsa"),
        ("local, speaker constant", "rsa", "local_rsa_partial"),
        ("local, shuffled", "rsa", "local_rsa_shuffled"),
        ("global, mean", "rsa", "global_rsa"),
        ("global, speaker and duration constant", "rsa", "global_rsa_partial"),
        ("global, shuffled", "rsa", "global_rsa_shuffled"),
        ("global, attention", "rsa", "global_rsa_linear"),
    ),
    "Similarity with one-hot phones, and ABX error of phones where it is measured": (
        ("CKA", "similarity", "cka"),
        ("PWCCA", "similarity", "pwcca"),
        ("ABX within", "abx", "abx_within_speaker"),
        ("ABX across", "abx", "abx_across_speakers"),
    ),
    "Published protocol, with its flaws (no intervals are published)": (
        ("linear, no silence: error reduction", "linear-published", "error_reduction"),
        ("global diagnostic, mean: error reduction", "occurs-published", "error_reduction"),
        ("the same, attention", "occurs-attention-published", "error_reduction"),
        ("local RSA", "rsa-published", "local_rsa"),
        ("global RSA, mean", "rsa-published", "global_rsa"),
        ("global RSA, attention", "rsa-published", "global_rsa_linear"),
    ),
}
KEYS = ["encoder", "init", "layer"]


def markdown(results: pd.DataFrame, left_out: Mapping[str, str] | None = None) -> str:
    """Return all tables that the results fill.

    Parameters
    ----------
    results : DataFrame
        Rows of a results table with the column ``part``.
    left_out : mapping of str to str, optional
        Parts without results, and why.
    """
    own = results[results.other_layer.isna()]
    tables = {**TABLES, "Further probes": _further(own)}
    blocks = [block for title, columns in tables.items() if (block := _table(title, columns, own))]
    blocks += [_weights(own)] if (own.metric == "weight").any() else []
    blocks += [_measured_on(results)]
    blocks += [f"Left out: {'; '.join(f'{name} ({why})' for name, why in left_out.items())}."] if left_out else []
    return "\n\n".join(blocks) + "\n"


def _further(own: pd.DataFrame) -> tuple[Column, ...]:
    """Return a column for each metric of the parts that no table above has."""
    known = {part for columns in TABLES.values() for _, part, _ in columns}
    found = own[~own.part.isin(known)][["part", "metric"]].drop_duplicates()
    return tuple((f"{row.part}: {row.metric.replace('_', ' ')}", row.part, row.metric) for row in found.itertuples())


def _table(title: str, columns: tuple[Column, ...], own: pd.DataFrame) -> str:
    cells = {}
    for heading, part, metric in columns:
        found = own[(own.part == part) & (own.metric == metric)].drop_duplicates(KEYS)
        if len(found):
            cells[heading] = dict(zip(map(tuple, found[KEYS].to_numpy()), map(_cell, found.itertuples()), strict=True))
    if not cells:
        return ""
    rows = [key for key in _order(own) if any(key in known for known in cells.values())]
    lines = [
        f"### {title}",
        "",
        _line(["encoder", "weights", "layer", *cells]),
        _line(["---"] * 3 + ["---:"] * len(cells)),
    ]
    for encoder, init, layer in rows:
        weights = "" if init == "none" else init
        known = [known.get((encoder, init, layer), "") for known in cells.values()]
        lines.append(_line([encoder, weights, layer, *known]))
    return "\n".join(lines)


def _order(own: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return encoder, init and layer of all rows: the majority, what has nothing to train, then layers in order."""
    frame = own[own.metric != "weight"].drop_duplicates(KEYS).copy()
    frame["group"] = frame.init.map(lambda init: 0 if init == "none" else 1)
    frame.loc[frame.encoder == MAJORITY, "group"] = -1
    first = {key: place for place, key in enumerate(dict.fromkeys(zip(frame.encoder, frame.init, strict=True)))}
    frame["place"] = [first[key] for key in zip(frame.encoder, frame.init, strict=True)]
    frame["all"] = frame.layer == "all"
    return [tuple(key) for key in frame.sort_values(["group", "place", "all", "layer_index"])[KEYS].to_numpy()]


def _weights(own: pd.DataFrame) -> str:
    """Say what the layers weigh where a probe mixed them."""
    lines = ["### Layer mixing: weight of each layer", ""]
    for (encoder, init), some in own[own.metric == "weight"].groupby(["encoder", "init"], sort=False):
        weights = ", ".join(f"{row.layer} {row.value:.3f}" for row in some.itertuples())
        lines.append(f"* {encoder}{'' if init == 'none' else f', {init}'}: {weights}")
    return "\n".join(lines)


def _measured_on(results: pd.DataFrame) -> str:
    """Say in a list what each part was measured on."""
    lines = ["### What each column was measured on", ""]
    lines += [f"* `{part}`: {'; '.join(_about(some))}" for part, some in results.groupby("part", sort=False)]
    return "\n".join(lines)


def _about(some: pd.DataFrame) -> Iterator[str]:
    first = some.iloc[-1]
    yield f"probe {first.probe}, target {first.target}"
    if pd.notna(first.n_train):
        yield f"{int(some.n_train.max()):,} to train on, {int(some.n_test.max()):,} tested"
    else:
        yield f"{int(some.n_test.max()):,} measured"
    yield f"{int(some.test_speakers.max())} speakers"
    if pd.notna(first.folds):
        yield f"{int(first.folds)} folds" if first.folds > 1 else "one split"
    yield from dict.fromkeys(one for note in some.note.dropna().unique() for one in note.split("; ") if one)


def _cell(row: tuple) -> str:
    if pd.isna(row.value):
        return ""
    low, high = row.ci_low, row.ci_high
    return f"{_short(row.value)}" + ("" if pd.isna(low) else f" [{_short(low)}, {_short(high)}]")


def _short(value: float) -> str:
    """Return three decimals without the leading zero: .754, -.012, 1.000."""
    text = f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 0.9995 else text


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
