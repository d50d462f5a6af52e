"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import settings

# A machine with other work is slow, not wrong.
settings.register_profile("phonelayers", deadline=None)
settings.load_profile("phonelayers")

# fastabx needs a newer Python than the oldest that we support.
collect_ignore = [] if find_spec("fastabx") else ["probes/test_probe_abx_values.py"]
REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("PHONELAYERS_DATA", REPOSITORY.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function that gives the path of a real test recording or skips with the reason."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"real test data not found: {path} (set PHONELAYERS_DATA to the folder that holds it)")
        return path

    return find


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the caches of `datasets` and of this project out of the user's home."""
    import datasets

    root = tmp_path_factory.mktemp("caches")
    datasets.config.HF_DATASETS_CACHE = root / "datasets"
    os.environ["HF_DATASETS_CACHE"] = str(root / "datasets")  # for the processes that tests start
    os.environ["PHONELAYERS_CACHE"] = str(root / "phonelayers")


@pytest.fixture(scope="session", autouse=True)
def librosa_compiled() -> None:
    """Let the processes of a test run compile librosa one after the other, also for tests that import it themselves."""
    from builders.compiled import librosa

    librosa()
