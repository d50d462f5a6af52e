"""The command ``python -m builders check``: the quality of a table's audio, as a map step."""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import soundfile as sf
from datasets import Audio, Dataset, DatasetDict, Features, Value, concatenate_datasets, load_dataset, load_from_disk

from builders import quality
from builders.audio import decode
from builders.cache import absolute, cache_dir
from builders.check_report import MISSING, Summary, figure
from builders.errors import AudioError, CorpusError

COLUMN = "quality"
QUALITY = {
    "peak": Value("float64"),  # 0 to 1 of full scale
    "clipped": Value("float64"),  # share of samples in flat tops
    "silent": Value("float64"),  # share of frames under -60 dB
    "dc_offset": Value("float64"),  # of full scale
    "bandwidth": Value("float64"),  # Hz
    "header_duration": Value("float64"),  # seconds; null where there is no audio
    "decoded_duration": Value("float64"),  # seconds; 0 and all others null where it cannot be decoded
}
BATCH_ROWS = 64
BATCH_BYTES = 64_000_000  # of audio, by the rows' mean
ONE_SPLIT = "data"  # what a table without splits is called here


def check(dataset: Dataset, *, num_proc: int | None = None, file: str | None = None) -> Dataset:
    """Return a manifest table with the column `quality`; the audio is neither copied nor changed.

    Parameters
    ----------
    dataset : Dataset
        With the column `audio` of a manifest table.
    num_proc : int, optional
        Processes.
    file : str, optional
        Where the column is kept; without it, where `datasets` keeps the results of a map.

    Raises
    ------
    CorpusError
        If the table has no such column.
    """
    return concatenate_datasets(
        [dataset, measured(dataset, num_proc=num_proc, file=file).select_columns(COLUMN)], axis=1
    )


def measured(dataset: Dataset, *, num_proc: int | None = None, file: str | None = None) -> Dataset:
    """Return a table of `id` and `quality`, a row for each row of a manifest table."""
    if not isinstance(dataset.features.get("audio"), Audio):
        raise CorpusError(f"the table has no audio column: expected a manifest table, found {list(dataset.features)}")
    wanted = dataset.select_columns(["id", "audio"]).cast_column("audio", Audio(sampling_rate=16_000, decode=False))
    size = max(1, (dataset.data.nbytes if dataset._indices is None else 0) // max(1, len(dataset)))
    return wanted.map(
        measure,
        batched=True,
        batch_size=max(1, min(BATCH_ROWS, BATCH_BYTES // size)),
        remove_columns=["audio"],
        features=Features({"id": wanted.features["id"], COLUMN: QUALITY}),
        num_proc=num_proc,
        cache_file_name=file,
        desc="Checking",
    )


def measure(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[dict[str, float | None]]]:
    """Return the quality of each recording of a batch: the function that is mapped."""
    return {COLUMN: [_measure(cell) for cell in batch["audio"]]}


def _measure(cell: Mapping[str, Any] | None) -> dict[str, float | None]:
    nothing = dict.fromkeys(QUALITY)
    if cell is None or not cell.get("bytes"):
        return nothing
    try:
        with sf.SoundFile(io.BytesIO(cell["bytes"])) as file:
            nothing["header_duration"] = file.frames / file.samplerate
        samples = decode(cell)
    except (AudioError, sf.LibsndfileError):
        return {**nothing, "decoded_duration": 0.0}
    return {
        "peak": quality.peak(samples),
        "clipped": quality.clipped_share(samples),
        "silent": quality.silent_share(samples),
        "dc_offset": quality.dc_offset(samples),
        "bandwidth": quality.bandwidth(samples),
        "header_duration": nothing["header_duration"],
        "decoded_duration": len(samples) / quality.SAMPLING_RATE,
    }


def open_table(path: str | Path) -> DatasetDict:
    """Open a manifest table that `load --out`, `save_to_disk` or `prepare` wrote.

    Raises
    ------
    CorpusError
        If there is none.
    """
    folder = absolute(path)
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        table = load_from_disk(str(folder))
        return table if isinstance(table, DatasetDict) else DatasetDict({ONE_SPLIT: table})
    if next(folder.glob("**/*.parquet"), None) is not None:
        return load_dataset(str(folder))
    raise CorpusError(
        f"{folder} holds no table: write one with `python -m builders load CORPUS --data-dir DIR --out {folder}`, "
        "or with `prepare`"
    )


def check_table(
    path: str | Path, out: str | Path | None = None, *, num_proc: int | None = None
) -> tuple[dict[str, Summary], bool]:
    """Check all splits of a table on disk, and return their summaries and whether a figure was drawn.

    Parameters
    ----------
    path : path
        Of the table.
    out : path, optional
        Folder for the table of `id` and `quality`, ``summary.json`` and ``quality.png``.
    """
    if out is not None and absolute(out).exists():
        raise CorpusError(f"{out} exists already: remove it or choose another --out")
    table = open_table(path)
    with tempfile.TemporaryDirectory(dir=cache_dir("checks")) as work:
        made = DatasetDict(
            {split: measured(part, num_proc=num_proc, file=f"{work}/{split}.arrow") for split, part in table.items()}
        )
        summaries = {split: Summary.of(part, table[split]) for split, part in made.items()}
        return summaries, _write(made, summaries, absolute(out)) if out is not None else False


def _write(made: DatasetDict, summaries: Mapping[str, Summary], out: Path) -> bool:
    """Write everything under a temporary name first."""
    working = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(working, ignore_errors=True)
    try:
        made.save_to_disk(str(working))
        told = {split: summary.told() for split, summary in summaries.items()}
        (working / "summary.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
        drawn = figure(summaries, working / "quality.png")
        working.rename(out)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return drawn


def add_command(add: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the command to those of ``python -m builders``."""
    command = add("check", run_check, "Measure the quality of a table's audio: clipping, silence, offset, bandwidth.")
    command.add_argument("table", help="folder written by `load --out`, `prepare` or `save_to_disk`")
    command.add_argument("--out", type=Path, help="folder for the quality column, the summary and the figure")
    command.add_argument("--num-proc", type=int, help="processes (default: 1)")


def run_check(options: argparse.Namespace) -> None:
    """Measure, and print what was found."""
    summaries, drawn = check_table(options.table, options.out, num_proc=options.num_proc)
    for split, summary in summaries.items():
        print(f"{split}: {summary.text()}\n")
    if options.out:
        print(f"written: {options.out}")
        if not drawn:
            print(MISSING, file=sys.stderr)
