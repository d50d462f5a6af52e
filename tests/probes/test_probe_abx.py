"""ABX: the tokens by hand, and the line where fastabx is missing; known answers: `test_probe_abx_values.py`."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from probes import ProbeError
from probes.abx import errors, tokens
from probes.frames import FrameTable


def table(values: np.ndarray, labels: list[int], utterance: list[int], speaker: list[int]) -> FrameTable:
    arrays = (np.asarray(one, dtype=np.int64) for one in (labels, utterance, speaker))
    return FrameTable(values, *arrays, classes=("a", "b", "c"), speakers=("s", "t"))


def test_tokens_are_runs_of_one_phone_in_one_utterance():
    values = np.arange(7, dtype=np.float16)[:, None]
    found = tokens(table(values, [0, 0, 1, 1, 1, 1, 2], [0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1]))
    assert found.phone.tolist() == [0, 1, 1, 2]
    assert found.vectors[:, 0].tolist() == [0.5, 2.5, 4.5, 6.0]
    assert found.before.tolist() == [-1, 0, -1, 1]
    assert found.after.tolist() == [1, -1, 2, -1]
    assert found.speaker.tolist() == [0, 0, 1, 1]


def test_without_fastabx_one_line_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "fastabx", None)
    frames = table(np.zeros((1, 1), np.float16), [0], [0], [0])
    with pytest.raises(ProbeError, match=r"^ABX needs fastabx, which needs Python 3\.12 or later \(this is 3\.\d+\)"):
        list(errors(frames))


def test_unknown_context():
    with pytest.raises(ProbeError, match="expected one of"):
        list(errors(table(np.zeros((1, 1), np.float16), [0], [0], [0]), context="triphone"))
