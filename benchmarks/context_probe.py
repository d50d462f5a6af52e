"""Memory and speed of the MLP with context: a table of made-up frames, as the course's, of any size.

    python benchmarks/context_probe.py --frames 2000000 --steps 200
    python benchmarks/context_probe.py --frames 18000000 --steps 50       # the course's own size

Prints the bytes of the table, the largest anonymous memory (what must fit) and resident memory (with the pages of
the mapped table, which the kernel may drop), what the windows would take if they were all made, and frames a second.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, Value

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # in its own folder `probes.py` hides the package

from builders.schema import SEGMENTS  # noqa: E402
from features.card import FeatureCard  # noqa: E402
from features.clock import FrameClock  # noqa: E402
from features.columns import to_arrow  # noqa: E402
from probes.context import fit  # noqa: E402
from probes.examples import Examples  # noqa: E402

CLOCK = FrameClock(hop=160, offset=80, field=160, padded=True)
FRAMES = 1270  # per utterance: 18,482,968 frames in 14,542 utterances
RUN = 8  # frames per phone
PHONES = ("aa", "b", "d", "eh", "iy", "k", "l", "m", "n", "s", "sil", "t")
ROWS = 50  # utterances written at a time


def write(path: Path, frames: int, width: int) -> Dataset:
    """Write a table of noise with a label every `RUN` frames, a few utterances in memory at a time."""
    card = FeatureCard("frames", "none", "", 1, "mel", 0, width, "frame", CLOCK, dtype="float32")
    text = {name: Value("string") for name in ("id", "speaker_id", "corpus")}
    schema = Features({**text, "segments": SEGMENTS, card.column: card.feature()}).arrow_schema
    draw, seconds = np.random.default_rng(0), RUN * 0.01
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as stream:
        for start in range(0, -(-frames // FRAMES), ROWS):
            names = range(start, min(start + ROWS, -(-frames // FRAMES)))
            cells = [
                [
                    {"tier": "phones", "start": i * seconds, "end": (i + 1) * seconds, "label": PHONES[code]}
                    for i, code in enumerate(draw.integers(0, len(PHONES), -(-FRAMES // RUN)))
                ]
                for _ in names
            ]
            values = to_arrow([draw.normal(size=(FRAMES, width)).astype(np.float32) for _ in names], card)
            columns = [[f"u{n}" for n in names], [f"s{n % 40}" for n in names], ["timit"] * len(names), cells]
            arrays = [pa.array(cell, schema.field(i).type) for i, cell in enumerate(columns)]
            stream.write_batch(pa.record_batch([*arrays, values], schema=schema))
    return Dataset.from_file(str(path))


class Peak(threading.Thread):
    """Watches this process' anonymous memory."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most, self.ended = 0, threading.Event()

    def run(self) -> None:
        """Look ten times a second."""
        while not self.ended.wait(0.1):
            text = Path("/proc/self/status").read_text(encoding="utf-8")
            self.most = max(self.most, int(text.split("RssAnon:")[1].split()[0]) << 10)


def main() -> None:
    """Write the table, gather it, train for some steps, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2_000_000)
    parser.add_argument("--width", type=int, default=40)
    parser.add_argument("--context", type=int, default=20)
    parser.add_argument("--steps", type=int, default=200, help="mini-batches of 1024 frames")
    parser.add_argument("--hidden", type=int, nargs="+", default=[512, 512])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = write(Path(folder, "table.arrow"), options.frames, options.width)
        peak = Peak()
        peak.start()
        begin = time.perf_counter()
        frames = Examples().table(table, "frames.mel", np.arange(len(table)), context=True)
        seconds = time.perf_counter() - begin
        train = np.arange(options.steps * 1024) * (len(frames.labels) // (options.steps * 1024))
        begin = time.perf_counter()
        fit(frames, train, train[:1024], context=options.context, hidden=tuple(options.hidden), epochs=1)
        rate = len(train) / (time.perf_counter() - begin)
        peak.ended.set()
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    windows = len(frames.labels) * (2 * options.context + 1) * options.width * 4
    print(f"{len(frames.labels)} frames x {options.width}: {frames.values.nbytes / 1e9:.2f} GB, in {seconds:.1f} s")
    print(f"largest anonymous memory {peak.most / 1e9:.2f} GB, resident {resident / 1e9:.2f} GB")
    print(f"all windows of +-{options.context} frames would be {windows / 1e9:.0f} GB; {rate:.0f} frames a second")


if __name__ == "__main__":
    main()
