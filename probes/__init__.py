"""Probes: what the layers of an encoder know about the labels of a tier.

``probes.probe(ds, tier="phones")`` takes a table with manifest and feature columns and returns
`Results`: print them, or take ``results.to_pandas()``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from probes.errors import ProbeError

if TYPE_CHECKING:
    from probes.results import Results
    from probes.run import probe

__all__ = ["ProbeError", "Results", "probe"]

_HOMES = {"Results": "probes.results", "probe": "probes.run"}


def __getattr__(name: str) -> Any:
    """Import the public names at first use: the local metric needs this package without MLX."""
    if name not in _HOMES:
        raise AttributeError(f"module 'probes' has no attribute {name!r}: expected one of {__all__}")
    return getattr(import_module(_HOMES[name]), name)
