"""One feature column probed: a probe per fold and seed, the test examples of all folds scored together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from features.card import FeatureCard
from probes.control import control_table
from probes.errors import ProbeError
from probes.frames import FrameTable
from probes.registry import Probe
from probes.results import MAJORITY
from probes.scores import confusions, interval, resampled, scores, tallies
from probes.splits import Fold, Splits

WEIGHT = "weight."  # hyper-parameters of this prefix are weights of layers, rows of their own
MOST_CONFUSED = 200  # classes: confusions of more are not kept


@dataclass(frozen=True)
class Outcome:
    """What the probes of all folds answered on their test examples.

    tallies : np.ndarray [shape=(seeds, groups, 3, classes), int64]
        As `probes.scores.tallies`, per test speaker; per utterance where there is one test speaker.
    majority : np.ndarray [shape=(groups, 3, classes), int64]
        Of the majority baseline, the commonest class of each fold's train examples.
    control : np.ndarray [shape=(seeds, groups, 3, classes), int64] or None
        Of the control task.
    confusion : np.ndarray [shape=(classes, classes), int64] or None
        How often each class was taken for each, first seed.
    units : tuple of str
        Names of the groups.
    test_speakers : int
    n_train : int
        Train examples, mean over folds.
    chosen : mapping of str to float
        Hyper-parameters chosen on validation, mean over folds and seeds, of weight decays the geometric one.
    """

    tallies: np.ndarray
    majority: np.ndarray
    control: np.ndarray | None
    confusion: np.ndarray | None
    units: tuple[str, ...]
    test_speakers: int
    n_train: int
    chosen: Mapping[str, float]

    def values(self) -> dict[str, np.ndarray]:
        """Return each metric per seed, (seeds,)."""
        control = None if self.control is None else self.control.sum(axis=1)
        return scores(self.tallies.sum(axis=1), self.majority.sum(axis=0), control)

    def drawn(self, draws: int, seed: int) -> dict[str, np.ndarray]:
        """Return each metric, mean over seeds, on resampled groups, (draws,); empty with a single group."""
        if len(self.units) < 2:
            return {}
        controls = [None] * len(self.tallies) if self.control is None else self.control
        each = [
            resampled(tallied, self.majority, control, draws=draws, seed=seed)
            for tallied, control in zip(self.tallies, controls, strict=True)
        ]
        return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}

    def rows(self, card: FeatureCard, drawn: Mapping[str, np.ndarray]) -> Iterator[dict[str, Any]]:
        """Yield one result per metric, and one per weight of a layer."""
        own = {"encoder": card.encoder, "init": card.init, "layer": card.layer, "layer_index": card.index}
        own |= {"decay": self.chosen.get("decay"), **self._sizes()}
        for metric, values in self.values().items():
            yield {**own, "metric": metric, **_summary(values, drawn.get(metric))}
        weights = {name: value for name, value in self.chosen.items() if name.startswith(WEIGHT)}
        for place, (name, value) in enumerate(weights.items()):
            layer = {"layer": name.removeprefix(WEIGHT), "layer_index": place}
            yield {**own, **layer, "metric": "weight", "value": value}

    def baseline_rows(self, *, draws: int, seed: int) -> Iterator[dict[str, Any]]:
        """Yield one result per metric of the majority baseline."""
        row = {"encoder": MAJORITY, "init": "none", "layer": "", "layer_index": 0, **self._sizes()}
        drawn = resampled(self.majority, self.majority, draws=draws, seed=seed) if len(self.units) > 1 else {}
        total = self.majority.sum(axis=0)
        for metric, value in scores(total, total).items():
            yield {**row, "metric": metric, **_summary(value[None], drawn.get(metric))}

    def _sizes(self) -> dict[str, int]:
        return {"n_train": self.n_train, "n_test": int(self.majority[:, 1].sum())}


@dataclass(frozen=True)
class Task:
    """What all columns of one clock share: the examples' folds, who is tested, the baseline and the control tasks.

    labels, utterance : np.ndarray [shape=(examples,), int64]
        Of the examples, see `FrameTable`.
    folds : sequence of Fold
        Indices of examples.
    tested : np.ndarray [shape=(n,), int64]
        Test examples of all folds, one fold after another.
    groups : np.ndarray [shape=(n,), int64]
        Index into `units` of each.
    units : tuple of str
        Test speakers; utterances where there is one test speaker.
    speakers : int
    majority : np.ndarray [shape=(groups, 3, classes), int64]
        See `Outcome`.
    controls : dict of int to np.ndarray
        Labels of the control task by seed, drawn when they are first asked for.
    """

    labels: np.ndarray
    utterance: np.ndarray
    folds: Sequence[Fold]
    tested: np.ndarray
    groups: np.ndarray
    units: tuple[str, ...]
    speakers: int
    majority: np.ndarray
    controls: dict[int, np.ndarray]

    @classmethod
    def of(cls, frames: FrameTable, folds: Sequence[Fold]) -> Task:
        """Take it from the examples of one column.

        Raises
        ------
        ProbeError
            If a fold has nothing to train or to test on.
        """
        for number, fold in enumerate(folds):
            if not len(fold.train) or not len(fold.test):
                raise ProbeError(
                    f"fold {number} has {len(fold.train)} train and {len(fold.test)} test frames: use fewer folds"
                )
        tested = np.concatenate([fold.test for fold in folds])
        groups, units, speakers = _groups(frames, tested)
        labels = frames.labels
        guessed = np.concatenate([np.full(len(f.test), np.bincount(labels[f.train]).argmax()) for f in folds])
        majority = tallies(labels[tested], guessed, len(frames.classes), groups)
        return cls(labels, frames.utterance, folds, tested, groups, units, speakers, majority, {})

    def fits(self, frames: FrameTable) -> bool:
        """Return whether a column has the same examples."""
        pairs = ((self.labels, frames.labels), (self.utterance, frames.utterance))
        return all(own is other or np.array_equal(own, other) for own, other in pairs)

    def control(self, frames: FrameTable, seed: int) -> FrameTable:
        """Return the examples of a column with the labels of the control task."""
        if seed not in self.controls:
            self.controls[seed] = control_table(frames, seed).labels
        return replace(frames, labels=self.controls[seed])


def outcome(
    frames: FrameTable,
    task: Task,
    *,
    probe: Probe,
    column: str,
    seeds: Sequence[int] = (0,),
    control: bool = False,
    details: Mapping[str, Any] | None = None,
    save: str | Path | None = None,
) -> Outcome:
    """Train the probe of each fold and pool what the folds answer on their test examples.

    Parameters
    ----------
    frames : FrameTable
    task : Task
        Of the same examples.
    probe : Probe
    column : str
        Name of the feature column, for saved probes.
    seeds : sequence of int
        The probe is trained once with each, at most once if it has nothing random.
    control : bool
        Whether it is trained on the control task as well.
    details : mapping, optional
        What saved probes should say of themselves.
    save : path, optional
        Folder for the trained probes of the first seed, ``<column>.fold<k>``.
    """
    folds, tested, groups = task.folds, task.tested, task.groups
    truth, classes = frames.labels[tested], len(frames.classes)
    runs, controls, chosen, confusion = [], [], [], None
    for turn, seed in enumerate(seeds):
        if not turn or not probe.deterministic:
            told = {**(details or {}), "seed": seed, "column": column, "folds": len(folds)}
            answered, found = _train(frames, folds, probe, seed, told, None if turn else save)
            chosen += found
            if not turn and classes <= MOST_CONFUSED:
                confusion = confusions(truth, answered, classes)[0]
        runs.append(tallies(truth, answered, classes, groups))
        if control:
            other = task.control(frames, seed)
            answered_control, _ = _train(other, folds, probe, seed, {}, None)
            controls.append(tallies(other.labels[tested], answered_control, classes, groups))
    return Outcome(
        tallies=np.stack(runs),
        majority=task.majority,
        control=np.stack(controls) if controls else None,
        confusion=confusion,
        units=task.units,
        test_speakers=task.speakers,
        n_train=round(float(np.mean([len(fold.train) for fold in folds]))),
        chosen={name: _mean(name, [one[name] for one in chosen]) for name in chosen[0]},
    )


def example_folds(frames: FrameTable, splits: Splits) -> list[Fold]:
    """Return the folds of a table's rows as folds of examples."""

    def of(rows: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.isin(frames.utterance, rows))

    return [Fold(of(fold.train), of(fold.validation), of(fold.test)) for fold in splits.folds]


def published_folds(frames: FrameTable, rows: np.ndarray, seed: int) -> list[Fold]:
    """Return the split of the published code: random halves of the examples, tuned on the half that tests.

    Frames of one utterance are on both sides, and the best epoch is chosen on the test half: two flaws of
    ``analyze.py`` of Chrupala, Higy and Alishahi (2020), Analyzing analytical methods, ACL, kept to get its numbers.
    """
    there = np.flatnonzero(np.isin(frames.utterance, rows))
    order = np.random.default_rng(seed).permutation(there)
    train, test = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    return [Fold(train, test, test)]


def _train(
    frames: FrameTable, folds: Sequence[Fold], probe: Probe, seed: int, details: dict[str, Any], save: Any
) -> tuple[np.ndarray, list[dict[str, float]]]:
    """Return the answers on the test examples of all folds, and what each fold chose."""
    answered, chosen = [], []
    for number, fold in enumerate(folds):
        trained = probe.fit(frames, fold.train, fold.validation, seed=seed, details={**details, "fold": number})
        if save is not None:
            trained.save(Path(save) / f"{details['column']}.fold{number}")
        answered.append(answers(trained, frames, fold.test))
        chosen.append(trained.describe())
    return np.concatenate(answered), chosen


def answers(trained: Any, frames: FrameTable, which: np.ndarray) -> np.ndarray:
    """Return the class of some examples: `answer` of a probe that looks around them, else `predict` of their values."""
    if hasattr(trained, "answer"):
        return trained.answer(frames, which)
    return trained.predict(frames.take(which))


def _groups(frames: FrameTable, tested: np.ndarray) -> tuple[np.ndarray, tuple[str, ...], int]:
    """Return the group of each test example, the groups' names, and the number of speakers."""
    speakers = np.unique(frames.speaker[tested])
    unit = frames.speaker if len(speakers) > 1 else frames.utterance
    different, groups = np.unique(unit[tested], return_inverse=True)
    return groups, tuple(map(str, different)), len(speakers)


def _mean(name: str, values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))) if name == "decay" else np.mean(values))


def _summary(values: np.ndarray, drawn: np.ndarray | None) -> dict[str, float | None]:
    """Return mean and spread over seeds and the interval of the mean."""
    low, high = (np.nan, np.nan) if drawn is None or np.isnan(drawn).all() else interval(drawn)
    spread = values.std(ddof=1) if len(values) > 1 else np.nan
    found = {"value": values.mean(), "spread": spread, "ci_low": low, "ci_high": high}
    return {name: None if np.isnan(value) else float(value) for name, value in found.items()}
