"""Train on the same table with PyTorch: `StatefulDataLoader` with workers, interrupted and resumed in mid-epoch.

    python -m builders prepare espeak --option utterances=240 --max-shard-size 4MB --out tables
    python examples/train_torch.py tables/espeak --steps 20 --checkpoint run.pt   # then again with --steps 40

Needs torch and torchdata, which nothing else here does. MLX is not imported: in one process with torch its BLAS would
take the place of torch's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from phone_frames import NONE, batch_classes, streams
from torch import nn
from torchdata.stateful_dataloader import StatefulDataLoader

from builders.audio import decode
from builders.phones import CLASSES39
from builders.schema import SAMPLING_RATE

HOP, N_FFT, BANDS = 160, 400, 80
COLUMNS = ["id", "audio", "segments", "corpus"]


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return padded waveforms and the classes of their frames."""
    waves = [torch.from_numpy(decode(row["audio"])) for row in rows]
    padded = nn.utils.rnn.pad_sequence(waves, batch_first=True)
    frames = -(-padded.shape[1] // HOP)
    wanted = batch_classes({name: [row[name] for row in rows] for name in COLUMNS}, frames)
    return {"id": [row["id"] for row in rows], "audio": padded, "classes": torch.from_numpy(wanted).long()}


class Classifier(nn.Module):
    """Log-mel features, two convolutions over 9 frames, a linear layer."""

    def __init__(self, width: int = 128, kernel: int = 9) -> None:
        super().__init__()
        mel = librosa.filters.mel(sr=SAMPLING_RATE, n_fft=N_FFT, n_mels=BANDS)
        self.register_buffer("mel", torch.from_numpy(mel))
        self.register_buffer("window", torch.hann_window(N_FFT))
        self.layers = nn.Sequential(
            nn.Conv1d(BANDS, width, kernel, padding="same"), nn.ReLU(),
            nn.Conv1d(width, width, kernel, padding="same"), nn.ReLU(), nn.Conv1d(width, len(CLASSES39), 1),
        )  # fmt: skip

    def forward(self, waves: torch.Tensor) -> torch.Tensor:
        """Return scores [shape=(rows, 39, frames)] of waveforms [shape=(rows, samples)]."""
        spectrum = torch.stft(waves, N_FFT, HOP, window=self.window, return_complex=True).abs() ** 2
        return self.layers(torch.log10(self.mel @ spectrum + 1e-10) / 4 + 1)


def main() -> None:
    """Train up to a step; with a checkpoint that is there already, go on from it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="folder written by `python -m builders prepare`")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args()
    torch.manual_seed(0)
    model = Classifier()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    heard, unheard = (stream.select_columns(COLUMNS) for stream in streams(options.table))
    loader = StatefulDataLoader(heard, options.batch_size, num_workers=options.workers, collate_fn=collate)
    step = 0
    if options.checkpoint and options.checkpoint.exists():
        saved = torch.load(options.checkpoint, weights_only=False)  # our own file: the loader's state is no tensor
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        loader.load_state_dict(saved["loader"])
        step = saved["step"]
    step = train(model, optimizer, loader, step, options.steps)
    if options.checkpoint:
        states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "loader": loader.state_dict()}
        torch.save({**states, "step": step}, options.checkpoint)
    test = torch.utils.data.DataLoader(unheard, options.batch_size, collate_fn=collate)
    print(f"accuracy {accuracy(model, test):.3f} on held-out speakers")


def train(model: Classifier, optimizer: Any, loader: StatefulDataLoader, step: int, steps: int) -> int:
    """Train from one step to another, over as many epochs as that takes."""
    while step < steps:
        for batch in loader:
            loss = nn.functional.cross_entropy(scores(model, batch), batch["classes"], ignore_index=NONE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            print(f"step {step:4d} loss {loss.item():.4f} first {batch['id'][0]}", flush=True)
            if step == steps:
                break
    return step


def scores(model: Classifier, batch: dict[str, Any]) -> torch.Tensor:
    """Return the scores of the frames that there are classes for."""
    return model(batch["audio"])[..., : batch["classes"].shape[1]]


@torch.no_grad()
def accuracy(model: Classifier, loader: Any) -> float:
    """Return the share of frames whose class is found."""
    counts = np.zeros(2)
    for batch in loader:
        known = batch["classes"] != NONE
        right = (scores(model, batch).argmax(1) == batch["classes"]) & known
        counts += right.sum().item(), known.sum().item()
    return counts[0] / counts[1]


if __name__ == "__main__":
    main()
