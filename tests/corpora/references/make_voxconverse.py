"""Store what lhotse makes of the miniature VoxConverse: ``python -m tests.corpora.references.make_voxconverse``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lhotse.recipes import prepare_voxconverse

from tests.corpora import voxconverse
from tests.corpora.references.lhotse_rows import store

with tempfile.TemporaryDirectory() as folder:
    store("voxconverse", prepare_voxconverse(voxconverse.write(Path(folder), "merged")))
