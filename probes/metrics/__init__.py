"""Local metrics for `evaluate`: one folder each, loaded by path, offline.

``evaluate.load(metric_path("phone_accuracy"))`` gives a metric that also joins ``evaluate.combine``.
"""

from __future__ import annotations

from pathlib import Path

from probes.errors import ProbeError


def metric_path(name: str) -> str:
    """Return the absolute path of a metric: `evaluate.load` takes a relative one from the working directory."""
    folder = Path(__file__).resolve().parent / name
    if not (folder / f"{name}.py").is_file():
        known = sorted(path.parent.name for path in folder.parent.glob("*/*.py") if path.stem == path.parent.name)
        raise ProbeError(f"unknown metric {name!r}: expected one of {known}")
    return str(folder)
