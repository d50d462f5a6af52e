"""The linear probe against scikit-learn's LogisticRegression: same frames, same loss, same decay.

    python benchmarks/linear_probe.py                       # made-up frames, as wide as a Whisper-tiny layer
    python benchmarks/linear_probe.py TABLE COLUMN          # one column of a table with features

Prints seconds, accuracy on test frames, and the ratio of the times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from tabulate import tabulate

from features.store import open_table
from probes.frames import FrameTable, frame_table
from probes.linear import fit
from probes.objective import standardisation
from probes.tables import one_table


def made_up(frames: int, width: int, classes: int = 39) -> FrameTable:
    """Return frames of overlapping classes of unequal size, in nearly collinear dimensions."""
    draw = np.random.default_rng(0)
    labels = draw.choice(classes, size=frames, p=draw.dirichlet(np.full(classes, 2.0)))
    values = draw.normal(size=(classes, width))[labels] + 6 * draw.normal(size=(frames, width))
    values = values @ (draw.normal(size=(width, width)) * np.logspace(0, -2, width)[:, None])
    speaker = np.arange(frames) % 10
    return FrameTable(values.astype(np.float16), labels, speaker, speaker, tuple(map(str, range(classes))), ())


def timed(call: Callable[[], Callable[[np.ndarray], np.ndarray]], values: np.ndarray, truth: np.ndarray) -> list[float]:
    """Return the seconds that training takes and the accuracy of what it gives."""
    begin = time.perf_counter()
    predict = call()
    return [time.perf_counter() - begin, float((predict(values) == truth).mean())]


def main() -> None:
    """Train both on the same frames and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("column", nargs="?", default="log_mel.mel")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--decay", type=float, default=1e-2)
    options = parser.parse_args()
    if options.table is None:
        table = made_up(options.frames, options.width)
    else:
        table = frame_table(one_table(open_table(options.table))[0], options.column)
    voices = table.speaker % 5
    train, validation, test = (np.flatnonzero(mask) for mask in (voices > 1, voices == 1, voices == 0))
    mean, scale = standardisation(table.values[train])
    inputs = (table.values.astype(np.float32) - mean) / scale
    peer = LogisticRegression(C=1 / (options.decay * len(train)), max_iter=1000)

    def ours() -> Callable[[np.ndarray], np.ndarray]:
        return fit(table, train, validation, decays=(options.decay,), refit=False).predict

    def theirs() -> Callable[[np.ndarray], np.ndarray]:
        return peer.fit(inputs[train], table.labels[train]).predict

    truth = table.labels[test]
    # scikit-learn first: MLX's waiting threads would slow it down
    rows = [["scikit-learn", *timed(theirs, inputs[test], truth)], ["ours", *timed(ours, table.values[test], truth)]]
    print(f"{len(train)} train frames, width {inputs.shape[1]}, {len(table.classes)} classes, decay {options.decay}")
    print(tabulate(rows, headers=["", "seconds", "test accuracy"], floatfmt=".3f"))
    print(f"ratio of times, scikit-learn / ours: {rows[0][1] / rows[1][1]:.2f}")


if __name__ == "__main__":
    main()
