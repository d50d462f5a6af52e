from __future__ import annotations

import io
import os
import pickle
import re
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from builders.errors import CorpusError
from builders.pickles import read_pickle


def again(value, protocol: int):
    return read_pickle(pickle.dumps(value, protocol=protocol), "x.pkl")


ARRAYS = {
    "grey": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "big-endian": np.arange(3, dtype=">f8"),
    "strided": np.arange(10)[::2],
    "text": np.array(["ah", "ɪ", ""]),
    "truth": np.array([True, False]),
    "nothing": np.zeros((0, 5), np.int64),
    "zero dimensions": np.array(3.5),
    "half": np.arange(3, dtype=np.float16),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name, protocol):
    found = again(ARRAYS[name], protocol)
    np.testing.assert_array_equal(found, ARRAYS[name])
    assert found.shape == ARRAYS[name].shape
    assert found.dtype == ARRAYS[name].dtype.newbyteorder("=")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tables(protocol):
    ragged = np.empty(2, object)
    ragged[0], ragged[1] = np.zeros((2, 3)), np.ones((1, 3))
    shared = np.arange(3)
    value = {"a": [1, 2.5, "x", None, True, b"raw", (1, 2)], "scalar": np.float64(2.5), "n": np.int64(7),
             "ragged": ragged, "twice": [shared, shared]}  # fmt: skip
    found = again(value, protocol)
    assert found["a"] == value["a"]
    assert (float(found["scalar"]), int(found["n"])) == (2.5, 7)
    assert found["ragged"].dtype == object
    np.testing.assert_array_equal(found["ragged"][1], np.ones((1, 3)))
    assert found["twice"][0] is found["twice"][1]


def test_names_of_both_numpys():
    data = pickle.dumps(np.arange(3), protocol=2)
    for old, new in (
        (b"numpy._core.multiarray", b"numpy.core.multiarray"),
        (b"numpy.core.multiarray", b"numpy._core.multiarray"),
    ):
        np.testing.assert_array_equal(read_pickle(data.replace(old, new), "x"), np.arange(3))


def test_python_2():
    # cPickle.dumps({'rand': numpy.array([0.5])}, 2) of Python 2.7: the bytes are a string.
    data = (
        b"\x80\x02}q\x01U\x04randq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b"
        b"\x87Rq\x05(K\x01K\x01\x85cnumpy\ndtype\nq\x06U\x02f8K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff"
        b"\xff\xff\xffK\x00tb\x89U\x08\x00\x00\x00\x00\x00\x00\xe0?tbs."
    )
    assert read_pickle(data, "x")["rand"].tolist() == [0.5]


# Pickles that mean harm


class Harm:
    def __init__(self, function, *arguments):
        self.made = (function, arguments)

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "harm",
    [
        Harm(os.system, "touch {}"), Harm(eval, "open({!r}, 'w')"), Harm(exec, "open({!r}, 'w')"),
        Harm(Path, "x"), Harm(np.load, "x"), Harm(np.memmap, "x"),
        Harm(__import__, "os"), Harm(bytearray, 10), Harm(np.frombuffer, b"x"), Harm(np.random.RandomState, 1),
    ],
    ids=lambda harm: harm.made[0].__name__,
)  # fmt: skip
def test_nothing_is_called(harm, protocol, tmp_path):
    marker = tmp_path / "harmed"
    function, arguments = harm.made
    filled = tuple(a.format(str(marker)) if isinstance(a, str) else a for a in arguments)
    data = pickle.dumps({"stamp": [np.zeros(3), Harm(function, *filled)]}, protocol=protocol)
    with pytest.raises(CorpusError, match=r"x\.pkl: the pickle names"):
        read_pickle(data, "x.pkl")
    assert not marker.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # GLOBAL, REDUCE
        b"(S'true'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'true'\no.",  # OBJ
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"\x80\x04\x8c\x05numpy\x8c\x0bcore.os.sys\x93.",  # a dotted name
        b"\x80\x02\x82\x01.",  # EXT1
        b"P1\n.",  # PERSID
        b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93\x8c\x01x\x85R.",  # NumPy's own type called
        b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93\x8c\x01x\x85\x81.",  # NEWOBJ
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93N}\x8c\x0c__defaults__K\x01s\x86b.",  # attributes of a stand-in
        b"\x80\x04\x8c\x05numpy\x8c\x05dtype\x93.",  # a stand-in by itself
        b"\x80\x04\x8c\x07_codecs\x8c\x06encode\x93\x8c\x01x\x8c\x05utf-7\x86R.",
    ],
)
def test_every_way_to_name_something(code):
    with pytest.raises(CorpusError):
        read_pickle(code, "x.pkl")


def array(shape: str, dtype: str, raw: bytes, state: str = "None, None, None, -1, -1, 0") -> bytes:
    """Return a pickle of an array whose parts don't fit; `pickle` would need to be lied to for it."""

    class Lie:
        def __init__(self, function, arguments, state):
            self.value = (function, arguments, state)

        def __reduce__(self):
            return self.value

    buffer = io.BytesIO()
    kind = Lie(np.dtype, (dtype, False, True), eval(f"(3, '<', {state})"))
    kind_dtype = Lie(np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"), (1, eval(shape), kind, False, raw))
    pickle.Pickler(buffer, 4).dump(kind_dtype)
    return buffer.getvalue()


def test_the_liar_can_tell_the_truth():
    assert read_pickle(array("(2,)", "u1", b"\x01\x02"), "x").tolist() == [1, 2]


@pytest.mark.parametrize(
    "data",
    [
        array("(1 << 40,)", "f8", b"12345678"),  # a small file that claims terabytes
        array("(-1,)", "u1", b""),
        array("(3,)", "u1", b"\x01"),
        array("(1,)", "O", b"12345678"),  # an address instead of an object
        array("(1,)", "O8", b"12345678"),
        array("(1,)", "V8", b"12345678", "None, ('a',), {'a': 1}, 8, 1, 16"),
        array("(1,)", "M8[s]", b"12345678"),
        array("(1,)", "u1,u1", b"12"),
        array("(1,)", "(2,)u1", b"12"),
        array("('a',)", "u1", b"1"),
    ],
)
def test_arrays_that_are_not_what_they_claim(data):
    with pytest.raises(CorpusError):
        read_pickle(data, "x.pkl")


@pytest.mark.parametrize("data", [b"", b"not a pickle", b"\x80\x04", b".", b"]" * 100_000])
def test_damage(data):
    with pytest.raises(CorpusError, match=r"x\.pkl"):
        read_pickle(data, "x.pkl")


DEEP = (
    b"K\x01\x85" + b"2\x86" * 60
)  # a tuple, its copy beside it, a tuple of both: each level holds the one below twice


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x04}" + DEEP + b"K\x01s.",  # SETITEM
        b"\x80\x04}(" + DEEP + b"K\x01u.",  # SETITEMS
        b"\x80\x04(" + DEEP + b"K\x01d.",  # DICT
        b"\x80\x04\x8f(" + DEEP + b"\x90.",  # EMPTY_SET, ADDITEMS
        b"\x80\x04(" + DEEP + b"\x91.",  # FROZENSET
        b"\x80\x04ccollections\nOrderedDict\n]" + DEEP + b"K\x01\x86a\x85R.",
        b"\x80\x04cnumpy\ndtype\n" + DEEP + b"\x85R.",
        b"\x80\x04c_codecs\nencode\nX\x01\x00\x00\x00a" + DEEP + b"\x86R.",
    ],
)
def test_what_would_be_hashed_or_written_out_for_ever(code):
    assert len(code) < 300
    with pytest.raises(CorpusError, match=r"x\.pkl: .*not read"):
        read_pickle(code, "x.pkl")


def test_ordered_dicts():
    value = OrderedDict([("a", np.arange(2)), ("b", 1)])
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        found = again(value, protocol)
        assert list(found) == ["a", "b"]
        assert found["a"].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["(1,i4", "i4,i4", "(2,)u1", "M8[s]", "V8"])
def test_types_that_numpy_would_parse(dtype):
    code = dtype.encode()
    data = b"\x80\x04cnumpy\ndtype\nX" + struct.pack("<I", len(code)) + code + b"\x85R."
    with pytest.raises(CorpusError, match=rf"x\.pkl: an array of '{re.escape(dtype)}': not read"):
        read_pickle(data, "x.pkl")


def test_a_list_in_itself():
    value: list = []
    value.append(value)
    with pytest.raises(CorpusError):
        read_pickle(pickle.dumps(value), "x.pkl")


def test_half_a_pickle():
    data = pickle.dumps({"stamp": [np.zeros(100)]})
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(CorpusError):
            read_pickle(data[:length], "x.pkl")
