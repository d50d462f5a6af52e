"""Make ``builders/<corpus>`` loadable in every program of the environment, and take it back.

For programs that nobody can edit. A ``.pth`` file in site-packages runs one import at the start of
the interpreter; what it imports waits until `datasets` is imported and costs nothing otherwise.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

HOOK = "_phonelayers_startup"
WHERE = Path(__file__).resolve().parent.parent

# Stands alone: it is imported before anything else and must not import `builders`, which imports `datasets`.
SOURCE = '''"""Written by `python -m builders enable`; `python -m builders disable` removes it."""

import importlib.util
import sys


class _AfterDatasets:
    """Lets `datasets` be imported as ever, then registers the corpora."""

    def find_spec(self, name, path=None, target=None):
        if name != "datasets":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            try:
                import builders  # noqa: F401  registers
            except ModuleNotFoundError as error:
                if error.name != "builders":
                    raise
                sys.path.append({where!r})
                try:
                    import builders  # noqa: F401  registers
                except ModuleNotFoundError:
                    print("phonelayers is not there any more: remove", __file__, file=sys.stderr)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _AfterDatasets())
'''


def site_packages() -> Path:
    """Return the folder that the environment's interpreter reads ``.pth`` files from."""
    return Path(sysconfig.get_paths()["purelib"])


def enable(folder: Path | None = None) -> Path:
    """Write the start-up files and return the folder they are in."""
    folder = folder or site_packages()
    (folder / f"{HOOK}.py").write_text(SOURCE.replace("{where!r}", repr(str(WHERE))), encoding="utf-8")
    (folder / f"{HOOK}.pth").write_text(f"import {HOOK}\n", encoding="utf-8")
    return folder


def disable(folder: Path | None = None) -> bool:
    """Remove the start-up files and tell whether there were any."""
    folder = folder or site_packages()
    found = enabled(folder)
    for suffix in ("pth", "py"):
        (folder / f"{HOOK}.{suffix}").unlink(missing_ok=True)
    return found


def enabled(folder: Path | None = None) -> bool:
    """Tell whether the start-up files are in place."""
    return ((folder or site_packages()) / f"{HOOK}.pth").exists()
