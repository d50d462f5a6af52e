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
from builders.libri_light.transcribed import LIMITED, limited
from builders.listing import Utterance
from builders.schema import SAMPLING_RATE, Segment

logger = logging.getLogger(__name__)

ARCHIVES = {
    "small": Archive("small.tar", md5="c49207eb86a8e8ac895561c37232041e"),
    "medium": Archive("medium.tar", md5="c75e7ac62471bfbf2db77528d62a9b74"),
    "large": Archive("large.tar", md5="4dfbac018f50b99797ece101fc9f0c30"),
    "duplicate": Archive("duplicate.tar"),
    "limited": Archive(
        "librispeech_finetuning.tgz", sha256="5d1efdc777b548194d7e09ba89126e2188026df9fd57aa57eb14408d2b2342af"
    ),
}
SUBSETS = {
    "small": (("small",), 577.0), "medium": (("medium",), 5193.0), "large": (("large",), 51934.0),
    "duplicate": (("duplicate",), 4500.0), "unlab-6k": (("small", "medium"), 5770.0),
    "unlab-60k": (("small", "medium", "large"), 57704.0),
}  # fmt: skip
ROOT = (
    r"^(?:.*?/)??(?=(?:small|medium|large|(?:unlab_)?duplicate)/\d+/[^/]+/[^/]+$"
    r"|(?:1h/[0-5]|9h)/(?:clean|other)/\d+/\d+/|phones/[^/]+$)"
)
CHAPTER = r"(?P<stem>(?:unlab_)?(?P<subset>{subset})/(?P<speaker>\d+)/(?P<book>[^/]+)/(?P<chapter>[^/]+))\.{kind}"


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
        access="Libri-Light is open: without data_dir a subset (small 35 GB, medium 321 GB, large 3 TB) is fetched "
        "from https://dl.fbaipublicfiles.com/librilight/data/",
        citation="Kahn, J., et al. (2020). Libri-Light: A Benchmark for ASR with Limited or No Supervision. ICASSP.",
        language="en",
        root=ROOT,
        download="https://dl.fbaipublicfiles.com/librilight/data/",
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
