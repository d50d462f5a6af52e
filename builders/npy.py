"""NumPy's ``.npy`` files, plain ones and those that hold a list of arrays as a pickle."""

from __future__ import annotations

import ast
import math
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from builders.errors import CorpusError
from builders.pickles import KINDS, Stored, index_pickle

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000  # bytes; that of an array without fields has about 80
HEADER_KEYS = {"descr", "fortran_order", "shape"}


def index_npy(file: BinaryIO, size: int, name: str) -> Stored | Sequence[Any]:
    """Return where the array of a file lies, or, of an array of arrays, the arrays, as `index_pickle` does.

    The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to 3. ::

        93 4E 55 4D 50 59 01 00  76 00  {'descr': '<f4', 'fortran_order': False, 'shape': (1403, 28), }

    Parameters
    ----------
    file : binary file
    size : int
        Of the file in bytes.
    name : str
        Of the file, for the error message.

    Raises
    ------
    CorpusError
        If it is no such file, is truncated, or holds anything but numbers, text and arrays of these.
    """
    try:
        dtype, shape, fortran = _header(file)
    except (ValueError, TypeError, SyntaxError, KeyError, struct.error, MemoryError, RecursionError) as error:
        raise CorpusError(f"{name} is not an .npy file ({error})") from None
    if dtype.kind not in KINDS or dtype.subdtype is not None:
        raise CorpusError(f"{name}: an array of {dtype.str!r}: not read")
    if dtype.kind == "O":
        found = index_pickle(file, size, name)
        if not isinstance(found, np.ndarray) or found.shape != shape:
            raise CorpusError(f"{name}: the header says shape {shape}, the pickle holds something else")
        return found
    at = file.tell()
    if math.prod(shape) * dtype.itemsize != size - at:
        raise CorpusError(f"{name}: an array of shape {shape} and type {dtype} in {size - at} bytes: truncated?")
    return Stored(dtype, shape, fortran, at)


def _header(file: BinaryIO) -> tuple[np.dtype, tuple[int, ...], bool]:
    if file.read(6) != MAGIC:
        raise ValueError("it begins otherwise")
    major, _ = file.read(2)
    (length,) = struct.unpack("<H", file.read(2)) if major == 1 else struct.unpack("<I", file.read(4))
    if length > LONGEST_HEADER:
        raise ValueError(f"a header of {length} bytes")
    header = ast.literal_eval(file.read(length).decode("utf-8" if major == 3 else "latin1").strip())
    if not isinstance(header, dict) or set(header) != HEADER_KEYS or not isinstance(header["descr"], str):
        raise ValueError(f"a header with {header!r:.80}")
    shape = tuple(int(axis) for axis in header["shape"])
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    return np.dtype(header["descr"]), shape, bool(header["fortran_order"])
