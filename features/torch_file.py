"""Tensors out of a file that ``torch.save`` wrote, without torch and without running what it holds.

Such a file is a zip archive of a pickle and of the tensors' memory. A pickle may call anything; here
it may name a handful of functions only, and of those none but our own is called: what stands for a
tensor is put together here. Anything else in the file is refused.
"""

from __future__ import annotations

import collections
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from features.errors import CheckpointError

# torch's storage classes; numpy has no bfloat16: its bits are the upper half of a float32
STORAGES = {
    "FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "BFloat16Storage": "<u2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip


class Storage(NamedTuple):
    """The memory that tensors lie in."""

    values: np.ndarray
    is_bfloat16: bool


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict by name; what is no tensor is left out.

    Returns
    -------
    dict of str to np.ndarray
        bfloat16 as float32, other types as they are.

    Raises
    ------
    CheckpointError
        If the file is damaged, is older than torch 1.6, or names anything but tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = _unpickle(archive, path)
    except (zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise CheckpointError(
            f"{path}: not a file that torch 1.6 or newer saved ({error}); fetch it again or convert it to safetensors"
        ) from error
    except (pickle.UnpicklingError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a plain file of tensors ({error}); convert it to safetensors") from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: holds a {type(found).__name__}, expected tensors by name")
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def _unpickle(archive: zipfile.ZipFile, path: Path) -> Any:
    names = [name for name in archive.namelist() if name.endswith("data.pkl") and name.count("/") <= 1]
    if len(names) != 1:
        raise CheckpointError(f"{path}: a zip archive without data.pkl, expected one that torch.save wrote")
    root = names[0].removesuffix("data.pkl")
    if f"{root}byteorder" in archive.namelist() and archive.read(f"{root}byteorder") != b"little":
        raise CheckpointError(f"{path}: saved on a big-endian machine; convert it to safetensors")
    with archive.open(names[0]) as file:
        return _TensorsOnly(file, lambda key: archive.read(f"{root}data/{key}")).load()


class _TensorsOnly(pickle.Unpickler):
    """An unpickler that admits what a state dict consists of, and nothing else."""

    def __init__(self, file: Any, read: Callable[[str], bytes]) -> None:
        super().__init__(file, encoding="utf-8")
        self._read = read
        self._storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in STORAGES:
            return name
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not admitted") from None

    def persistent_load(self, pid: Any) -> Storage:
        kind, storage, key, _, count = pid
        if kind != "storage" or storage not in STORAGES:
            raise pickle.UnpicklingError(f"it asks for {kind!r} {storage!r}, expected a storage of numbers")
        if key not in self._storages:
            values = np.frombuffer(self._read(str(key)), STORAGES[storage])
            if len(values) < count:
                raise pickle.UnpicklingError(f"storage {key} has {len(values)} values, expected {count}")
            self._storages[key] = Storage(values, storage == "BFloat16Storage")
        return self._storages[key]


def _tensor(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
    """Return the tensor that lies in a storage, checked to lie inside; stands for ``_rebuild_tensor_v2``."""
    if not isinstance(storage, Storage) or min((offset, *size, *stride), default=0) < 0:
        raise pickle.UnpicklingError("a tensor is not described by a storage, sizes and strides")
    if math.prod(size) > len(storage.values):
        raise pickle.UnpicklingError(f"a tensor of shape {size} has more values than its storage")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    values = storage.values[offset:]
    if 0 in size:
        values, stride = np.zeros(1, storage.values.dtype), (0,) * len(size)
    elif last >= len(storage.values):
        raise pickle.UnpicklingError(f"a tensor of shape {size} ends behind its storage")
    item = values.dtype.itemsize
    tensor = np.lib.stride_tricks.as_strided(values, size, [item * step for step in stride], writeable=False).copy()
    return (tensor.astype(np.uint32) << 16).view(np.float32) if storage.is_bfloat16 else tensor


def _parameter(data: np.ndarray, *_: Any) -> np.ndarray:
    return data


ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}
