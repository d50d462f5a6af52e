"""What a run reads: one table out of one or many splits, its feature columns, the rows that count."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets

from features.card import FeatureCard, cards
from probes.errors import ProbeError
from probes.segments import labelled_rows
from probes.splits import Fold, Role, Splits, make_splits, role_of

LABEL_TYPES = ("string", "large_string", "bool", "int8", "int16", "int32", "int64")
NO_LABELS = {"id", "audio_path", "text", "corpus"}  # columns of that type which nobody would probe for
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


def usable(card: FeatureCard, kind: str, tier: str) -> bool:
    """Return whether a column gives examples of a kind: it has frames, or was pooled to just these.

    Parameters
    ----------
    card : FeatureCard
    kind : "frames", "segments", "centres" or "utterances"
    tier : str
        Whose segments.
    """
    if card.pool == "none" and card.axis == "frame":
        return True
    pooled = {"segments": f"segments:{tier}", "centres": f"centre:{tier}"}.get(kind)
    if kind == "utterances":
        return card.axis == "utterance" or (card.axis == "token" and card.pool == "none")
    return pooled is not None and card.pool == pooled


def feature_columns(
    table: Dataset,
    encoders: Collection[str] | None,
    layers: Collection[str] | None,
    kind: str = "frames",
    tier: str = "phones",
) -> dict[str, FeatureCard]:
    """Return the cards of the columns that are asked for, encoders together, layers in order.

    Parameters
    ----------
    kind, tier : str
        Only columns that give these examples, see `usable`.

    Raises
    ------
    ProbeError
        If there is none, with what there is.
    """
    found = cards(table)
    known = {name: card for name, card in found.items() if usable(card, kind, tier)}
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
            raise ProbeError(f"the table has no features of {sorted(unknown)}: expected some of {sorted(there)}")
    wanted = {
        name: card
        for name, card in known.items()
        if (not encoders or card.encoder in encoders) and (not layers or card.layer in layers)
    }
    if not wanted:
        raise ProbeError(f"no encoder of {sorted(encoders or ())} has one of the layers {sorted(layers or ())}")
    first = {(card.encoder, card.init): place for place, card in reversed(list(enumerate(wanted.values())))}
    return dict(sorted(wanted.items(), key=lambda item: (first[item[1].encoder, item[1].init], item[1].index)))


def without_doubles(columns: Mapping[str, FeatureCard]) -> tuple[dict[str, FeatureCard], str]:
    """Leave out pooled columns of layers whose frames are there too, and say so.

    Both give the same examples, and their results would stand under one name.
    """
    framed = {_layer(card) for card in columns.values() if card.pool == "none"}
    doubled = [name for name, card in columns.items() if card.pool != "none" and _layer(card) in framed]
    kept = {name: card for name, card in columns.items() if name not in doubled}
    return kept, f"pooled columns left out where the frames are there ({', '.join(doubled)})" if doubled else ""


def _layer(card: FeatureCard) -> tuple[str, str, str]:
    return card.encoder, card.init, card.layer


def counted_rows(table: Dataset, target: str, *, keep_sa: bool, kind: str = "frames") -> tuple[np.ndarray, str]:
    """Return the rows that are trained on and tested, and a note where some are left out.

    Parameters
    ----------
    target : str
        A tier, or for `kind` ``utterances`` a column.

    Raises
    ------
    ProbeError
        If no row has a segment of the tier, or a label in the column.
    """
    if kind == "utterances":
        labelled = np.asarray([label is not None for label in label_column(table, target)])
        if not labelled.any():
            raise ProbeError(f"no row has a label in the column {target!r}")
    else:
        labelled = labelled_rows(table, target)
    bare = int((~labelled).sum())
    notes = [f"{bare} utterances without {target} left out"] if bare else []
    if keep_sa or "sentence_type" not in table.column_names:
        return np.flatnonzero(labelled), "; ".join(notes)
    same = np.asarray(plain(table, "sentence_type"), dtype=object) == SPOKEN_BY_ALL
    notes += ["SA sentences left out"] if same.any() else []
    return np.flatnonzero(labelled & ~same), "; ".join(notes)


def label_column(table: Dataset, target: str) -> list[str | None]:
    """Return the label of each row that a column holds, as text.

    Raises
    ------
    ProbeError
        If it is no column of labels; the message names those that are.
    """
    labels = {name: kind for name, kind in table.features.items() if getattr(kind, "dtype", None) in LABEL_TYPES}
    if target not in labels:
        raise ProbeError(f"{target!r} is no column of labels: expected one of {sorted(set(labels) - NO_LABELS)}")
    return [None if label is None else str(label) for label in plain(table, target)]


def split_rows(
    table: Dataset, rows: np.ndarray, roles: list[Role] | None, folds: int | None, *, voices: bool = False
) -> Splits:
    """Split the counted rows of a table; the folds hold rows of the whole table.

    `voices` is for probes that tell speakers apart, see `make_splits`.
    """
    missing = [name for name in ("id", "speaker_id") if name not in table.column_names]
    if missing:
        raise ProbeError(f"the table has no columns {missing}: expected a manifest table, see `python -m builders`")
    ids, speakers = (np.asarray(plain(table, name), dtype=object)[rows] for name in ("id", "speaker_id"))
    official = None if roles is None else [roles[row] for row in rows]
    splits = make_splits(ids.tolist(), speakers.tolist(), official=official, folds=folds, voices=voices)
    moved = tuple(Fold(rows[fold.train], rows[fold.validation], rows[fold.test]) for fold in splits.folds)
    return replace(splits, folds=moved)


def plain(table: Dataset, column: str) -> list[Any]:
    """Return one column as a list of Python values, without touching the others."""
    return table.select_columns([column]).with_format("arrow")[:][column].to_pylist()
