"""Store what lhotse makes of the miniature AMI: ``python -m tests.corpora.references.make_ami``."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from lhotse.recipes import prepare_ami

from tests.corpora import ami
from tests.corpora.references.lhotse_rows import store


def in_order(folder: Path) -> Iterator[Path]:
    """Return the files of a folder by name: its reader numbers what it finds in the order of the disk."""
    return iter(sorted(folder.glob("*")))


with tempfile.TemporaryDirectory() as folder, mock.patch.object(Path, "iterdir", in_order):
    # Its reader takes all files for UTF-8, whatever they declare.
    home = ami.write(Path(folder))
    for path in home.rglob("*.words.xml"):
        path.write_text(path.read_text(encoding="iso-8859-1"), encoding="utf-8")
    parts = {}
    for microphone in ("ihm", "sdm", "ihm-mix"):
        options = {"mic": microphone, "partition": "full-corpus-asr", "normalize_text": "none"}
        parts |= {f"{microphone}.{part}": found for part, found in prepare_ami(home, **options).items()}
    store("ami", parts)
