"""ABX: the tokens by hand, the line where fastabx is missing, and known answers where it is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from probes import ProbeError
from probes.abx import measure, tokens
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
        list(measure(frames))


def test_unknown_context():
    with pytest.raises(ProbeError, match="expected one of"):
        list(measure(table(np.zeros((1, 1), np.float16), [0], [0], [0]), context="triphone"))


def speech(known: bool, seed: int = 0) -> FrameTable:
    """Return 600 frames of random phones; if known, each phone has a direction of its own."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, 600)
    values = draw.normal(size=(600, 4)) * 0.1 + (4 * np.eye(3, 4)[labels] if known else 0)
    return table(values.astype(np.float32), labels, np.arange(600) // 30, np.arange(600) // 30 % 2)


def test_phones_far_apart_are_never_taken_for_another_and_noise_is_chance():
    pytest.importorskip("fastabx")
    for context in ("any", "within"):
        found = {row["metric"]: row["value"] for row in measure(speech(known=True), context=context)}
        assert found == {"abx_within_speaker": 0.0, "abx_across_speakers": 0.0}
    for row in measure(speech(known=False)):
        assert row["value"] == pytest.approx(0.5, abs=0.06)


def test_equal_to_the_definition():
    """By hand: the share of (A, B, X) with angle(A, X) > angle(B, X), mean over ordered pairs of phones."""
    pytest.importorskip("fastabx")
    draw = np.random.default_rng(1)
    labels = np.arange(24) % 2
    frames = table(draw.normal(size=(24, 3)).astype(np.float32) + labels[:, None], labels, np.zeros(24), np.zeros(24))
    unit = frames.values / np.linalg.norm(frames.values, axis=1, keepdims=True)
    angle = np.arccos(np.clip(unit @ unit.T, -1, 1))
    errors = []
    for phone in (0, 1):
        own, other = np.flatnonzero(labels == phone), np.flatnonzero(labels != phone)
        wrong = [
            (angle[a, x] > angle[b, x]) + 0.5 * (angle[a, x] == angle[b, x])
            for x in own for a in own if a != x for b in other
        ]  # fmt: skip
        errors.append(np.mean(wrong))
    rows = measure(frames, max_tokens=100)
    assert next(rows)["value"] == pytest.approx(np.mean(errors), abs=1e-6)
