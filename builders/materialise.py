"""Audio of a manifest as files of their own: 16 kHz, mono, 16 bit, each under its final name only when it is whole."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import soundfile as sf

from builders.cache import writing
from builders.errors import CorpusError
from builders.schema import SAMPLING_RATE

MADE_FROM = "made_from.json"  # what the audio of a folder comes from
MANY = 10_000  # files in a folder
LONGEST = 200  # bytes of a name, so that mark and suffix still fit
UNSAFE = re.compile(r"[^\w.+=@,-]|^[.]")


@dataclass(frozen=True)
class Shelf:
    """Where the audio files of a manifest go: ``<folder>/<split>/<id>.flac``, stems in folders of their names.

    folder : str
    form : "flac" or "wav"
    partial : str
        Folder of half-written files, on the same disk.
    rows : mapping of str to int
        Of each split; splits with many are cut into folders of `MANY` files.
    marked : mapping of str to bool
        Splits whose ids differ by case only: the names get a mark, as not every disk tells case apart.
    """

    folder: str
    form: str
    partial: str
    rows: Mapping[str, int]
    marked: Mapping[str, bool]

    def write(self, split: str, number: int, name: str, cell: Mapping[str, Any], stem: str = "") -> tuple[Path, int]:
        """Write a cell of an audio column, of a row by number and id, and return the file and its number of samples."""
        above = Path(self.folder, split)
        if self.rows[split] > MANY:
            above /= f"{number // MANY:05d}"
        path = above / stem / f"{file_stem(name, marked=self.marked[split])}.{self.form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(self.partial, f"{os.getpid()}.{self.form}")
        temporary.write_bytes(cell["bytes"] if self.form == "flac" else as_wav(cell["bytes"]))
        temporary.replace(path)
        return path, sf.info(path).frames


def claim(folder: Path, made_from: Mapping[str, Any]) -> None:
    """Keep in a folder of audio what its files are made from, so that no other run writes over them.

    Raises
    ------
    CorpusError
        If it holds files that are made from something else.
    """
    mark, told = folder / MADE_FROM, json.dumps(made_from, indent=1, sort_keys=True)
    if mark.is_file() and mark.read_text(encoding="utf-8") == told:
        return
    if folder.exists() and any(folder.iterdir()):
        raise CorpusError(
            f"{folder} holds other files, e.g. of another copy of the corpus, or made with other options: remove it "
            "or choose another --audio-dir"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with writing(mark) as path:
        path.write_text(told, encoding="utf-8")


def file_stem(identifier: str, *, marked: bool = False) -> str:
    """Return a file name without suffix for an id; one that is not the id itself ends in a mark of it."""
    safe = UNSAFE.sub("_", identifier)
    short = safe.encode()[:LONGEST].decode(errors="ignore")
    if short == identifier and not marked:
        return short
    return f"{short}-{hashlib.sha256(identifier.encode()).hexdigest()[:8]}"


def differ_by_case(ids: pa.ChunkedArray) -> bool:
    """Tell whether ids, unique as they are, would be one name on a disk that does not tell case apart."""
    # Hashes: ten million ids are 80 MB.
    folded = np.fromiter((_hash(text.casefold()) for chunk in ids.chunks for text in chunk.to_pylist()), np.uint64)
    return len(np.unique(folded)) < len(folded)


def as_wav(flac: bytes) -> bytes:
    """Return FLAC as WAV, sample by sample."""
    samples, _ = sf.read(io.BytesIO(flac), dtype="int16")
    buffer = io.BytesIO()
    sf.write(buffer, samples, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
