"""Pickles of dicts of NumPy arrays, written piece by piece: what `pickle.dump` writes, without holding the arrays.

The names are those of NumPy before version 2, which every version of NumPy reads.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
FALSE, EMPTY_LIST, MARK, APPENDS, TUPLE, BUILD, SETITEMS = b"\x89", b"]", b"(", b"e", b"t", b"b", b"u"


class PickleStream:
    """Writes one dict to a file; keys and values in the order of the calls."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        file.write(pickle.PROTO + b"\x04}(")

    def close(self) -> None:
        """End the dict and the pickle; the file stays open."""
        self.file.write(SETITEMS + pickle.STOP)

    def key(self, name: str) -> None:
        """Begin an entry."""
        self.file.write(_plain(name))

    @contextmanager
    def table(self, name: str) -> Iterator[None]:
        """Make the entry a dict of what is written meanwhile."""
        self.key(name)
        self.file.write(b"}(")
        yield
        self.file.write(SETITEMS)

    def texts(self, name: str, values: Iterable[str], count: int, longest: int) -> None:
        """Write an entry that is an array of text [shape=(count,), dtype=``U<longest>``]."""
        self.key(name)
        dtype = np.dtype(f"<U{max(longest, 1)}")
        self._begin((count,), dtype)
        self.file.write(pickle.BINBYTES8 + struct.pack("<Q", count * dtype.itemsize))
        for value in values:
            self.file.write(value.encode("utf-32-le").ljust(dtype.itemsize, b"\0"))
        self.file.write(TUPLE + BUILD)

    @contextmanager
    def matrices(self, name: str, count: int) -> Iterator[None]:
        """Make the entry an array of arrays [shape=(count,), dtype=object]: those given to `matrix` meanwhile."""
        self.key(name)
        self._begin((count,), np.dtype(object))
        self.file.write(EMPTY_LIST + MARK)
        yield
        self.file.write(APPENDS + TUPLE + BUILD)

    def matrix(self, values: np.ndarray) -> None:
        """Write one of the arrays of `matrices`."""
        values = np.ascontiguousarray(values)
        self._begin(values.shape, values.dtype)
        self.file.write(pickle.BINBYTES8 + struct.pack("<Q", values.nbytes))
        self.file.write(values.tobytes())
        self.file.write(TUPLE + BUILD)

    @contextmanager
    def rows(self, name: str, width: int, dtype: np.dtype) -> Iterator[Rows]:
        """Make the entry one array [shape=(rows, width)] of the rows that are added meanwhile.

        How many there are is filled in at the end, so the file must be seekable.
        """
        self.key(name)
        self.file.write(RECONSTRUCT + MARK + b"K\x01")
        count_at = self.file.tell() + 1
        self.file.write(pickle.BININT + struct.pack("<i", 0) + pickle.BININT + struct.pack("<i", width))
        self.file.write(pickle.TUPLE2 + _plain(np.dtype(dtype)) + FALSE + pickle.BINBYTES8)
        length_at = self.file.tell()
        self.file.write(struct.pack("<Q", 0))
        rows = Rows(self.file, width, np.dtype(dtype))
        yield rows
        end = self.file.tell()
        self.file.seek(count_at)
        self.file.write(struct.pack("<i", rows.count))
        self.file.seek(length_at)
        self.file.write(struct.pack("<Q", rows.count * width * rows.dtype.itemsize))
        self.file.seek(end)
        self.file.write(TUPLE + BUILD)

    def _begin(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.file.write(RECONSTRUCT + MARK + b"K\x01" + _plain(shape) + _plain(dtype) + FALSE)


class Rows:
    """An array that grows in a file."""

    def __init__(self, file: BinaryIO, width: int, dtype: np.dtype) -> None:
        self._file, self._width, self.dtype = file, width, dtype
        self.count = 0

    def add(self, values: np.ndarray) -> None:
        """Write rows [shape=(n, width)] behind those that are there."""
        if values.shape[1:] != (self._width,):
            raise ValueError(f"rows of shape {values.shape}, expected (n, {self._width})")
        self._file.write(np.ascontiguousarray(values, self.dtype).tobytes())
        self.count += len(values)


def _plain(value: Any) -> bytes:
    """Return the opcodes of a value: no frame, and no memo, whose numbers would not fit together."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=3)
    pickler.fast = True
    pickler.dump(value)
    return buffer.getvalue()[2:-1]  # without PROTO and STOP
