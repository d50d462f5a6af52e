"""The transcribed sets of Libri-Light: LibriSpeech's layout, and phones of each utterance."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence

from builders.files import Files
from builders.librispeech.librispeech import read_transcript
from builders.listing import Utterance
from builders.schema import Segment

# set: folders, hours
LIMITED = {"10min": (r"1h/0", 0.17), "1h": (r"1h/[0-5]", 1.0), "10h": (r"(?:1h/[0-5]|9h)", 10.0)}
LIMITED_FILE = (
    r"(?:1h/(?P<fold>[0-5])|9h)/(?P<condition>clean|other)/(?P<reader>\d+)/(?P<chapter>\d+)/"
    r"(?P<stem>(?P=reader)-(?P=chapter))(?:-(?P<number>\d+)\.flac|\.trans\.txt)"
)
FRAME = 0.01  # seconds, of the frame-wise phones


def limited(files: Files, name: str) -> Iterator[Utterance]:
    """Yield the utterances of a transcribed set; the transcript of a chapter comes after its audio."""
    phones = read_phones(files)
    wanted = re.compile(rf"{LIMITED[name][0]}/")
    found = (path for path in files.match(LIMITED_FILE) if wanted.match(path[0]))
    for _, chapter in itertools.groupby(found, key=lambda path: path[0].rsplit("/", 1)[0]):
        members = list(chapter)
        texts: dict[str, str] = {}
        for path in members:
            texts |= read_transcript(files, path[0]) if not path["number"] else {}
        here = {f"{path['stem']}-{path['number']}" for path in members if path["number"]}
        for utterance in sorted(here | set(texts)):
            path = members[0]
            fold = None if path["fold"] is None else int(path["fold"])
            labels = {"chapter": path["chapter"], "subset": name, "condition": path["condition"], "fold": fold}
            folder = path[0].rsplit("/", 1)[0]
            sequence = phones.get(utterance)
            segments = frames(sequence) if sequence and framewise(sequence) else ()
            if sequence and not segments:
                labels["phone_sequence"] = sequence
            yield Utterance(
                utterance, f"{folder}/{utterance}.flac", texts.get(utterance), path["reader"],
                segments=segments, labels=labels,
            )  # fmt: skip


def read_phones(files: Files) -> dict[str, list[str]]:
    """Read the phones of the transcribed sets where they are there: ``<utterance> <number> <number> ...``.

    The numbers' names are in ``phones_mapping.json``, ``{"AA": 0, "AE": 1, ...}``.
    """
    mapping = next(files.match(r"phones/phones?_mapping\.json"), None)
    names = json.loads(files.read_text(mapping[0])) if mapping else {}
    symbols = {str(number): name for name, number in names.items()}
    found = {}
    for path in files.match(r"phones/(?:10min|1h|10h)_phones\.txt"):
        for line in files.lines(path[0]):
            utterance, *numbers = line.split()
            found[utterance] = [symbols.get(number, number) for number in numbers]
    return found


def framewise(sequence: Sequence[str]) -> bool:
    """Say whether the symbols are one a frame: then most equal the one before."""
    same = sum(one == two for one, two in itertools.pairwise(sequence))
    return same > len(sequence) / 2


def frames(sequence: Sequence[str]) -> list[Segment]:
    """Turn one symbol for each 10 ms into segments."""
    segments, first = [], 0
    for label, run in itertools.groupby(sequence):
        last = first + len(list(run))
        segments.append(Segment("phones", first * FRAME, last * FRAME, label))
        first = last
    return segments
