"""Train a phoneme classifier of frames with MLX, from a stream: log-mel features, two convolutions, 39 classes.

    python -m builders prepare espeak --option utterances=240 --max-shard-size 4MB --out tables
    python examples/train_phones_mlx.py tables/espeak

Audio is decoded, features are computed and batches are padded while the model trains. Nothing is written.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import features  # before mlx: on a Linux CPU it gives MLX a fast BLAS

# isort: split
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from phone_frames import NONE, batch_classes, streams

from builders.phones import CLASSES39

MEL = "log_mel.mel"
COLUMNS = [MEL, "segments", "corpus"]


class Classifier(nn.Module):
    """Two convolutions over 19 frames each side by side with 80 mel bands, then a linear layer."""

    def __init__(self, width: int = 128, kernel: int = 9) -> None:
        super().__init__()
        self.first = nn.Conv1d(80, width, kernel, padding=kernel // 2)
        self.second = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.out = nn.Linear(width, len(CLASSES39))

    def __call__(self, mel: mx.array) -> mx.array:
        """Return scores [shape=(rows, frames, 39)] of features [shape=(rows, frames, 80)]."""
        return self.out(nn.relu(self.second(nn.relu(self.first(mel)))))


def loss_of(model: Classifier, mel: mx.array, wanted: mx.array) -> mx.array:
    """Return the mean cross entropy of the frames that have a class."""
    counts = wanted != NONE
    losses = nn.losses.cross_entropy(model(mel), mx.maximum(wanted, 0))
    return (losses * counts).sum() / counts.sum()


def arrays(batch: dict[str, Any]) -> tuple[mx.array, mx.array]:
    """Return features and classes of a batch."""
    mel = batch[MEL].astype(mx.float32)
    return mel, mx.array(batch_classes(batch, mel.shape[1]))


def accuracy(model: Classifier, batches: features.Batches) -> float:
    """Return the share of frames whose class is found."""
    right = total = 0
    for batch in batches:
        mel, wanted = arrays(batch)
        found = model(mel).argmax(axis=-1)
        right += int(((found == wanted) & (wanted != NONE)).sum())
        total += int((wanted != NONE).sum())
    return right / total


def train(
    model: Classifier, batches: features.Batches, *, epochs: int, steps: int | None, report: Callable[[str], None]
) -> None:
    """Train for some epochs, or for some steps if these are fewer."""
    optimizer = optim.Adam(learning_rate=2e-3)
    step_of = nn.value_and_grad(model, loss_of)
    step, losses = 0, []
    for epoch in range(epochs):
        for batch in batches:
            loss, gradients = step_of(model, *arrays(batch))
            optimizer.update(model, gradients)
            mx.eval(model.parameters(), optimizer.state)
            losses.append(loss.item())
            step += 1
            if step % 10 == 0 or step == steps:
                report(f"epoch {epoch} step {step:4d} loss {sum(losses) / len(losses):.3f}")
                losses = []
            if step == steps:
                return


def main() -> None:
    """Train, then test on speakers that were not heard."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="folder written by `python -m builders prepare`")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, help="stop after so many")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    mx.random.seed(options.seed)
    heard, unheard = (features.encode(stream, "log_mel") for stream in streams(options.table))
    training = features.batches(heard, COLUMNS, max_seconds=30, buffer=100, seed=options.seed)
    test = features.batches(unheard, COLUMNS, max_seconds=60, buffer=100)
    model = Classifier()
    print(f"before: accuracy {accuracy(model, test):.3f} on held-out speakers")
    train(model, training, epochs=options.epochs, steps=options.steps, report=lambda line: print(line, flush=True))
    print(f"after: accuracy {accuracy(model, test):.3f} on held-out speakers")


if __name__ == "__main__":
    main()
