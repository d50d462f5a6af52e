"""Pickles that others made, read without running what is in them.

A pickle names functions that its reader calls. Here a pickle can name the handful with which NumPy
writes arrays, and gets none of them: stand-ins take what they would have been called with, check it and
build the array from its raw bytes. Anything else that a pickle names is an error before it is imported.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from builders.errors import CorpusError

KINDS = "biufUO"  # what arrays of research tables hold: truth, whole numbers, floats, text, lists of arrays
CONTAINERS = (dict, list, tuple)
PLAIN = (str, bytes, bytearray, int, float, bool, type(None))


def read_pickle(data: bytes, name: str) -> Any:
    """Return what a pickle holds: dicts, lists, tuples, plain values and NumPy arrays.

    Parameters
    ----------
    data : bytes
        The file; from Python 2 as well.
    name : str
        Of the file, for the error message.

    Raises
    ------
    CorpusError
        If the pickle names anything but NumPy's arrays, is damaged, or an array is not what it claims to be.
    """
    try:
        # Python 2 wrote the bytes of arrays as strings.
        loaded = _Unpickler(io.BytesIO(data), encoding="latin1").load()
        return _finish(loaded, {})
    except CorpusError as error:
        raise CorpusError(f"{name}: {error}") from None
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError,
            MemoryError, OverflowError, RecursionError) as error:  # fmt: skip
        raise CorpusError(f"{name} is not a pickle of arrays ({error!r})") from None


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name; nothing is imported."""
        found = _STAND_INS.get((module, name))
        if found is None:
            raise CorpusError(f"the pickle names {module}.{name}, which a table of arrays has no use for: not read")
        return found


class _Call:
    """A function that a pickle can call and not change: a pickle can also set attributes."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        if self._function is None:
            raise CorpusError("the pickle calls a type that it should only name")
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise CorpusError("the pickle sets the state of a function")


class _Dtype:
    """What a pickle says of a type of elements."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise CorpusError("an array of records: not read")
        self.order = str(state[1])

    def make(self) -> np.dtype:
        """Return the type, one of the harmless ones."""
        made = np.dtype(self.code)
        if made.kind not in KINDS or made.subdtype is not None:
            raise CorpusError(f"an array of {self.code!r}: not read")
        return made.newbyteorder(self.order) if self.order in "<>" else made


class _Array:
    """What a pickle says of an array."""

    __slots__ = ("dtype", "fortran", "raw", "shape")

    def __init__(self, raw: Any = b"", dtype: Any = None, shape: Any = (0,), order: str = "C") -> None:
        self.raw, self.dtype, self.shape, self.fortran = raw, dtype, shape, order == "F"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, fortran, self.raw = state
        self.fortran = bool(fortran)

    def make(self, memo: dict[int, Any]) -> np.ndarray:
        """Return the array, its length checked against what is there."""
        if not isinstance(self.dtype, _Dtype):
            raise CorpusError("an array without a type")
        dtype, shape = self.dtype.make(), tuple(int(length) for length in self.shape)
        order = "F" if self.fortran else "C"
        if dtype.kind == "O":
            if not isinstance(self.raw, list) or len(self.raw) != math.prod(shape):
                raise CorpusError(f"an array of shape {shape} that does not hold as many things")
            array = np.empty(len(self.raw), object)
            for index, value in enumerate(self.raw):
                array[index] = _finish(value, memo)
            return array.reshape(shape, order=order)
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else bytes(self.raw)
        if min(shape, default=0) < 0 or len(raw) != math.prod(shape) * dtype.itemsize:
            raise CorpusError(f"an array of shape {shape} and type {dtype} in {len(raw)} bytes")
        array = np.frombuffer(raw, dtype).reshape(shape, order=order) if raw else np.empty(shape, dtype)
        return array.astype(dtype.newbyteorder("="))


def _scalar(dtype: Any, raw: Any) -> _Array:
    return _Array(raw, dtype, ())


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise CorpusError(f"the pickle asks for the encoding {encoding!r}")
    return text.encode("latin1")


def _finish(value: Any, memo: dict[int, Any]) -> Any:
    """Replace the stand-ins in what was loaded, each once."""
    if isinstance(value, PLAIN):
        return value
    if id(value) in memo:
        return memo[id(value)][1]
    if isinstance(value, _Array):
        made: Any = value.make(memo)
    elif type(value) is dict:
        made = {_finish(key, memo): _finish(item, memo) for key, item in value.items()}
    elif type(value) in CONTAINERS:
        made = type(value)(_finish(item, memo) for item in value)
    else:
        raise CorpusError(f"the pickle holds a {type(value).__name__.strip('_').lower()} by itself: not read")
    memo[id(value)] = (value, made)  # holds the value: another one could get its address
    return made


def _named(modules: tuple[str, ...], name: str, stand_in: Any) -> Mapping[tuple[str, str], Any]:
    return {(module, name): stand_in for module in modules}


# NumPy 2 renamed numpy.core to numpy._core; pickles of both go around.
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_STAND_INS: Mapping[tuple[str, str], Any] = {
    **_named(("numpy",), "ndarray", _Call()),
    **_named(("numpy",), "dtype", _Call(lambda code, *_: _Dtype(str(code)))),
    **_named(_MULTIARRAY, "_reconstruct", _Call(lambda *_: _Array())),
    **_named(_MULTIARRAY, "scalar", _Call(_scalar)),
    **_named(("numpy.core.numeric", "numpy._core.numeric"), "_frombuffer", _Call(_Array)),
    **_named(("_codecs",), "encode", _Call(_encode)),
    **_named(("builtins", "__builtin__"), "bytes", _Call(lambda: b"")),  # how older protocols write no bytes at all
}
