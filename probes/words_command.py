"""The command ``python -m probes words``: spoken words by their stamps, and new words from few examples."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from probes.errors import ProbeError
from probes.results import Results
from probes.splits import Fold, Splits, make_splits
from probes.tables import one_table, plain
from probes.words import Words, read_words, recognise, transfer

EXAMPLE = "example: python -m probes words tables/digits --new-words seven eight nine --out results/words"


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    top = argparse.ArgumentParser(
        prog="python -m probes words", description="Learn spoken words from their stamps.", epilog=EXAMPLE
    )
    top.add_argument("table", type=Path, help="manifest table of single words")
    top.add_argument("--out", type=Path, required=True, help="folder for results.parquet and results.csv")
    top.add_argument("--new-words", nargs="+", default=[], metavar="WORD", help="words of TABLE kept for the SVM")
    top.add_argument("--transfer", type=Path, metavar="TABLE2", help="table of new words for the SVM")
    top.add_argument("--label", help="column that names the word (default: word, else text)")
    top.add_argument("--shots", nargs="+", type=int, default=[1, 2, 5], help="examples a new word (default: 1 2 5)")
    top.add_argument("--folds", type=int, metavar="K", help="cross-validate over K groups of speakers")
    top.add_argument("--seed", type=int, default=0)
    return top


def run(options: argparse.Namespace) -> None:
    """Run the command and print where the results are."""
    from features.store import open_table

    second = None if options.transfer is None else open_table(options.transfer, [])
    results = words_results(
        open_table(options.table, []), second, new=options.new_words, label=options.label,
        shots=options.shots, folds=options.folds, seed=options.seed,
    )  # fmt: skip
    written = results.save(options.out)
    frame = results.to_pandas().query("metric == 'accuracy'")
    shown = frame[["probe", "encoder", "init", "layer", "value", "ci_low", "ci_high", "n_train", "n_test"]]
    print(f"{shown.to_string(index=False)}\n\ntables: {' '.join(map(str, written))}")


def words_results(
    dataset: Any,
    second: Any = None,
    *,
    new: list[str] | None = None,
    label: str | None = None,
    shots: list[int] | tuple[int, ...] = (1, 2, 5),
    folds: int | None = None,
    seed: int = 0,
) -> Results:
    """Learn the words of a table, then new words of the same or of another table.

    Speakers of a test are heard by neither network nor SVM. With another table, the network of the first
    fold describes its words, and speakers that it was trained on are not tested.

    Parameters
    ----------
    dataset, second : Dataset or DatasetDict
    new : list of str
        Words of `dataset` that the network does not learn.
    shots : sequence of int
        Examples a new word.

    Raises
    ------
    ProbeError
        If there are too few words, speakers or examples.
    """
    words, splits = _read(dataset, label, folds)
    new = list(new or ())
    if unknown := set(new) - set(words.names):
        raise ProbeError(f"the table has no words {sorted(unknown)}: expected some of {list(words.names)}")
    known = [name for name in words.names if name not in new]
    if len(known) < 2 or len(new) == 1:
        raise ProbeError(f"{len(known)} words to learn and {len(new)} new ones: expected at least 2 of each")
    rows, networks = recognise(words, splits, known, seed=seed)
    found = [{**row, **_about(splits, f"words ({len(known)})", seed), "probe": "words"} for row in rows]
    if new:
        few = transfer(words, splits.folds, networks, new, shots, seed=seed)
        found += [{**row, **_about(splits, f"new words ({len(new)})", seed)} for row in few]
    if second is not None:
        found += _other(second, networks, splits, label, shots, folds, seed)
    return Results.from_rows(found)


def _other(
    second: Any, networks: list, heard: Splits, label: str | None, shots: Any, folds: int | None, seed: int
) -> list[dict[str, Any]]:
    words, splits = _read(second, label, folds)
    first = heard.folds[0]
    ears = set(heard.speakers[np.concatenate([first.train, first.validation])].tolist())
    kept = [replace_test(fold, splits, ears) for fold in splits.folds]
    folds_kept = [fold for fold in kept if len(fold.test)]
    if not folds_kept:
        raise ProbeError("every speaker of the second table was heard in the first: nothing is left to test on")
    few = transfer(words, folds_kept, networks[:1] * len(folds_kept), words.names, shots, seed=seed)
    return [{**row, **_about(splits, f"words of the second table ({len(words.names)})", seed)} for row in few]


def replace_test(fold: Fold, splits: Splits, heard: set[str]) -> Fold:
    """Return the fold without test rows of speakers that were heard already."""
    return replace(fold, test=fold.test[~np.isin(splits.speakers[fold.test], sorted(heard))])


def _read(dataset: Any, label: str | None, folds: int | None) -> tuple[Words, Splits]:
    table, roles = one_table(dataset)
    voices = np.asarray([name or "unknown" for name in plain(table, "speaker_id")], dtype=str)
    words, rows = read_words(table, voices, label)
    official = None if roles is None else [roles[row] for row in rows]
    splits = make_splits(_ids(table, rows), voices[rows].tolist(), official=official, folds=folds)
    if splits.heard and len(set(voices[rows])) > 1 and roles is not None:
        splits = make_splits(_ids(table, rows), voices[rows].tolist(), folds=folds)  # official splits share speakers
    return words, splits


def _ids(table: Dataset, rows: np.ndarray) -> list[str]:
    return np.asarray(plain(table, "id"), dtype=object)[rows].tolist()


def _about(splits: Splits, target: str, seed: int) -> dict[str, Any]:
    return {"target": target, "split": splits.kind, "folds": len(splits.folds), "disjoint": splits.disjoint,
            "seed": seed, "clock": ""}  # fmt: skip
