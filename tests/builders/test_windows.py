from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.windows import cut
from tests.corpora.sound import flac, noise, riff


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "a.wav").write_bytes(riff(noise(1000), 8_000))
    (tmp_path / "b.flac").write_bytes(flac(noise(44_100), 44_100))
    (tmp_path / "empty.wav").write_bytes(b"")
    return Files(tmp_path)


def windows(files: Files, member: str, window: float | str) -> list[tuple[str, float, float | None]]:
    return [(part.id, part.start, part.end) for part in cut([Utterance("x", member)], files, window)]


def test_windows_lie_end_to_end(files):
    assert windows(files, "a.wav", 0.05) == [("x_0000", 0.0, 0.05), ("x_0001", 0.05, 0.1), ("x_0002", 0.1, None)]
    assert windows(files, "b.flac", "0.5") == [("x_0000", 0.0, 0.5), ("x_0001", 0.5, None)]


@pytest.mark.parametrize("window", [0.125, 1.0, 3600])
def test_a_recording_of_a_window_or_less_is_one(files, window):
    assert windows(files, "a.wav", window) == [("x_0000", 0.0, None)]


@pytest.mark.parametrize("window", [0.0001, 0.0333333, 0.1, 0.9999])
def test_edges_are_whole_frames(files, window):
    parts = windows(files, "b.flac", window)
    assert all((start * 44_100) % 1 == pytest.approx(0, abs=1e-6) or (start * 44_100) % 1 > 1 - 1e-6
               for _, start, _ in parts)  # fmt: skip
    assert all(end == start for (_, _, end), (_, start, _) in itertools.pairwise(parts))


def test_without_a_window_nothing_is_opened():
    utterances = [Utterance("x", "nowhere.wav")]
    assert list(cut(utterances, None, None)) == utterances


@pytest.mark.parametrize("member", ["empty.wav", "nowhere.wav"])
def test_what_cannot_be_opened_stays_whole(files, member):
    assert windows(files, member, 0.1) == [("x", 0.0, None)]


@pytest.mark.parametrize("window", [0, -1, "x", float("nan"), float("inf")])
def test_window_that_is_no_length(files, window):
    with pytest.raises(CorpusError, match="expected a number of seconds above 0"):
        windows(files, "a.wav", window)
