"""Store what platalea's own code makes of one recording, for `test_vgs_mfcc`.

Run with a checkout of https://github.com/spokenlanguage/platalea, NumPy and SciPy:
``python make_vgs_mfcc.py CHECKOUT``. No package index has that code, so nothing makes this anew by itself.
"""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
EVERY = 7  # frames that are kept


def chirp() -> np.ndarray:
    """Return two thirds of a second that rises, with an offset and a silent end [shape=(10733,), int16, 16 kHz]."""
    time = np.arange(10_000) / 16_000
    tone = np.sin(2 * np.pi * (200 + 2_000 * time) * time) * (0.2 + time) * 9_000 + 300
    return np.concatenate([np.rint(tone), np.zeros(733)]).astype(np.int16)


def main(checkout: Path) -> None:
    """Import the code without its package, which wants torch, and write the reference."""
    package = types.ModuleType("platalea")
    package.__path__ = [str(checkout / "platalea")]
    sys.modules["platalea"] = package
    vars(np)["row_stack"] = np.vstack  # gone from newer NumPys
    from platalea.audio import features as theirs

    frames, energy = theirs.raw_frames((16_000, chirp()), 160, 400)
    bands = theirs.get_fbanks(theirs.get_freqspectrum(frames, 0.97, 16_000, 400), 40, 16_000)
    static = np.concatenate([energy[:, None], theirs.get_mfcc(bands)], 1)
    single = theirs.delta(static, 2)
    made = np.concatenate([static, single, theirs.delta(single, 2)], 1)
    reference = {"shape": made.shape, "every": EVERY, "frames": made[::EVERY].round(9).tolist()}
    (HERE / "vgs_mfcc.json").write_text(json.dumps(reference))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
