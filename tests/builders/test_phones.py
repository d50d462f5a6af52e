from __future__ import annotations

import pytest

from builders.errors import CorpusError
from builders.phones import (
    BROAD,
    CLASSES39,
    CLASSES48,
    CLASSES61,
    ESPEAK_IPA,
    INVENTORIES,
    TIMIT61,
    fold,
    fold_table,
    phone_set,
)

# 61 -> 48 -> 39, as Kaldi's phones.60-48-39.map and lhotse have it.
TABLE = """
aa aa aa | ae ae ae | ah ah ah | ao ao aa | aw aw aw | ax ax ah | ax-h ax ah | axr er er | ay ay ay | b b b
bcl vcl sil | ch ch ch | d d d | dcl vcl sil | dh dh dh | dx dx dx | eh eh eh | el el l | em m m | en en n
eng ng ng | epi epi sil | er er er | ey ey ey | f f f | g g g | gcl vcl sil | h# sil sil | hh hh hh | hv hh hh
ih ih ih | ix ix ih | iy iy iy | jh jh jh | k k k | kcl cl sil | l l l | m m m | n n n | ng ng ng
nx n n | ow ow ow | oy oy oy | p p p | pau sil sil | pcl cl sil | q (deleted) | r r r | s s s | sh sh sh
t t t | tcl cl sil | th th th | uh uh uh | uw uw uw | ux uw uw | v v v | w w w | y y y | z z z
zh zh sh
"""
ROWS = [entry.split() for line in TABLE.strip().splitlines() for entry in line.split("|")]


def test_table_of_the_literature():
    assert len(ROWS) == 61
    expected = {row[0]: row[2] if len(row) == 3 else None for row in ROWS}
    assert {label: fold(label, "timit61") for label in expected} == expected
    assert [label for label, target in expected.items() if target is None] == ["q"]
    assert set(TIMIT61) <= set(expected)


def test_48_and_61_classes_of_the_literature():
    expected = {row[0]: row[1] if len(row) == 3 else None for row in ROWS}
    assert {label: fold(label, "timit61", "48") for label in expected} == expected
    assert set(CLASSES48) == set(expected.values()) - {None} and len(CLASSES48) == 48
    assert {label: fold(label, "timit61", "61") for label in expected} == {label: label for label in expected}
    assert set(CLASSES61) == set(expected) and len(CLASSES61) == 61
    # the 48 are between: two labels that share one of them share one of the 39
    merged = {row[1]: row[2] for row in ROWS if len(row) == 3}
    assert all(merged[row[1]] == row[2] for row in ROWS if len(row) == 3)


# TIMIT's phoncode.doc, "others" left out, closures with silence.
PHONCODE = {
    "stop": "b d g p t k dx",
    "affricate": "jh ch",
    "fricative": "s sh z zh f th v dh",
    "nasal": "m n ng em en eng nx",
    "semivowel": "l r w y hh hv el",
    "vowel": "iy ih eh ey ae aa aw ay ah ao oy ow uh uw ux er ax ix axr ax-h",
    "silence": "bcl dcl gcl pcl tcl kcl pau epi h#",
}


def test_broad_classes():
    expected = {label: broad for broad, labels in PHONCODE.items() for label in labels.split()}
    assert {label: fold(label, "timit61", "broad") for label in CLASSES61 if label != "q"} == expected
    assert fold("q", "timit61", "broad") is None
    assert INVENTORIES["broad"] == tuple(PHONCODE)
    assert sorted(" ".join(BROAD.values()).split()) == list(CLASSES39)


@pytest.mark.parametrize("name", ["arpabet", "espeak_ipa"])
def test_other_sets_in_other_inventories(name):
    labels = ESPEAK_IPA if name == "espeak_ipa" else CMU.split()
    assert {fold(label, name, "48") for label in labels} <= set(CLASSES48) | {None}
    assert {fold(label, name, "broad") for label in labels} <= set(BROAD) | {None}
    assert fold("ʒ" if name == "espeak_ipa" else "ZH2", name, "48") == "zh"
    with pytest.raises(CorpusError, match="try 48"):
        fold("b", name, "61")
    with pytest.raises(CorpusError, match=r"'61', '48', '39', 'broad'"):
        fold("b", name, "40")


def test_classes_are_39_and_all_used():
    assert len(CLASSES39) == len(set(CLASSES39)) == 39
    assert list(CLASSES39) == sorted(CLASSES39)
    assert {row[2] for row in ROWS if len(row) == 3} == set(CLASSES39)


@pytest.mark.parametrize("name", ["timit61", "arpabet"])
def test_tables_lead_to_the_classes_only(name):
    assert set(fold_table(name).values()) - {None} <= set(CLASSES39)


# The 39 phones of the CMU dictionary; "dx" comes with TIMIT only.
CMU = """AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"""


@pytest.mark.parametrize("stress", ["", "0", "1", "2"])
def test_arpabet_with_and_without_stress(stress):
    merged = {"AO": "aa", "ZH": "sh"}
    for phone in CMU.split():
        assert fold(f"{phone}{stress}", "arpabet") == merged.get(phone, phone.lower())


@pytest.mark.parametrize(
    ("label", "target"), [("sil", "sil"), ("sp", "sil"), ("", "sil"), ("spn", None), ("SIL", "sil")]
)
def test_silences_and_noises_of_aligners(label, target):
    assert fold(label, "arpabet") == target


def test_fold_is_of_any_letter_case():
    assert fold("H#", "timit61") == fold("h#", "timit61") == "sil"


@pytest.mark.parametrize(
    ("label", "name"), [("xx", "timit61"), ("AH3", "arpabet"), ("ah1", "timit61"), ("ix", "arpabet")]
)
def test_unknown_label_is_an_error(label, name):
    with pytest.raises(CorpusError, match=f"phone '{label}' is not in the phone set {name}"):
        fold(label, name)


def test_unknown_phone_set_is_an_error():
    with pytest.raises(CorpusError, match=r"unknown phone set 'sampa': expected one of \['timit61', 'arpabet'"):
        fold_table("sampa")


def test_phone_sets_of_the_corpora():
    assert phone_set("timit") == "timit61"
    assert phone_set("librispeech") == "arpabet"
    with pytest.raises(CorpusError, match="there is no corpus 'nothing'"):
        phone_set("nothing")


def test_table_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        fold_table("timit61")["aa"] = "b"
