"""Pickles that others made, read without running what is in them.

A pickle names functions that its reader calls. Here a pickle can name the handful with which NumPy
writes arrays, and gets none of them: stand-ins take what they would have been called with, check it and
build the array from its raw bytes. Anything else that a pickle names is an error before it is imported.

`read_pickle` reads a pickle whole. `index_pickle` leaves the arrays where they are, and so needs memory for
their number, not for their size. No claim of a pickle is believed: memory is asked for once the bytes are there.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from builders.errors import CorpusError

KINDS = "biufUO"  # what arrays of research tables hold: truth, whole numbers, floats, text, lists of arrays
CODE = re.compile(rf"[<>|=]?[{KINDS}]\d{{0,9}}")  # how NumPy writes a type of elements
KEYS = (str, bytes, int, float, bool, type(None))  # a tuple in tuples would be hashed for ever
CONTAINERS = (dict, list, tuple)
PLAIN = (str, bytes, bytearray, int, float, bool, type(None))
LEFT_BYTES = 4096  # arrays from this size on are left in the file by `index_pickle`
SLACK = 1 << 20  # bytes that arrays may have beyond twice the file: small ones can share theirs
ERRORS = (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError, IndexError,
          MemoryError, OverflowError, RecursionError, struct.error)  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """An array that lies in a file.

    dtype : np.dtype
    shape : tuple of int
    fortran : bool
        First axis changes fastest.
    at : int
        Byte of the file at which it begins.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    at: int

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def read(self, file: BinaryIO, first: int = 0, last: int | None = None) -> np.ndarray:
        """Return rows `first` to `last` (exclusive) of the first axis, in the machine's byte order.

        Only these are read, unless the array is stored with its first axis changing fastest.

        Raises
        ------
        CorpusError
            If the file ends too early.
        """
        if not self.shape or (self.fortran and len(self.shape) > 1):
            whole = self._bytes(file, 0, math.prod(self.shape)).reshape(self.shape, order="F" if self.fortran else "C")
            return whole[first:last] if self.shape else whole
        first, last, _ = slice(first, last).indices(self.shape[0])
        each = math.prod(self.shape[1:])
        count = max(0, last - first)
        return self._bytes(file, first * each, count * each).reshape(count, *self.shape[1:])

    def _bytes(self, file: BinaryIO, first: int, count: int) -> np.ndarray:
        file.seek(self.at + first * self.dtype.itemsize)
        raw = file.read(count * self.dtype.itemsize)
        if len(raw) != count * self.dtype.itemsize:
            raise CorpusError("the file ends inside an array: it has changed, or is truncated")
        return np.frombuffer(raw, self.dtype).astype(self.dtype.newbyteorder("="), copy=False)


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
    return _load(io.BytesIO(data), len(data), name, None)


def index_pickle(file: BinaryIO, size: int, name: str) -> Any:
    """Return what a pickle holds, each array that is not small as a `Stored` one.

    Parameters
    ----------
    file : binary file
        Read from where it stands, to its end at most.
    size : int
        Of the file in bytes.
    name : str
        Of the file, for the error message.

    Raises
    ------
    CorpusError
        As `read_pickle`.
    """
    return _load(file, size, name, LEFT_BYTES)


def _load(file: BinaryIO, size: int, name: str, left: int | None) -> Any:
    try:
        reader = _Unpickler(_Bounded(file, size), left)
        return _finish(reader.load(), {}, reader)
    except CorpusError as error:
        raise CorpusError(f"{name}: {error}") from None
    except ERRORS as error:
        raise CorpusError(f"{name} is not a pickle of arrays ({error!r})") from None


class _Bounded:
    """A file that is never asked for more than it holds: a length in a pickle is only a claim."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.at = file.tell()

    def read(self, count: int) -> bytes:
        self._check(count)
        data = self.file.read(count)
        self.at += len(data)
        if len(data) != count:
            raise EOFError("it ends too early")
        return data

    def readline(self) -> bytes:
        line = self.file.readline(self.size - self.at)
        self.at += len(line)
        return line

    def skip(self, count: int) -> None:
        self._check(count)
        self.at += count
        self.file.seek(self.at)

    def _check(self, count: int) -> None:
        if not 0 <= count <= self.size - self.at:
            raise EOFError(f"{count} bytes are claimed, {self.size - self.at} are left")


@dataclass(frozen=True)
class _Span:
    """Bytes that were passed over."""

    at: int
    length: int


class _Unpickler(pickle._Unpickler):  # the one in Python: the one in C allocates what a pickle claims
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: _Bounded, left: int | None) -> None:
        # Python 2 wrote the bytes of arrays as strings.
        super().__init__(file, encoding="latin1")
        self._source, self._left = file, left
        self._budget = 2 * file.size + SLACK

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in of a name; nothing is imported."""
        found = _STAND_INS.get((module, name))
        if found is None:
            raise CorpusError(f"the pickle names {module}.{name}, which a table of arrays has no use for: not read")
        return _Call(self._encode) if found is _ENCODE else found

    def spend(self, count: int) -> None:
        """Count bytes of arrays: a small pickle can have many arrays share the same ones."""
        self._budget -= count
        if self._budget < 0:
            raise CorpusError("the arrays of the pickle are larger than the pickle: not read")

    def bytes_of(self, span: _Span) -> bytes:
        """Return bytes that were passed over."""
        self._source.file.seek(span.at)
        return self._source.file.read(span.length)

    def _encode(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise CorpusError("the pickle asks for another encoding than latin1: not read")
        self.spend(len(text))
        return text.encode("latin1")

    def _take(self, count: int, *, text: bool = False) -> Any:
        if self._left is not None and count >= self._left:
            at = self._source.at
            self._source.skip(count)
            return _Span(at, count)
        data = self.read(count)
        return data.decode("latin1") if text else data

    def _load_frame(self) -> None:
        self.read(8)  # a frame says how much to read at once; it can be ignored

    def _load_binbytes(self) -> None:
        self.append(self._take(*struct.unpack("<I", self.read(4))))

    def _load_binbytes8(self) -> None:
        self.append(self._take(*struct.unpack("<Q", self.read(8))))

    def _load_binstring(self) -> None:
        (length,) = struct.unpack("<i", self.read(4))
        self.append(self._take(length, text=True))

    def _load_dict(self) -> None:
        _check_keys(self.stack[::2])
        self.load_dict()

    def _load_setitem(self) -> None:
        _check_keys(self.stack[-2:-1])
        self.load_setitem()

    def _load_setitems(self) -> None:
        _check_keys(self.stack[::2])
        self.load_setitems()

    def _load_set(self) -> None:
        raise CorpusError("the pickle holds a set: not read")

    dispatch[pickle.DICT[0]] = _load_dict
    dispatch[pickle.SETITEM[0]] = _load_setitem
    dispatch[pickle.SETITEMS[0]] = _load_setitems
    dispatch.update(dict.fromkeys((pickle.EMPTY_SET[0], pickle.ADDITEMS[0], pickle.FROZENSET[0]), _load_set))
    dispatch[pickle.FRAME[0]] = _load_frame
    dispatch[pickle.BINBYTES[0]] = _load_binbytes
    dispatch[pickle.BINBYTES8[0]] = _load_binbytes8
    dispatch[pickle.BYTEARRAY8[0]] = _load_binbytes8
    dispatch[pickle.BINSTRING[0]] = _load_binstring


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

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not CODE.fullmatch(code):
            raise CorpusError(f"an array of {repr(code)[:80] if isinstance(code, str) else type(code)}: not read")
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise CorpusError("an array of records: not read")
        self.order = state[1] if isinstance(state[1], str) else "|"

    def make(self) -> np.dtype:
        """Return the type, one of the harmless ones."""
        made = np.dtype(self.code)
        return made.newbyteorder(self.order) if self.order in ("<", ">") else made


class _Array:
    """What a pickle says of an array."""

    __slots__ = ("dtype", "fortran", "raw", "shape")

    def __init__(self, raw: Any = b"", dtype: Any = None, shape: Any = (0,), order: str = "C") -> None:
        self.raw, self.dtype, self.shape, self.fortran = raw, dtype, shape, order == "F"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, fortran, self.raw = state
        self.fortran = bool(fortran)

    def make(self, memo: dict[int, Any], reader: _Unpickler) -> np.ndarray | Stored:
        """Return the array, its length checked against what is there."""
        if not isinstance(self.dtype, _Dtype):
            raise CorpusError("an array without a type")
        dtype, shape = self.dtype.make(), tuple(int(length) for length in self.shape)
        order = "F" if self.fortran else "C"
        if dtype.kind == "O":
            if not isinstance(self.raw, list) or len(self.raw) != math.prod(shape):
                raise CorpusError(f"an array of shape {shape} that does not hold as many things")
            reader.spend(len(self.raw))
            array = np.empty(len(self.raw), object)
            for index, value in enumerate(self.raw):
                array[index] = _finish(value, memo, reader)
            return array.reshape(shape, order=order)
        raw = self.raw.encode("latin1") if isinstance(self.raw, str) else self.raw
        length = raw.length if isinstance(raw, _Span) else len(raw)
        reader.spend(length)
        if min(shape, default=0) < 0 or length != math.prod(shape) * dtype.itemsize:
            raise CorpusError(f"an array of shape {shape} and type {dtype} in {length} bytes")
        if isinstance(raw, _Span):
            return Stored(dtype, shape, self.fortran, raw.at)
        array = np.frombuffer(raw, dtype).reshape(shape, order=order) if raw else np.empty(shape, dtype)
        return array.astype(dtype.newbyteorder("="))


def _scalar(dtype: Any, raw: Any) -> _Array:
    return _Array(raw, dtype, ())


def _ordered(pairs: Iterable[Any] = ()) -> dict[Any, Any]:
    held = [(key, value) for key, value in pairs]
    _check_keys(key for key, _ in held)
    return dict(held)


def _check_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        if type(key) not in KEYS:
            raise CorpusError(f"a key of the pickle is a {type(key).__name__.strip('_').lower()}: not read")


def _finish(value: Any, memo: dict[int, Any], reader: _Unpickler) -> Any:
    """Replace the stand-ins in what was loaded, each once."""
    if isinstance(value, PLAIN):
        return value
    if id(value) in memo:
        return memo[id(value)][1]
    if isinstance(value, _Array):
        made: Any = value.make(memo, reader)
    elif isinstance(value, _Span):
        reader.spend(value.length)
        made = reader.bytes_of(value)
    elif type(value) is dict:
        made = {_finish(key, memo, reader): _finish(item, memo, reader) for key, item in value.items()}
    elif type(value) in CONTAINERS:
        made = type(value)(_finish(item, memo, reader) for item in value)
    else:
        raise CorpusError(f"the pickle holds a {type(value).__name__.strip('_').lower()} by itself: not read")
    memo[id(value)] = (value, made)  # holds the value: another one could get its address
    return made


def _named(modules: tuple[str, ...], name: str, stand_in: Any) -> Mapping[tuple[str, str], Any]:
    return {(module, name): stand_in for module in modules}


# NumPy 2 renamed numpy.core to numpy._core; pickles of both go around.
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_ENCODE = object()  # counts what it makes, so each reader has its own
_STAND_INS: Mapping[tuple[str, str], Any] = {
    **_named(("numpy",), "ndarray", _Call()),
    **_named(("numpy",), "dtype", _Call(lambda code, *_: _Dtype(code))),
    **_named(_MULTIARRAY, "_reconstruct", _Call(lambda *_: _Array())),
    **_named(_MULTIARRAY, "scalar", _Call(_scalar)),
    **_named(("numpy.core.numeric", "numpy._core.numeric"), "_frombuffer", _Call(_Array)),
    **_named(("_codecs",), "encode", _ENCODE),
    **_named(("builtins", "__builtin__"), "bytes", _Call(lambda: b"")),  # how older protocols write no bytes at all
    **_named(("collections",), "OrderedDict", _Call(_ordered)),
}
