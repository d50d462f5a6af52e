"""The versions that results were made with, kept in the metadata of their Parquet file."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

PACKAGES = ("phonelayers", "mlx", "numpy", "scipy", "datasets", "pyarrow", "scikit-learn", "matplotlib")
_KEY = b"software"


def versions() -> dict[str, str]:
    """Return the versions of Python, the system, this project and the packages that numbers depend on."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # not used, then
    return found


def stamped(table: pa.Table) -> pa.Table:
    """Return the table with the versions in its metadata."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: json.dumps(versions()).encode()})


def made_with(path: Path) -> dict[str, str] | None:
    """Return the versions that a Parquet file was made with; None where it does not say."""
    found = (pyarrow.parquet.read_schema(path).metadata or {}).get(_KEY) if path.suffix == ".parquet" else None
    return None if found is None else json.loads(found)
