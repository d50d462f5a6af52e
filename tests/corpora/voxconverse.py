"""A miniature VoxConverse: two recordings of the development set, one of the test set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

# id -> (split's folder, samples, lines of the annotation); abjxc's first line is that of the corpus.
RECORDINGS = {
    "abjxc": ("dev", 128_000, """\
SPEAKER abjxc 1 0.400000 6.640000 <NA> <NA> spk00 <NA> <NA>
"""),
    "afjiv": ("dev", 64_000, """\
SPEAKER afjiv 1 1.120000 1.360000 <NA> <NA> spk00 <NA> <NA>
SPEAKER afjiv 1 3.200000 0.640000 <NA> <NA> spk01 <NA> <NA>
SPEAKER afjiv 1 2.000000 0.800000 <NA> <NA> spk02 <NA> <NA>
"""),
    "aggyz": ("test", 32_000, """\
SPEAKER aggyz 1 0.10000 1.08000 <NA> <NA> spk00 <NA> <NA>
SPEAKER aggyz 1 1.32000 0.60000 <NA> <NA> spk01 <NA> <NA>
"""),
}  # fmt: skip
LAYOUTS = ("published", "merged")


def samples_of(name: str) -> np.ndarray:
    """Return a recording's audio [shape=(samples,), int16]."""
    return noise(RECORDINGS[name][1], seed=sum(map(ord, name)))


def write(folder: Path, layout: str = "published") -> Path:
    """Write the miniature below `folder` and return the top folder.

    layout : {"published", "merged"}
        What the zips and the repository hold: ``audio/``, ``voxconverse_test_wav/``,
        ``voxconverse-master/{dev,test}/``; or audio beside annotation in ``dev`` and ``test``.
    """
    top = folder / "voxconverse"
    for name, (part, _, lines) in RECORDINGS.items():
        audio = {"dev": "audio", "test": "voxconverse_test_wav"}[part] if layout == "published" else part
        rttm = f"voxconverse-master/{part}" if layout == "published" else part
        for place, content in (
            (f"{audio}/{name}.wav", riff(samples_of(name))),
            (f"{rttm}/{name}.rttm", lines.encode()),
        ):
            path = top / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return top
