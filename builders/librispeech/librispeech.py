"""LibriSpeech: 1,000 hours of read English audio books, with the forced alignments that others published.

Source: Panayotov et al. (2015), https://www.openslr.org/12 (mini: https://www.openslr.org/31).
Alignments: Lugosch et al. (2019), https://doi.org/10.5281/zenodo.2619474, or the archives of
https://github.com/CorentinJ/librispeech-alignments (TextGrids, or the condensed text, words only).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.cache import absolute
from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.schema import Segment
from builders.textgrid import read_textgrid

OPENSLR = "https://www.openslr.org/resources"
SUBSETS = {
    subset: Archive(f"{subset}.tar.gz", size, md5, f"{OPENSLR}/{number}/{subset}.tar.gz")
    for subset, number, size, md5 in (
        ("dev-clean", 12, 337926286, "42e2234ba48799c1f50f24a7926300a1"),
        ("dev-other", 12, 314305928, "c8d0bcc9cca99d4f8b62fcc847357931"),
        ("test-clean", 12, 346663984, "32fa31d27d2e1cad72775fee3f4849a9"),
        ("test-other", 12, 328757843, "fb5a50374b501bb3bac4815ee91d3135"),
        ("train-clean-100", 12, 6387309499, "2a93770f6d5c6c964bc36631d331a522"),
        ("train-clean-360", 12, 23049477885, "c0e676e450a7ff2f54aeade5171606fa"),
        ("train-other-500", 12, 30593501606, "d1a0fd59409feb2c614ce4d30c387708"),
        ("dev-clean-2", 31, None, "6d7ab67ac6a1d2c993d050e16d61080d"),
        ("train-clean-5", 31, None, None),
    )
}
PUBLISHED = {
    "dev-clean": Expected(2703, 5.4), "dev-other": Expected(2864, 5.3), "test-clean": Expected(2620, 5.4),
    "test-other": Expected(2939, 5.1), "train-clean-100": Expected(28539, 100.6),
    "train-clean-360": Expected(104014, 363.6), "train-other-500": Expected(148688, 496.7),
    "dev-clean-2": Expected(), "train-clean-5": Expected(),
}  # fmt: skip
# Names of configurations and splits as users of the Hub's librispeech_asr know them, then each subset alone.
SPLITS = {
    "all": {
        "train.clean.100": "train-clean-100", "train.clean.360": "train-clean-360",
        "train.other.500": "train-other-500",
        "validation.clean": "dev-clean", "validation.other": "dev-other",
        "test.clean": "test-clean", "test.other": "test-other",
    },
    "clean": {
        "train.100": "train-clean-100", "train.360": "train-clean-360",
        "validation": "dev-clean", "test": "test-clean",
    },
    "other": {"train.500": "train-other-500", "validation": "dev-other", "test": "test-other"},
    "mini": {"train": "train-clean-5", "validation": "dev-clean-2"},
    **{subset: {subset.split("-")[0].replace("dev", "validation"): subset} for subset in SUBSETS},
}  # fmt: skip

BELOW = r"(?:dev|test|train)-(?:clean|other)(?:-\d+)?/\d+/\d+/"
ROOT = rf"^(?:.*/)?(?={BELOW})|^(?:.*/)?LibriSpeech/"
FILE = (
    r"{subset}/(?P<reader>\d+)/(?P<chapter>\d+)/(?P<stem>(?P=reader)-(?P=chapter))"
    r"(?:-(?P<number>\d+)\.flac|\.trans\.txt)"
)


@dataclass
class LibriSpeechConfig(CorpusConfig):
    """A choice of subsets.

    alignments : str or None
        Folder or zip of TextGrids, or of the condensed ``.alignment.txt`` files.
    """

    alignments: str | None = None


class LibriSpeech(CorpusBuilder):
    """LibriSpeech, and the mini LibriSpeech."""

    FACTS = Facts(
        title="LibriSpeech ASR corpus",
        homepage="https://www.openslr.org/12",
        licence="CC BY 4.0",
        access="LibriSpeech is open: without data_dir it is fetched from https://www.openslr.org/12",
        citation="Panayotov, V., Chen, G., Povey, D., Khudanpur, S. (2015). Librispeech: an ASR corpus based on "
        "public domain audio books. ICASSP.",
        language="en",
        phone_set="arpabet",
        root=ROOT,
        archives=tuple(SUBSETS.values()),
        labels=("gender", "chapter", "subset"),
    )
    BUILDER_CONFIG_CLASS = LibriSpeechConfig
    BUILDER_CONFIGS = [
        LibriSpeechConfig(
            name=name,
            splits={split: PUBLISHED[subset] for split, subset in splits.items()},
            archives=[SUBSETS[subset].name for subset in splits.values()],
        )
        for name, splits in SPLITS.items()
    ]
    DEFAULT_CONFIG_NAME = "all"

    def __init__(self, *args: Any, alignments: str | None = None, **kwargs: Any) -> None:
        self.aligned = Files(absolute(alignments), root=ROOT) if alignments else None
        options = {"alignments": str(absolute(alignments))} if alignments else {}
        super().__init__(*args, **options, **kwargs)

    def identity(self, options: Mapping[str, Any]) -> list[Any]:
        """Add what lies in the folder of alignments."""
        return [*super().identity(options), self.aligned and self.aligned.fingerprint]

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances of a subset: those transcribed, and those that have audio only."""
        subset = SPLITS[self.config.name][split]
        genders = read_genders(files)
        texts: dict[str, str] = {}
        for path in files.match(FILE.format(subset=re.escape(subset))):
            # In the order of names a chapter's audio (-) comes before its transcript (.).
            if path["number"]:
                texts.setdefault(f"{path['stem']}-{path['number']}", "")
                continue
            texts |= read_transcript(files, path[0])
            yield from (self._utterance(subset, name, text, genders) for name, text in texts.items())
            texts = {}
        # Audio behind the last transcript: a chapter without one is not lost.
        yield from (self._utterance(subset, name, text, genders) for name, text in texts.items())

    def _utterance(self, subset: str, name: str, text: str, genders: dict[str, str]) -> Utterance:
        reader, chapter, _ = name.split("-")
        stem = f"{subset}/{reader}/{chapter}/{name}"
        labels = {"gender": genders.get(reader), "chapter": chapter, "subset": subset}
        segments = read_alignment(self.aligned, stem) if self.aligned else ()
        return Utterance(name, f"{stem}.flac", text or None, reader, segments=segments, labels=labels)


def read_transcript(files: Files, name: str) -> dict[str, str]:
    """Read a .trans.txt: ``121-121726-0000 ALSO A POPULAR CONTRIVANCE``."""
    lines = (line.partition(" ") for line in files.lines(name))
    return {identifier: text.strip() for identifier, _, text in lines}


def read_genders(files: Files) -> dict[str, str]:
    """Read SPEAKERS.TXT where it is there: reader to gender.

    14   | F | train-clean-360  | 25.03 | Kristin LeMoine
    60   | M | train-clean-100  | 20.18 | |CBW|Simon
    """
    found = next(files.match(r"(?:.*/)?SPEAKERS\.TXT"), None)  # a copy's top folder can have any name
    rows = (line.split("|", 4) for line in files.lines(found[0])) if found else ()
    words = {"F": "female", "M": "male"}
    return {row[0].strip(): words[row[1].strip()] for row in rows if len(row) == 5 and row[1].strip() in words}


def read_alignment(files: Files, stem: str) -> Sequence[Segment]:
    """Return the tiers of an utterance; some 50 could not be aligned and have none."""
    if f"{stem}.TextGrid" in files:
        text = files.read_text(f"{stem}.TextGrid")
        found = read_textgrid(text, f"{stem}.TextGrid", {"words": "words", "phones": "phones"})
        return [segment for segment in found if segment.tier == "phones" or segment.label]
    chapter, identifier = stem.rsplit("-", 1)[0], stem.rsplit("/", 1)[1]
    condensed = f"{chapter}.alignment.txt"
    lines = files.lines(condensed) if condensed in files else ()
    return next((condensed_words(line) for line in lines if line.startswith(f"{identifier} ")), ())


def condensed_words(line: str) -> list[Segment]:
    """Read a line of the condensed form: labels and end times; an empty label is silence.

    84-121123-0000 ",GO,,DO,YOU,HEAR," "0.490,0.890,1.270,1.380,1.490,1.890,2.09"
    """
    _, labels, ends = line.split(" ", 2)
    words, times = labels.strip('"').split(","), [0.0, *map(float, ends.strip().strip('"').split(","))]
    spans = zip(words, times[:-1], times[1:], strict=True)
    return [Segment("words", start, end, word) for word, start, end in spans if word]
