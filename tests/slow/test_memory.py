"""Peak memory is bounded by a batch, whatever the size of the corpus."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "memory.py"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")]


def test_ten_times_the_utterances_take_no_more_memory() -> None:
    spec = importlib.util.spec_from_file_location("memory", SCRIPT)
    assert spec and spec.loader
    memory = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(memory)
    few_seconds, *few = memory.measure(200)
    many_seconds, *many = memory.measure(2_000)
    assert many_seconds > 8 * few_seconds
    # The audio of the larger corpus is over 60 MB as FLAC and 500 MB decoded, its features are 60 MB.
    assert many[0] < few[0] + 25, "loading"
    assert many[1] < few[1] + 25, "encoding"
