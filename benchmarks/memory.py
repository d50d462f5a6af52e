"""Peak memory of loading and encoding a corpus must not grow with its size.

    python benchmarks/memory.py 200 2000

Each size runs in a process of its own with a fresh cache: synthesise, normalise, encode with log_mel.
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
RUN = """
import re, sys, threading, time
import features
from datasets import load_dataset
peak = 0

def watch():
    global peak
    while True:
        with open("/proc/self/status") as status:
            peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", status.read())[1]))
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
table = load_dataset("builders/espeak", utterances=int(sys.argv[1]), split="train")
loaded = peak
encoded = features.encode(table, "log_mel")
assert len(encoded) == len(table)
print(sum(table["duration"]), loaded * 1024 / 1e6, peak * 1024 / 1e6)
"""


def measure(utterances: int) -> tuple[float, float, float]:
    """Return seconds of audio and peak memory (anonymous, MB) after loading and after encoding; Linux only."""
    with tempfile.TemporaryDirectory() as caches:
        environment = {**os.environ, "HF_HOME": caches, "HF_DATASETS_CACHE": caches, "PHONELAYERS_CACHE": caches}
        command = [sys.executable, "-W", "ignore", "-c", RUN, str(utterances)]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    seconds, load, encode = map(float, done.stdout.split())
    return seconds, load, encode


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("utterances", type=int, nargs="*", default=[200, 2000])
    rows = [[count, *measure(count)] for count in parser.parse_args().utterances]
    headers = ["utterances", "audio s", "peak after loading, MB", "peak after encoding, MB"]
    print(tabulate(rows, headers=headers, floatfmt=".0f"))


if __name__ == "__main__":
    main()
