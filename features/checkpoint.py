"""Where an encoder's configuration and weights come from: a folder, the Hub, or a named size."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.clock import SAMPLING_RATE
from features.encoder import Init
from features.errors import CheckpointError
from features.torch_file import read_tensors

if TYPE_CHECKING:
    import mlx.core as mx

CONFIG_FILES = (
    "config.json", "preprocessor_config.json", "processor_config.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.txt",
)  # fmt: skip
# Whisper large-v3 also carries `model.fp32-00001-of-00002.safetensors`: not wanted.
WEIGHT_FILES = ("model.safetensors", "weights.safetensors", "weights.npz", "model-*-of-*.safetensors")
INDEX_FILE = "model.safetensors.index.json"
# Pickles, read where there is no safetensors file, without running what they hold.
TORCH_FILES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin")
TORCH_INDEX_FILE = "pytorch_model.bin.index.json"
READ = re.compile(
    "|".join(map(fnmatch.translate, (*CONFIG_FILES, *WEIGHT_FILES, INDEX_FILE, *TORCH_FILES, TORCH_INDEX_FILE)))
)
PREPROCESSOR_FIELDS = ("do_normalize",)
HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")
Stamp = tuple[tuple[str, int, int], ...]
INITS = ("trained", "random")
SEEDS = 2**32  # what MLX takes for a key


@dataclass(frozen=True)
class Spec:
    """What an encoder is built from.

    name : str
        Last part of the hub id, name of the folder, or the named size; never a path.
    config : dict or None
        Contents of ``config.json`` or of the module's ``CONFIGS``, and of ``preprocessor_config.json`` (or the
        feature extractor of ``processor_config.json``, as `transformers` 5 writes it) what is in `PREPROCESSOR_FIELDS`.
    folder : Path or None
        Where the weights lie; None for random weights and where there are none.
    init : str
        ``trained`` or ``random``.
    seed : int
        Of random weights.
    revision : str
        Hub commit, or hash of the files of a local folder; ``""`` for a named size.
    files : Path or None
        Where the tokenizer lies, also for random weights; None for a named size.
    """

    name: str
    config: dict[str, Any] | None
    folder: Path | None
    init: Init
    seed: int
    revision: str
    files: Path | None = None


def resolve(
    spec: str, *, init: Init = "trained", seed: int = 0, revision: str | None = None,
    find_config: Callable[[str], dict[str, Any] | None] = lambda name: None,
) -> Spec:  # fmt: skip
    """Find the configuration and the weights that a name stands for.

    Parameters
    ----------
    spec : str
        A folder with ``config.json``, a hub id ``organisation/name``, or a bare name.
    init : {"trained", "random"}
        Random weights need a configuration only: that of a known size needs no download.
    seed : int
        Of random weights.
    revision : str or None
        Hub branch, tag or commit; the main branch if None.
    find_config : callable
        Gives the configuration of a named size, None where the name is not known.

    Raises
    ------
    CheckpointError
        If there is no such folder, hub repository or size, or its configuration cannot be read.
    """
    if init not in INITS:
        raise CheckpointError(f"init={init!r}, expected one of {list(INITS)}")
    if not 0 <= seed < SEEDS:
        raise CheckpointError(f"seed={seed}, expected a number from 0 to {SEEDS - 1}")
    folder = Path(spec).expanduser()
    if (folder / "config.json").is_file():
        return _from_folder(folder.resolve(), init, seed)
    if folder.is_dir() and find_config(spec) is None:
        raise CheckpointError(f"{spec}: no config.json in this folder, expected a Hugging Face checkpoint")
    name = spec.rsplit("/", 1)[-1]
    if HUB_ID.fullmatch(spec) and not (init == "random" and find_config(name)):
        return _from_hub(spec, name, init, seed, revision)
    if "/" in spec and not HUB_ID.fullmatch(spec):
        raise CheckpointError(f"{spec}: no such folder, expected a checkpoint folder or a hub id organisation/name")
    return Spec(name, find_config(name), None, init, seed, "")


def _from_folder(folder: Path, init: Init, seed: int) -> Spec:
    files = [folder / name for name in CONFIG_FILES if (folder / name).is_file()]
    # The configuration counts: other heads, another clip of the input or other tokens are other numbers.
    revision = _sha256(files + (weight_files(folder) if init == "trained" else []))
    config = _config(folder)
    return Spec(folder.name, config, folder if init == "trained" else None, init, seed, revision, folder)


def _from_hub(spec: str, name: str, init: Init, seed: int, revision: str | None) -> Spec:
    from huggingface_hub import snapshot_download

    wanted = [*CONFIG_FILES, *(WEIGHT_FILES if init == "trained" else ()), INDEX_FILE]
    try:
        folder = Path(snapshot_download(spec, revision=revision, allow_patterns=wanted))
        if init == "trained" and not any(folder.glob("*.safetensors")):
            wanted = [*CONFIG_FILES, *TORCH_FILES, TORCH_INDEX_FILE]
            folder = Path(snapshot_download(spec, revision=revision, allow_patterns=wanted))
    except (OSError, ValueError) as error:  # the Hub's own errors are subclasses of these
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{spec}: neither a folder here nor a checkpoint that the Hub gives ({reason}); "
            "expected a checkpoint folder, a hub id, or a named size with init='random'"
        ) from error
    config = _config(folder)
    # The cache names a snapshot's folder by its commit.
    return Spec(name, config, folder if init == "trained" else None, init, seed, folder.name, folder)


def stamp(spec: str) -> Stamp:
    """Return name, size and time of each file of a checkpoint's folder, nothing where there is no such folder."""
    folder = Path(spec).expanduser()
    if not (folder / "config.json").is_file():
        return ()
    with os.scandir(folder) as entries:
        files = [(entry.name, entry.stat()) for entry in entries if READ.fullmatch(entry.name)]
    return tuple(sorted((name, held.st_size, held.st_mtime_ns) for name, held in files))


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    CheckpointError
        If the file is missing or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing, expected a Hugging Face checkpoint") from None
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a JSON object, found a {type(content).__name__}")
    return content


def _config(folder: Path) -> dict[str, Any]:
    preprocessor = _preprocessor(folder)
    rate = preprocessor.get("sampling_rate", SAMPLING_RATE)
    if rate != SAMPLING_RATE:
        raise CheckpointError(f"{folder}: made for audio at {rate} Hz, expected {SAMPLING_RATE}: the tables' own")
    fields = {field: preprocessor[field] for field in PREPROCESSOR_FIELDS if field in preprocessor}
    return {**read_json(folder / "config.json"), **fields}


def _preprocessor(folder: Path) -> dict[str, Any]:
    own, whole = folder / "preprocessor_config.json", folder / "processor_config.json"
    if own.is_file() or not whole.is_file():
        return read_json(own) if own.is_file() else {}
    held = read_json(whole).get("feature_extractor")
    return held if isinstance(held, dict) else {}


def weight_files(folder: Path) -> list[Path]:
    """Return the files of a checkpoint's weights, the shards that its index names included.

    Raises
    ------
    CheckpointError
        If there are none, or a shard is missing.
    """
    for index, whole in ((INDEX_FILE, WEIGHT_FILES[:3]), (TORCH_INDEX_FILE, TORCH_FILES[:1])):
        if (folder / index).is_file():
            return _shards(folder, index)
        files = [folder / name for name in whole if (folder / name).is_file()]
        if files:
            return files[:1]
    raise CheckpointError(f"{folder}: no model.safetensors and no pytorch_model.bin, expected one beside config.json")


def _shards(folder: Path, index: str) -> list[Path]:
    files = [folder / shard for shard in sorted(set(read_json(folder / index).get("weight_map", {}).values()))]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        raise CheckpointError(f"{(missing or [folder])[0]}: missing, but {index} names it; fetch it again")
    return files


def read_weights(folder: Path) -> dict[str, mx.array]:
    """Return the tensors of a checkpoint by name; of safetensors MLX reads each from disk when it is used.

    Raises
    ------
    CheckpointError
        If a file is missing or damaged, or holds something else than tensors.
    """
    from features.blas import import_mlx

    mx = import_mlx()
    weights: dict[str, mx.array] = {}
    for file in weight_files(folder):
        if file.suffix == ".bin":
            weights.update({name: mx.array(value) for name, value in read_tensors(file).items()})
            continue
        try:
            weights.update(mx.load(str(file)))
        except (RuntimeError, ValueError) as error:  # of safetensors, of npz
            raise CheckpointError(f"{file}: damaged ({error}); fetch it again") from error
    return weights


def match(weights: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], folder: Path) -> dict[str, Any]:
    """Return the weights that a model has, by name; others, such as a decoder's, are left out.

    Raises
    ------
    CheckpointError
        If one is missing, has another shape than the configuration says, or is no floating-point number: then it is
        quantised by another library than MLX, and means nothing without the scales beside it.
    """
    where = weight_files(folder)[0]
    missing = sorted(set(expected) - set(weights))
    if missing:
        raise CheckpointError(f"{where}: no weight {missing[0]} ({len(missing)} missing of {len(expected)})")
    for name, shape in expected.items():
        if tuple(weights[name].shape) != shape:
            raise CheckpointError(f"{where}: {name} is {tuple(weights[name].shape)}, config.json says {shape}")
        kind = str(weights[name].dtype).rsplit(".", 1)[-1]
        if "float" not in kind:
            raise CheckpointError(
                f"{where}: {name} is stored as {kind}, expected floating point: take the weights that "
                "are not quantised, or those that MLX quantised"
            )
    return {name: weights[name] for name in expected}


def without_weights(spec: Spec) -> None:
    """Refuse random weights for an encoder that has none.

    Raises
    ------
    CheckpointError
        If `init` is ``random``.
    """
    if spec.init == "random":
        raise CheckpointError(f"{spec.name} has no weights to draw at random: leave init='random' out")


def _sha256(files: list[Path]) -> str:
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
