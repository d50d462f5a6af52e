"""Store what lhotse makes of the miniature AISHELL-4: ``python -m tests.corpora.references.make_aishell4``.

Needs the package `textgrid`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from lhotse.recipes import prepare_aishell4

from tests.corpora import aishell4
from tests.corpora.references.lhotse_rows import store

with tempfile.TemporaryDirectory() as folder:
    store("aishell4", prepare_aishell4(aishell4.write(Path(folder), broken=True), normalize_text=True))
