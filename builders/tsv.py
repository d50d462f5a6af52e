"""Tables of tab-separated values as corpora publish them: one row a line, quotes mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def read_tsv(lines: Iterable[str], header: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Yield each row as a dict of its cells by column name.

    header : sequence of str
        The names of the columns; empty stands for the first line. Cells that a short row lacks are not in the dict.
    """
    rows = (line.split("\t") for line in lines)
    names = header or next(rows, [])
    return (dict(zip(names, row, strict=False)) for row in rows)
