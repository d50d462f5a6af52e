"""Peak memory of loading and encoding a corpus must not grow with its size.

    python benchmarks/memory.py 200 2000
    python benchmarks/memory.py --lengths 200 --encoder wav2vec2-base

Each size runs in a process of its own with a fresh cache: synthesise, normalise, encode with log_mel. With
`--lengths`, that many utterances of random lengths, all different, go through an encoder one after another: each is
a shape that MLX has not seen.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

from tabulate import tabulate

# RssAnon is what the program holds. The rest of the resident memory is pages of the mapped tables, which grow
# with what was read and which the kernel drops when it needs the room.
WATCH = """
import re, sys, threading, time
import features
peak = 0

def watch():
    global peak
    while True:
        with open("/proc/self/status") as status:
            peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", status.read())[1]))
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
"""
RUN = """
from datasets import load_dataset
table = load_dataset("builders/espeak", utterances=int(sys.argv[1]), split="train")
loaded = peak
encoded = features.encode(table, "log_mel")
assert len(encoded) == len(table)
print(sum(table["duration"]), loaded * 1024 / 1e6, peak * 1024 / 1e6)
"""
LENGTHS = """
import numpy as np
name, count = sys.argv[1], int(sys.argv[2])
step = features.Encode(name, init="random")
random = np.random.default_rng(0)
lengths = np.sort(random.choice(np.arange(8_000, 240_000), count, replace=False))
longest = random.normal(size=lengths[-1]).astype(np.float32)
step.encode([longest])
print(peak * 1024 / 1e6)
for part in np.array_split(random.permutation(lengths), 4):
    for length in part:
        step.encode([longest[:length]])
    print(peak * 1024 / 1e6)
"""


def measure(utterances: int) -> tuple[float, float, float]:
    """Return seconds of audio and peak memory (anonymous, MB) after loading and after encoding; Linux only."""
    with tempfile.TemporaryDirectory() as caches:
        environment = {**os.environ, "HF_HOME": caches, "HF_DATASETS_CACHE": caches, "PHONELAYERS_CACHE": caches}
        command = [sys.executable, "-W", "ignore", "-c", WATCH + RUN, str(utterances)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    seconds, load, encode = map(float, done.stdout.split())
    return seconds, load, encode


def over_lengths(encoder: str, count: int) -> list[float]:
    """Return peaks (anonymous, MB): after the longest utterance, and after each quarter of all lengths; Linux only."""
    command = [sys.executable, "-W", "ignore", "-c", WATCH + LENGTHS, encoder, str(count)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [float(line) for line in done.stdout.split()]


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utterances", type=int, nargs="*", default=[200, 2000])
    parser.add_argument("--lengths", type=int, help="how many, in place of sizes of a corpus")
    parser.add_argument("--encoder", default="wav2vec2-base", help="with random weights (default: wav2vec2-base)")
    options = parser.parse_args()
    if options.lengths:
        headers = ["encoder", "the longest, MB", *(f"{part} %, MB" for part in (25, 50, 75, 100))]
        rows = [[options.encoder, *over_lengths(options.encoder, options.lengths)]]
        print(tabulate(rows, headers=headers, floatfmt=".0f"))
        return
    rows = [[count, *measure(count)] for count in options.utterances]
    headers = ["utterances", "audio s", "peak after loading, MB", "peak after encoding, MB"]
    print(tabulate(rows, headers=headers, floatfmt=".0f"))


if __name__ == "__main__":
    main()
