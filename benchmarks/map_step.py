"""The whole map step against the encoder alone, and reading features back against nested lists.

    python benchmarks/map_step.py                                   # wav2vec2-base and whisper-tiny
    python benchmarks/map_step.py wavlm-base --seconds 240 --rounds 5

"alone" is the encoder on waves in memory, grouped as the step groups them. "map" is `features.encode` (FLAC in, Arrow
in the cache out), "run" is `write_features`, the command (a shard with its statistics). Utterances are noise of
2 to 12 s with syllables, weights random, all layers kept in float16. Each measurement is a process of its own; what is
loaded or compiled once is done before its clock starts. Kinds take turns, medians count.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)
import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
from datasets import Dataset, Features, List, Value, disable_progress_bars, load_from_disk  # noqa: E402
from tabulate import tabulate  # noqa: E402

import features  # noqa: E402  before MLX: it brings a fast BLAS
from builders.audio import decode, encode  # noqa: E402
from builders.schema import SAMPLING_RATE as RATE  # noqa: E402
from features.card import FeatureCard  # noqa: E402
from features.clock import FrameClock  # noqa: E402
from features.columns import matrices, to_arrow  # noqa: E402
from features.step import Encode, together  # noqa: E402
from features.store import write_features  # noqa: E402

WIDTH, ROWS, READ_SECONDS = 768, 8, 1_200  # of the layer that is read back; rows read at once; 92 MB


def write_table(folder: str, seconds: float) -> None:
    """Write a manifest table of that much audio."""
    random = np.random.default_rng(0)
    rows = []
    while sum(row["duration"] for row in rows) < seconds:
        samples = int(random.integers(2 * RATE, 12 * RATE))
        noise = np.convolve(random.normal(size=samples), 0.9 ** np.arange(60), mode="same")
        syllables = np.repeat(random.gamma(1.0, 400.0, samples // (RATE // 5) + 1), RATE // 5)[:samples]
        sound = {"bytes": encode((noise * syllables).clip(-32768, 32767).astype(np.int16)), "path": f"{len(rows)}.flac"}
        rows.append({"id": f"u{len(rows):04}", "audio": sound, "duration": samples / RATE})
    Dataset.from_list(rows).save_to_disk(f"{folder}/table")


def write_matrices(folder: str, seconds: float) -> None:
    """Write a layer of that much audio twice: as we store it, and in nested lists."""
    random = np.random.default_rng(0)
    frames = random.integers(100, 600, max(1, round(seconds / 7)))
    card = FeatureCard("x", "none", "", 1, "0", 0, WIDTH, "frame", FrameClock(320, 0, 400, True))
    array = to_arrow([random.normal(size=(count, WIDTH)).astype(np.float16) for count in frames], card)
    kinds = {"ours": (card.feature(), array), "nested": (List(List(Value("float16"))), array.storage)}
    for name, (kind, column) in kinds.items():
        columns = Features({"x": kind, "duration": Value("float64")})
        Dataset(pa.table([column, frames / 50], schema=columns.arrow_schema)).save_to_disk(f"{folder}/{name}")


def alone(folder: str, name: str) -> Callable[[], object]:
    """Return a call that encodes the table's waves, and keeps nothing."""
    step, table = ready(folder, name)
    waves = sorted((decode(row["audio"]) for row in table), key=len)
    lengths = np.array([len(wave) for wave in waves])
    batches = []
    for chosen in map(list, together(range(len(waves)), lengths.tolist())):
        batches.append((np.zeros((len(chosen), max(lengths[chosen])), np.float32), lengths[chosen]))
        for row, index in zip(batches[-1][0], chosen, strict=True):
            row[: lengths[index]] = waves[index]
    return lambda: [step.encoder.encode(*batch, step.layers) and None for batch in batches]


def map_step(folder: str, name: str) -> Callable[[], object]:
    """Return a call of `features.encode`."""
    _, table = ready(folder, name)
    table.cleanup_cache_files()  # of an earlier round: they lie beside the table
    return lambda: features.encode(table, name, init="random")


def run(folder: str, name: str) -> Callable[[], object]:
    """Return a call of what the command does."""
    step, _ = ready(folder, name)
    return lambda: write_features(f"{folder}/table", step, out=tempfile.mkdtemp(dir=folder))


def ready(folder: str, name: str) -> tuple[Encode, Dataset]:
    """Return the step and the table, all that is loaded or compiled at a first call done."""
    step, table = Encode(name, init="random"), load_from_disk(f"{folder}/table")
    step.encode([decode(table[0]["audio"])[:RATE]])
    return step, table


def nested(folder: str, name: str) -> Callable[[], object]:
    """Return a call that reads nested lists as `datasets` does."""
    table = load_from_disk(f"{folder}/nested").with_format("numpy", dtype=np.float16)
    return lambda: [_touch(x) for rows in _slices(table) for x in table[rows]["x"]]


def columns(folder: str, name: str) -> Callable[[], object]:
    """Return a call of `features.columns.matrices`."""
    table = load_from_disk(f"{folder}/ours")
    return lambda: [_touch(matrices(table, "x", rows)[0]) for rows in _slices(table)]


def batches(folder: str, name: str) -> Callable[[], object]:
    """Return a call of `features.batches`, 60 s a batch, padded."""
    made = features.batches(load_from_disk(f"{folder}/ours"), ["x"], max_seconds=60)
    return lambda: [_touch(batch["x"]) for batch in made]


def mlx(folder: str, name: str) -> Callable[[], object]:
    """Return a call that reads MLX arrays."""
    table = load_from_disk(f"{folder}/ours").with_format("mlx")
    return lambda: [_touch(x) for rows in _slices(table) for x in table[rows]["x"]]


def _touch(x: object) -> int:
    """Look at every value: a view of the file that nobody looks at costs nothing."""
    return int(np.asarray(x).view(np.int16).max())


def _slices(table: Dataset) -> list[slice]:
    return [slice(first, first + ROWS) for first in range(0, len(table), ROWS)]


STEPS = {"alone": alone, "map": map_step, "run": run}
READERS = {"nested": nested, "matrices": columns, "batches": batches, "mlx": mlx}


def measure(kinds: Sequence[str], folder: str, name: str, rounds: int) -> list[float]:
    """Return the median seconds of each kind."""
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, times in took.items():
            caches = {"HF_DATASETS_CACHE": tempfile.mkdtemp(dir=folder), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
            command = [sys.executable, "-W", "ignore", __file__, "--measure", kind, folder, name]
            done = subprocess.run(command, env={**os.environ, **caches}, check=True, capture_output=True, text=True)
            times.append(float(done.stdout.split()[-1]))
    return [statistics.median(times) for times in took.values()]


def main() -> None:
    """Print a table of the steps, one line per encoder, and one of the readers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", default=["wav2vec2-base", "whisper-tiny"])
    parser.add_argument("--seconds", type=float, default=180, help="of audio")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        kind, folder, name = options.measure
        call = {**STEPS, **READERS}[kind](folder, name)
        if kind in READERS:
            call()  # from here on the file is in memory
        begun = time.perf_counter()
        call()
        print(time.perf_counter() - begun)
        return
    disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        write_table(folder, options.seconds)
        write_matrices(folder, READ_SECONDS)
        rows = [[name, *measure(list(STEPS), folder, name, options.rounds)] for name in options.encoders]
        read = measure(list(READERS), folder, "", options.rounds)
    print(f"{options.seconds:g} s of audio, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}\n")
    rows = [[*row, row[2] / row[1], row[3] / row[1]] for row in rows]
    headers = ["encoder", "alone, s", "map, s", "run, s", "map / alone", "run / alone"]
    print(tabulate(rows, headers=headers, floatfmt=".2f", tablefmt="github"))
    rows = [[name, took * 1e3, read[0] / took] for name, took in zip(READERS, read, strict=True)]
    headers = ["a layer of 768 read back", "ms", "times as fast as nested lists"]
    print("\n" + tabulate(rows, headers=headers, floatfmt=".1f", tablefmt="github"))


if __name__ == "__main__":
    main()
