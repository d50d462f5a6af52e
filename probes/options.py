"""Options of a probe: the keyword arguments of its function, set as ``name=value``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from probes.errors import ProbeError

GIVEN = ("seed", "details")  # by the run, not by the user


def options_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the options of a probe's function with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in GIVEN}


def checked(probe: str, function: Callable[..., Any], options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options, text turned into what the defaults are.

    Raises
    ------
    ProbeError
        If the probe has no such option, or the text is no value of it.
    """
    known = options_of(function)
    if unknown := sorted(set(options or ()) - set(known)):
        raise ProbeError(f"probe {probe!r} has no option {unknown[0]!r}: expected some of {sorted(known)}")
    return {name: _value(name, value, known[name]) for name, value in (options or {}).items()}


def read(pairs: Iterable[str]) -> dict[str, str]:
    """Return ``name=value`` pairs as a dictionary.

    Raises
    ------
    ProbeError
        If a pair has no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            raise ProbeError(f"--option {pair}: expected name=value")
    return dict(pair.split("=", 1) for pair in pairs)


def check_decays(decays: Sequence[float]) -> None:
    """Say what is wrong with weight decays to choose from.

    Raises
    ------
    ProbeError
        If there is none, or one is negative or not finite.
    """
    if not len(decays) or not all(0 <= decay < math.inf for decay in decays):
        raise ProbeError(f"decays={_listed(decays)}: expected one or more numbers from 0 on")


def check_least(least: int, **values: int) -> None:
    """Raise an error if one of some options is below what is least."""
    for name, value in values.items():
        if value < least:
            raise ProbeError(f"{name}={value}: expected {least} or more")


def check_names(option: str, given: Sequence[str], known: Sequence[str]) -> None:
    """Raise an error if an option names nothing, or something that is not known."""
    unknown = sorted(set(given) - set(known))
    if unknown or not given:
        raise ProbeError(f"{option}={_listed(given)}: unknown {option} {unknown}, expected some of {list(known)}")


def check_folder(out: Path) -> None:
    """Raise an error if results cannot be written to a folder, which need not exist: before hours of work."""
    above = next((path for path in (out, *out.parents) if path.exists()), out)
    if above.exists() and not above.is_dir():
        raise ProbeError(f"--out {out}: {above} is a file, expected a folder")


def _listed(values: Sequence[Any]) -> str:
    return ",".join(map(str, values))


def _value(name: str, value: Any, default: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[value.lower()]
        if isinstance(default, tuple):
            kind = type(default[0]) if default else int
            return tuple(kind(part) for part in value.split(",") if part)
        return value if default is None or isinstance(default, str) else type(default)(value)
    except (ValueError, KeyError):
        raise ProbeError(f"option {name}={value}: expected a value like {default!r}") from None
