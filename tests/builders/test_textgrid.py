from __future__ import annotations

import pytest

from builders.errors import CorpusError
from builders.files import Files
from builders.schema import Segment
from builders.textgrid import read_textgrid
from tests.corpora.librispeech import long_textgrid, short_textgrid

TIERS = {"words": ((0.0, 0.25, ""), (0.25, 1.5, "don't")), "phones": ((0.0, 0.25, "sil"), (0.25, 1.5, "AH0"))}


@pytest.mark.parametrize("write", [long_textgrid, short_textgrid])
def test_tiers_by_name_in_the_order_of_the_file(write):
    found = read_textgrid(write(TIERS, 1.5), "x", {"phones": "phones", "words": "words"})
    assert found == [
        Segment("words", 0.0, 0.25, ""), Segment("words", 0.25, 1.5, "don't"),
        Segment("phones", 0.0, 0.25, "sil"), Segment("phones", 0.25, 1.5, "AH0"),
    ]  # fmt: skip


def test_tiers_are_renamed_and_others_left_out():
    text = long_textgrid({"Joe - words": TIERS["words"], "notes": ((0.0, 1.5, "x"),)}, 1.5)
    found = read_textgrid(text, "x", {"Joe - words": "words"})
    assert {segment.tier for segment in found} == {"words"}


def test_quotes_and_letters_beyond_ascii():
    text = long_textgrid({"words": ((0.0, 1.0, '""ça""'),)}, 1.0)
    (segment,) = read_textgrid(text, "x", {"words": "words"})
    assert "ça" in segment.label


@pytest.mark.parametrize("write", [long_textgrid, short_textgrid])
def test_times_with_a_power_of_ten(write):
    text = write(TIERS, 1.5).replace("0.25", "2.5e-1")
    assert "2.5e-1" in text
    assert read_textgrid(text, "x", {"words": "words"}) == [
        Segment("words", 0.0, 0.25, ""), Segment("words", 0.25, 1.5, "don't")
    ]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-8-sig"])
def test_encodings_that_praat_writes(tmp_path, encoding):
    (tmp_path / "a.TextGrid").write_text(long_textgrid({"words": ((0.0, 1.0, "你好"),)}, 1.0), encoding=encoding)
    text = Files(tmp_path, root="").read_text("a.TextGrid")
    assert [segment.label for segment in read_textgrid(text, "a", {"words": "words"})] == ["你好"]


@pytest.mark.parametrize("text", ["", "nothing", long_textgrid(TIERS, 1.5)[:300], 'File type = "ooTextFile"\n\n\n'])
def test_what_is_no_textgrid_is_an_error(text):
    with pytest.raises(CorpusError, match=r"a/b\.TextGrid is no TextGrid"):
        read_textgrid(text, "a/b.TextGrid", {"words": "words"})


def test_real_textgrids(shared_data):
    folder = shared_data("mfa_fixtures") / "tests" / "data" / "textgrid"
    text = (folder / "61-70968-0000.TextGrid").read_text()
    (segment,) = read_textgrid(text, "x", {"61": "utterances"})
    assert (segment.start, segment.end) == (0.0, 4.905)
    assert segment.label.startswith("HE BEGAN A CONFUSED COMPLAINT")
