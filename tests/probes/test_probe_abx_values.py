"""ABX errors with known answers; collected where fastabx is installed (Python 3.12 and later)."""

from __future__ import annotations

import numpy as np
import pytest

from probes.abx import errors
from probes.frames import FrameTable
from tests.probes.test_probe_abx import table


def speech(known: bool, seed: int = 0) -> FrameTable:
    """Return 600 frames of random phones; if known, each phone has a direction of its own."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 3, 600)
    values = draw.normal(size=(600, 4)) * 0.1 + (4 * np.eye(3, 4)[labels] if known else 0)
    return table(values.astype(np.float32), labels, np.arange(600) // 30, np.arange(600) // 30 % 2)


def test_phones_far_apart_are_never_taken_for_another_and_noise_is_chance():
    for context in ("any", "within"):
        found = {row["metric"]: row["value"] for row in errors(speech(known=True), context=context)}
        assert found == {"abx_within_speaker": 0.0, "abx_across_speakers": 0.0}
    for row in errors(speech(known=False)):
        assert row["value"] == pytest.approx(0.5, abs=0.06)


def test_equal_to_the_definition():
    """By hand: the share of (A, B, X) with angle(A, X) > angle(B, X), mean over ordered pairs of phones."""
    draw = np.random.default_rng(1)
    labels = np.arange(24) % 2
    frames = table(draw.normal(size=(24, 3)).astype(np.float32) + labels[:, None], labels, np.zeros(24), np.zeros(24))
    unit = frames.values / np.linalg.norm(frames.values, axis=1, keepdims=True)
    angle = np.arccos(np.clip(unit @ unit.T, -1, 1))
    shares = []
    for phone in (0, 1):
        own, other = np.flatnonzero(labels == phone), np.flatnonzero(labels != phone)
        wrong = [
            (angle[a, x] > angle[b, x]) + 0.5 * (angle[a, x] == angle[b, x])
            for x in own for a in own if a != x for b in other
        ]  # fmt: skip
        shares.append(np.mean(wrong))
    rows = errors(frames, max_tokens=100)
    assert next(rows)["value"] == pytest.approx(np.mean(shares), abs=1e-6)
