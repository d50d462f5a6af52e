"""RTTM: who speaks when, one turn a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation

from builders.errors import CorpusError
from builders.schema import Segment


def read_rttm(lines: Iterable[str], name: str) -> Iterator[Segment]:
    """Yield the turns of an RTTM file as segments of the tier ``speakers``, in the order of the file.

    SPEAKER abjxc 1 0.400000 6.640000 <NA> <NA> spk00 <NA> <NA>
    SPEAKER abjxc 1 8.680000 55.960000 <NA> <NA> spk00 <NA> <NA>
    SPEAKER afjiv 1 41.120000 39.360000 <NA> <NA> spk00 <NA> <NA>

    Parameters
    ----------
    lines : iterable of str
        Other kinds of line than SPEAKER are passed over.
    name : str
        Of the file, for the error message.

    Raises
    ------
    CorpusError
        If a turn's line has no speaker or no times.
    """
    for line in lines:
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        try:
            start, length = Decimal(fields[3]), Decimal(fields[4])
            # Added as decimals: 1.1 + 2.2 as floats is 3.3000000000000003.
            yield Segment("speakers", float(start), float(start + length), fields[7])
        except (IndexError, InvalidOperation):
            raise CorpusError(f"{name} is no RTTM, it has the line {line!r}: replace or remove it") from None
