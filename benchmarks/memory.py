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

RUN = """
import resource, sys
import features
from datasets import load_dataset
table = load_dataset("builders/espeak", utterances=int(sys.argv[1]), split="train")
peak_load = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
encoded = features.encode(table, "log_mel")
assert len(encoded) == len(table)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
unit = 1 if sys.platform == "darwin" else 1024
print(sum(table["duration"]), peak_load * unit / 1e6, peak * unit / 1e6)
"""


def measure(utterances: int) -> tuple[float, float, float]:
    """Return seconds of audio and peak memory in MB after loading and after encoding."""
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
