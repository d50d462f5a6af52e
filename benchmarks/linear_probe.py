"""The linear probe against scikit-learn's LogisticRegression: same frames, same loss, same decay.

    python benchmarks/linear_probe.py                             # made-up frames, as wide as a Whisper-tiny layer
    python benchmarks/linear_probe.py --frames 200000 --width 512 --threads 1 2
    python benchmarks/linear_probe.py --table TABLE --columns whisper_tiny_en.block2 whisper_tiny_en.block3

Each training runs in a process of its own, ours and scikit-learn's in turn, with equally many threads (and cores, on
Linux). scikit-learn trains with its defaults (float32, tol 1e-4) but as many iterations as it takes; its time is that
of `fit` alone, ours also holds standardisation. Ours is given the loosest tolerance at which its objective is no worse.
Prints, as medians over the rounds: seconds, the objective on the train frames by numpy in float64, accuracy on the test
frames (made from the same centres; of a table other speakers), and the ratio of the times.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tabulate import tabulate

POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TOLERANCES = (1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7, 1e-7)
TESTS = 3  # one test frame to so many train frames
TWIST = 0.5  # of the difference of two frames of one class that is added to a frame of a table that is drawn again


def made_up(frames: int, width: int, classes: int = 39) -> tuple[np.ndarray, np.ndarray]:
    """Return frames of overlapping classes of unequal size, in nearly collinear dimensions, and their classes."""
    draw = np.random.default_rng(0)
    labels = draw.choice(classes, size=frames, p=draw.dirichlet(np.full(classes, 2.0)))
    values = draw.normal(size=(classes, width))[labels] + 6 * draw.normal(size=(frames, width))
    values = values @ (draw.normal(size=(width, width)) * np.logspace(0, -2, width)[:, None])
    return values.astype(np.float16), labels


def of_table(path: Path, columns: list[str], frames: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return so many frames with the spectrum and classes of a table's columns beside each other.

    Frames are drawn with replacement and moved by a share of the difference of two others of their class, so that
    none occurs twice and covariances within the classes stay.
    """
    from features.store import open_table
    from probes.frames import frame_tables
    from probes.tables import one_table

    found = frame_tables(one_table(open_table(path))[0], columns)
    values = np.concatenate([one.values for one in found], axis=1, dtype=np.float32)
    draw = np.random.default_rng(0)
    values = values[:, np.sort(draw.permutation(values.shape[1])[:width])]
    labels = np.unique(found[0].labels, return_inverse=True)[1]
    order, sizes = np.argsort(labels, kind="stable"), np.bincount(labels)
    first = np.cumsum(sizes) - sizes
    which = draw.integers(0, len(values), frames)

    def mates(own: np.ndarray) -> np.ndarray:
        return values[order[first[labels[own]] + draw.integers(0, 1 << 40, len(own)) % sizes[labels[own]]]]

    parts = np.array_split(which, max(1, frames // 20_000))
    drawn = [(values[own] + TWIST * (mates(own) - mates(own))).astype(np.float16) for own in parts]
    return np.concatenate(drawn), labels[which]


def write(folder: Path, options: argparse.Namespace) -> None:
    """Write values and labels, train frames first."""
    frames = options.frames * (TESTS + 1) // TESTS
    if options.table is None:
        values, labels = made_up(frames, options.width)
    else:
        values, labels = of_table(options.table, options.columns, frames, options.width)
    np.save(folder / "values.npy", values)
    np.save(folder / "labels.npy", labels)


def train(folder: Path, who: str, frames: int, decay: float, tolerance: float) -> dict[str, float]:
    """Train in this process, write the weights, return seconds and test accuracy."""
    values, labels = np.load(folder / "values.npy"), np.load(folder / "labels.npy")
    scaled = np.concatenate([values[:frames], values[frames:]]).astype(np.float32) - _moments(values[:frames])[0]
    scaled /= _moments(values[:frames])[1]
    if who == "ours":
        theta, seconds = _ours(values, labels, frames, decay, tolerance)
    else:
        theta, seconds = _theirs(scaled[:frames], labels[:frames], decay)
    np.save(folder / f"{who}.npy", theta)
    answers = (scaled[frames:] @ theta[:-1].astype(np.float32) + theta[-1]).argmax(axis=1)
    return {"seconds": seconds, "accuracy": float((answers == labels[frames:]).mean())}


def _ours(
    values: np.ndarray, labels: np.ndarray, frames: int, decay: float, tolerance: float
) -> tuple[np.ndarray, float]:
    from probes import linear
    from probes.frames import FrameTable

    linear.FINE = tolerance
    classes = tuple(map(str, range(labels.max() + 1)))
    table = FrameTable(values, labels, np.arange(len(labels)), np.zeros(len(labels), np.int64), classes, ("a",))
    own, rest = np.arange(frames), np.arange(frames, len(labels))
    begin = time.perf_counter()
    probe = linear.fit(table, own, rest, decays=(decay,), refit=False)
    seconds = time.perf_counter() - begin
    return np.vstack([probe.weights, probe.bias]).astype(np.float64), seconds


def _theirs(inputs: np.ndarray, labels: np.ndarray, decay: float) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    peer = LogisticRegression(C=1 / (decay * len(inputs)), max_iter=10_000)
    begin = time.perf_counter()
    peer.fit(inputs, labels)
    seconds = time.perf_counter() - begin
    return np.vstack([peer.coef_.T, peer.intercept_]).astype(np.float64), seconds


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parts = np.array_split(values, max(1, len(values) // 20_000))
    mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / len(values)
    square = sum(((part - mean) ** 2).sum(axis=0) for part in parts) / len(values)
    return mean.astype(np.float32), np.sqrt(square).astype(np.float32)


def objective(folder: Path, theta: np.ndarray, frames: int, decay: float) -> float:
    """Return mean cross entropy plus half the decay times the squared weights, in float64."""
    values, labels = np.load(folder / "values.npy")[:frames], np.load(folder / "labels.npy")[:frames]
    mean, scale = _moments(values)
    total = 0.0
    for start in range(0, frames, 20_000):
        part = slice(start, start + 20_000)
        logits = (values[part].astype(np.float64) - mean) / scale @ theta[:-1] + theta[-1]
        top = logits.max(axis=1)
        own = np.take_along_axis(logits, labels[part][:, None], axis=1)[:, 0]
        total += (np.log(np.exp(logits - top[:, None]).sum(axis=1)) + top - own).sum()
    return total / frames + decay / 2 * float((theta[:-1] ** 2).sum())


def run(folder: Path, who: str, threads: int, options: argparse.Namespace, tolerance: float) -> dict[str, float]:
    """Train in a process with so many threads; return what it says and the objective."""
    task = json.dumps([str(folder), who, options.frames, options.decay, tolerance])
    command = [sys.executable, __file__, "--one", task, "--threads", str(threads)]
    environment = {**os.environ, **dict.fromkeys(POOLS, str(threads))}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    return {**found, "objective": objective(folder, np.load(folder / f"{who}.npy"), options.frames, options.decay)}


def compared(folder: Path, threads: int, options: argparse.Namespace) -> list[list[Any]]:
    """Return a row for each, medians over the rounds."""
    theirs, ours, tolerances = [], [], iter(TOLERANCES)
    tolerance = next(tolerances)
    while len(theirs) < options.rounds:
        theirs.append(run(folder, "scikit-learn", threads, options, 0))
        ours.append(run(folder, "ours", threads, options, tolerance))
        while ours[-1]["objective"] > theirs[-1]["objective"]:
            tolerance = next(tolerances)
            ours = [run(folder, "ours", threads, options, tolerance)]
    ratio = median(one["seconds"] for one in theirs) / median(one["seconds"] for one in ours)
    rows = []
    for who, found, told in (("scikit-learn", theirs, None), ("ours", ours, ratio)):
        seconds, value, accuracy = (median(one[key] for one in found) for key in ("seconds", "objective", "accuracy"))
        rows.append([threads, who, seconds, value, accuracy, told, tolerance if who == "ours" else None])
    return rows


def main() -> None:
    """Train both on the same frames and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--columns", nargs="+", default=["log_mel.mel"])
    parser.add_argument("--frames", type=int, default=6_000, help="train frames")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--decay", type=float, default=1e-2)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: max(options.threads)])
    if options.one:
        folder, *rest = json.loads(options.one)
        print(json.dumps(train(Path(folder), *rest)))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), options)
        rows = [row for threads in options.threads for row in compared(Path(folder), threads, options)]
    what = f"columns {' '.join(options.columns)} of {options.table.name}" if options.table else "made-up frames"
    print(f"{what}: {options.frames} train frames, width {options.width}, decay {options.decay}")
    heads = ["threads", "", "seconds", "objective", "test accuracy", "times as fast", "tolerance"]
    print(tabulate(rows, headers=heads, floatfmt=("d", "", ".2f", ".6f", ".4f", ".2f", ".0e")))


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # in its own folder `probes.py` hides the package
    main()
