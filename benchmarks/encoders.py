"""Encoders against torch eager (`transformers`, its fastest attention) on a CPU: seconds of audio a second.

    python benchmarks/encoders.py                                       # whisper-tiny, wav2vec2-base
    python benchmarks/encoders.py wavlm-base --threads 1 --batches 1 --rounds 5

Each measurement runs in a process of its own, ours and torch's in turn, random weights, all layers
kept. Ours includes the mel spectrogram or the normalisation of the waveform, torch's begins behind
it. "Peak" is the share of the rate of a 1024 x 1024 float32 product in the same process that the
products of our encoder alone make up. Torch runs in `--reference`, a Python that has it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parent.parent
OURS = """
import json, sys, time
import features
from features.encoders import load
import numpy as np, mlx.core as mx
name, config, batch, seconds, passes = sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:])
waves = np.random.RandomState(0).randn(batch, 16000 * seconds).astype(np.float32)
encoder = load(name, init="random")
run = lambda: encoder.encode(waves, np.full(batch, waves.shape[1]), list(encoder.layers))
a = mx.random.normal((1024, 1024))
product = lambda: mx.eval(a @ a)
"""
TORCH = """
import json, sys, time
import torch, transformers
transformers.logging.set_verbosity_error()
config, batch, seconds, passes = json.loads(sys.argv[2]), *map(int, sys.argv[3:])
made = transformers.AutoConfig.for_model(**config)
with torch.inference_mode():
    model = transformers.AutoModel.from_config(made).eval()
    if config["model_type"] == "whisper":
        model, given = model.encoder, torch.randn(batch, made.num_mel_bins, 3000)
    else:
        given = torch.randn(batch, 16000 * seconds)
a = torch.randn(1024, 1024)
@torch.inference_mode()
def run():
    return model(given, output_hidden_states=True)
product = lambda: a @ a
"""
MEASURE = """
def best(call, count):
    call()
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)
peak = 2 * 1024**3 / best(product, 10)
print(json.dumps({"rate": batch * seconds / best(run, passes), "peak": peak}))
"""


def configuration(name: str) -> dict[str, object]:
    """Return the configuration of a named size; in a process of its own, for it loads MLX."""
    code = "import json, sys; from features.encoders import find_config; print(json.dumps(find_config(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, name], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def operations(config: dict, seconds: int) -> float:
    """Return floating point operations of all products for `seconds` of audio in one piece."""
    whisper = config["model_type"] == "whisper"
    width = config.get("d_model", config.get("hidden_size", 768))
    blocks = config.get("encoder_layers", config.get("num_hidden_layers", 12))
    inner = config.get("encoder_ffn_dim", config.get("intermediate_size", 3072))
    frames = 1500 if whisper else (seconds * 16_000 - 400) // 320 + 1
    if whisper:
        below = 3 * width * (2 * config["num_mel_bins"] + width)  # for each frame, of which there are two at first
    else:
        kernels, spacing, channels = (3, 3, 3, 3, 2, 2), (32, 16, 8, 4, 2, 1), 512
        below = sum(k * n for k, n in zip(kernels, spacing, strict=True)) * channels**2
        below += 64 * 10 * channels + channels * width + 128 * width * width // 16
    return 2 * frames * (below + blocks * (4 * width**2 + 2 * width * inner + 2 * frames * width))


def measure(python: str, code: str, name: str, config: dict, threads: int, batch: int, options: object) -> dict:
    """Return seconds of audio a second, and the rate of a matrix product, of one fresh process."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), "OPENBLAS_NUM_THREADS": "1"}
    seconds = 30 if config["model_type"] == "whisper" else options.seconds
    arguments = [name, json.dumps(config), str(batch), str(seconds), str(options.passes)]
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code + MEASURE, *arguments],
        cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    return {**found, "share": found["rate"] * operations(config, seconds) / seconds / found["peak"]}


def compare(name: str, threads: int, batch: int, options: object) -> list[object]:
    """Return one line of the table: medians over the rounds."""
    config = configuration(name)
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(measure(sys.executable, OURS, name, config, threads, batch, options))
        theirs.append(measure(str(options.reference), TORCH, name, config, threads, batch, options))
    rates = [statistics.median(run["rate"] for run in runs) for runs in (ours, theirs)]
    shares = [statistics.median(run["share"] for run in runs) for runs in (ours, theirs)]
    return [name, threads, batch, *rates, rates[0] / rates[1], *shares]


def main() -> None:
    """Print one line per encoder, number of threads and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", default=["whisper-tiny", "wav2vec2-base"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=int, default=10, help="length of an utterance; of Whisper 30")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=3, help="in each process, of which the best counts")
    parser.add_argument("--reference", type=Path, default=ROOT / ".venv-reference/bin/python")
    options = parser.parse_args()
    rows = [compare(name, threads, batch, options)
            for name in options.encoders for threads in options.threads for batch in options.batches]  # fmt: skip
    headers = ["encoder", "threads", "batch", "ours", "torch", "ratio", "peak, ours", "peak, torch"]
    print(tabulate(rows, headers=headers, floatfmt=("", "", "", ".1f", ".1f", ".2f", ".0%", ".0%"), tablefmt="github"))


if __name__ == "__main__":
    main()
