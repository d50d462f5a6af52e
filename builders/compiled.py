"""librosa, whose compiled functions one process at a time makes.

librosa compiles some functions when it is first imported and keeps them on disk. Processes that do
so at the same time can leave files that do not fit each other, and every later process is then
killed by a segmentation fault (https://github.com/numba/numba/issues/10128).
"""

from __future__ import annotations

import functools
import os
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from filelock import FileLock

from builders.cache import cache_dir


@functools.cache
def librosa() -> ModuleType:
    """Return librosa, imported as far as its functions compile themselves at import.

    Takes 3 s, on a new installation 30 s.
    """
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(kept_in() / "phonelayers.lock"))
        except (OSError, NotImplementedError):  # a disk without locks: as librosa does by itself
            held.close()
        import librosa

        _ = librosa.pyin  # librosa imports its parts when they are asked for; this asks for all that compile
        return librosa


def kept_in() -> Path:
    """Return a folder on the disk where numba keeps what it compiles of librosa."""
    spec = find_spec("librosa")
    beside = Path(spec.origin or "").parent / "__pycache__" if spec else None
    for folder in (os.environ.get("NUMBA_CACHE_DIR"), beside):
        with suppress(OSError):  # then numba, too, goes on to the next
            if folder:
                Path(folder).mkdir(parents=True, exist_ok=True)
                if os.access(folder, os.W_OK):
                    return Path(folder)
    return cache_dir("locks")
