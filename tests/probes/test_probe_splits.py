"""Splits: nobody on two sides, everybody tested once, the same for any order of rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes import ProbeError
from probes.splits import make_splits, ranked, role_of


def corpus(speakers: int, utterances: int = 3) -> tuple[list[str], list[str | None]]:
    ids = [f"s{s}-u{u}" for s in range(speakers) for u in range(utterances)]
    return ids, [name.split("-")[0] for name in ids]


def sides(fold):
    return [fold.train, fold.validation, fold.test]


def named(splits, ids):
    """Return the parts as sets of ids, which don't depend on the order of rows."""
    return [[{ids[row] for row in part} for part in sides(fold)] for fold in splits.folds]


@settings(max_examples=150)
@given(st.integers(3, 60), st.integers(1, 4), st.randoms())
def test_speakers_are_disjoint_every_row_has_one_part_and_order_does_not_matter(speakers, utterances, random):
    ids, names = corpus(speakers, utterances)
    splits = make_splits(ids, names)
    for fold in splits.folds:
        voices = [{names[row] for row in part} for part in sides(fold)]
        assert not voices[0] & voices[1] and not voices[0] & voices[2] and not voices[1] & voices[2]
        assert all(voices)
        assert sorted(np.concatenate(sides(fold))) == list(range(len(ids)))
    order = list(range(len(ids)))
    random.shuffle(order)
    shuffled = [ids[i] for i in order]
    assert named(make_splits(shuffled, [names[i] for i in order]), shuffled) == named(splits, ids)
    assert splits.disjoint


@settings(max_examples=50)
@given(st.integers(2, 19))
def test_fewer_than_20_speakers_are_each_tested_once(speakers):
    ids, names = corpus(speakers)
    splits = make_splits(ids, names)
    assert splits.kind == "folds"
    assert len(splits.folds) == min(5, speakers)
    assert sorted(np.concatenate([fold.test for fold in splits.folds])) == list(range(len(ids)))
    sizes = [len({names[row] for row in fold.test}) for fold in splits.folds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("speakers", "quota"), [(20, 2), (24, 2), (26, 3), (100, 10), (630, 63)])
def test_from_20_speakers_on_a_tenth_each_is_for_validation_and_test(speakers, quota):
    ids, names = corpus(speakers, 1)
    splits = make_splits(ids, names)
    assert (splits.kind, len(splits.folds)) == ("speakers", 1)
    assert [len(part) for part in sides(splits.folds[0])] == [speakers - 2 * quota, quota, quota]


def test_the_ranking_is_by_sha256_and_pinned():
    # python3 -c "from hashlib import sha256; print(sorted('abcd', key=lambda n: sha256(n.encode()).hexdigest()))"
    assert ranked(np.array(["a", "b", "c", "d", "a"])) == ["d", "c", "b", "a"]


def test_labels_of_utterances_do_not_change_who_is_where():
    ids, names = corpus(30)
    other = make_splits([f"x{name}" for name in ids], names)
    assert np.array_equal(other.folds[0].test, make_splits(ids, names).folds[0].test)


def test_two_speakers_tune_on_utterances_of_the_train_speaker_and_say_so():
    ids, names = corpus(2, 20)
    splits = make_splits(ids, names)
    # the one train speaker is also tuned on, so not all three parts are apart; test is
    assert (splits.kind, len(splits.folds), splits.disjoint, splits.heard) == ("folds", 2, False, False)
    assert "utterances" in splits.note
    for fold in splits.folds:
        assert {names[row] for row in fold.train} == {names[row] for row in fold.validation}
        assert not {names[row] for row in fold.train} & {names[row] for row in fold.test}
        assert [len(part) for part in sides(fold)] == [18, 2, 20]


def test_one_speaker_is_split_by_utterance_and_flagged():
    ids, names = corpus(1, 40)
    splits = make_splits(ids, names)
    assert (splits.kind, splits.disjoint) == ("utterance", False)
    assert "one speaker" in splits.note
    assert [len(part) for part in sides(splits.folds[0])] == [32, 4, 4]
    few = make_splits(*corpus(1, 7))
    assert sorted(np.concatenate([fold.test for fold in few.folds])) == list(range(7))
    with pytest.raises(ProbeError, match="fewer than 3 utterances"):
        make_splits(*corpus(1, 2))


def test_rows_without_speaker_are_one_speaker_and_counted_in_the_note():
    ids, names = corpus(4)
    splits = make_splits(ids, [None if name in ("s0", "s1") else name for name in names])
    assert "6 rows without speaker_id" in splits.note
    together = [i for i, name in enumerate(names) if name in ("s0", "s1")]
    for fold in splits.folds:
        assert sum(bool(set(part) & set(together)) for part in sides(fold)) == 1
    assert make_splits(ids, [None] * len(ids)).kind == "utterance"


def test_official_splits_are_kept_and_validation_is_carved_from_train_speakers():
    ids, names = corpus(40)
    roles = ["test" if name in ("s3", "s5") else "train" for name in names]
    splits = make_splits(ids, names, official=roles)
    assert (splits.kind, splits.disjoint) == ("official", True)
    assert {names[row] for row in splits.folds[0].test} == {"s3", "s5"}
    assert len({names[row] for row in splits.folds[0].validation}) == 4
    assert "tenth of the train speakers" in splits.note
    own = ["validation" if name == "s1" else role for name, role in zip(names, roles, strict=True)]
    assert {names[row] for row in make_splits(ids, names, official=own).folds[0].validation} == {"s1"}
    unused = [None if name == "s9" else role for name, role in zip(names, own, strict=True)]
    assert "s9" not in {names[row] for part in sides(make_splits(ids, names, official=unused).folds[0]) for row in part}


def test_official_splits_that_share_speakers_say_so():
    ids, names = corpus(4, 5)
    roles = ["test" if name.endswith("u0") else "train" for name in ids]
    splits = make_splits(ids, names, official=roles)
    assert not splits.disjoint
    assert "share 4 speakers" in splits.note
    with pytest.raises(ProbeError, match="empty"):
        make_splits(ids, names, official=["train"] * len(ids))


def test_train_and_validation_that_share_speakers_are_not_disjoint():
    ids, names = corpus(6, 4)
    roles = [("test" if name in ("s4", "s5") else "validation" if one.endswith("u0") else "train")
             for one, name in zip(ids, names, strict=True)]  # fmt: skip
    splits = make_splits(ids, names, official=roles)
    assert (splits.disjoint, splits.heard) == (False, False)
    assert "share 4 speakers between train and validation" in splits.note and "and test" not in splits.note
    single = make_splits(ids, ["s0" if name < "s4" else name for name in names],
                         official=["test" if name > "s3" else "train" for name in names])  # fmt: skip
    assert not single.disjoint and "tenth of the train speaker's utterances" in single.note


def test_speakers_to_tell_apart_are_all_trained_on_and_tuned_on():
    """In every fold, whatever the official parts and the folds that are asked for."""
    ids, names = corpus(12, 10)
    shared = ["test" if int(name[-1]) < 3 else "train" for name in ids]
    for official, folds in ((shared, None), (shared, 3), (None, 3), (None, 2)):
        splits = make_splits(ids, names, official=official, folds=folds, voices=True)
        for fold in splits.folds:
            assert all({names[row] for row in part} == set(names) for part in sides(fold))
        assert not splits.disjoint and splits.heard
    whole = make_splits(ids, names, official=shared, voices=True)
    assert (whole.kind, [len(part) for part in sides(whole.folds[0])]) == ("official", [72, 12, 36])
    assert "tenth of each train speaker's utterances" in whole.note
    dealt = make_splits(ids, names, official=shared, folds=3, voices=True)
    assert sorted(np.concatenate([fold.test for fold in dealt.folds])) == list(range(len(ids)))
    with pytest.raises(ProbeError, match="each train speaker has one utterance"):
        make_splits(ids, names, official=["train" if n.endswith("u0") else "test" for n in ids], voices=True)
    with pytest.raises(ProbeError, match="folds=1: expected at least 2"):
        make_splits(ids, names, folds=1, voices=True)


def test_a_number_of_folds_overrules_what_the_table_would_get():
    ids, names = corpus(30)
    roles = ["test" if name == "s3" else "train" for name in names]
    for official in (None, roles):
        splits = make_splits(ids, names, official=official, folds=3)
        assert (splits.kind, len(splits.folds)) == ("folds", 3)
        assert sorted(np.concatenate([fold.test for fold in splits.folds])) == list(range(len(ids)))
    for wrong in (0, 1, 31):
        with pytest.raises(ProbeError, match="expected 2 to 30"):
            make_splits(ids, names, folds=wrong)


def test_split_names_of_datasets_users():
    names = ["train", "train.clean.100", "train-other-500", "validation.clean", "dev", "dev-other", "test.other", "all"]
    assert [role_of(name) for name in names] == ["train"] * 3 + ["validation"] * 3 + ["test", None]
    assert role_of("testimony") is None
