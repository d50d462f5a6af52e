"""What a run reads: one table out of one or many splits, its feature columns, the rows that count."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from features.card import FeatureCard, cards
from probes.errors import ProbeError
from probes.segments import labelled_rows
from probes.splits import Fold, Role, Splits, make_splits, role_of

SPOKEN_BY_ALL = "SA"  # TIMIT's two dialect sentences: the same text in train and test


def one_table(dataset: Any) -> tuple[Dataset, list[Role] | None]:
    """Return the rows of all splits as one table, and each row's part where train and test are official.

    Splits count by the first word of their name (``train.clean.100``, ``dev-other``); beside official
    train and test, splits with other names are left out.

    Raises
    ------
    ProbeError
        If it is not a Dataset or DatasetDict, or has no rows.
    """
    if isinstance(dataset, Dataset):
        dataset = DatasetDict({"all": dataset})
    if not isinstance(dataset, DatasetDict):
        raise ProbeError(f"cannot probe a {type(dataset).__name__}: load the table without streaming=True")
    parts = {name: part for name, part in dataset.items() if len(part)}
    if not parts:
        raise ProbeError("the table has no rows")
    roles = {name: role for name in parts if (role := role_of(name)) is not None}
    if not {"train", "test"} <= set(roles.values()):
        return concatenate_datasets(list(parts.values())), None
    rows = [role for name, role in roles.items() for _ in range(len(parts[name]))]
    return concatenate_datasets([parts[name] for name in roles]), rows


def feature_columns(
    table: Dataset, encoders: Collection[str] | None, layers: Collection[str] | None
) -> dict[str, FeatureCard]:
    """Return the cards of the frame columns that are asked for, encoders together, layers in order.

    Raises
    ------
    ProbeError
        If there is none, with what there is.
    """
    found = cards(table)
    known = {name: card for name, card in found.items() if card.axis == "frame" and card.pool == "none"}
    if not known:
        only = f", only one row per {' or '.join(sorted({card.axis for card in found.values()}))}" if found else ""
        raise ProbeError(
            f"the table has no frame features{only}: run `python -m features TABLE --encoder log_mel` first"
        )
    for asked, there in (
        (encoders, {card.encoder for card in known.values()}),
        (layers, {card.layer for card in known.values()}),
    ):
        if unknown := set(asked or ()) - there:
            raise ProbeError(f"the table has no frame features of {sorted(unknown)}: expected some of {sorted(there)}")
    wanted = {
        name: card
        for name, card in known.items()
        if (not encoders or card.encoder in encoders) and (not layers or card.layer in layers)
    }
    if not wanted:
        raise ProbeError(f"no encoder of {sorted(encoders or ())} has one of the layers {sorted(layers or ())}")
    first = {(card.encoder, card.init): place for place, card in reversed(list(enumerate(wanted.values())))}
    return dict(sorted(wanted.items(), key=lambda item: (first[item[1].encoder, item[1].init], item[1].index)))


def counted_rows(table: Dataset, tier: str, *, keep_sa: bool) -> tuple[np.ndarray, str]:
    """Return the rows that are trained on and tested, and a note where some are left out.

    Raises
    ------
    ProbeError
        If no row has a segment of the tier.
    """
    labelled = labelled_rows(table, tier)
    bare = int((~labelled).sum())
    notes = [f"{bare} utterances without {tier} left out"] if bare else []
    if keep_sa or "sentence_type" not in table.column_names:
        return np.flatnonzero(labelled), "; ".join(notes)
    same = np.asarray(plain(table, "sentence_type"), dtype=object) == SPOKEN_BY_ALL
    notes += ["SA sentences left out"] if same.any() else []
    return np.flatnonzero(labelled & ~same), "; ".join(notes)


def split_rows(table: Dataset, rows: np.ndarray, roles: list[Role] | None, folds: int | None) -> Splits:
    """Split the counted rows of a table; the folds hold rows of the whole table."""
    missing = [name for name in ("id", "speaker_id") if name not in table.column_names]
    if missing:
        raise ProbeError(f"the table has no columns {missing}: expected a manifest table, see `python -m builders`")
    ids, speakers = (np.asarray(plain(table, name), dtype=object)[rows] for name in ("id", "speaker_id"))
    official = None if roles is None else [roles[row] for row in rows]
    splits = make_splits(ids.tolist(), speakers.tolist(), official=official, folds=folds)
    moved = tuple(Fold(rows[fold.train], rows[fold.validation], rows[fold.test]) for fold in splits.folds)
    return replace(splits, folds=moved)


def plain(table: Dataset, column: str) -> list[Any]:
    """Return one column as a list of Python values, without touching the others."""
    return table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
