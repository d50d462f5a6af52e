"""Make `load_dataset("builders/<corpus>")` find our corpora.

`datasets` 4 has no loading scripts and no way to register a builder of one's own. This module is
the only one that touches its private parts: it wraps `dataset_module_factory`, in `datasets.load`
and in `datasets.inspect`, which holds a reference of its own, and it registers formats.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import datasets.inspect
import datasets.load

from builders.cache import absolute, digest
from builders.errors import CorpusError

HOME = Path(__file__).resolve().parent
PREFIX = "builders"


def corpora() -> list[str]:
    """Return the names of all corpora: the folders here that hold a module of their own name."""
    return sorted(path.parent.name for path in HOME.glob("*/*.py") if path.stem == path.parent.name)


def builder_class(name: str) -> type[Any]:
    """Return the builder of a corpus.

    Raises
    ------
    CorpusError
        If there is no corpus of that name.
    """
    if name not in corpora():
        near = difflib.get_close_matches(name, corpora(), n=1)
        hint = f"did you mean {PREFIX}/{near[0]}? " if near else ""
        raise CorpusError(f"there is no corpus {name!r}: {hint}expected one of {corpora()}")
    return datasets.load.import_main_class(_module(name))


def install() -> None:
    """Wrap the factory, once."""
    factory = datasets.load.dataset_module_factory
    if getattr(factory, "knows_builders", False):
        return
    wrapped = _wrap(factory)
    datasets.load.dataset_module_factory = wrapped
    datasets.inspect.dataset_module_factory = wrapped


def install_format(name: str, formatter: type[Any]) -> None:
    """Make ``with_format(name)`` work."""
    formatting = importlib.import_module("datasets.formatting")
    if name not in formatting._FORMAT_TYPES:
        formatting._register_formatter(formatter, name)


def resolve(path: Any) -> str | None:
    """Return the corpus that a path given to `load_dataset` means, None if it is not ours.

    ``builders/<corpus>`` is ours wherever the program runs; so is any path to a folder in here.
    """
    text = str(path).rstrip("/")
    parts = text.removeprefix("./").split("/")
    if len(parts) == 2 and parts[0] == PREFIX and (parts[1] in corpora() or not absolute(text).is_dir()):
        return parts[1]  # a misspelt corpus as well, but not a folder of the user's own
    if "/" not in text or "://" in text:
        return None
    place = absolute(text).resolve()
    return place.name if place.parent == HOME and place.is_dir() else None


def _module(name: str) -> str:
    return f"{PREFIX}.{name}.{name}"


def _wrap(factory: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(factory)
    def dataset_module_factory(path: Any, *args: Any, **kwargs: Any) -> Any:
        name = resolve(path)
        if name is None:
            return factory(path, *args, **kwargs)
        facts = builder_class(name).FACTS
        machinery = importlib.import_module("builders.corpus").MACHINERY_VERSION
        version = digest([name, facts.version, machinery])
        default = builder_class(name).DEFAULT_CONFIG_NAME or builder_class(name).BUILDER_CONFIGS[0].name
        # A bare load_dataset("timit") of another program must not find our cache: hence the prefix.
        keywords = {"dataset_name": f"{PREFIX}_{name}"}
        return datasets.load.DatasetModule(
            _module(name), version, keywords,
            datasets.load.BuilderConfigsParameters(default_config_name=default),
        )  # fmt: skip

    dataset_module_factory.knows_builders = True  # type: ignore[attr-defined]
    return dataset_module_factory
