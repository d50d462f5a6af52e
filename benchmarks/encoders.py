"""Encoders against torch eager (`transformers`, its fastest attention) and onnxruntime: seconds of audio a second.

    python benchmarks/encoders.py                                       # whisper-tiny, wav2vec2-base
    python benchmarks/encoders.py wavlm-base --threads 1 --batches 1 --passes 30

All run in processes of their own and take turns, one pass each, so that what slows the machine
down for a while slows them all; the ratio is the median over pairs of passes, with its quartiles. Random
weights, all layers kept. Ours includes the mel spectrogram or the normalisation of the waveform,
theirs begin behind it. "Peak" is the share of the best rate of a 1024 x 1024 float32 product in any
process that the products of the encoder make up. Peers run in `--reference`, a Python that has torch
and transformers (`pip install 'phonelayers[reference]'`), and onnxruntime if that is there too (`[onnx]`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).resolve().parent.parent
OURS = """
import json, sys, time
import features
from features.encoders import load
from features.precision import lowered
import numpy as np, mlx.core as mx
name, config, batch, seconds, compute = sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:5]), sys.argv[5]
waves = np.random.RandomState(0).randn(batch, 16000 * seconds).astype(np.float32)
encoder = lowered(load(name, init="random"), compute)
run = lambda: encoder.encode(waves, np.full(batch, waves.shape[1]), list(encoder.layers))
a = mx.random.normal((1024, 1024))
product = lambda: mx.eval(a @ a)
"""
MODEL = """
import json, os, sys, tempfile, time
import torch, transformers
transformers.logging.set_verbosity_error()
config, batch, seconds = json.loads(sys.argv[2]), *map(int, sys.argv[3:5])
made = transformers.AutoConfig.for_model(**config)
model = transformers.AutoModel.from_config(made).eval().requires_grad_(False)
if config["model_type"] == "whisper":
    model, given = model.encoder, torch.randn(batch, made.num_mel_bins, 3000)
else:
    given = torch.randn(batch, 16000 * seconds)
a = torch.randn(1024, 1024)
product = lambda: a @ a
"""
TORCH = """
@torch.inference_mode()
def run():
    return model(given, output_hidden_states=True)
"""
ONNX = """
import contextlib, onnxruntime
class States(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model
    def forward(self, given):
        return self.model(given, output_hidden_states=True).hidden_states
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
    torch.onnx.export(States(), (given,), f"{folder}/model.onnx", dynamo=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, providers=["CPUExecutionProvider"])
feeds = {session.get_inputs()[0].name: given.numpy()}
run = lambda: session.run(None, feeds)
"""
PEERS = {"torch": MODEL + TORCH, "onnxruntime": MODEL + ONNX}
SERVE = """
for _ in range(WARM):
    run(), product()
for _ in sys.stdin:  # a line asks for a pass
    seconds_of = []
    for call in (run, product):
        begin = time.perf_counter()
        call()
        seconds_of.append(time.perf_counter() - begin)
    print(*seconds_of, flush=True)
"""
WARM = 3  # passes that don't count: memory is taken, loops are compiled
PAUSE = 0.3  # seconds before a pass: threads of the other process's BLAS wait for work as long as .2 s, busily


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


def serve(python: str, code: str, threads: int, arguments: Sequence[object]) -> subprocess.Popen:
    """Start a process that measures a pass whenever it is asked to."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), "OPENBLAS_NUM_THREADS": "1"}
    code = code + SERVE.replace("WARM", str(WARM))
    return subprocess.Popen(
        [python, "-W", "ignore", "-c", code, *map(str, arguments)],
        cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def one_pass(process: subprocess.Popen) -> tuple[float, float]:
    """Return the seconds of one pass of a process, and of one product."""
    time.sleep(PAUSE)
    print("go", file=process.stdin, flush=True)
    run, product = process.stdout.readline().split()
    return float(run), float(product)


def peers(reference: Path) -> list[str]:
    """Return the peers that a Python has."""
    code = "import torch, transformers; print('torch'); import onnxruntime, onnxscript; print('onnxruntime')"
    return subprocess.run([reference, "-c", code], capture_output=True, text=True).stdout.split()


def compare(name: str, threads: int, batch: int, options: argparse.Namespace) -> list[list[object]]:
    """Return a line of the table for each peer."""
    config = configuration(name)
    seconds = 30 if config["model_type"] == "whisper" else options.seconds
    given = (threads, (name, json.dumps(config), batch, seconds, options.compute))
    with ExitStack() as stack:
        programs = [(sys.executable, OURS), *((str(options.reference), PEERS[peer]) for peer in options.peers)]
        processes = [stack.enter_context(serve(*program, *given)) for program in programs]
        passes = [[one_pass(process) for process in processes] for _ in range(options.passes)]
        for process in processes:
            process.stdin.close()
    peak = 2 * 1024**3 / min(product for turn in passes for _, product in turn)
    work = batch * operations(config, seconds)
    ours, *theirs = ([seconds for seconds, _ in column] for column in zip(*passes, strict=True))
    rows = []
    for peer, took in zip(options.peers, theirs, strict=True):
        ratios = statistics.quantiles([their / our for our, their in zip(ours, took, strict=True)], n=4)
        medians = [statistics.median(ours), statistics.median(took)]
        rows.append([name, threads, batch, peer, *(batch * seconds / median for median in medians),
                     *(ratios[i] for i in (1, 0, 2)), *(work / median / peak for median in medians)])  # fmt: skip
    return rows


def main() -> None:
    """Print one line per encoder, number of threads and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoders", nargs="*", default=["whisper-tiny", "wav2vec2-base"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--seconds", type=int, default=10, help="length of an utterance; of Whisper 30")
    parser.add_argument("--passes", type=int, default=20, help="of each, in turn")
    parser.add_argument("--compute", default="float32", help="of ours: float32, float16 or bfloat16")
    parser.add_argument("--reference", type=Path, default=ROOT / ".venv-reference/bin/python")
    options = parser.parse_args()
    options.peers = peers(options.reference) if options.reference.exists() else []
    if not options.peers:
        parser.error(
            f"{options.reference} has no torch and transformers: make .venv-reference/.ready, or --reference PYTHON"
        )
    rows = [row for name in options.encoders for threads in options.threads for batch in options.batches
            for row in compare(name, threads, batch, options)]  # fmt: skip
    headers = ["encoder", "threads", "batch", "peer", "ours", "peer's", "ratio", "1/4", "3/4", "peak, ours", "peer's"]
    formats = ("", "", "", "", ".1f", ".1f", ".2f", ".2f", ".2f", ".0%", ".0%")
    print(tabulate(rows, headers=headers, floatfmt=formats, tablefmt="github"))


if __name__ == "__main__":
    main()
