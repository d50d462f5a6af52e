"""Global RSA: r between cosines of pooled utterances and edit similarities of what is said in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from probes.attention import Parameters, Utterances, initial, pooled, train, vectors
from probes.errors import ProbeError
from probes.local_rsa import unit
from probes.measuring import Asked, about, joined, value_and_interval, with_frames
from probes.pairs import PairSums
from probes.published import RATE as PUBLISHED_RATE
from probes.published import unit_start
from probes.spellings import edit_similarities, spellings
from probes.splits import ranked

import mlx.core as mx  # isort: skip  after features, which brings it a fast BLAS

RATE, PATIENCE = 1e-2, 10  # of Adam; epochs without a gain on validation


def global_results(asked: Asked, utterances: int, pool: tuple[str, ...], epochs: int) -> Iterator[dict[str, Any]]:
    """Yield the results of all layers and poolings, see `probes.rsa.measure`."""
    asked = with_frames(asked)
    spoken = _Spoken(asked, utterances)
    for column, card in asked.columns.items():
        for kind in pool:
            name = "global_rsa" if kind == "mean" else f"global_rsa_{kind}"
            shared = {**about(card), **spoken.about()}
            if asked.published and kind == "scalar":
                raise ProbeError("the published protocol pools by mean or linear, not scalar")
            if kind == "mean":
                means = Utterances.read(asked.table, column, spoken.rows, np.arange(len(spoken.rows))).means()
                places = spoken.halves()[1] if asked.published else np.arange(len(means))
                parts = [(places, means[places])]
                if asked.published:
                    note = joined(shared["note"], "published protocol: measured on a random half of the utterances")
                    shared |= {"split": asked.splits.kind, "n_test": len(places), "note": note}
            else:
                parts = list(_trained(asked, column, spoken, kind, epochs))
                shared |= {"split": asked.splits.kind, "folds": len(parts), "disjoint": asked.splits.disjoint}
                shared |= {"n_train": round(np.mean([len(fold.train) for fold in asked.splits.folds]))}
                shared |= {"n_test": sum(len(places) for places, _ in parts)}
                shared["note"] = joined(shared["note"], asked.splits.note)
            for metric, values in spoken.measured(parts).items():
                yield {**shared, "metric": metric.replace("global_rsa", name), **value_and_interval(values)}


class _Spoken:
    """Utterances that are compared, and how alike what is said in them is."""

    def __init__(self, asked: Asked, most: int) -> None:
        self.asked = asked
        rows = asked.rows
        if most and len(rows) > most:
            ids = np.asarray(asked.table.select_columns(["id"])["id"], dtype=str)
            chosen = set(ranked(ids[rows])[:most])
            rows = np.array([row for row in rows if ids[row] in chosen])
        texts = spellings(asked, rows)
        self.rows = np.array([row for row, text in zip(rows, texts, strict=True) if text], dtype=np.int64)
        if len(self.rows) < 3:
            raise ProbeError(f"{len(self.rows)} utterances to compare: at least 3 are needed")
        self.alike = edit_similarities([text for text in texts if text])
        self.voices = asked.speakers(self.rows)
        self.groups = asked.groups(rows=self.rows)
        self.weights = asked.weights(self.groups.count)
        seconds = np.asarray(asked.table.select_columns(["duration"]).select(self.rows)["duration"], dtype=np.float64)
        self.nuisances = {
            "speaker": self.voices[:, None] == self.voices,
            "duration": np.abs(seconds[:, None] - seconds),
        }

    def halves(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the half that trains, and of the half that is measured, in the published protocol."""
        fold = self.asked.splits.folds[0]
        learn, test = (np.flatnonzero(np.isin(self.rows, rows)) for rows in (fold.train, fold.test))
        if min(len(learn), len(test)) < 3:
            raise ProbeError("a half has fewer than 3 utterances to compare")
        return learn, test

    def about(self) -> dict[str, Any]:
        """Return the columns of the results that all layers share."""
        interval = f"interval over {self.groups.unit}" if self.groups.count > 1 else ""
        return {
            "split": "none", "n_test": len(self.rows), "test_speakers": len(np.unique(self.voices)),
            "note": joined(self.asked.note, interval),
        }  # fmt: skip

    def measured(self, parts: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return r, partial r and r of shuffled utterances, for all draws, each the mean over the parts."""
        draw = np.random.default_rng(self.asked.seed)
        found: dict[str, list[np.ndarray]] = {}
        for places, values in parts:
            square, cosine = np.ix_(places, places), cosines(values)
            nuisances = {name: one[square] for name, one in self.nuisances.items()}
            order = draw.permutation(places)
            sums = self._sums(places, cosine, self.alike[square], nuisances)
            control = self._sums(places, cosine, self.alike[np.ix_(order, order)], {})
            found.setdefault("global_rsa", []).append(sums.pearson(self.weights))
            found.setdefault("global_rsa_partial", []).append(sums.partial(self.weights))
            found.setdefault("global_rsa_shuffled", []).append(control.pearson(self.weights))
        return {name: _mean(values) for name, values in found.items()}

    def _sums(
        self, places: np.ndarray, cosine: np.ndarray, alike: np.ndarray, nuisances: dict[str, np.ndarray]
    ) -> PairSums:
        groups = self.groups.of[self.rows[places]]
        return PairSums.of({"cosine": cosine, "alike": alike, **nuisances}, groups, self.groups.count)


def cosines(values: np.ndarray) -> np.ndarray:
    """Return the cosines of all pairs of rows, float64."""
    made = unit(values)
    return made @ made.T


def _trained(
    asked: Asked, column: str, spoken: _Spoken, kind: str, epochs: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the places of each fold's test utterances, and the vectors that attention makes of them."""
    for fold in asked.splits.folds:
        learn, tune, test = (
            np.flatnonzero(np.isin(spoken.rows, rows)) for rows in (fold.train, fold.validation, fold.test)
        )
        if min(map(len, (learn, tune, test))) < 3:
            raise ProbeError(f"{column}: a fold has fewer than 3 utterances to train, tune or test on: use fewer folds")
        utterances = Utterances.read(asked.table, column, spoken.rows, learn)
        alike = mx.array(spoken.alike.astype(np.float32))

        def loss(parameters: Parameters, values: mx.array, mask: mx.array, places: np.ndarray, alike=alike) -> mx.array:  # noqa: ANN001
            index = mx.array(places)
            return -_correlation(pooled(parameters, values, mask), alike[index][:, index])

        def score(parameters: Parameters, tune=tune, utterances=utterances) -> float:  # noqa: ANN001
            cosine = cosines(vectors(parameters, utterances, tune))
            upper = np.triu_indices(len(tune), 1)
            return float(np.corrcoef(cosine[upper], spoken.alike[np.ix_(tune, tune)][upper])[0, 1])

        start = initial(kind, len(utterances.mean), asked.seed)
        options = {"epochs": epochs, "rate": RATE, "patience": PATIENCE, "seed": asked.seed}
        if asked.published:  # one batch, from a random direction, and no stopping; the first epoch scores the start
            start = unit_start(len(utterances.mean), asked.seed)
            options |= {
                "epochs": epochs - 1,
                "rate": PUBLISHED_RATE,
                "patience": epochs,
                "batch": len(learn),
                "bias_correction": True,
            }
        trained, _ = train(start, loss, score, utterances, learn, **options)
        yield test, vectors(trained, utterances, test)


def _correlation(vectors: mx.array, alike: mx.array) -> mx.array:
    """Return r over all pairs of a batch, to be differentiated."""
    made = vectors / mx.maximum(mx.linalg.norm(vectors, axis=1, keepdims=True), 1e-8)
    others = 1 - mx.eye(len(vectors))
    count = others.sum()

    def centred(matrix: mx.array) -> mx.array:
        return (matrix - (matrix * others).sum() / count) * others

    x, y = centred(made @ made.T), centred(alike)
    return (x * y).sum() / mx.sqrt((x * x).sum() * (y * y).sum() + 1e-12)


def _mean(values: list[np.ndarray]) -> np.ndarray:
    """Return the mean over parts; a draw may leave a part without pairs."""
    stacked = np.stack(values)
    good = np.isfinite(stacked)
    with np.errstate(invalid="ignore"):
        return np.where(good, stacked, 0).sum(axis=0) / good.sum(axis=0)
