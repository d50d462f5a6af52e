"""Probing a table: for every feature column frames, a probe per fold, scores, rows of results."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from features.card import FeatureCard
from probes.errors import ProbeError
from probes.frames import frame_table
from probes.labels import Silence
from probes.measuring import Asked, joined, measure_of
from probes.options import checked
from probes.outcome import Outcome, fit_of, outcome
from probes.results import MAJORITY, Results
from probes.splits import Splits
from probes.tables import counted_rows, feature_columns, one_table, split_rows


def probe(
    dataset: Dataset | DatasetDict,
    *,
    tier: str = "phones",
    probe: str = "linear",
    encoders: Collection[str] | None = None,
    layers: Collection[str] | None = None,
    silence: Silence = "keep",
    phone_set: str | None = None,
    max_frames: int | None = None,
    keep_sa: bool = False,
    folds: int | None = None,
    seed: int = 0,
    draws: int = 1000,
    save_probes: str | Path | None = None,
    option: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Results:
    """Train a probe on every layer of a table and score it on speakers it has not heard.

    Parameters
    ----------
    dataset : Dataset or DatasetDict
        Manifest and feature columns. A DatasetDict with train and test is split as it is,
        anything else by speakers (`probes.splits`).
    tier : str
        Tier of `segments` that labels the frames; ``phones`` is folded to 39 classes.
    probe : str
        A file of this package that defines `fit`, e.g. ``linear``, or `measure`, e.g. ``similarity``.
    encoders, layers : collection of str, optional
        Only these; all where left out.
    silence : "keep" or "drop"
        Whether frames of silence are trained on and scored.
    phone_set : str, optional
        Phone set of the tier; by default the one of each row's corpus.
    max_frames : int > 0, optional
        At most so many frames per utterance, drawn by `seed`.
    keep_sa : bool
        Whether TIMIT's SA sentences stay, which all speakers share.
    folds : int >= 2, optional
        Cross-validate over this many groups of speakers, whatever splits there are.
    seed : int
        For `max_frames` and the intervals.
    draws : int > 0
        Resampled sets of speakers per interval.
    save_probes : path, optional
        Folder for the trained probes, ``<column>.fold<k>``.
    option : mapping, optional
        Options of the probe: keyword arguments of its function.
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
    options = checked(probe, fit_of(probe), option)  # an unknown one is said at once
    table, roles = one_table(dataset)
    columns = feature_columns(table, encoders, layers)
    rows, left_out = counted_rows(table, tier, keep_sa=keep_sa)
    splits = split_rows(table, rows, roles, folds)
    if (measure := measure_of(probe)) is not None:
        asked = Asked(
            table, columns, rows, splits, tier, silence, phone_set, max_frames, seed, draws,
            None if save_probes is None else Path(save_probes), joined(left_out, *notes_of(silence, max_frames)),
        )  # fmt: skip
        rows_found = tqdm(measure(asked, **options), desc=probe, unit="result", disable=not progress)
        return Results.from_rows({"probe": probe, "target": tier, "seed": seed, **row} for row in rows_found)
    options = {"tier": tier, "silence": silence, "phone_set": phone_set, "max_frames": max_frames, "seed": seed}
    found: list[dict[str, Any]] = []
    with tqdm(columns.items(), desc="probing", unit="layer", disable=not progress) as bar:
        for column, card in bar:
            bar.set_postfix_str(column)
            frames = frame_table(table, column, rows=rows, **options)
            try:
                done = outcome(frames, splits, probe=probe, column=column, seed=seed, save=save_probes)
            except ProbeError as error:
                raise ProbeError(f"{column}: {error}") from None
            about = {"probe": probe, "target": tier, "seed": seed, **_protocol(splits, done, card)}
            about |= {"classes": len(frames.classes), "note": _note(splits, done, left_out, silence, max_frames)}
            baseline = not any(row["encoder"] == MAJORITY and row["clock"] == about["clock"] for row in found)
            for who in [None, card] if baseline else [card]:
                found.extend({**about, **row} for row in done.rows(who, draws=draws, seed=seed))
    return Results.from_rows(found)


def _protocol(splits: Splits, done: Outcome, card: FeatureCard) -> dict[str, Any]:
    return {
        "split": splits.kind,
        "folds": len(splits.folds),
        "disjoint": splits.disjoint,
        "test_speakers": done.test_speakers,
        "clock": f"{card.clock.hop}+{card.clock.offset}",
    }


def _note(splits: Splits, done: Outcome, left_out: str, silence: Silence, max_frames: int | None) -> str:
    notes = [splits.note, left_out]
    notes += ["interval over utterances"] if done.test_speakers < 2 else []
    return joined(*notes, *notes_of(silence, max_frames))


def notes_of(silence: Silence, max_frames: int | None) -> list[str]:
    """Return what a reader should know about the frames that count."""
    notes = ["silence dropped"] if silence == "drop" else []
    return notes + ([f"at most {max_frames} frames per utterance"] if max_frames is not None else [])
