"""Speed and memory of `python -m builders prepare` with one worker and with two, and what going on costs.

    python benchmarks/prepare.py --hours 6 --workers 1 2 --repeat 3

Generated audio in the layout of LibriSpeech: FLAC, 16 kHz, 12 s a recording. Each run is a process of its own
with a fresh cache, so that it includes the start of Python and of the workers, and the listing. Linux only.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf
from tabulate import tabulate

SECONDS, RATE, CHAPTER = 12, 16_000, 100
VOICES = 40  # different recordings; each is written many times


def write_corpus(folder: Path, hours: float) -> Path:
    """Write a corpus of that many hours and return its folder."""
    top = folder / "LibriSpeech"
    sounds = [_voice(top.parent / "voice.flac", seed) for seed in range(VOICES)]
    for number in range(round(hours * 3600 / SECONDS)):
        reader, line = divmod(number, CHAPTER)
        chapter = top / "train-clean-360" / str(reader + 1) / "1"
        chapter.mkdir(parents=True, exist_ok=True)
        name = f"{reader + 1}-1-{line:04d}"
        (chapter / f"{name}.flac").write_bytes(sounds[number % VOICES])
        with (chapter / f"{reader + 1}-1.trans.txt").open("a") as file:
            file.write(f"{name} WORDS\n")
    return top


def _voice(path: Path, seed: int) -> bytes:
    """Return noise with the spectrum and the syllables of speech, which FLAC packs as it does speech."""
    random = np.random.default_rng(seed)
    noise = np.convolve(random.normal(size=SECONDS * RATE), 0.9 ** np.arange(60), mode="same")
    syllables = np.repeat(random.gamma(1.0, 400.0, SECONDS * 5), RATE // 5)
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, (noise * syllables).clip(-32768, 32767).astype(np.int16), RATE)
    return path.read_bytes()


def prepare(corpus: Path, out: Path, workers: int) -> tuple[float, float, float]:
    """Return seconds, seconds of all processors, and the peak of the memory of all processes together (MB)."""
    command = [sys.executable, "-W", "ignore", "-m", "builders", "prepare", "librispeech", "--data-dir", str(corpus),
               "--out", str(out), "--workers", str(workers), "--max-shard-size", "20MB"]  # fmt: skip
    with tempfile.TemporaryDirectory() as caches:
        environment = {**os.environ, "HF_HOME": caches, "HF_DATASETS_CACHE": caches, "PHONELAYERS_CACHE": caches}
        begun, peak = time.monotonic(), 0.0
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while True:
                peak = max(peak, sum(_memory(pid) for pid in _tree(process.pid)))
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
                if ended:
                    break
                time.sleep(0.02)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(process.stderr.read().decode())
    return time.monotonic() - begun, used.ru_utime + used.ru_stime, peak


def _tree(pid: int) -> list[int]:
    """Return a process and all that it started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(below for child in children for below in _tree(int(child)))]


def _memory(pid: int) -> float:
    """Return the memory that a process holds itself, MB: without the pages of files that the kernel can drop."""
    try:
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def main() -> None:
    """Print one line per number of workers, the best of the repeats, and one for a finished run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_corpus(Path(folder), options.hours)
        found: dict[int, list[tuple[float, float, float]]] = {workers: [] for workers in options.workers}
        for turn in range(options.repeat):  # in turn: what else the machine does hits all alike
            for workers, results in found.items():
                results.append(prepare(corpus, Path(folder, f"{workers}-{turn}"), workers))
        again = [prepare(corpus, Path(folder, f"{options.workers[0]}-0"), options.workers[0]) for _ in range(2)]
    best = {str(workers): min(results) for workers, results in found.items()} | {"finished already": min(again)}
    first = best[str(options.workers[0])][0]
    rows = [
        [name, took, options.hours * 3600 / took, first / took, used, peak] for name, (took, used, peak) in best.items()
    ]
    print(f"{options.hours:g} hours of audio, {os.cpu_count()} CPUs, load {os.getloadavg()[1]:.1f} in the last minutes")
    print(tabulate(rows, headers=["workers", "s", "x real time", "ratio", "CPU s", "peak MB"], floatfmt=".1f"))


if __name__ == "__main__":
    main()
