"""A TIMIT in miniature, a count of what is decoded of it, and a small tree of files."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import corpus as machinery
from tests.corpora import timit
from tests.corpora.archives import CONTENT


@pytest.fixture
def timit_dir(tmp_path: Path) -> Path:
    return timit.write(tmp_path)


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """Count the recordings that are normalised: one entry each."""
    calls: list[int] = []
    real = machinery.normalise

    def normalise(data: bytes, **options):
        calls.append(len(data))
        return real(data, **options)

    monkeypatch.setattr(machinery, "normalise", normalise)
    return calls


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small tree of files."""
    top = tmp_path / "top"
    for name, data in CONTENT.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return top
