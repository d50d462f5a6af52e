"""Store what lhotse makes of the miniature VoxCeleb 1: ``python -m tests.corpora.references.make_voxceleb``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

from lhotse.recipes import voxceleb as recipe

from tests.corpora import voxceleb
from tests.corpora.references.lhotse_rows import store

with tempfile.TemporaryDirectory() as folder, mock.patch.object(recipe, "_prepare_voxceleb_trials", lambda _: {}):
    store("voxceleb", recipe.prepare_voxceleb(voxceleb.write(Path(folder))))  # trials: it would fetch them
