"""Peak memory is bounded by a batch, whatever the size of the corpus."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "memory.py"

pytestmark = pytest.mark.slow


def test_ten_times_the_utterances_take_no_more_memory() -> None:
    spec = importlib.util.spec_from_file_location("memory", SCRIPT)
    assert spec and spec.loader
    memory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(memory)
    few_seconds, *few = memory.measure(200)
    many_seconds, *many = memory.measure(2_000)
    assert many_seconds > 8 * few_seconds
    # The audio of the larger corpus alone is over 60 MB as FLAC, its features 100 MB.
    assert many[0] < few[0] + 30, "loading"
    assert many[1] < few[1] + 60, "encoding"
