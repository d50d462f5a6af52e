"""Where this project keeps what it can make again: indices of archives, listings, quarantine reports."""

from __future__ import annotations

import hashlib
import os
import platform
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import config


def cache_dir(*parts: str) -> Path:
    """Return a folder beside the datasets cache, made if need be; ``PHONELAYERS_CACHE`` moves it."""
    root = os.environ.get("PHONELAYERS_CACHE") or Path(config.HF_CACHE_HOME).expanduser() / "phonelayers"
    folder = Path(root, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest(parts: Iterable[Any]) -> str:
    """Return a short hash of the parts' representations, the same in every process."""
    state = hashlib.sha256()
    for part in parts:
        state.update(repr(part).encode("utf-8", "backslashreplace") + b"\n")
    return state.hexdigest()[:16]


@contextmanager
def writing(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside `final` that takes the final name only if all went well."""
    # Machines that share a disk may have processes of one number, and a process several threads that write.
    temporary = final.with_name(f".{final.name}.{platform.node()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the path from the root, `~` expanded: caches must not depend on the working directory."""
    return Path(path).expanduser().absolute()
