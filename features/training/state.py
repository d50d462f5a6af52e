"""The folder of a training run: a checkpoint that `features.encoders.load` takes, and what the run goes on from.

    OUT/config.json              sizes, as a checkpoint has them
    OUT/model.safetensors        the speech side, with platalea's names
    OUT/training.safetensors     both sides, the optimiser's moments and, as metadata, the position: one file, so that
                                 they are of one moment

Each file is written under another name and takes its own when it is whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from builders.cache import writing
from builders.errors import CorpusError
from features.encoders.vgs import as_stored

# isort: split
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten

RUN, MODEL, CONFIG = "training.safetensors", "model.safetensors", "config.json"


@dataclass
class Position:
    """How far a run is.

    epoch, batch : int
        Epochs done, and batches of the next one.
    seconds : float
        Trained so far.
    total : float
        Sum of the losses of the batches of this epoch.
    history : list of dict
        Per epoch: loss, recall, seconds.
    """

    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    total: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def save(
    folder: Path, model: nn.Module, optimiser: optim.Optimizer, position: Position,
    identity: Mapping[str, Any], config: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write the state of a run, and the checkpoint for others."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {f"model.{name}": value for name, value in tree_flatten(model.parameters())}
    arrays |= {f"optimiser.{name}": value for name, value in tree_flatten(optimiser.state)}
    told = {"position": json.dumps(asdict(position)), "identity": json.dumps(identity)}
    _write(folder / RUN, arrays, told)
    _write(folder / MODEL, as_stored(dict(tree_flatten(model.speech.parameters()))), {"format": "mlx"})
    with writing(folder / CONFIG) as path:
        path.write_text(json.dumps({"model_type": "vgs", **config}, indent=1) + "\n", encoding="utf-8")


def restore(
    folder: Path, model: nn.Module, optimiser: optim.Optimizer, identity: Mapping[str, Any]
) -> Position | None:  # fmt: skip
    """Bring model and optimiser to where a run was and return where that is; None where there is no run.

    Raises
    ------
    CorpusError
        If the run was begun otherwise, or the folder holds something else.
    """
    file = folder / RUN
    if not file.exists():
        if folder.exists() and any(not path.name.startswith(".") for path in folder.iterdir()):
            raise CorpusError(f"{folder} holds something that is not a training run: choose another --out")
        return None
    arrays, told = mx.load(str(file), return_metadata=True)
    begun, now = json.loads(told["identity"]), json.loads(json.dumps(identity))
    other = sorted(name for name in {*begun, *now} if begun.get(name) != now.get(name))
    if other:
        changes = "; ".join(f"{name} was {begun.get(name)!r}, is {now.get(name)!r} now" for name in other)
        raise CorpusError(f"{folder} was begun otherwise: {changes}. Go on as it was begun, or choose another --out")
    model.load_weights(_below(arrays, "model."))
    optimiser.state = tree_unflatten(_below(arrays, "optimiser."))
    mx.eval(model.parameters(), optimiser.state)
    return Position(**json.loads(told["position"]))


def _below(arrays: Mapping[str, mx.array], prefix: str) -> list[tuple[str, mx.array]]:
    return [(name.removeprefix(prefix), value) for name, value in arrays.items() if name.startswith(prefix)]


def _write(final: Path, arrays: Mapping[str, mx.array], told: Mapping[str, str]) -> None:
    with writing(final) as path, path.open("wb") as file:  # a file: to a name MLX adds a suffix
        mx.save_safetensors(file, dict(arrays), dict(told))
