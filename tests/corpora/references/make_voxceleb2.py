"""Store what lhotse makes of the miniature VoxCeleb 2: ``python -m tests.corpora.references.make_voxceleb2``.

It reads .m4a with FFmpeg only: the sound is WAV here, under the names of the corpus, which both readers take as it is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import mock

from lhotse.recipes import voxceleb as recipe

from tests.corpora import voxceleb
from tests.corpora.references.lhotse_rows import store
from tests.corpora.sound import riff

with tempfile.TemporaryDirectory() as folder, mock.patch.object(voxceleb, "m4a", riff):
    store("voxceleb2", recipe.prepare_voxceleb(voxceleb2_root=voxceleb.write(Path(folder), "voxceleb2")))
