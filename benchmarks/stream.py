"""How fast a prepared table is read: as a stream, against Parquet itself, and against lhotse's Shar of the same audio.

    python benchmarks/stream.py --utterances 600 --repeat 3 --reference .venv-reference/bin/python

Sentences of espeak-ng are prepared in a temporary folder. Every way reads all of it from the page cache; the best of
some rounds counts, each round taking every way in turn. Processor time tells the cost also where other programs run.
Shar is written from the same FLAC files and read in a process of its own, by an interpreter that has lhotse.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datasets import load_dataset
from tabulate import tabulate

import features
from builders.audio import decode
from builders.prepare import prepare

COLUMNS = ["id", "audio", "duration"]
SHAR = """
import json, sys, time
from pathlib import Path
import pyarrow.parquet as pq
from lhotse import CutSet, Recording
table, out, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
cuts = []
for path in sorted(Path(table).glob("data/*.parquet")):
    for row in pq.read_table(path, columns=["id", "audio"]).to_pylist():
        cuts.append(Recording.from_bytes(row["audio"]["bytes"], row["id"]).to_cut())
CutSet.from_cuts(cuts).to_shar(out, fields={"recording": "flac"}, shard_size=100)
best = {}
def clock():
    return time.perf_counter(), time.process_time()
for _ in range(rounds):
    for name, load in (("lhotse Shar, cuts only", False), ("lhotse Shar, decoded", True)):
        begin = clock()
        seconds = 0.0
        for cut in CutSet.from_shar(in_dir=out):
            seconds += cut.duration
            if load:
                assert cut.load_audio().shape[1] == cut.num_samples
        took = [now - then for now, then in zip(clock(), begin)]
        best[name] = [min(pair) for pair in zip(best.get(name, took), took)]
print(json.dumps(best))
"""


def ways(table: str) -> dict[str, Callable[[], float]]:
    """Return each way to read the table, as a function that returns the seconds of audio it has read."""
    stream = load_dataset(table, split="train", streaming=True).select_columns(COLUMNS)
    held = load_dataset(table, split="train").select_columns(COLUMNS)

    def parquet() -> Iterator[dict]:
        for path in sorted(Path(table).glob("data/*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(columns=COLUMNS):
                yield from batch.to_pylist()

    def batches(dataset: object) -> float:
        made = features.batches(dataset, ["audio"], max_seconds=30, buffer=200)
        return sum(int(batch["audio_lengths"].sum()) for batch in made) / 16_000

    return {
        "pyarrow, bytes": lambda: sum(row["duration"] for row in parquet()),
        "pyarrow, decoded": lambda: sum(len(decode(row["audio"])) for row in parquet()) / 16_000,
        "stream, bytes": lambda: sum(row["duration"] for row in stream),
        "stream, decoded": lambda: sum(len(decode(row["audio"])) for row in stream) / 16_000,
        'stream, with_format("mlx")': lambda: sum(row["audio"].size for row in stream.with_format("mlx")) / 16_000,
        "stream, features.batches": lambda: batches(stream),
        'map-style, with_format("mlx")': lambda: sum(row["audio"].size for row in held.with_format("mlx")) / 16_000,
        "map-style, features.batches": lambda: batches(held),
    }


def measure(table: str, rounds: int) -> tuple[dict[str, Sequence[float]], float]:
    """Return the best wall and processor time of each way, and the seconds of audio that all of them have read."""
    best: dict[str, Sequence[float]] = {}
    seconds: list[float] = []
    for _ in range(rounds):
        for name, read in ways(table).items():
            begin = time.perf_counter(), time.process_time()
            seconds.append(read())
            took = time.perf_counter() - begin[0], time.process_time() - begin[1]
            best[name] = np.minimum(best.get(name, took), took).tolist()
    assert max(seconds) - min(seconds) < 0.01, "each way reads all"
    return best, seconds[0]


def reference(python: str, table: str, out: Path, rounds: int) -> dict[str, Sequence[float]]:
    """Return the best times of lhotse's Shar."""
    command = [python, "-W", "ignore", "-c", SHAR, table, str(out), str(rounds)]
    out.mkdir()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print a table: times real time by wall and processor time, and ratios to reading and decoding with pyarrow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=600)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--reference", help="interpreter that has lhotse")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = f"{folder}/espeak"
        prepare({"path": "builders/espeak", "utterances": options.utterances}, table, max_shard_size=16_000_000)
        best, seconds = measure(table, options.repeat)
        if options.reference:
            best |= reference(options.reference, table, Path(folder, "shar"), options.repeat)
    rows = []
    for name, took in best.items():
        ratios = [whole / own for whole, own in zip(best["pyarrow, decoded"], took, strict=True)]
        rows.append([name, seconds / took[0], ratios[0], seconds / took[1], ratios[1]])
    print(f"{options.utterances} utterances, {seconds / 60:.1f} minutes of audio, best of {options.repeat}")
    headers = ["", "times real time", "ratio", "by processor time", "ratio"]
    print(tabulate(rows, headers=headers, floatfmt=("", ".0f", ".2f", ".0f", ".2f")))


if __name__ == "__main__":
    main()
