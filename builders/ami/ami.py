"""AMI: meetings of four people, half of them played by a scenario, with words and turns timed.

Source: Carletta et al. (2005), https://groups.inf.ed.ac.uk/ami/corpus/. Recordings are single files
``<meeting>.<stream>.wav`` in any folders; annotations are those of ami_public_manual (1.6.1 or 1.6.2), NXT XML.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.nxt import NITE_ID, Token, Turn, parse, read_tokens, read_turns, text_of
from builders.schema import Segment

logger = logging.getLogger(__name__)

RECORDING = r"(?P<meeting>[A-Z]{2}\d{4}[a-e]?)\.(?:Headset-\d|Mix-Headset|Array\d-\d\d)\.wav"
STREAMS = {"ihm": "Headset-{channel}", "sdm": "Array1-01", "mix": "Mix-Headset"}
NO_ARRAY = ("IS1003b", "IS1007d")  # were never published
# Of the partition full-corpus-asr; the others move four groups, and one leaves out what is no scenario.
VALIDATION = ("ES2011", "IS1008", "TS3004", "IB4001", "IB4002", "IB4003", "IB4004", "IB4010", "IB4011")
TEST = ("ES2004", "IS1009", "TS3003", "EN2002")
MOVED = {"ES2003": "validation", "TS3006": "validation", "ES2014": "test", "TS3007": "test"}
LEFT_OUT = ("IB4005",)
PARTITIONS = ("full-corpus-asr", "full-corpus", "scenario-only")
SITES = {"E": "Edinburgh", "I": "Idiap", "T": "TNO"}
KINDS = {"S": "scenario", "N": "natural", "B": "other scenario"}
GENDERS = {"F": "female", "M": "male"}
LANGUAGES = {"E": "English", "D": "Dutch"}  # third letter of a participant's id; O is any other


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
        access="AMI is open: fetch <meeting>.<stream>.wav and ami_public_manual_1.6.2.zip from "
        "https://groups.inf.ed.ac.uk/ami/download/ and pass data_dir=<folder of both>",
        citation="Carletta, J., et al. (2005). The AMI Meeting Corpus: A pre-announcement. MLMI.",
        language="en",
        channel="0",  # all streams are mono but the headsets of ES2010d, whose two channels are equal
        root=rf"^(?:.*/)?(?={RECORDING}$|(?:words|segments|corpusResources)/[^/]+\.xml$)",
        archives=(Archive("ami_public_manual_1.6.2.zip", 22_887_865),),
        archive_patterns=("ami_public_manual*", "*amicorpus*"),
        labels=("gender", "age", "category"),
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


def split_of(meeting: str, partition: str) -> str | None:
    """Return the split that a meeting belongs to, None where the partition leaves it out."""
    if partition not in PARTITIONS:
        raise CorpusError(f"unknown partition {partition!r}: expected one of {list(PARTITIONS)}")
    if meeting in LEFT_OUT or (partition == "scenario-only" and meeting[1] != "S"):
        return None
    group = meeting[:6]
    if partition != PARTITIONS[0] and group in MOVED:
        return MOVED[group]
    return "validation" if group in VALIDATION else "test" if group in TEST else "train"


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
        yield Segment("words" if token.kind == "w" else "events", first, last, token.label)


def of_meeting(meeting: str) -> dict[str, str | None]:
    """Return what the letters of a meeting's id say: site and kind."""
    return {"meeting": meeting, "site": SITES.get(meeting[0]), "category": KINDS.get(meeting[1])}


def described(participant: str) -> dict[str, str | None]:
    """Return what the letters of a participant's id say, e.g. FEE005: gender, site, native language."""
    if not re.match(r"[MF][IET][EDO]\d", participant):
        return {}
    return {"gender": GENDERS[participant[0]], "native_language": LANGUAGES.get(participant[2])}


def read_meetings(files: Files) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Read meetings.xml: meeting, and for each agent the number of the headset, the participant and the role.

    <meeting nite:id="m1" observation="ES2002a" type="scenario">
      <speaker nite:id="s1" nxt_agent="A" channel="1" global_name="MEE006" role="PM"/>
      <speaker nite:id="s2" nxt_agent="B" channel="0" global_name="FEE005" role="ID"/>
    """
    name = "corpusResources/meetings.xml"
    for meeting in parse(files.read(name), name).iter("meeting") if name in files else ():
        title = meeting.attrib["observation"]
        yield title, {
            speaker.attrib["nxt_agent"]: {
                "channel": speaker.get("channel"), "role": speaker.get("role"),
                "name": speaker.get("global_name") or f"{title}_{speaker.attrib['nxt_agent']}",
            }
            for speaker in sorted(meeting.iter("speaker"), key=lambda speaker: speaker.attrib["nxt_agent"])
        }  # fmt: skip


def read_participants(files: Files) -> dict[str, dict[str, str]]:
    """Read participants.xml where it is there: participant to gender, age, native language.

    <participant nite:id="FEE005" sex="F" age_at_collection="23" native_language="English" meeting="ES2002">
    """
    name = "corpusResources/participants.xml"
    found = {}
    for element in parse(files.read(name), name).iter("participant") if name in files else ():
        row = {
            "gender": GENDERS.get(element.get("sex", "")[:1].upper()),
            "age": element.get("age_at_collection"),
            "native_language": element.get("native_language"),
        }
        found[element.get(NITE_ID, "")] = {key: value for key, value in row.items() if value}
    return found
