"""One feature column probed: a probe per fold, the test frames of all folds scored together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from features.card import FeatureCard
from probes.errors import ProbeError
from probes.frames import FrameTable
from probes.results import MAJORITY
from probes.scores import confusions, intervals, scores
from probes.splits import Splits

PROBE = re.compile(r"^def (fit|measure)\(", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What the probes of all folds answered on their test frames.

    counts, majority : np.ndarray [shape=(groups, classes, classes), int64]
        Confusion counts of the probes and of the majority baseline (the commonest class of each
        fold's train frames), per test speaker; per utterance where there is one test speaker.
    test_speakers : int
    n_train : int
        Train frames, mean over folds.
    chosen : mapping of str to float
        Hyper-parameters chosen on validation, geometric mean over folds.
    """

    counts: np.ndarray
    majority: np.ndarray
    test_speakers: int
    n_train: int
    chosen: dict[str, float]

    def rows(self, card: FeatureCard | None, *, draws: int = 1000, seed: int = 0) -> Iterator[dict[str, Any]]:
        """Yield one result per metric: of the probe, or without a card of the majority baseline."""
        counts = self.majority if card is None else self.counts
        values = scores(counts.sum(axis=0), self.majority.sum(axis=0))
        ranges = intervals(counts, self.majority, draws=draws, seed=seed)
        row: dict[str, Any] = {"n_train": self.n_train, "n_test": int(counts.sum())}
        if card is None:
            row |= {"encoder": MAJORITY, "init": "none", "layer": "", "layer_index": 0}
        else:
            row |= {"encoder": card.encoder, "init": card.init, "layer": card.layer, "layer_index": card.index}
            row |= self.chosen
        for metric, value in values.items():
            low, high = map(_number, ranges[metric])
            yield {**row, "metric": metric, "value": _number(value), "ci_low": low, "ci_high": high}


def outcome(
    frames: FrameTable, splits: Splits, *, probe: str, column: str, seed: int = 0, save: str | Path | None = None
) -> Outcome:
    """Train the probe of each fold and pool what the folds answer on their test frames.

    Parameters
    ----------
    frames : FrameTable
    splits : Splits
        Rows of the table that `frames` was made from.
    probe : str
        File of this package with `fit`.
    column : str
        Name of the feature column, for saved probes.
    save : path, optional
        Folder for the trained probes, ``<column>.fold<k>``.
    """
    fit = fit_of(probe)
    tested, answered, guessed, sizes, chosen = [], [], [], [], []
    for number, fold in enumerate(splits.folds):
        train, validation, test = (_frames_of(frames, part) for part in (fold.train, fold.validation, fold.test))
        if not len(train) or not len(test):
            raise ProbeError(f"fold {number} has {len(train)} train and {len(test)} test frames: use fewer folds")
        details = {"column": column, "fold": number, "folds": len(splits.folds), "split": splits.kind}
        trained = fit(frames, train, validation, seed=seed, details=details)
        if save is not None:
            trained.save(Path(save) / f"{column}.fold{number}")
        tested.append(test)
        answered.append(trained.predict(frames.values[test]))
        guessed.append(np.full(len(test), np.bincount(frames.labels[train]).argmax()))
        sizes.append(len(train))
        chosen.append(trained.describe())
    return _pooled(frames, *map(np.concatenate, (tested, answered, guessed)), sizes, chosen)


def fit_of(probe: str) -> Callable[..., Any]:
    """Return the function that trains or measures: `fit` or `measure` of the file of that name.

    Raises
    ------
    ProbeError
        If there is no such probe.
    """
    if probe not in probe_names():
        raise ProbeError(f"unknown probe={probe!r}: expected one of {probe_names()}")
    module = import_module(f"probes.{probe}")
    return module.fit if hasattr(module, "fit") else module.measure


@cache
def probe_names() -> list[str]:
    """Return the names of all probes: the files of this package that define `fit` or `measure`."""
    files = Path(__file__).parent.glob("*.py")
    return sorted(file.stem for file in files if PROBE.search(file.read_text(encoding="utf-8")))


def _pooled(
    frames: FrameTable, tested: np.ndarray, answered: np.ndarray, guessed: np.ndarray,
    sizes: list[int], chosen: list[dict[str, float]],
) -> Outcome:  # fmt: skip
    speakers = np.unique(frames.speaker[tested])
    unit = frames.speaker if len(speakers) > 1 else frames.utterance
    groups = np.unique(unit[tested], return_inverse=True)[1]
    truth, classes = frames.labels[tested], len(frames.classes)
    return Outcome(
        counts=confusions(truth, answered, classes, groups),
        majority=confusions(truth, guessed, classes, groups),
        test_speakers=len(speakers),
        n_train=round(float(np.mean(sizes))),
        chosen={name: float(np.exp(np.mean([np.log(one[name]) for one in chosen]))) for name in chosen[0]},
    )


def _frames_of(frames: FrameTable, rows: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.isin(frames.utterance, rows))


def _number(value: float | np.ndarray) -> float | None:
    return None if np.isnan(value) else float(value)
