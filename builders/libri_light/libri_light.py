"""Libri-Light: 60,000 hours of audio books without transcripts, and ten hours with them.

Source: Kahn et al. (2020), https://github.com/facebookresearch/libri-light. Beside each chapter lies a
JSON that says, among other things, where somebody speaks::

    small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb.flac
    small/100/sea_fairies_0812_librivox_64kb_mp3/01_baum_sea_fairies_64kb.json
    1h/0/clean/<reader>/<chapter>/<reader>-<chapter>-<NNNN>.flac and <reader>-<chapter>.trans.txt
"""

from __future__ import annotations

import itertools
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import List, Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.librispeech.librispeech import read_transcript
from builders.listing import Utterance
from builders.schema import SAMPLING_RATE, Segment

logger = logging.getLogger(__name__)

ARCHIVES = {
    "small": Archive("small.tar", md5="c49207eb86a8e8ac895561c37232041e"),
    "medium": Archive("medium.tar", md5="c75e7ac62471bfbf2db77528d62a9b74"),
    "large": Archive("large.tar", md5="4dfbac018f50b99797ece101fc9f0c30"),
    "duplicate": Archive("duplicate.tar"),
    "limited": Archive("librispeech_finetuning.tgz"),
}
SUBSETS = {
    "small": (("small",), 577.0), "medium": (("medium",), 5193.0), "large": (("large",), 51934.0),
    "duplicate": (("duplicate",), 4500.0), "unlab-6k": (("small", "medium"), 5770.0),
    "unlab-60k": (("small", "medium", "large"), 57704.0),
}  # fmt: skip
LIMITED = {"10min": (r"1h/0", 0.17), "1h": (r"1h/[0-5]", 1.0), "10h": (r"(?:1h/[0-5]|9h)", 10.0)}
ROOT = (
    r"^(?:.*?/)??(?=(?:small|medium|large|(?:unlab_)?duplicate)/\d+/[^/]+/[^/]+$"
    r"|(?:1h/[0-5]|9h)/(?:clean|other)/\d+/\d+/|phones/[^/]+$)"
)
CHAPTER = r"(?P<stem>(?:unlab_)?(?P<subset>{subset})/(?P<speaker>\d+)/(?P<book>[^/]+)/(?P<chapter>[^/]+))\.{kind}"
LIMITED_FILE = (
    r"(?:1h/(?P<fold>[0-5])|9h)/(?P<condition>clean|other)/(?P<reader>\d+)/(?P<chapter>\d+)/"
    r"(?P<stem>(?P=reader)-(?P=chapter))(?:-(?P<number>\d+)\.flac|\.trans\.txt)"
)
FRAME = 0.01  # seconds, of the frame-wise phones


@dataclass
class LibriLightConfig(CorpusConfig):
    """A subset, and what is a row of it.

    subsets : sequence of str
        Folders of the corpus; empty for the transcribed sets.
    row : str
        ``speech`` is an interval of the voice activity, ``piece`` are consecutive intervals put together
        up to `seconds`, ``chapter`` is the file.
    seconds : float > 0
        An interval that is longer stays whole.
    """

    subsets: Sequence[str] = ()
    row: str = "speech"
    seconds: float = 60.0


def _configs() -> Iterator[LibriLightConfig]:
    for name, (subsets, hours) in SUBSETS.items():
        archives = [pattern for subset in subsets for pattern in (f"{subset}.tar", f"unlab_{subset}.tar")]
        for suffix, row in (("", "speech"), ("-60s", "piece"), ("-chapters", "chapter")):
            expected = Expected(hours=hours) if row == "chapter" else Expected()
            yield LibriLightConfig(
                name=f"{name}{suffix}", splits={"train": expected}, subsets=subsets, row=row, archives=archives
            )
    for name, (_, hours) in LIMITED.items():
        yield LibriLightConfig(name=name, splits={"train": Expected(hours=hours)}, archives=[ARCHIVES["limited"].name])


class LibriLight(CorpusBuilder):
    """Libri-Light."""

    FACTS = Facts(
        title="Libri-Light: a benchmark for ASR with limited or no supervision",
        homepage="https://github.com/facebookresearch/libri-light",
        licence="public domain (LibriVox); code MIT",
        access="Libri-Light is open: fetch small.tar, medium.tar, large.tar or librispeech_finetuning.tgz as "
        "https://github.com/facebookresearch/libri-light (data_preparation) says and pass data_dir=<their folder>",
        citation="Kahn, J., et al. (2020). Libri-Light: A Benchmark for ASR with Limited or No Supervision. ICASSP.",
        language="en",
        root=ROOT,
        archives=tuple(ARCHIVES.values()),
        labels=("book", "chapter", "subset", "fold"),
        own_labels={
            "title": Value("string"),
            "genre": List(Value("string")),
            "meta_genre": Value("string"),
            "dramatic_reading": Value("bool"),
            "snr": Value("float64"),
            "condition": Value("string"),  # clean or other, of the transcribed sets
            "phone_sequence": List(Value("string")),  # of the transcribed sets, where the phones have no times
        },
    )
    BUILDER_CONFIG_CLASS = LibriLightConfig
    BUILDER_CONFIGS = list(_configs())
    DEFAULT_CONFIG_NAME = "small"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield what the configuration calls a row."""
        if not self.config.subsets:
            yield from limited(files, self.config.name)
            return
        for subset in self.config.subsets:
            for path in files.match(CHAPTER.format(subset=subset, kind="(?P<kind>json|flac)")):
                if path["kind"] == "json":
                    yield from self._chapter(path, json.loads(files.read_text(path[0])))
                elif f"{path['stem']}.json" not in files:
                    yield from self._chapter(path, {})

    def _chapter(self, path: re.Match[str], about: Mapping[str, Any]) -> Iterator[Utterance]:
        """Yield the rows of a chapter: the file where nothing says who speaks when."""
        activity = about.get("voice_activity")
        if activity is not None and not activity and self.config.row != "chapter":
            logger.warning("%s: nobody speaks according to its JSON: no rows", path["stem"])
        rows: Iterator[tuple[str, dict[str, Any]]]
        if activity is None or self.config.row == "chapter":
            vad = [Segment("vad", float(start), float(end), "speech") for start, end in activity or ()]
            rows = iter([(path["stem"], {"segments": vad})])
        elif self.config.row == "speech":
            # Numbered as lhotse does.
            rows = (
                (f"{path['stem']}_{number}", {"start": float(start), "end": float(end)})
                for number, (start, end) in enumerate(activity)
            )
        else:
            rows = (
                (f"{path['stem']}_{number:04}", {"parts": parts, "segments": joined(parts)})
                for number, parts in enumerate(pieces(activity, self.config.seconds))
            )
        labels = describe(path, about)
        speaker = str(about.get("speaker") or path["speaker"])
        for name, place in rows:
            yield Utterance(name, f"{path['stem']}.flac", speaker_id=speaker, labels=labels, **place)


def describe(path: re.Match[str], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the labels of a chapter out of its JSON.

    {"speaker": "100", "book_meta": {"id": "2332", "title": "...", "genre": ["..."], "Dramatic Readings": false,
     "meta_genre": "Literature"}, "snr": 13.0, "voice_activity": [[0.48, 14.9], [15.2, 30.7]]}
    """
    book = about.get("book_meta") or {}
    genre, dramatic = book.get("genre"), book.get("Dramatic Readings")
    return {
        "book": path["book"],
        "chapter": path["chapter"],
        "subset": path["subset"],
        "title": book.get("title"),
        "genre": [genre] if isinstance(genre, str) else genre,
        "meta_genre": book.get("meta_genre"),
        "dramatic_reading": None if dramatic is None else bool(dramatic),
        "snr": about.get("snr"),
    }


def pieces(activity: Sequence[Sequence[float]], seconds: float) -> Iterator[list[tuple[float, float]]]:
    """Put consecutive intervals together up to a length, as the corpus' own ``cut_by_vad.py`` does."""
    parts: list[tuple[float, float]] = []
    length = 0.0
    for start, end in activity:
        if parts and length > 0 and length + (end - start) > seconds:
            yield parts
            parts, length = [], 0.0
        # The script cuts at int(seconds * 16000).
        parts.append((int(start * SAMPLING_RATE) / SAMPLING_RATE, int(end * SAMPLING_RATE) / SAMPLING_RATE))
        length += end - start
    if parts:
        yield parts


def joined(parts: Sequence[tuple[float, float]]) -> list[Segment]:
    """Return where the parts lie once they are put together."""
    edges = [0, *itertools.accumulate(round((end - start) * SAMPLING_RATE) for start, end in parts)]
    return [Segment("vad", a / SAMPLING_RATE, b / SAMPLING_RATE, "speech") for a, b in itertools.pairwise(edges)]


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
