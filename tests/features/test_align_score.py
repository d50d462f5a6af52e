from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.errors import CorpusError
from builders.phones import CLASSES39
from features.align_score import phone_agreement, phone_starts, tier, word_agreement, word_starts


def segments(labels: str, times: list[float] | None = None, *, name: str = "phones") -> list[dict]:
    """Make a tier of labels; a segment lasts 0.1 s where no times are given."""
    names = labels.split()
    times = times or [0.1 * place for place in range(len(names) + 1)]
    ends = [*times[1 : len(names)], times[len(names)] if len(times) > len(names) else times[-1] + 0.1]
    return [
        {"tier": name, "start": start, "end": end, "label": label, "speaker": None, "score": None}
        for label, start, end in zip(names, times, ends, strict=False)
    ]


def classes(labels: str, phone_set: str = "timit61") -> str:
    return " ".join(name for name, _ in phone_starts(segments(labels), phone_set))


@pytest.mark.parametrize(("labels", "expected"), [
    ("h# sh ix hv ae dcl d h#", "sh ih hh ae d"),
    ("tcl t ao l", "t aa l"),  # closure and release
    ("aa tcl", "aa t"),  # a stop that is not released
    ("ae kcl tcl t", "ae k t"),
    ("tcl ch ih dcl jh", "ch ih jh"),  # affricates begin with the closure of a stop
    ("dcl ch", "d ch"),
    ("gcl b", "g b"),
    ("s s ix", "s ih"),  # equal neighbours
    ("ih ix", "ih"),  # equal after folding
    ("s pau s", "s s"),  # not neighbours
    ("aa q ae", "aa ae"),  # deleted
    ("iy q ih iy", "iy ih iy"),
    ("epi m", "m"),
    ("t tcl t", "t"),
    ("h# pau", ""),
])  # fmt: skip
def test_folding_and_merging(labels, expected):
    assert classes(labels) == expected


def test_a_merged_phone_starts_with_its_closure():
    timit = segments("h# tcl t ao l h#", [0.0, 0.25, 0.3, 0.35, 0.5, 0.6, 0.7])
    assert phone_starts(timit, "timit61") == [("t", 0.25), ("aa", 0.35), ("l", 0.5)]


def test_deleted_phones_do_not_separate_equal_neighbours():
    assert classes("aa q aa") == "aa"


def test_arpabet_labels():
    assert classes("SIL SH IY HH AE1 D SIL", "arpabet") == "sh iy hh ae d"


def test_tier_takes_its_own_segments_in_order():
    mixed = [*segments("b", [0.5]), *segments("she", name="words"), *segments("a", [0.2])]
    assert [segment["label"] for segment in tier(mixed, "phones")] == ["a", "b"]
    assert word_starts(mixed) == [("she", 0.0)]


def test_agreement_by_hand():
    """Starts differ by 20, -20.1, 50 and 60 ms; both limits count as inside."""
    gold = segments("h# sh iy s t h#", [0.0, 0.10, 0.20, 0.30, 0.40, 0.50])
    ours = segments("SIL SH IY S T SIL", [0.0, 0.12, 0.1799, 0.35, 0.46, 0.50])
    found = phone_agreement([(gold, ours)], reference_set="timit61")
    assert (found.utterances, found.equal, found.starts, found.scored) == (1, 1, 4, 4)
    assert (found.within_20, found.within_50, found.coverage) == (0.25, 0.75, 1.0)
    assert found.median == pytest.approx(0.035)


def test_utterances_with_other_sequences():
    gold = segments("h# w ao dx er h#")  # "water" with a tap
    ours = segments("SIL W AO T ER SIL")
    pairs = [(gold, ours), (gold, gold_in_arpabet())]
    whole = phone_agreement(pairs, reference_set="timit61")
    assert (whole.utterances, whole.equal, whole.starts, whole.scored) == (2, 1, 8, 4)
    assert whole.coverage == 0.5
    matches = phone_agreement(pairs, reference_set="timit61", scored="matches")
    assert (matches.utterances, matches.equal, matches.starts, matches.scored) == (2, 1, 8, 7)
    assert matches.within_20 == 1


def gold_in_arpabet() -> list[dict]:
    return segments("SIL W AO DX ER SIL")


def test_a_missing_phone_shifts_no_match():
    gold = segments("h# s t aa r h#", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    ours = segments("SIL S AA R SIL", [0.0, 0.1, 0.3, 0.4, 0.5])
    found = phone_agreement([(gold, ours)], reference_set="timit61", scored="matches")
    assert (found.scored, found.within_20, found.median) == (3, 1.0, 0.0)


def test_words_in_any_letter_case():
    gold = segments("she had", [0.0, 0.30], name="words")
    ours = segments("She had", [0.01, 0.36], name="words")
    found = word_agreement([(gold, ours)])
    assert (found.equal, found.scored, found.within_20, found.within_50) == (1, 2, 0.5, 0.5)
    assert word_agreement([(gold, segments("she", name="words"))]).scored == 0


def test_nothing_to_score():
    for pairs in ([], [([], [])], [(segments("h# s"), segments("SIL T"))]):
        found = phone_agreement(pairs, reference_set="timit61")
        assert found.scored == 0
        assert math.isnan(found.within_20) and math.isnan(found.within_50) and math.isnan(found.median)
    assert math.isnan(phone_agreement([], reference_set="timit61").coverage)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"unknown scored='all': expected one of \['utterances', 'matches'\]"):
        phone_agreement([], reference_set="timit61", scored="all")
    with pytest.raises(CorpusError, match="is not in the phone set timit61"):
        phone_agreement([(segments("xyz"), [])], reference_set="timit61")


PHONES = st.lists(st.sampled_from([name.upper() for name in CLASSES39]), min_size=1, max_size=20).map(" ".join)


@given(PHONES, st.integers(-60, 60))
def test_a_shift_is_what_is_measured(labels, shift):
    one = segments(labels)
    other = [{**segment, "start": segment["start"] + shift / 1000} for segment in one]
    for scored in ("utterances", "matches"):
        found = phone_agreement([(one, other)], reference_set="arpabet", hypothesis_set="arpabet", scored=scored)
        assert found.scored == found.starts
        if found.starts:
            assert (found.equal, found.coverage) == (1, 1.0)
            assert found.within_20 == (abs(shift) <= 20)
            assert found.within_50 == (abs(shift) <= 50)
            assert found.median == pytest.approx(shift / 1000)


@given(PHONES, PHONES)
def test_matches_are_at_least_the_equal_utterances(one, other):
    pairs = [(segments(one), segments(other)), (segments(one), segments(one))]
    whole, matches = (
        phone_agreement(pairs, reference_set="arpabet", scored=scored) for scored in ("utterances", "matches")
    )
    assert whole.equal == matches.equal
    assert whole.scored <= matches.scored <= whole.starts == matches.starts
