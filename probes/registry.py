"""The probes that there are: each file of this package that defines `fit` or `measure`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any

from probes.errors import ProbeError
from probes.options import checked, options_of

FUNCTIONS = ("fit", "measure")
FLAGS = ("context", "all_layers", "deterministic", "published")


@dataclass(frozen=True)
class Probe:
    """A probe with its options set.

    name : str
        Of its file.
    function : callable
        Its `fit` or `measure`, options bound.
    measures : bool
        True for `measure`, which yields results itself; False for `fit`, which trains a classifier.
    context : bool
        Whether it looks at the frames around the example (`CONTEXT` of the file).
    all_layers : bool
        Whether it takes all layers of an encoder at once (`ALL_LAYERS`).
    deterministic : bool
        Whether seeds change nothing (`DETERMINISTIC`).
    published : bool
        Of one that measures: whether it can repeat published code (`PUBLISHED`).
    options : mapping
        All options with their values.
    """

    name: str
    function: Callable[..., Any]
    measures: bool
    context: bool
    all_layers: bool
    deterministic: bool
    published: bool
    options: Mapping[str, Any]

    @property
    def fit(self) -> Callable[..., Any]:
        """The function that trains a classifier."""
        return self.function


def probe_of(name: str, options: Mapping[str, Any] | None = None, *, refit: bool = True) -> Probe:
    """Return a probe by the name of its file.

    Parameters
    ----------
    name : str
    options : mapping, optional
        Keyword arguments of its function; text is turned into what the defaults are.
    refit : bool
        False where validation is the test half, so that nothing may be trained on it.

    Raises
    ------
    ProbeError
        If there is no such probe or option.
    """
    if name not in probe_names():
        raise ProbeError(f"unknown probe={name!r}: expected one of {probe_names()}")
    module = import_module(f"probes.{name}")
    measures = not hasattr(module, "fit")
    function = module.measure if measures else module.fit
    given = checked(name, function, options)
    known = options_of(function)
    if not refit and "refit" in known:
        given["refit"] = False
    flags = {flag: bool(getattr(module, flag.upper(), False)) for flag in FLAGS}
    return Probe(name, partial(function, **given), measures, **flags, options={**known, **given})


@cache
def probe_names() -> list[str]:
    """Return the names of all probes."""
    files = Path(__file__).parent.glob("*.py")
    starts = tuple(f"\ndef {function}(" for function in FUNCTIONS)
    return sorted(file.stem for file in files if any(start in file.read_text(encoding="utf-8") for start in starts))
