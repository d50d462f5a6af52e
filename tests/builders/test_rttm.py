from __future__ import annotations

import pytest

from builders.errors import CorpusError
from builders.rttm import read_rttm

LINES = [
    "SPKR-INFO abjxc 1 <NA> <NA> <NA> unknown spk00 <NA>",
    "SPEAKER abjxc 1 0.400000 6.640000 <NA> <NA> spk00 <NA> <NA>",
    "",
    "SPEAKER  ES2011a 1 34.27\t10.12 <NA> <NA> FEE041 <NA> <NA>",
]


def test_turns_by_hand_with_exact_ends():
    assert [(turn.tier, turn.start, turn.end, turn.label, turn.speaker) for turn in read_rttm(LINES, "x")] == [
        ("speakers", 0.4, 7.04, "spk00", None),
        ("speakers", 34.27, 44.39, "FEE041", None),
    ]
    (turn,) = read_rttm(["SPEAKER x 1 1.1 2.2 <NA> <NA> s <NA> <NA>"], "x")
    assert turn.end == 3.3 != 1.1 + 2.2


@pytest.mark.parametrize("line", ["SPEAKER x 1 a 1 <NA> <NA> s", "SPEAKER x 1 0.0 1.0 <NA>"])
def test_broken_line(line):
    with pytest.raises(CorpusError, match=r"dev/x\.rttm is no RTTM, it has the line 'SPEAKER"):
        list(read_rttm([line], "dev/x.rttm"))


@pytest.mark.parametrize(("folder", "turns"), [("dev", 8_268), ("test", 19_479)])
def test_all_of_voxconverse(shared_data, folder, turns):
    paths = sorted((shared_data("voxconverse_rttm") / folder).glob("*.rttm"))
    found = [turn for path in paths for turn in read_rttm(path.read_text().splitlines(), path.name)]
    assert len(found) == turns
    assert all(turn.start < turn.end for turn in found)


def test_ami(shared_data):
    path = shared_data("ami_rttm") / "only_words/rttms/dev/ES2011a.rttm"
    found = list(read_rttm(path.read_text().splitlines(), path.name))
    assert (len(found), {turn.label for turn in found}) == (215, {"FEE041", "FEE042", "FEE043", "FEE044"})
