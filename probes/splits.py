"""Which utterances a probe learns from, is tuned on, and is tested on.

Splits follow from ids and speakers alone, so they are the same for every layer and encoder, in
every process, and whatever the order of the rows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

import numpy as np

from probes.errors import ProbeError

Kind = Literal["official", "speakers", "folds", "utterance", "published"]
Role = Literal["train", "validation", "test"]

UNKNOWN = "unknown"  # the one speaker of all rows whose speaker_id is null
FEW_SPEAKERS = 20  # below it a tenth of the speakers is too few to test on: folds
FOLDS = 5
SHARE = 0.1  # of the speakers, for validation and for test
_ROLES: dict[str, Role] = {
    "train": "train", "validation": "validation", "valid": "validation", "dev": "validation", "test": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Fold:
    """Rows of the table, sorted, as np.ndarray [shape=(n,), int64]."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Splits:
    """One fold, or several that together test each speaker once.

    kind : str
        ``official``: the corpus' own; ``speakers``: one split by speakers; ``folds``: cross-validation
        over speakers; ``utterance``: one speaker, so utterances are split and the
        same voice is on both sides; ``published``: random halves, see `probes.published`.
    speakers : np.ndarray [shape=(rows,), str]
        Speaker of each row, ``unknown`` where the table has null.
    disjoint : bool
        True where no speaker is in two of train, validation and test of a fold.
    note : str
        What a reader of the results should know about the splits.
    """

    folds: tuple[Fold, ...]
    kind: Kind
    speakers: np.ndarray
    disjoint: bool
    note: str

    @property
    def heard(self) -> bool:
        """Whether a test speaker is in train or validation of its fold."""
        return any(
            set(self.speakers[np.concatenate([fold.train, fold.validation])]) & set(self.speakers[fold.test])
            for fold in self.folds
        )


def role_of(split: str) -> Role | None:
    """Return what a split of a DatasetDict is for: ``train.clean.100`` is train, ``dev-other`` validation."""
    return _ROLES.get(re.split(r"[^a-z]", split.lower())[0])


def make_splits(
    ids: Sequence[str],
    speakers: Sequence[str | None],
    *,
    official: Sequence[Role | None] | None = None,
    folds: int | None = None,
    voices: bool = False,
) -> Splits:
    """Split the rows of a table so that no speaker is in two parts.

    Parameters
    ----------
    ids : sequence of str
        Id of each row.
    speakers : sequence of str or None
        Speaker of each row.
    official : sequence of role or None, optional
        The corpus' own part of each row, None for rows that no part uses. Where validation is
        missing it is carved out of the train speakers.
    folds : int >= 2, optional
        Cross-validate over this many groups of speakers instead, whatever the table holds.
    voices : bool
        True where speakers are what a probe tells apart: each speaker's utterances are dealt out to `folds` folds,
        or the official parts are taken where train and test share speakers and no folds are asked for.

    Returns
    -------
    Splits

    Raises
    ------
    ProbeError
        If there are too few utterances or speakers for what is asked.
    """
    notes = []
    ids, given = np.asarray(ids, dtype=str), speakers
    speakers = np.asarray([UNKNOWN if name is None else name for name in given], dtype=str)
    if any(name is None for name in given):
        notes.append(f"{sum(name is None for name in given)} rows without speaker_id count as one speaker")
    roles = None if official is None else np.asarray(official, dtype=object)
    if voices and (roles is None or folds is not None or _apart(speakers, roles)):
        return _finish(*_deal_utterances(ids, speakers, FOLDS if folds is None else folds), speakers, notes)
    if roles is not None and folds is None:
        return _finish(*_official(ids, speakers, roles, voices), speakers, notes)
    names = np.unique(speakers)
    if folds is not None and not 2 <= folds <= len(names):
        raise ProbeError(f"folds={folds}, but the table has {len(names)} speakers: expected 2 to {len(names)}")
    if len(names) == 1:
        if len(np.unique(ids)) < 3:
            raise ProbeError("the table has one speaker and fewer than 3 utterances: nothing is left to test on")
        notes.append("one speaker: split by utterance, the same voice is in train and test")
        parts, _, note = _deal(ids, ids, None)
        return _finish(parts, "utterance", note, speakers, notes)
    return _finish(*_deal(ids, speakers, folds), speakers, notes)


def _official(ids: np.ndarray, speakers: np.ndarray, roles: np.ndarray, voices: bool) -> tuple[list[Fold], Kind, str]:
    train, validation, test = (np.flatnonzero(roles == name) for name in ("train", "validation", "test"))
    if not len(train) or not len(test):
        raise ProbeError("the official train or test split is empty: pass one table, or folds=5")
    notes = _sharing(*(set(speakers[side].tolist()) for side in (train, validation, test)))
    if not len(validation):
        train, validation, note = (_carve_utterances if voices else _carve)(ids, speakers, train)
        notes.append(note)
    return [Fold(train, validation, test)], "official", "; ".join(notes)


def _sharing(train: set[str], validation: set[str], test: set[str]) -> list[str]:
    """Return a note for each two official parts that share speakers."""
    pairs = {"train and test": train & test, "validation and test": validation & test,
             "train and validation": train & validation}  # fmt: skip
    return [f"the official splits share {len(both)} speakers between {of}" for of, both in pairs.items() if both]


def _deal(ids: np.ndarray, groups: np.ndarray, folds: int | None) -> tuple[list[Fold], Kind, str]:
    """Deal groups out: by quota where there are many, else so that each is tested once."""
    names = ranked(groups)
    if folds is None and len(names) >= FEW_SPEAKERS:
        quota = max(1, round(SHARE * len(names)))
        test, validation, train = np.split(np.asarray(names), [quota, 2 * quota])
        return [Fold(*(_rows(groups, part) for part in (train, validation, test)))], "speakers", ""
    count = folds or min(FOLDS, len(names))
    decks = [names[start::count] for start in range(count)]
    parts, note = [], ""
    for number, deck in enumerate(decks):
        test = _rows(groups, deck)
        if count == 2:  # no third group to tune on
            train, validation, note = _carve(ids, groups, _rows(groups, decks[1 - number]))
        else:
            tuning = decks[(number + 1) % count]
            validation = _rows(groups, tuning)
            train = _rows(groups, sorted(set(names) - set(deck) - set(tuning)))
        parts.append(Fold(train, validation, test))
    return parts, "folds", note


def _apart(speakers: np.ndarray, roles: np.ndarray) -> bool:
    """Return whether no test speaker is in train."""
    return not set(speakers[roles == "train"]) & set(speakers[roles == "test"])


def _deal_utterances(ids: np.ndarray, speakers: np.ndarray, count: int) -> tuple[list[Fold], Kind, str]:
    """Deal each speaker's utterances to `count` folds, at least 3: one tests, the next one tunes, the others train."""
    if count < 2:
        raise ProbeError(f"folds={count}: expected at least 2")
    count = max(count, 3)
    deck = np.zeros(len(ids), dtype=np.int64)
    for name in np.unique(speakers):
        own = np.flatnonzero(speakers == name)
        place = {one: number for number, one in enumerate(ranked(ids[own]))}
        deck[own] = [place[one] % count for one in ids[own]]
    parts = [
        Fold(
            *(
                np.flatnonzero(part)
                for part in (~np.isin(deck, [k, (k + 1) % count]), deck == (k + 1) % count, deck == k)
            )
        )
        for k in range(count)
    ]
    if not all(len(side) for fold in parts for side in (fold.train, fold.validation, fold.test)):
        raise ProbeError(
            f"speakers with fewer than {count} utterances each leave a part of a fold empty: more are needed"
        )
    return parts, "utterance", "each speaker's utterances are in train and test"


def _carve(ids: np.ndarray, groups: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Take a tenth of the train speakers for validation, or of the utterances of a single one."""
    units, note = groups, "validation: a tenth of the train speakers"
    if len(np.unique(groups[train])) < 2:
        units, note = ids, "validation: a tenth of the train speaker's utterances"
    names = ranked(units[train])
    if len(names) < 2:
        raise ProbeError("a train split of one utterance leaves nothing to tune on: more speakers are needed")
    tuning = np.isin(units[train], names[: max(1, round(SHARE * len(names)))])
    return train[~tuning], train[tuning], note


def _carve_utterances(ids: np.ndarray, speakers: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """Take a tenth of each train speaker's utterances for validation, one at least; of a single one none."""
    tuning = np.zeros(len(train), dtype=bool)
    for name in np.unique(speakers[train]):
        own = np.flatnonzero(speakers[train] == name)
        names = ranked(ids[train[own]])
        if len(names) > 1:
            tuning[own] = np.isin(ids[train[own]], names[: max(1, round(SHARE * len(names)))])
    if not tuning.any():
        raise ProbeError("each train speaker has one utterance, which leaves nothing to tune on: more are needed")
    return train[~tuning], train[tuning], "validation: a tenth of each train speaker's utterances"


def ranked(names: np.ndarray) -> list[str]:
    """Return the different names in an order that depends on nothing but the names."""
    return sorted(np.unique(names).tolist(), key=lambda name: (sha256(name.encode()).hexdigest(), name))


def _rows(groups: np.ndarray, names: Sequence[str] | np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.isin(groups, list(names)))


def _finish(parts: list[Fold], kind: Kind, note: str, speakers: np.ndarray, notes: list[str]) -> Splits:
    """Check that parts share no rows, and test speakers no part where the kind promises it."""
    tuned: set[str] = set()
    for fold in parts:
        sides = [fold.train, fold.validation, fold.test]
        if len(np.unique(np.concatenate(sides))) != sum(map(len, sides)):
            raise AssertionError("a row is in two parts of a split")
        tuned |= set(speakers[fold.train]) & set(speakers[fold.validation])
    made = Splits(tuple(parts), kind, speakers, False, "; ".join(filter(None, [*notes, note])))
    if made.heard and kind in ("speakers", "folds"):
        raise AssertionError("a speaker is in train and test")
    return replace(made, disjoint=not (made.heard or tuned))
