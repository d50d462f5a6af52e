"""Store what lhotse's recipe makes of the metadata of the miniature of LibriMix.

The recipe does not read generated mixtures: it mixes LibriSpeech and WHAM itself. So both are written here, of the
lengths that the miniature says. Run with a Python that has lhotse.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lhotse import CutSet, MonoCut, Recording, RecordingSet, SupervisionSegment
from lhotse.recipes import prepare_librimix

from tests.corpora import libri_mix
from tests.corpora.sound import noise, riff

parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(__file__).parent)
out = parser.parse_args().out


def recording(folder: Path, name: str, samples: int) -> Recording:
    """Write a recording and describe it."""
    path = folder / f"{name}.wav"
    path.write_bytes(riff(noise(samples)))
    return Recording.from_file(path, recording_id=name)


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    metadata = libri_mix.write_metadata(folder)
    for subset, mixtures in (("dev-clean", "dev"), ("train-clean-100", "train-100")):
        cuts = []
        for source in (source for mixture in libri_mix.MIXTURES[mixtures] for source in mixture.split("_")):
            made = recording(folder, source, libri_mix.SOURCES[source][1])
            told = SupervisionSegment(source, source, 0, made.duration, speaker=source.split("-")[0])
            cuts.append(MonoCut(f"{source}-0", 0, made.duration, 0, [told], recording=made))
        CutSet.from_cuts(cuts).to_file(folder / f"librispeech_cutset_{subset}.jsonl.gz")
    wham = recording(folder, Path(libri_mix.NOISE).stem, 16_000)
    for part in ("tr", "cv", "tt"):
        RecordingSet.from_recordings([wham]).to_file(folder / f"wham_recordings_{part}.jsonl.gz")
    made = prepare_librimix(folder, folder, metadata, workdir=folder)
    rows = [
        {
            "part": part,
            "id": cut.id,
            "duration": cut.duration,
            "sources": [
                {"id": s.recording_id, "speaker": s.speaker, "start": s.start, "duration": s.duration}
                for s in cut.supervisions
            ],
        }
        for part, found in made.items()
        for cut in found["cutset"]
    ]
text = json.dumps(sorted(rows, key=lambda row: (row["part"], row["id"])), indent=1)
(out / "libri_mix.json").write_text(text + "\n", encoding="utf-8")
