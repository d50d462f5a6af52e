"""A small manifest table out of samples, without a corpus behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetInfo, load_from_disk

from builders.audio import encode
from builders.schema import Segment, arrow_schema, manifest_features
from tests.corpora.sound import RATE


def manifest(
    waves: Mapping[str, np.ndarray], folder: Path, segments: Mapping[str, Sequence[Segment]] | None = None
) -> Dataset:
    """Write a manifest table of int16 samples by id to `folder`, as `save_to_disk` does, and open it."""
    features = manifest_features()
    rows = [
        {
            "id": name,
            "audio": {"bytes": encode(pcm) if len(pcm) else b"", "path": f"{name}.flac"},
            "audio_path": f"{name}.wav",
            "offset": 0.0,
            "duration": len(pcm) / RATE,
            "speaker_id": name[0],
            "corpus": "mini",
            "source": {"format": "WAV/PCM_16", "sampling_rate": RATE, "channels": 1},
            "segments": [segment._asdict() for segment in (segments or {}).get(name, ())],
        }
        for name, pcm in waves.items()
    ]
    table = pa.Table.from_pylist(rows, schema=arrow_schema(features))
    Dataset(table, info=DatasetInfo(features=features)).save_to_disk(str(folder))
    return load_from_disk(str(folder))
