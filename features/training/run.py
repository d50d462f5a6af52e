"""The loop: batches, epochs, a line per epoch, and a state that another process goes on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from builders.cache import digest
from features.encoders import vgs
from features.training.objective import VERSION, Pairing, loss, recall_at_1
from features.training.pairs import Alphabet, Pairs, batches, divide, hold_out, plain
from features.training.state import Position, restore, save
from features.vgs_network import Config

# isort: split
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten

MOST_CHANGE = 1.0  # norm that a gradient is cut to: recurrent layers have cliffs
SAVE_SECONDS = 60.0  # between two states within an epoch


@dataclass(frozen=True)
class Options:
    """How a run trains.

    epochs : int
    batch_size : int >= 2
        Utterances that are compared with each other.
    learning_rate : float
        Of Adam.
    seed : int
        Of first weights and of the order.
    """

    epochs: int = 60
    batch_size: int = 16
    learning_rate: float = 2e-3
    seed: int = 0


class Run:
    """A training run on a table.

    Parameters
    ----------
    table : DatasetDict
        Manifest table; its split ``train`` is trained on, ``validation`` held out, or else one text in eight.
    out : path
        Folder of the checkpoint; a run that is there is gone on with.
    without : collection of str
        Texts that are not trained on: those of the table that the encoder is to be tried on.

    Raises
    ------
    ValueError
        If there are fewer than two utterances to train on.
    CorpusError
        If `out` holds something else, or a run that was begun otherwise.
    """

    def __init__(
        self, table: DatasetDict, out: str | Path, config: Config, options: Options, without: Collection[str] = ()
    ) -> None:  # fmt: skip
        self.out, self.config, self.options = Path(out), config, options
        self._read(*divide(table), {plain(text) for text in without})
        self.model = Pairing(config, len(self.alphabet))
        self.optimiser = optim.Adam(options.learning_rate)
        self._begin()
        self.identity = {
            "table": digest([sorted(self.pairs.texts.items()), sorted(self.held_pairs.texts.items())]),
            **asdict(config), **asdict(options), "characters": self.alphabet.characters, "objective": VERSION,
        }  # fmt: skip
        del self.identity["epochs"]  # more of them go on with the same run
        self.position = restore(self.out, self.model, self.optimiser, self.identity) or Position()
        self._step = nn.value_and_grad(self.model, partial(loss, self.model))

    def _read(self, part: Dataset, held: Dataset | None, without: set[str]) -> None:
        self.pairs = Pairs(part, self.config)
        self.pairs.texts = {row: text for row, text in self.pairs.texts.items() if text not in without}
        self.held_pairs = Pairs(held, self.config) if held is not None else self.pairs
        if held is not None:
            self.train, self.held = list(self.pairs.texts), list(self.held_pairs.texts)[:1000]
        else:
            self.train, self.held = hold_out(self.pairs.texts)
        if len(self.train) < 2:
            raise ValueError(f"{len(self.train)} utterances with a text to train on, expected 2 at least")
        self.alphabet = Alphabet("".join(sorted({c for row in self.train for c in self.pairs.texts[row]})))

    def _begin(self) -> None:
        """Draw the first weights: of the speech side those that ``--init random`` has, of the other MLX' own."""
        shapes = {name: value.shape for name, value in tree_flatten(self.model.speech.parameters())}
        self.model.speech.load_weights(list(vgs.draw(shapes, self.config, self.options.seed).items()))
        mx.random.seed(self.options.seed)
        self.model.text = type(self.model.text)(len(self.alphabet), self.config.width)
        self.optimiser.init(self.model.trainable_parameters())
        mx.eval(self.model.parameters(), self.optimiser.state)

    def train_on(self, *, max_seconds: float | None = None, told: Callable[[str], Any] = print) -> Position:
        """Train until all epochs are done or the run, with what went before, has trained for `max_seconds`."""
        position, options = self.position, self.options
        if position.epoch or position.batch:
            self._save()  # who was killed while saving has left a checkpoint that is older than the position
        while position.epoch < options.epochs:
            done = self._epoch(max_seconds)
            self._save()
            if not done:
                told(f"stopped after {position.seconds:.0f} s in epoch {position.epoch + 1}")
                return position
            told(line(position.history[-1], len(set(self._held_texts()))))
        return position

    def _epoch(self, max_seconds: float | None) -> bool:
        """Train to the end of the epoch; return False where the time was up before."""
        position, options = self.position, self.options
        order = list(batches(self.train, self.pairs.seconds, options.batch_size, options.seed, position.epoch))
        saved = time.monotonic()
        for rows in order[position.batch :]:
            if max_seconds is not None and position.seconds >= max_seconds:
                return False
            self._batch(rows)
            if time.monotonic() - saved > SAVE_SECONDS:
                self._save()
                saved = time.monotonic()
        mean = position.total / len(order)
        position.epoch, position.batch, position.total = position.epoch + 1, 0, 0.0
        entry = {"epoch": position.epoch, "loss": mean, "recall": self.recall(), "seconds": position.seconds}
        position.history.append(entry)
        return True

    def _batch(self, rows: list[int]) -> None:
        begun = time.monotonic()
        value, gradient = self._step(self.pairs.batch(rows, self.alphabet))
        gradient, _ = optim.clip_grad_norm(gradient, MOST_CHANGE)
        self.optimiser.update(self.model, gradient)
        mx.eval(self.model.parameters(), self.optimiser.state)
        self.position.total += value.item()
        self.position.batch += 1
        self.position.seconds += time.monotonic() - begun

    def recall(self) -> float:
        """Return recall at 1 of the vectors of the utterances that are held out, NaN where there are none."""
        size = self.options.batch_size
        parts = [self.held[first : first + size] for first in range(0, len(self.held), size)]
        found = [self.model(self.held_pairs.batch(part, self.alphabet)) for part in parts]
        if not found:
            return float("nan")
        spoken, written = (np.concatenate([np.asarray(sides[side]) for sides in found]) for side in (0, 1))
        return recall_at_1(spoken @ written.T, np.unique(self._held_texts(), return_inverse=True)[1])

    def _held_texts(self) -> list[str]:
        return [self.held_pairs.texts[row] for row in self.held]

    def _save(self) -> None:
        save(self.out, self.model, self.optimiser, self.position, self.identity, asdict(self.config))


def line(entry: dict[str, float], texts: int) -> str:
    """Return what is said of an epoch."""
    return (
        f"epoch {entry['epoch']:3d}  {entry['seconds']:5.0f} s  loss {entry['loss']:.3f}  "
        f"held-out recall@1 {entry['recall']:.2f} (of {texts} texts)"
    )
