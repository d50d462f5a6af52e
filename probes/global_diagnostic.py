"""Global diagnostic: does a phone occur in the utterance? Pooled features, one logistic regression per phone.

After Chrupala, Higy and Alishahi (2020), Analyzing analytical methods, ACL. Differences: speakers of train and test are
apart, what is chosen is chosen on validation, padding takes no part in attention, and features are standardised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from probes import published
from probes.attention import KINDS, Parameters, Utterances, initial, pooled, train, vectors
from probes.errors import ProbeError
from probes.measuring import Asked, about, joined, value_and_interval, with_frames
from probes.multilabel import DECAYS, choose_questions, question_counts, question_scores
from probes.options import check_decays, check_least
from probes.questions import load, save_questions
from probes.results import MAJORITY
from probes.spellings import occurrences

import mlx.core as mx  # isort: skip  after features, which brings it a fast BLAS

RATE, PATIENCE = 3e-3, 20  # of Adam; epochs without a gain on validation
BATCH, EPOCHS = 16, 200  # utterances in a step
PUBLISHED = True  # the published protocol can be repeated
LETTERS = "letters"
__all__ = ["load", "measure"]


def measure(
    asked: Asked, *, pool: str = "mean", targets: str = "", epochs: int = 0, decays: tuple[float, ...] = DECAYS
) -> Iterator[dict[str, Any]]:
    """Yield for the majority baseline and for each layer the scores on test speakers.

    The control task gives each utterance the phones of another one, drawn by the seed. The published protocol has none;
    see `probes.published` for what else it does.

    Parameters
    ----------
    asked : Asked
    pool : "mean", "linear" or "scalar"
        How frames become an utterance: their mean, or attention that is trained with the probe (`probes.attention`).
    targets : "classes" or "letters"
        Classes of the tier, silence left out, or the letters of the IPA, which the published code asks for (default:
        classes; letters in the published protocol).
    epochs : int
        Of attention, at most, 0 for 200; mean pooling has a convex loss, and `decays` that validation chooses from. Of
        the published protocol, 0 for 500.

    Raises
    ------
    ProbeError
        If an option is unknown, or a fold has too few utterances.
    """
    targets = targets or (LETTERS if asked.published else "classes")
    if pool not in ("mean", *KINDS) or targets not in ("classes", LETTERS):
        raise ProbeError(f"pool={pool}, targets={targets}: expected mean, linear or scalar, and classes or {LETTERS}")
    check_decays(decays)
    check_least(0, epochs=epochs)
    if asked.published and (pool == "scalar" or asked.save is not None):
        raise ProbeError(
            "the published protocol pools by mean or linear, and keeps no probes: its pooling takes padding"
        )
    asked = with_frames(asked)
    truth, classes = _questions(asked, targets)
    control = [] if asked.published else [truth[np.random.default_rng(asked.seed).permutation(len(truth))]]
    tests = np.concatenate([_places(asked, fold.test) for fold in asked.splits.folds])
    groups = asked.groups(rows=asked.rows[np.unique(tests)])
    weights, seen, where = asked.weights(groups.count), set(), groups.of[asked.rows[tests]]
    guessed = question_counts(truth[tests], _majority(asked, truth), where, groups.count)
    shared = {
        "split": asked.splits.kind, "folds": len(asked.splits.folds), "disjoint": asked.splits.disjoint,
        "n_train": round(np.mean([len(fold.train) for fold in asked.splits.folds])), "n_test": len(tests),
        "classes": len(classes), "test_speakers": len(np.unique(asked.speakers(asked.rows[np.unique(tests)]))),
        "note": joined(asked.splits.note, asked.note, f"{pool} pooling", f"interval over {groups.unit}"),
        "examples": "utterances",
    }  # fmt: skip
    for column, card in asked.columns.items():
        probed = [
            _answers(asked, column, one, classes, pool=pool, epochs=epochs, decays=decays, save=not turn)
            for turn, one in enumerate([truth, *control])
        ]
        own, *random = (
            question_counts(one[tests], answers, where, groups.count)
            for one, (answers, _) in zip([truth, *control], probed, strict=True)
        )
        if about(card)["clock"] not in seen:
            seen.add(about(card)["clock"])
            base = {"encoder": MAJORITY, "init": "none", "layer": "", "layer_index": 0, "clock": about(card)["clock"]}
            yield from _rows({**shared, **base}, weights, guessed, guessed, None)
        chosen = {"decay": probed[0][1]} if probed[0][1] else {}
        yield from _rows({**about(card), **shared, **chosen}, weights, own, guessed, random[0] if random else None)


def _questions(asked: Asked, targets: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return which classes occur in each row, and their names; the published code knows those of its train half."""
    truth, classes = occurrences(asked, asked.rows, targets == LETTERS)
    if not asked.published:
        return truth, classes
    known = np.flatnonzero(truth[_places(asked, asked.splits.folds[0].train)].any(axis=0))
    return truth[:, known], tuple(classes[n] for n in known)


def _rows(
    shared: dict[str, Any], weights: np.ndarray, own: np.ndarray, guessed: np.ndarray, control: np.ndarray | None
) -> Iterator[dict[str, Any]]:
    counts = [np.einsum("dg,gkc->dkc", weights, one) for one in (own, guessed, own if control is None else control)]
    for metric, values in question_scores(*counts).items():
        if control is not None or metric not in ("control_accuracy", "selectivity"):
            yield {**shared, "metric": metric, **value_and_interval(values)}


def _answers(
    asked: Asked, column: str, truth: np.ndarray, classes: tuple[str, ...], *,
    pool: str, epochs: int, decays: tuple[float, ...], save: bool,
) -> tuple[np.ndarray, float | None]:  # fmt: skip
    """Return the answers on the test utterances of all folds, one after another, and the mean decay."""
    answers, chosen = [], []
    for number, fold in enumerate(asked.splits.folds):
        learn, tune, test = (_places(asked, rows) for rows in (fold.train, fold.validation, fold.test))
        if len(learn) < 2 or not len(tune) or not len(test):
            raise ProbeError(f"{column}: fold {number} has {len(learn)} train and {len(test)} test utterances")
        utterances = Utterances.read(asked.table, column, asked.rows, learn)
        if asked.published:
            options = {"epochs": epochs or published.EPOCHS, "seed": asked.seed}
            answers.append(published.best_answers(utterances, truth, learn, test, pool, **options)[0])
            continue
        if pool == "mean":
            found, parameters, decay = choose_questions(utterances.means(), truth, learn, tune, decays)
            chosen.append(decay)
            answers.append(found[test])
            made = {"weights": mx.array(parameters[:-1]), "bias": mx.array(parameters[-1])}
        else:
            made = _attend(utterances, truth, learn, tune, pool, epochs or EPOCHS, asked.seed)
            answers.append(_scores(made, utterances, test) >= 0)
            made |= {"mean": mx.array(utterances.mean), "scale": mx.array(utterances.scale)}
        if asked.save is not None and save:
            save_questions(asked.save / f"{column}.fold{number}", made, _details(asked, column, number, pool, classes))
    return np.concatenate(answers), float(np.exp(np.mean(np.log(chosen)))) if chosen else None


def _attend(
    utterances: Utterances, truth: np.ndarray, learn: np.ndarray, tune: np.ndarray, pool: str, epochs: int, seed: int
) -> Parameters:
    """Train attention and the logistic regressions behind it together."""
    width, questions = len(utterances.mean), truth.shape[1]
    start = initial(pool, width, seed) | {"weights": mx.zeros((width, questions)), "bias": mx.zeros(questions)}
    told = mx.array(truth.astype(np.float32))

    def loss(parameters: Parameters, values: mx.array, mask: mx.array, places: np.ndarray) -> mx.array:
        scores = mx.addmm(parameters["bias"], pooled(parameters, values, mask), parameters["weights"])
        return (mx.logaddexp(scores, 0.0) - told[mx.array(places)] * scores).mean(axis=0).sum()

    def score(parameters: Parameters) -> float:
        scores = _scores(parameters, utterances, tune)
        return -float((np.logaddexp(0, scores) - truth[tune] * scores).mean())

    options = {"epochs": epochs, "rate": RATE, "patience": PATIENCE, "seed": seed, "batch": BATCH}
    return train(start, loss, score, utterances, learn, **options)[0]


def _scores(parameters: Parameters, utterances: Utterances, places: np.ndarray) -> np.ndarray:
    made = mx.array(vectors(parameters, utterances, places))
    return np.asarray(mx.addmm(parameters["bias"], made, parameters["weights"]))


def _majority(asked: Asked, truth: np.ndarray) -> np.ndarray:
    """Return for each test utterance the commoner answer to each question in its fold's train utterances."""
    folds = asked.splits.folds
    common = [truth[_places(asked, fold.train)].mean(axis=0) >= 0.5 for fold in folds]
    sizes = [len(_places(asked, fold.test)) for fold in folds]
    return np.concatenate([np.tile(one, (size, 1)) for one, size in zip(common, sizes, strict=True)])


def _places(asked: Asked, rows: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.isin(asked.rows, rows))


def _details(asked: Asked, column: str, fold: int, pool: str, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return what a saved probe says of itself, among it the features that it is for."""
    card = json.loads(asked.columns[column].to_json())
    return {
        "column": column, "columns": [column], "card": card, "cards": {column: card}, "fold": fold, "pool": pool,
        "classes": list(classes), "seed": asked.seed, "examples": {"kind": "utterances", "target": asked.tier},
    }  # fmt: skip
