"""NXT: words, and the turns that they make, as XML that refers to XML (http://groups.inf.ed.ac.uk/nxt/)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from builders.errors import CorpusError

NITE_ID = "{http://nite.sourceforge.net/}id"
REFERENCE = re.compile(r"#id\(([^)]+)\)(?:\.\.id\(([^)]+)\))?")


class Token(NamedTuple):
    """A word, or what is heard or noted between words.

    kind : str
        ``w`` a word or punctuation, ``vocalsound``, ``disfmarker``, ``gap``, ``transformerror``.
    start, end : float or None
        Seconds; some words have none.
    label : str
        The word; of another kind its type, e.g. ``laugh``, else the kind.
    """

    id: str
    kind: str
    start: float | None
    end: float | None
    label: str
    punctuation: bool


class Turn(NamedTuple):
    """A stretch of one speaker's speech, seconds, and its tokens."""

    id: str
    start: float
    end: float
    tokens: Sequence[Token]


def parse(data: bytes, name: str) -> ElementTree.Element:
    """Return the root of an XML document; its declaration tells the encoding.

    Raises
    ------
    CorpusError
        If it is no XML.
    """
    try:
        return ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise CorpusError(f"{name} is no XML ({error}): fetch it again") from None


def read_tokens(data: bytes, name: str) -> Iterator[Token]:
    """Yield the elements of a words file in their order.

    <w nite:id="ES2002a.B.words0" starttime="50.42" endtime="50.99">Okay</w>
    <w nite:id="ES2002a.B.words1" starttime="50.99" endtime="50.99" punc="true">.</w>
    <vocalsound nite:id="ES2002a.B.words2" starttime="51.2" endtime="51.9" type="laugh"/>
    """
    for element in parse(data, name):
        start, end = (None if value is None else float(value) for value in map(element.get, ("starttime", "endtime")))
        label = (element.text or "").strip() if element.tag == "w" else element.get("type") or element.tag
        yield Token(element.get(NITE_ID, ""), element.tag, start, end, label, element.get("punc") == "true")


def read_turns(data: bytes, name: str, tokens: Sequence[Token]) -> Iterator[Turn]:
    """Yield the turns of a segments file; a reference takes in all tokens from its first to its last.

    <segment nite:id="ES2002a.sync.4" channel="0" transcriber_start="77.408" transcriber_end="80.955">
      <nite:child href="ES2002a.A.words.xml#id(ES2002a.A.words0)..id(ES2002a.A.words12)"/>
    </segment>
    """
    numbers = {token.id: number for number, token in enumerate(tokens)}
    for element in parse(data, name):
        if element.tag != "segment":
            continue
        found: list[Token] = []
        for child in element:
            for first, last in REFERENCE.findall(child.get("href", "")):
                if first not in numbers or (last or first) not in numbers:
                    raise CorpusError(f"{name} refers to {first}..{last}, which its words file does not hold")
                found += tokens[numbers[first] : numbers[last or first] + 1]
        start, end = float(element.attrib["transcriber_start"]), float(element.attrib["transcriber_end"])
        yield Turn(element.get(NITE_ID, ""), start, end, found)


def text_of(tokens: Iterable[Token]) -> str:
    """Return the words with spaces between them, punctuation right behind its word."""
    return "".join(
        token.label if token.punctuation else f" {token.label}" for token in tokens if token.kind == "w"
    ).strip()
