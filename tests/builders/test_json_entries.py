from __future__ import annotations

import io
import itertools
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import json_entries
from builders.errors import CorpusError
from builders.json_entries import entries

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def read(text: str | bytes) -> list[tuple]:
    return list(entries(io.BytesIO(text.encode() if isinstance(text, str) else text), "x.json"))


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=6), st.sampled_from([None, 0, 4]), st.integers(1, 40))
def test_gives_what_json_gives(table, indent, chunk):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(json_entries, "CHUNK", chunk)
        assert read(json.dumps(table, indent=indent)) == list(table.items())
        assert read(json.dumps(table, indent=indent, ensure_ascii=False)) == list(table.items())


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    "text", ['{"a": {"b": 12}, "c": 34}', " { } ", "{}\n", '\ufeff{"a":\n1 , "b,}":"}"}', '{"\\"": 1, "a": 1.5e3}']
)
def test_chunks_do_not_matter(monkeypatch, text, chunk):
    monkeypatch.setattr(json_entries, "CHUNK", chunk)
    assert read(text) == list(json.loads(text.lstrip("\ufeff")).items())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0), ("[1, 2]", 0), ("12", 0), ('{"a": 1', 0), ('{"a": 1, ', 1), ('{"a": 1, "b": {"c": ', 1),
        ('{"a": 1}}', 1),
        ('{"a": 1} {"b": 2}', 1), ('{"a": 1,}', 1), ('{"a": 1 "b": 2}', 0), ('{"a": 1, {"b": 2}}', 1), ("{1: 2}", 0),
        ('{"a": nothing}', 0), ('{"a": 1}, "b": 2}', 1), (b"\xff\xfe\x00", 0), ('{"a": ' + "[" * 100_000, 0),
        (',"a": 1}', 0), ("}", 0), ('{"a": 1, {}', 1),
    ],
)  # fmt: skip
def test_what_is_not_an_object_raises_after_what_could_be_read(text, count):
    found = []
    with pytest.raises(CorpusError, match=r"x\.json is damaged or truncated (at its begin|after 'a')"):
        found.extend(entries(io.BytesIO(text.encode() if isinstance(text, str) else text), "x.json"))
    assert len(found) == count


class Endless(io.RawIOBase):
    """A file of a million entries, made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, target) -> int:
        while not self._left:
            self._left = next(self._pieces, b"")
            if not self._left:
                return 0
        count = min(len(target), len(self._left))
        target[:count], self._left = self._left[:count], self._left[count:]
        return count


def test_memory_is_bounded_by_an_entry():
    pieces = (
        f'{"," if n else "{"} "note{n}": {{"qualities": [0, 0, 1], "pitch": {n}}}\n'.encode() for n in range(30_000)
    )
    file = io.BufferedReader(Endless(itertools.chain(pieces, [b"}"])))
    tracemalloc.start()
    count = sum(1 for _ in entries(file, "x.json"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 30_000
    assert peak < 2_000_000  # bytes; parsed as a whole it takes 20 million


def test_an_entry_without_an_end_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(json_entries, "LONGEST", 10_000)
    monkeypatch.setattr(json_entries, "CHUNK", 1000)
    taken = []

    def pieces():
        yield b'{"a": "'
        while True:
            taken.append(1)
            yield b"x" * 1000

    with pytest.raises(CorpusError, match="at its begin"):
        list(entries(io.BufferedReader(Endless(pieces())), "x.json"))
    assert len(taken) < 100
