"""The entries of a JSON object that is too large to parse as a whole."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from builders.errors import CorpusError

CHUNK = 1 << 16  # characters
LONGEST = 1 << 24  # characters of an entry: what is longer is not the object that it should be
KEY = re.compile(r'\s*([{,])\s*("(?:[^"\\]|\\.)*")\s*:\s*')
END = re.compile(r"\s*(\{\s*)?\}\s*")
NEXT = re.compile(r"\s*[,}]")


def entries(file: BinaryIO, name: str) -> Iterator[tuple[str, Any]]:
    """Yield key and value of each entry of the object that a file holds; memory is bounded by the longest entry.

    file : binary file
        UTF-8; closed at the end.
    name : str
        For messages.

    Raises
    ------
    CorpusError
        If the file is cut or not such an object: after the entries that could be read.
    """
    decoder = json.JSONDecoder()
    with io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace") as text:
        buffer, last, before = "", None, "{"
        while True:
            found = _first(decoder, buffer, before)
            if found is None:
                more = text.read(max(CHUNK, len(buffer))) if len(buffer) < LONGEST else ""
                if more:
                    buffer += more
                    continue
                _check_end(buffer, first=before == "{", last=last, name=name)
                return
            before, position = ",", 0
            while found is not None:
                last, value, position = found
                yield last, value
                found = _first(decoder, buffer, before, position)
            buffer = buffer[position:]


def _first(decoder: json.JSONDecoder, buffer: str, before: str, position: int = 0) -> tuple[str, Any, int] | None:
    """Return the entry at a place and where it ends, None if not all of it is there."""
    key = KEY.match(buffer, position)
    if key is None or key[1] != before:
        return None
    try:
        value, end = decoder.raw_decode(buffer, key.end())
        # What follows proves that a number was not cut.
        return (json.loads(key[2]), value, end) if NEXT.match(buffer, end) else None
    except (ValueError, RecursionError):
        return None


def _check_end(buffer: str, *, first: bool, last: str | None, name: str) -> None:
    end = END.fullmatch(buffer)
    if end is None or first != bool(end[1]):
        after = "at its begin" if last is None else f"after {last!r}"
        raise CorpusError(f"{name} is damaged or truncated {after}: fetch it again")
