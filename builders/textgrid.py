"""Praat TextGrids as segments."""

from __future__ import annotations

import re
from collections.abc import Mapping

from praatio.utilities import textgrid_io
from praatio.utilities.errors import PraatioException

from builders.errors import CorpusError
from builders.schema import Segment

# 1.2e-05: a time as some programs write it, and praatio does not read it
POWER = re.compile(r"(?m)(?<!\S)\d+(?:\.\d+)?[eE][-+]?\d+(?=\s*$)")


def read_textgrid(text: str, name: str, tiers: Mapping[str, str]) -> list[Segment]:
    """Return the intervals of some tiers of a TextGrid, long or short format.

    Parameters
    ----------
    text : str
        Content of the file.
    name : str
        Of the file, for the error message.
    tiers : mapping of str to str
        Name of the tier in the file to name of the tier in the table.

    Raises
    ------
    CorpusError
        If the text is no TextGrid.
    """
    try:
        plain = POWER.sub(lambda found: f"{float(found[0]):.12f}", text)
        parsed = textgrid_io.parseTextgridStr(plain, includeEmptyIntervals=True)
        return [
            Segment(tiers[tier["name"]], float(entry.start), float(entry.end), entry.label)
            for tier in parsed["tiers"]
            if tier["name"] in tiers and tier["class"] == "IntervalTier"
            for entry in tier["entries"]
        ]
    except (PraatioException, AttributeError, IndexError, KeyError, ValueError) as error:
        raise CorpusError(f"{name} is no TextGrid that praatio can read ({error}): replace or remove it") from None
