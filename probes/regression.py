"""Scores of utterances from pooled features: ridge regression, audio and text alone and joined.

``python -m probes regression TABLE --target score_total``: for every layer, and for text and audio together,
Pearson's r and the mean squared error on speakers that were not heard.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Value

from features.card import FeatureCard, cards
from features.columns import matrices
from probes.errors import ProbeError
from probes.finite import check_finite
from probes.number_scores import NumberScorer
from probes.results import MAJORITY, Results
from probes.ridge import Ridge, RidgePath
from probes.splits import Fold, Splits, make_splits
from probes.tables import one_table, plain, without_doubles

ALPHAS = tuple(10.0**power for power in range(-2, 7))  # validation chooses; standardised columns
ROWS = 256  # utterances that are pooled at a time
JOINED = "text+audio"
NUMBERS = ("float64", "float32", "int64", "int32")
EXAMPLE = "example: python -m probes regression tables/speechocean762 --target score_total --out results/scores"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    top = argparse.ArgumentParser(
        prog="python -m probes regression", description="Predict a number of each utterance.", epilog=EXAMPLE
    )
    top.add_argument("table", type=Path, help="manifest table with features beside it")
    top.add_argument("--target", required=True, metavar="COLUMN", help="column of numbers, e.g. score_total")
    top.add_argument("--out", type=Path, required=True, help="folder for results.parquet and results.csv")
    top.add_argument("--features", nargs="+", type=Path, help="feature tables (default: all in TABLE/features)")
    top.add_argument("--encoders", nargs="+", metavar="NAME", help="only these encoders")
    top.add_argument("--folds", type=int, metavar="K", help="cross-validate over K groups of speakers")
    top.add_argument("--seed", type=int, default=0, help="of the intervals (default: 0)")
    return top


def run(options: argparse.Namespace) -> None:
    """Run the command and print the results."""
    from features.store import open_table

    table = open_table(options.table, options.features, audio=False)
    results = regress(table, options.target, encoders=options.encoders, folds=options.folds, seed=options.seed)
    written = results.save(options.out)
    frame = results.to_pandas()
    shown = frame.pivot_table(index=["encoder", "init", "layer"], columns="metric", values="value", sort=False)
    print(f"{shown.round(4).to_string()}\n\n{frame.note.iloc[0]}\ntables: {' '.join(map(str, written))}")


def regress(
    dataset: Any, target: str, *, encoders: Sequence[str] | None = None, folds: int | None = None, seed: int = 0
) -> Results:
    """Predict a column of numbers from each feature column, and from text and audio together.

    Columns of frames or tokens are pooled to their mean. Where the table has features of text (no frame clock) and of
    sound, both trained, they are joined too: in each fold the text layer and the sound layer with the lowest error on
    validation.

    Parameters
    ----------
    dataset : Dataset or DatasetDict
        Manifest and feature columns.
    target : str
        Column of numbers; rows without one are left out.
    encoders : sequence of str, optional
        Only these.
    folds : int >= 2, optional
        Cross-validate over so many groups of speakers, whatever splits there are.

    Returns
    -------
    Results
        Metrics ``pearson_r``, ``mse`` and ``r2``, of the baseline that answers the train mean too.

    Raises
    ------
    ProbeError
        If there are no numbers or no features, or features are not finite.
    """
    table, roles = one_table(dataset)
    rows, truth = _truth(table, target)
    chosen, doubled = without_doubles(_columns(table, encoders))
    ids, voices = (np.asarray(plain(table, name), dtype=object)[rows] for name in ("id", "speaker_id"))
    official = None if roles is None else [roles[row] for row in rows]
    splits = make_splits(ids.tolist(), voices.tolist(), official=official, folds=folds)
    features = {name: pooled(table, name)[rows] for name in chosen}
    for name, values in features.items():
        check_finite(name, values)
    guessed = np.full(len(rows), np.nan)
    for fold in splits.folds:
        guessed[fold.test] = truth[fold.train].mean()
    about = _about(splits, target, len(rows), seed, doubled)
    score = NumberScorer(truth, splits, guessed, seed)
    # The train mean differs a little between folds; its correlation with anything says nothing.
    baseline = [row for row in score.rows(guessed) if row["metric"] != "pearson_r"]
    found = [{**about, **_named(None), **row} for row in baseline]
    errors: dict[str, list[float]] = {}
    for name, card in chosen.items():
        answers, alphas, errors[name] = _cross_fitted([features[name]] * len(splits.folds), truth, splits)
        found += [{**about, **_named(card), **row, "decay": _middle(alphas)} for row in score.rows(answers)]
    found += [{**about, **row} for row in _joined(chosen, features, errors, truth, splits, score)]
    return Results.from_rows(found)


def pooled(table: Dataset, column: str) -> np.ndarray:
    """Return the mean of each row's matrix [shape=(rows, width), float64]; zeros where a row has no frame."""
    parts = []
    for start in range(0, len(table), ROWS):
        values, lengths = matrices(table, column, slice(start, min(start + ROWS, len(table))))
        sums = np.zeros((len(lengths), values.shape[1]))
        filled = np.flatnonzero(lengths)
        if len(filled):
            starts = (np.cumsum(lengths) - lengths)[filled]
            sums[filled] = np.add.reduceat(values.astype(np.float64), starts, axis=0)
        parts.append(sums / np.maximum(lengths, 1)[:, None])
    return np.concatenate(parts)


def fit_ridge(values: np.ndarray, truth: np.ndarray, fold: Fold) -> tuple[Ridge, float]:
    """Return the regression with the alpha that is best on validation, refit on both, and its validation error."""
    path = RidgePath(values[fold.train], truth[fold.train])
    errors = [float(np.mean((path(a).predict(values[fold.validation]) - truth[fold.validation]) ** 2)) for a in ALPHAS]
    best = int(np.argmin(errors))
    both = np.concatenate([fold.train, fold.validation])
    return RidgePath(values[both], truth[both])(ALPHAS[best]), errors[best]


def _cross_fitted(
    features: Sequence[np.ndarray], truth: np.ndarray, splits: Splits
) -> tuple[np.ndarray, list[float], list[float]]:
    """Return the answers on the test rows, and alpha and validation error of each fold."""
    answers, alphas, errors = np.full(len(truth), np.nan), [], []
    for values, fold in zip(features, splits.folds, strict=True):
        model, error = fit_ridge(values, truth, fold)
        answers[fold.test] = model.predict(values[fold.test])
        alphas.append(model.alpha)
        errors.append(error)
    return answers, alphas, errors


def _joined(
    chosen: Mapping[str, FeatureCard], features: Mapping[str, np.ndarray], errors: Mapping[str, list[float]],
    truth: np.ndarray, splits: Splits, score: NumberScorer,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    trained = {name: card for name, card in chosen.items() if not card.init.startswith("random")}
    texts = [name for name, card in trained.items() if card.clock is None]
    sounds = [name for name in trained if name not in texts]
    if not texts or not sounds:
        return
    folds = range(len(splits.folds))
    pairs = [[min(side, key=lambda name, k=k: errors[name][k]) for side in (texts, sounds)] for k in folds]
    answers, alphas, _ = _cross_fitted([np.hstack([features[name] for name in pair]) for pair in pairs], truth, splits)
    layers = ", ".join(dict.fromkeys(" + ".join(pair) for pair in pairs))
    own = {"encoder": JOINED, "init": "trained", "layer": layers, "layer_index": 0, "decay": _middle(alphas)}
    for row in score.rows(answers):
        yield {**own, **row}


def _truth(table: Dataset, target: str) -> tuple[np.ndarray, np.ndarray]:
    numbers = [name for name, kind in table.features.items() if isinstance(kind, Value) and kind.dtype in NUMBERS]
    if target not in numbers:
        raise ProbeError(f"no column of numbers {target!r}: expected one of {numbers}")
    values = np.asarray([np.nan if one is None else one for one in plain(table, target)], dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(values))
    if len(rows) < 3 or np.ptp(values[rows]) == 0:
        raise ProbeError(f"column {target!r} has {len(rows)} numbers that don't differ: nothing to predict")
    return rows, values[rows]


def _columns(table: Dataset, encoders: Sequence[str] | None) -> dict[str, FeatureCard]:
    known = {name: card for name, card in cards(table).items() if card.axis != "segment"}
    found = {name: card for name, card in known.items() if not encoders or card.encoder in encoders}
    if not found:
        there = sorted({card.encoder for card in known.values()})
        raise ProbeError(f"no features of {list(encoders or ['any encoder'])}: expected some of {there}")
    return found


def _named(card: FeatureCard | None) -> dict[str, Any]:
    if card is None:
        return {"encoder": MAJORITY, "init": "none", "layer": "", "layer_index": 0}
    return {"encoder": card.encoder, "init": card.init, "layer": card.layer, "layer_index": card.index}


def _about(splits: Splits, target: str, rows: int, seed: int, doubled: str) -> dict[str, Any]:
    notes = [splits.note, f"{rows} utterances; features averaged over the utterance; {MAJORITY}: the train mean"]
    notes += [
        f"alpha out of {', '.join(f'{alpha:g}' for alpha in ALPHAS)} by validation, then refit with validation",
        doubled,
    ]
    size = round(float(np.mean([len(fold.train) for fold in splits.folds])))
    return {"probe": "ridge", "target": target, "split": splits.kind, "folds": len(splits.folds), "seed": seed,
            "disjoint": splits.disjoint, "clock": "", "n_train": size,
            "note": "; ".join(filter(None, notes))}  # fmt: skip


def _middle(alphas: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(alphas))))
