"""Networks on MLX: how they are trained on mini-batches, stopped by validation, saved and read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from builders.cache import writing
from features.blas import import_mlx
from probes.errors import ProbeError
from probes.frames import FrameTable
from probes.objective import standardisation
from probes.saved import read_arrays

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check
from mlx import nn, optimizers  # noqa: E402
from mlx.utils import tree_flatten, tree_unflatten  # noqa: E402

FORMAT = 1
ANSWER_BYTES = 64 << 20  # float32 inputs per step when answering
Gather = Callable[[np.ndarray], np.ndarray]  # indices of examples to standardised float32 inputs


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: Adam, its rate halved and the run ended when validation stops gaining.

    epochs : int > 0
    batch : int > 1
        Examples in a step: one alone has no spread to normalise by.
    rate : float > 0
        Of Adam at the start.
    patience : int > 0
        Epochs without gain after which training ends; the rate is halved after every one of them.
    """

    epochs: int = 40
    batch: int = 256
    rate: float = 1e-3
    patience: int = 4

    def __post_init__(self) -> None:
        if min(self.epochs, self.patience) < 1 or not 0 < self.rate < np.inf:
            raise ProbeError("epochs, patience and rate must be above 0 and finite")
        if self.batch < 2:
            raise ProbeError(f"batch={self.batch}: expected at least 2 examples, one alone cannot be normalised")


@dataclass(frozen=True)
class NetworkProbe:
    """A trained network.

    settings : mapping
        What the file named ``settings["probe"]`` builds the network from.
    model : mlx.nn.Module
    mean, scale : np.ndarray [shape=shape of an example, float32]
        Of the train examples; inputs are ``(values - mean) / scale``.
    known : np.ndarray [shape=(known classes,), int64]
        Codes of the classes that the train examples have, into `classes`.
    classes : tuple of str
    chosen : mapping of str to float
        What validation chose, for the results table.
    details : mapping
        What it was trained on, for the saved file.
    """

    settings: Mapping[str, Any]
    model: nn.Module
    mean: np.ndarray
    scale: np.ndarray
    known: np.ndarray
    classes: tuple[str, ...]
    chosen: Mapping[str, float]
    details: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Return the most likely class of each example, (n,) int64, index into `classes`.

        Raises
        ------
        ProbeError
            If the examples have another shape than those that the probe learnt from.
        """
        if values.shape[1:] != self.mean.shape:
            raise ProbeError(f"examples of shape {values.shape}: this probe expects {self.mean.shape} each")
        return self._answer(len(values), self.mean.size, lambda which: self.standardised(values[which]))

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Return values as the network wants them, float32."""
        return (values.astype(np.float32) - self.mean) / self.scale

    def describe(self) -> dict[str, float]:
        """Return what validation chose, for the results table."""
        return dict(self.chosen)

    def _answer(self, count: int, width: int, gather: Gather) -> np.ndarray:
        self.model.eval()
        best = np.zeros(count, dtype=np.int64)
        for which in slices(np.arange(count), max(1, ANSWER_BYTES // (4 * width))):
            best[which] = np.asarray(mx.argmax(self.model(mx.array(gather(which))), axis=1))
        return self.known[best]

    def save(self, path: str | Path) -> Path:
        """Write ``<path>.safetensors`` and ``<path>.json``, each whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {f"model.{name}": value for name, value in tree_flatten(self.model.parameters())}
        arrays |= {name: mx.array(getattr(self, name)) for name in _ARRAYS}
        about = {"probe": self.settings["probe"], "format": FORMAT, "settings": dict(self.settings)}
        about |= {"classes": list(self.classes), "chosen": dict(self.chosen), "details": dict(self.details)}
        with writing(path.with_name(path.name + ".safetensors")) as file, file.open("wb") as stream:
            mx.save_safetensors(stream, arrays)
        with writing(path.with_name(path.name + ".json")) as file:
            file.write_text(json.dumps(about, indent=1), encoding="utf-8")
        return path

    @classmethod
    def load(cls, path: str | Path) -> NetworkProbe:
        """Read what `save` wrote to the same path."""
        path = Path(path)
        about = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
        if about.get("format") != FORMAT:
            raise ProbeError(f"{path}.json: not a probe of format {FORMAT}")
        stored = read_arrays(path)
        model = import_module(f"probes.{about['probe']}").build(about["settings"])
        weights = [(name.removeprefix("model."), value) for name, value in stored.items() if name not in _ARRAYS]
        model.update(tree_unflatten(weights))
        arrays = {name: np.array(stored[name]) for name in _ARRAYS}
        rest = {name: about[name] for name in ("settings", "chosen", "details")}
        return cls(model=model, classes=tuple(about["classes"]), **arrays, **rest)


_ARRAYS = ("mean", "scale", "known")


def moments(table: FrameTable, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and scale of the train examples, of the shape of an example.

    Raises
    ------
    ProbeError
        If the features hold values that are not finite.
    """
    flat = table.values.reshape(len(table.values), -1)
    mean, scale = standardisation(flat, train if table.place is None else table.place[train])
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise ProbeError("the features hold values that are not finite: encode them again with dtype float32")
    return mean.reshape(table.values.shape[1:]), scale.reshape(table.values.shape[1:])


def codes_of(table: FrameTable, train: np.ndarray, validation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes that train has, and the code of each example among them, -1 for others.

    Raises
    ------
    ProbeError
        If there is nothing to learn from.
    """
    known = np.unique(table.labels[train])
    if len(known) < 2 or not len(validation):
        raise ProbeError(f"{len(known)} classes in train, {len(validation)} frames to tune on: more data is needed")
    codes = np.full(len(table.classes), -1)
    codes[known] = np.arange(len(known))
    return known, codes[table.labels]


def learn(
    model: nn.Module, gather: Gather, codes: np.ndarray, train: np.ndarray, validation: np.ndarray,
    *, recipe: Recipe, seed: int,
) -> dict[str, float]:  # fmt: skip
    """Train a network in place and leave it as it was in the epoch that is best on validation.

    Parameters
    ----------
    model : mlx.nn.Module
        From inputs to logits.
    gather : callable
        Gives the inputs of examples, which therefore never lie in memory together.
    codes : np.ndarray [shape=(examples,), int64]
        Classes; -1 in validation is always wrong.
    train, validation : np.ndarray [shape=(n,), int64]
    recipe : Recipe
    seed : int
        Of the order of examples.

    Returns
    -------
    dict
        ``epoch`` that was best, from 1.
    """
    draw, adam = np.random.default_rng(seed), optimizers.Adam(recipe.rate)
    step = nn.value_and_grad(model, _loss)
    best, kept, epoch = -1.0, [], 0
    for number in range(1, recipe.epochs + 1):
        model.train()
        for which in slices(draw.permutation(train), recipe.batch):
            if len(which) < 2:
                continue  # nothing to normalise a batch of one by
            _, gradient = step(model, mx.array(gather(which)), mx.array(codes[which].astype(np.int32)))
            adam.update(model, gradient)
            mx.eval(model.parameters(), adam.state)
        accuracy = _accuracy(model, gather, codes, validation)
        if accuracy > best:
            best, kept, epoch = accuracy, tree_flatten(model.parameters()), number
            continue
        if number - epoch >= recipe.patience:
            break
        adam.learning_rate = adam.learning_rate / 2
    model.update(tree_unflatten(kept))
    model.eval()
    return {"epoch": float(epoch)}


def slices(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Cut indices into batches."""
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


def _loss(model: nn.Module, inputs: mx.array, codes: mx.array) -> mx.array:
    return nn.losses.cross_entropy(model(inputs), codes, reduction="mean")


def _accuracy(model: nn.Module, gather: Gather, codes: np.ndarray, which: np.ndarray) -> float:
    model.eval()
    first = gather(which[:1])
    hits = 0
    for part in slices(which, max(1, ANSWER_BYTES // first.nbytes)):
        hits += int((np.asarray(mx.argmax(model(mx.array(gather(part))), axis=1)) == codes[part]).sum())
    return hits / len(which)
