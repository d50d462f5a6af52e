"""The linear probe against scikit-learn's LogisticRegression: same frames, same loss, same decay.

    python benchmarks/linear_probe.py                       # made-up frames, as wide as a Whisper-tiny layer
    python benchmarks/linear_probe.py TABLE COLUMN          # one column of a table with features

Prints seconds, the objective on train frames, accuracy on test frames, and the ratio of the times.
200,000 train frames of width 512: --frames 333340 --width 512.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from tabulate import tabulate

from features.store import open_table
from probes.frames import FrameTable, frame_table
from probes.linear import fit
from probes.objective import Objective, standardisation
from probes.tables import one_table


def made_up(frames: int, width: int, classes: int = 39) -> FrameTable:
    """Return frames of overlapping classes of unequal size, in nearly collinear dimensions."""
    draw = np.random.default_rng(0)
    labels = draw.choice(classes, size=frames, p=draw.dirichlet(np.full(classes, 2.0)))
    values = draw.normal(size=(classes, width))[labels] + 6 * draw.normal(size=(frames, width))
    values = values @ (draw.normal(size=(width, width)) * np.logspace(0, -2, width)[:, None])
    speaker = np.arange(frames) % 10
    return FrameTable(values.astype(np.float16), labels, speaker, speaker, tuple(map(str, range(classes))), ())


def timed(train: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that training takes and what it gives."""
    begin = time.perf_counter()
    trained = train()
    return time.perf_counter() - begin, trained


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

    # scikit-learn first: MLX's waiting threads would slow it down
    theirs, model = timed(lambda: peer.fit(inputs[train], table.labels[train]))
    ours, probe = timed(lambda: fit(table, train, validation, decays=(options.decay,), refit=False))
    loss = Objective(
        table.values[train], np.searchsorted(probe.known, table.labels[train]), mean, scale, len(probe.known)
    )
    thetas = np.vstack([model.coef_.T, model.intercept_]), np.vstack([probe.weights, probe.bias])
    objectives = [loss(theta.astype(np.float64).ravel(), options.decay)[0] for theta in thetas]
    answers = model.predict(inputs[test]), probe.predict(table.values[test])
    rows = [
        [name, seconds, value, float((answer == table.labels[test]).mean())]
        for name, seconds, value, answer in zip(
            ("scikit-learn", "ours"), (theirs, ours), objectives, answers, strict=True
        )
    ]
    print(f"{len(train)} train frames, width {inputs.shape[1]}, {len(table.classes)} classes, decay {options.decay}")
    print(tabulate(rows, headers=["", "seconds", "objective", "test accuracy"], floatfmt=("", ".3f", ".6f", ".4f")))
    print(f"ratio of times, scikit-learn / ours: {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
