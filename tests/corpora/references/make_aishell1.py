"""Store what lhotse makes of the miniature AISHELL-1: ``python -m tests.corpora.references.make_aishell1``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lhotse.recipes import prepare_aishell

from tests.corpora import aishell1
from tests.corpora.references.lhotse_rows import store

with tempfile.TemporaryDirectory() as folder:
    store("aishell1", prepare_aishell(aishell1.write(Path(folder))))
