"""Servers that slow tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders.output import filesystem
from tests.object_store import Store, serving


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Run an S3 server, which this process and those that it starts take for Amazon's."""
    with serving() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        filesystem("s3://")[0].clear_instance_cache()  # a client of this process keeps the address that it began with
        yield server
