"""What probes cost: all layers in one pass, local RSA at 70,000 frames, CKA between all layers of an encoder.

    python benchmarks/probes.py rsa                            # made-up frames, as wide as a HuBERT-base layer
    python benchmarks/probes.py rsa --frames 7000 70000 280000
    python benchmarks/probes.py similarity TABLE --encoders whisper_tiny_en
    python benchmarks/probes.py layers TABLE --encoders whisper_tiny_en     # one pass against a call for each layer
    python benchmarks/probes.py linear --frames 200000 --width 512          # what benchmarks/linear_probe.py prints

Peak memory (what the process holds, without mapped tables) and seconds; each row in a process of its own. Linux only.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from tabulate import tabulate

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # in its own folder this file hides the package `probes`

from features.card import cards  # noqa: E402
from features.store import open_table  # noqa: E402
from probes.examples import Examples  # noqa: E402
from probes.layers import frame_tables, jobs  # noqa: E402
from probes.local_rsa import local_sums  # noqa: E402
from probes.results import MAJORITY  # noqa: E402
from probes.run import probe  # noqa: E402
from probes.tables import feature_columns, one_table  # noqa: E402

BATCH, SPEAKERS, CLASSES = 4_000, 20, 39


class Peak:
    """The most anonymous memory of this process since the start, in MB, and the seconds."""

    def __enter__(self) -> Peak:
        self.before, self.most, self.watching = _held(), 0.0, True
        self.begin = time.perf_counter()
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds, self.watching = time.perf_counter() - self.begin, False

    def _watch(self) -> None:
        while self.watching:
            self.most = max(self.most, _held() - self.before)
            time.sleep(0.005)


def _held() -> float:
    found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 / 1e6


def rsa(frames: int, width: int) -> tuple[float, float, float]:
    """Return r, seconds, and peak MB of local RSA over all pairs of frames that are made up batch by batch."""
    draw = np.random.default_rng(0)
    labels = draw.integers(0, CLASSES, frames)
    speakers = np.sort(draw.integers(0, SPEAKERS, frames))
    centres = draw.normal(size=(CLASSES, width)).astype(np.float32)
    parts = [slice(start, min(start + BATCH, frames)) for start in range(0, frames, BATCH)]
    made = (
        (part, centres[labels[part]] + 2 * draw.standard_normal((part.stop - part.start, width), dtype=np.float32))
        for part in parts
    )
    weights = np.random.default_rng(1).multinomial(SPEAKERS, np.full(SPEAKERS, 1 / SPEAKERS), size=1000)
    with Peak() as peak:
        sums = local_sums(made, labels, speakers, speakers, SPEAKERS)
        r = sums.pearson(np.concatenate([np.ones((1, SPEAKERS)), weights]))[0]
    return float(r), peak.seconds, peak.most


def layers(path: Path, encoders: list[str] | None, what: str, most: int, control: bool) -> tuple[float, float, str]:
    """Return seconds, peak MB and a number that must not depend on how the layers are read.

    Parameters
    ----------
    what : str
        ``gather`` or ``probe``, and ``together`` or ``alone``: ``gather together``.
    most : int
        Frames of an utterance that are probed; all are gathered.
    """
    table = one_table(open_table(path, audio=False))[0]
    columns = feature_columns(table, encoders, None)
    first, how = what.split()
    parts = [dict([item]) for item in columns.items()] if how == "alone" else [columns]
    total = 0.0
    with Peak() as peak:
        for part in parts:
            if first == "gather":
                found = frame_tables(table, jobs(part, False), Examples(), np.arange(len(table)), context=False)
                total += sum(frames.values.sum(dtype=np.float64) for _, frames in found)
            else:
                own = table.remove_columns([name for name in cards(table) if name not in part])
                results = probe(own, max_frames=most, folds=2, control=control, progress=False).to_pandas()
                total += results[results.encoder != MAJORITY].value.sum()
    return peak.seconds, peak.most, f"{total:.9g}"


def main() -> None:
    """Print one table."""
    if sys.argv[1:2] == ["linear"]:
        command = [sys.executable, str(Path(__file__).with_name("linear_probe.py")), *sys.argv[2:]]
        sys.exit(subprocess.run(command).returncode)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    pairs = commands.add_parser("rsa")
    pairs.add_argument("--frames", type=int, nargs="+", default=[7_000, 70_000])
    pairs.add_argument("--width", type=int, default=768)
    pairs.add_argument("--one", action="store_true", help="one size, in this process")
    similar = commands.add_parser("similarity")
    similar.add_argument("--metrics", nargs="+", default=["cka"])
    reading = commands.add_parser("layers")
    reading.add_argument("--control", action="store_true", help="with the control task")
    reading.add_argument("--max-frames", type=int, default=50, help="of an utterance, probed in two folds")
    reading.add_argument("--one", help=argparse.SUPPRESS)
    for command in (similar, reading):
        command.add_argument("table", type=Path)
        command.add_argument("--encoders", nargs="+")
    options = parser.parse_args()
    if options.what == "similarity":
        table = open_table(options.table)
        with Peak() as peak:
            option = {"metrics": tuple(options.metrics)}
            found = probe(table, probe="similarity", encoders=options.encoders, option=option, progress=False)
        print(found)
        print(f"\n{found.table['n_test'][0]} frames: {peak.seconds:.1f} s, peak {peak.most:.0f} MB")
    elif options.what == "layers" and options.one:
        print(*layers(options.table, options.encoders, options.one, options.max_frames, options.control))
    elif options.what == "layers":
        _passes()
    elif options.one:
        print(*rsa(options.frames[0], options.width))
    else:
        _sizes(options.frames, options.width)


def _passes() -> None:
    rows = []
    for first in ("gather", "probe"):
        before = None
        for how in ("alone", "together"):
            command = [sys.executable, *sys.argv, "--one", f"{first} {how}"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            seconds, peak, total = done.stdout.split()
            rows.append([first, how, float(seconds), float(peak), total, before and before / float(seconds)])
            before = float(seconds)
    heads = ["", "layers", "seconds", "peak MB", "sum of values", "times as fast"]
    print(tabulate(rows, headers=heads, floatfmt=("", "", ".2f", ".0f", "", ".2f"), disable_numparse=[4]))


def _sizes(sizes: list[int], width: int) -> None:
    rows = []
    for frames in sizes:
        command = [sys.executable, __file__, "rsa", "--one", "--frames", str(frames), "--width", str(width)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        r, seconds, peak = map(float, done.stdout.split())
        rows.append([frames, frames * (frames - 1) // 2, r, seconds, peak, 4 * frames**2 / 1e6])
    heads = ["frames", "pairs", "r", "seconds, 1000 draws included", "peak MB", "MB of one float32 matrix of pairs"]
    print(f"width {width}, {SPEAKERS} speakers, {CLASSES} labels")
    print(tabulate(rows, headers=heads, floatfmt=("d", "d", ".3f", ".1f", ".0f", ".0f")))


if __name__ == "__main__":
    main()
