"""AMI: meetings of four people, half of them played by a scenario, with words and turns timed.

Source: Carletta et al. (2005), https://groups.inf.ed.ac.uk/ami/corpus/. Recordings are single files
``<meeting>.<stream>.wav`` in any folders; annotations are those of ami_public_manual (1.6.1 or 1.6.2), NXT XML.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Value

from builders.ami.meetings import PARTITIONS, described, of_meeting, read_meetings, read_participants, split_of
from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.nxt import Token, Turn, read_tokens, read_turns, text_of
from builders.schema import Segment

logger = logging.getLogger(__name__)

SITE = "https://groups.inf.ed.ac.uk/ami"
RECORDING = r"(?P<meeting>[A-Z]{2}\d{4}[a-e]?)\.(?:Headset-\d|Mix-Headset|Array\d-\d\d)\.wav"
STREAMS = {"ihm": "Headset-{channel}", "sdm": "Array1-01", "mix": "Mix-Headset"}
NO_ARRAY = ("IS1003b", "IS1007d")  # were never published


@dataclass
class AmiConfig(CorpusConfig):
    """A choice of microphones and of what a row is.

    partition : str
        ``full-corpus-asr``, ``full-corpus`` or ``scenario-only``.
    """

    partition: str = PARTITIONS[0]


class Ami(CorpusBuilder):
    """The AMI Meeting Corpus."""

    FACTS = Facts(
        title="AMI Meeting Corpus",
        homepage="https://groups.inf.ed.ac.uk/ami/corpus/",
        licence="CC BY 4.0",
        access="AMI is open: without data_dir recordings and annotations are fetched from "
        "https://groups.inf.ed.ac.uk/ami/download/",
        citation="Carletta, J., et al. (2005). The AMI Meeting Corpus: A pre-announcement. MLMI.",
        language="en",
        channel="0",  # all streams are mono but the headsets of ES2010d, whose two channels are equal
        root=rf"^(?:.*/)?(?={RECORDING}$|(?:words|segments|corpusResources)/[^/]+\.xml$)",
        archives=(
            Archive(
                "ami_public_manual_1.6.2.zip",
                22_887_865,
                url=f"{SITE}/AMICorpusAnnotations/ami_public_manual_1.6.2.zip",
                sha256="b56e5babb2496b8795deeeda7e71178d7fbc9963f94276cf2a3f4b56ebbc9f9d",
            ),
        ),
        archive_patterns=("ami_public_manual*", "*amicorpus*"),
        labels=("gender", "age", "category"),
        text_gaps=True,
        own_labels={
            "meeting": Value("string"),
            "site": Value("string"),
            "role": Value("string"),  # PM project manager, ID industrial designer, ME marketing, UI user interface
            "native_language": Value("string"),
            "num_speakers": Value("int32"),  # of a meeting
        },
    )
    BUILDER_CONFIG_CLASS = AmiConfig
    BUILDER_CONFIGS = [
        *(AmiConfig(name=name, description=f"One row a turn, {what}.",
                    splits={"train": Expected(), "validation": Expected(), "test": Expected()})
          for name, what in (("ihm", "from the speaker's headset"), ("sdm", "from the first microphone of the array"),
                             ("mix", "from the mix of the headsets"))),
        AmiConfig(name="sdm_meetings", description="One row a meeting, from the first microphone of the array.",
                  splits={"train": Expected(134), "validation": Expected(18), "test": Expected(16)}),
        AmiConfig(name="mix_meetings", description="One row a meeting, from the mix of the headsets.",
                  splits={"train": Expected(136), "validation": Expected(18), "test": Expected(16)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "ihm"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the turns of a split's meetings, or the meetings; those of which no recording is there are left out."""
        microphone, _, whole = self.config.name.partition("_")
        recorded = {found["meeting"] for found in files.match(RECORDING)}
        participants = read_participants(files)
        absent = 0
        for meeting, speakers in read_meetings(files):
            if split_of(meeting, self.config.partition) != split or (microphone == "sdm" and meeting in NO_ARRAY):
                continue
            if meeting not in recorded:
                absent += 1
                continue
            for known in speakers.values():
                known |= {**described(known["name"]), **participants.get(known["name"], {})}
            if whole:
                yield whole_meeting(files, meeting, speakers, STREAMS[microphone])
            else:
                yield from meeting_turns(files, meeting, speakers, STREAMS[microphone])
        if absent:
            logger.warning("%s: no recording of %d meetings is there: left out", split, absent)

    def further(self, files: Files) -> Iterator[Archive]:
        """Yield the recordings of the configuration's microphones, of all meetings that are in a split."""
        microphone = self.config.name.partition("_")[0]
        for meeting, speakers in read_meetings(files):
            if not split_of(meeting, self.config.partition) or (microphone == "sdm" and meeting in NO_ARRAY):
                continue
            for stream in {STREAMS[microphone].format(**known): None for known in speakers.values()}:
                name = f"{meeting}.{stream}.wav"
                yield Archive(name, url=f"{SITE}/AMICorpusMirror/amicorpus/{meeting}/audio/{name}", may_lack=True)


def meeting_turns(
    files: Files, meeting: str, speakers: Mapping[str, Mapping[str, Any]], stream: str
) -> Iterator[Utterance]:
    """Yield a row for each turn, agent by agent; a turn may hold no word, only a laugh."""
    for agent, known in speakers.items():
        audio = f"{meeting}.{stream.format(channel=known['channel'])}.wav"
        labels = {name: known.get(name) for name in ("gender", "age", "role", "native_language")}
        for number, turn in enumerate(turns_of(files, meeting, agent)):
            name = turn.id.removeprefix(f"{meeting}.") or str(number)
            yield Utterance(
                f"{meeting}.{agent}.{name}", audio, text_of(turn.tokens), known["name"], start=turn.start, end=turn.end,
                segments=list(timed(turn.tokens, turn.start, turn.end)), labels={**labels, **of_meeting(meeting)},
            )  # fmt: skip


def whole_meeting(files: Files, meeting: str, speakers: Mapping[str, Mapping[str, Any]], stream: str) -> Utterance:
    """Make a row of a meeting: who speaks when, what is said in each turn, words and events."""
    segments: list[Segment] = []
    for agent, known in speakers.items():
        name = known["name"]
        for turn in turns_of(files, meeting, agent):
            segments += [
                Segment("speakers", turn.start, turn.end, name, name),
                Segment("turns", turn.start, turn.end, text_of(turn.tokens), name),
                *(segment._replace(speaker=name) for segment in timed(turn.tokens)),
            ]
    segments.sort(key=lambda segment: (segment.tier, segment.start, segment.end))
    labels = {**of_meeting(meeting), "num_speakers": len({s.speaker for s in segments if s.tier == "speakers"})}
    return Utterance(meeting, f"{meeting}.{stream}.wav", segments=segments, labels=labels)


def turns_of(files: Files, meeting: str, agent: str) -> Iterator[Turn]:
    """Yield the turns of one speaker of a meeting."""
    words, segments = (f"{kind}/{meeting}.{agent}.{kind}.xml" for kind in ("words", "segments"))
    if words not in files or segments not in files:
        logger.warning("%s or %s is not there: no turns of this speaker", words, segments)
        return
    tokens = list(read_tokens(files.read(words), words))
    yield from read_turns(files.read(segments), segments, tokens)


def timed(tokens: Iterable[Token], start: float = 0.0, end: float = float("inf")) -> Iterator[Segment]:
    """Yield words and events that have times, from `start` on, cut at both ends of the row."""
    for token in tokens:
        if token.start is None or token.end is None or token.punctuation:
            continue
        first, last = (round(min(max(time, start), end) - start, 6) for time in (token.start, token.end))
        if last > first:  # not what lies outside the row, nor what ends before it begins
            yield Segment("words" if token.kind == "w" else "events", first, last, token.label)
