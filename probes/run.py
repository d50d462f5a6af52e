"""Probing a table: for every feature column examples, a probe per fold, scores, rows of results."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from features.card import FeatureCard
from probes.comparisons import Entry, comparisons
from probes.errors import ProbeError
from probes.examples import Examples, Kind
from probes.frames import FrameTable
from probes.labels import Silence
from probes.layers import Job, frame_tables, jobs, naming
from probes.outcome import Outcome, Task, example_folds, outcome, published_folds
from probes.registry import Probe, probe_of
from probes.results import MAJORITY, Results
from probes.splits import Splits
from probes.tables import counted_rows, feature_columns, one_table, split_rows, without_doubles

Protocol = Literal["standard", "published"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
PUBLISHED = "published protocol: frames of one utterance in train and test, tuned on test"


def probe(
    dataset: Dataset | DatasetDict,
    *,
    tier: str = "phones",
    target: str | None = None,
    examples: Kind = "frames",
    probe: str = "linear",
    option: Mapping[str, Any] | None = None,
    encoders: Collection[str] | None = None,
    layers: Collection[str] | None = None,
    silence: Silence = "keep",
    phone_set: str | None = None,
    classes: str = "39",
    max_frames: int | None = None,
    keep_sa: bool = False,
    folds: int | None = None,
    protocol: Protocol = "standard",
    control: bool = False,
    seed: int = 0,
    seeds: int = 1,
    draws: int = 1000,
    save_probes: str | Path | None = None,
    progress: bool = True,
) -> Results:
    """Train a probe on every layer of a table and score it on speakers it has not heard.

    Parameters
    ----------
    dataset : Dataset or DatasetDict
        Manifest and feature columns. A DatasetDict with train and test is split as it is,
        anything else by speakers (`probes.splits`).
    tier : str
        Tier of `segments` that labels the examples; ``phones`` is folded to `classes`.
    target : str, optional
        The tier, or for utterances the column of labels: speaker_id, language, gender, emotion, ...
    examples : "frames", "segments", "centres" or "utterances"
        What is classified, see `probes.examples`.
    probe : str
        A file of this package that defines `fit` or `measure`, e.g. ``linear``.
    option : mapping, optional
        Options of the probe: keyword arguments of its function.
    encoders, layers : collection of str, optional
        Only these; all where left out.
    silence : "keep" or "drop"
        Whether examples of silence are trained on and scored.
    phone_set : str, optional
        Phone set of the tier; by default the one of each row's corpus.
    classes : str
        Of the tier ``phones``: 39, 48, 61 or broad.
    max_frames : int > 0, optional
        At most so many frames per utterance, drawn by `seed`.
    keep_sa : bool
        Whether TIMIT's SA sentences stay, which all speakers share.
    folds : int >= 2, optional
        Cross-validate over this many groups of speakers, whatever splits there are.
    protocol : "standard" or "published"
        ``published`` splits and tunes as published code does, flaws included (`probes.outcome.published_folds`).
    control : bool
        Whether each probe is trained on a control task as well, which gives its selectivity (`probes.control`).
    seed : int
        For the probe, `max_frames` and the intervals.
    seeds : int > 0
        How many seeds, from `seed` on, each probe is trained with; results are their mean and spread.
    draws : int > 0
        Resampled sets of speakers per interval.
    save_probes : path, optional
        Folder for the trained probes, ``<column>.fold<k>``.
    progress : bool
        Whether a bar is shown.

    Returns
    -------
    Results

    Raises
    ------
    ProbeError
        If the table cannot be probed as asked.
    """
    if protocol not in PROTOCOLS:
        raise ProbeError(f"unknown protocol={protocol!r}: expected one of {list(PROTOCOLS)}")
    if seeds < 1:
        raise ProbeError(f"seeds={seeds}: expected at least 1")
    chosen = probe_of(probe, option, refit=protocol == "standard")
    asked = Examples(examples, target or tier, silence, phone_set, classes, max_frames, seed)
    table, roles = one_table(dataset)
    columns, doubled = without_doubles(feature_columns(table, encoders, layers, asked.kind, asked.target))
    rows, left_out = counted_rows(table, asked.target, keep_sa=keep_sa, kind=asked.kind)
    left_out = "; ".join(filter(None, [left_out, doubled]))
    splits = split_rows(table, rows, roles, folds, voices=asked.target == "speaker_id")
    if chosen.measures:
        published = protocol == "published"
        return _measured(chosen, asked, table, columns, rows, splits, left_out, draws, save_probes, progress, published)
    plan = Plan(chosen, asked, splits, rows, protocol, left_out, seed, seeds, draws, control, save_probes)
    return plan.run(table, jobs(columns, chosen.all_layers), progress=progress)


@dataclass(frozen=True)
class Plan:
    """Everything that is the same for all columns; the fields are the arguments of `probe`."""

    probe: Probe
    examples: Examples
    splits: Splits
    rows: Any
    protocol: Protocol
    left_out: str
    seed: int
    seeds: int
    draws: int
    control: bool
    save: str | Path | None

    def run(self, table: Dataset, work: list[Job], *, progress: bool) -> Results:
        """Probe one column, or one encoder, after the other; columns of one clock are read in one pass."""
        found: list[dict[str, Any]] = []
        confused: list[dict[str, Any]] = []
        entries: list[Entry] = []
        task: Task | None = None
        with tqdm(total=len(work), desc="probing", unit="layer", disable=not progress) as bar:
            for job, frames in frame_tables(table, work, self.examples, self.rows, context=self.probe.context):
                bar.set_postfix_str(job.name)
                with naming(job.name):
                    if task is None or not task.fits(frames):
                        task = self._task(frames)
                    done = self._trained(frames, task, job)
                drawn = done.drawn(self.draws, self.seed)
                found += self._rows(done, drawn, frames, job.card, found)
                values = {name: float(value.mean()) for name, value in done.values().items()}
                entries.append(Entry(job.card, values, drawn, done.units))
                confused += _confused(done, frames.classes, job.card)
                bar.update()
        about = {"probe": self.probe.name, "target": self.examples.target}
        return Results(
            Results.from_rows(found).table,
            comparisons(entries, about),
            pa.Table.from_pylist(confused) if confused else None,
        )

    def _task(self, frames: FrameTable) -> Task:
        published = self.protocol == "published"
        folds = published_folds(frames, self.rows, self.seed) if published else example_folds(frames, self.splits)
        return Task.of(frames, folds)

    def _trained(self, frames: FrameTable, task: Task, job: Job) -> Outcome:
        details = {
            "split": "published" if self.protocol == "published" else self.splits.kind,
            "card": json.loads(job.card.to_json()),
            "cards": {name: json.loads(card.to_json()) for name, card in job.columns.items()},
            "columns": list(job.columns),
            "layers": [card.layer for card in job.columns.values()],
        }
        return outcome(
            frames, task, probe=self.probe, column=job.name, seeds=range(self.seed, self.seed + self.seeds),
            control=self.control, details={**details, "examples": asdict(self.examples)}, save=self.save,
        )  # fmt: skip

    def _rows(
        self,
        done: Outcome,
        drawn: Mapping[str, Any],
        frames: FrameTable,
        card: FeatureCard,
        before: list[dict[str, Any]],
    ) -> Iterator[dict[str, Any]]:
        """Yield the results of one column, after those of the majority where the clock is new."""
        about = self._about(frames, card, _note(self, done))
        about["test_speakers"] = done.test_speakers
        about["options"] = json.dumps({**self.probe.options, **done.chosen}, default=str)
        if not any(row["encoder"] == MAJORITY and row["clock"] == about["clock"] for row in before):
            for row in done.baseline_rows(draws=self.draws, seed=self.seed):
                yield {**about, "options": None, **row}
        for row in done.rows(card, drawn):
            yield {**about, **row}

    def _about(self, frames: FrameTable, card: FeatureCard, note: str) -> dict[str, Any]:
        published = self.protocol == "published"
        return {
            "probe": self.probe.name,
            "target": self.examples.target,
            "examples": self.examples.kind,
            "inventory": self.examples.inventory if self.examples.target == "phones" else None,
            "protocol": self.protocol,
            "split": "published" if published else self.splits.kind,
            "folds": 1 if published else len(self.splits.folds),
            "disjoint": not published and self.splits.disjoint,
            "clock": f"{card.clock.hop}+{card.clock.offset}" if card.clock else "",
            "classes": len(frames.classes),
            "seed": self.seed,
            "seeds": self.seeds,
            "note": note,
        }


def _measured(
    probe: Probe, asked: Examples, table: Dataset, columns: Mapping[str, FeatureCard], rows: Any, splits: Splits,
    left_out: str, draws: int, save: str | Path | None, progress: bool, published: bool,
) -> Results:  # fmt: skip
    """Return what a probe that measures yields; it goes through columns, folds and seeds itself."""
    from probes.measuring import Asked

    if asked.kind != "frames" or asked.inventory != "39":
        raise ProbeError(f"probe {probe.name!r} measures frames and 39 phone classes: leave examples and classes out")
    if published and not probe.published:
        raise ProbeError(f"probe {probe.name!r} has no published protocol to repeat: leave --protocol out")
    if published:
        from probes.published import halves

        splits = halves(splits, rows, asked.seed)
    question = Asked(
        table, dict(columns), rows, splits, asked.target, asked.silence, asked.phone_set, asked.max_frames, asked.seed,
        draws, None if save is None else Path(save), left_out, published,
    )  # fmt: skip
    found = tqdm(probe.function(question), desc=probe.name, unit="result", disable=not progress)
    shared = {"probe": probe.name, "target": asked.target, "seed": asked.seed}
    shared |= {"protocol": "published" if published else "standard", "options": json.dumps(probe.options, default=str)}
    return Results.from_rows({**shared, **row} for row in found)


def _confused(done: Outcome, classes: tuple[str, ...], card: FeatureCard) -> Iterator[dict[str, Any]]:
    if done.confusion is None:
        return
    own = {"encoder": card.encoder, "init": card.init, "layer": card.layer}
    for truth, answer in zip(*done.confusion.nonzero(), strict=True):
        names = {"truth": classes[truth], "answer": classes[answer]}
        yield {**own, **names, "count": int(done.confusion[truth, answer])}


def _note(plan: Plan, done: Outcome) -> str:
    examples, published = plan.examples, plan.protocol == "published"
    notes = [PUBLISHED if published else plan.splits.note, plan.left_out]
    notes += ["interval over utterances"] if done.test_speakers < 2 else []
    notes += ["silence dropped"] if examples.silence == "drop" else []
    notes += [f"at most {examples.max_frames} frames per utterance"] if examples.max_frames is not None else []
    return "; ".join(filter(None, notes))
