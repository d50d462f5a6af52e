"""AISHELL-4: Mandarin meetings, recorded by an array of eight microphones in the middle of the table.

Source: Fu et al. (2021), https://www.openslr.org/111. Each session has a TextGrid with a tier for each speaker, and an
RTTM with the turns alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.rttm import read_rttm
from builders.schema import Segment
from builders.textgrid import read_textgrid

logger = logging.getLogger(__name__)

# train_M/wav/20200616_M_R001S01C01.flac | test/TextGrid/L_R003S01C02.rttm
FILE = (
    r"(?P<subset>train_[LMS]|test)/(?:wav|TextGrid)/(?P<session>(?:\d+_)?(?P<room>[LMS])_\w+)\.(?:flac|TextGrid|rttm)"
)
ROOMS = {"L": "large", "M": "medium", "S": "small"}
# What recipes take out of the transcripts: tags, stray signs, ASCII comma and Chinese comma, stop, question mark, list
# comma, and the ideograph that stands for it.
OUT = re.compile(r"<(?:sil|%|-|\$|#|_|space|)>|[`&,\uff0c\u3002\uff1f\u3001\u4e36\r\n]")
LATIN = {first + letter: 0x41 + letter for first in (0xFF21, 0xFF41) for letter in range(26)}  # full width


@dataclass
class Aishell4Config(CorpusConfig):
    """What a row is, and which of the eight channels it holds.

    channel : str
        Number of the channel, ``0`` to ``7``, or ``mean`` of all.
    """

    channel: str = "0"


class Aishell4(CorpusBuilder):
    """AISHELL-4."""

    FACTS = Facts(
        title="AISHELL-4: Mandarin meetings, far-field",
        homepage="https://www.openslr.org/111",
        licence="CC BY-SA 4.0",
        access="AISHELL-4 is open: fetch train_L.tar.gz, train_M.tar.gz, train_S.tar.gz, test.tar.gz from "
        "https://www.openslr.org/111 and pass data_dir=<their folder>",
        citation="Fu, Y., et al. (2021). AISHELL-4: An Open Source Dataset for Speech Enhancement, Separation, "
        "Recognition and Speaker Diarization in Conference Scenario. Interspeech.",
        language="zh",
        channel="0",  # the first of eight; the option `channel` takes another
        root=r"^(?:.*/)?(?=(?:train_[LMS]|test)/(?:wav|TextGrid)/)",
        download="https://www.openslr.org/resources/111/",
        archives=(
            Archive("train_L.tar.gz", 7_063_541_045),
            Archive("train_M.tar.gz", 25_499_868_580),
            Archive("train_S.tar.gz", 14_130_002_566),
            Archive("test.tar.gz", 5_241_010_904),
        ),
        labels=("subset",),
        own_labels={
            "session": Value("string"),
            "room": Value("string"),  # large, medium, small
            "num_speakers": Value("int32"),  # of a session
            "text_raw": Value("string"),  # with tags and punctuation
        },
    )
    BUILDER_CONFIG_CLASS = Aishell4Config
    BUILDER_CONFIGS = [
        Aishell4Config(name="utterances", description="One row an utterance, cut out of its session.",
                       splits={"train": Expected(), "test": Expected()}),
        Aishell4Config(name="sessions", description="One row a session of about half an hour, its turns as segments.",
                       splits={"train": Expected(191), "test": Expected(20)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "utterances"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances or the sessions of a split."""
        channel = str(self.config.channel)
        if not re.fullmatch(r"[0-7]|mean", channel):
            raise CorpusError(f"no channel {channel!r}: expected one of 0 to 7, or mean")
        # 211 sessions; those of which audio or annotation is missing as well.
        sessions = {found["session"]: found for found in files.match(FILE) if found["subset"].split("_")[0] == split}
        for session, found in sorted(sessions.items()):
            audio = f"{found['subset']}/wav/{session}.flac"
            turns = read_turns(files, f"{found['subset']}/TextGrid/{session}")
            labels = {"subset": found["subset"], "session": session, "room": ROOMS[found["room"]]}
            if self.config.name == "sessions":
                segments = sorted(turns.values(), key=lambda turn: (turn.tier, turn.start, turn.end))
                counted = {**labels, "num_speakers": len({turn.speaker for turn in segments})}
                yield Utterance(session, audio, segments=segments, labels=counted, channel=channel)
                continue
            for name, turn in turns.items():
                if turn.tier == "turns":
                    yield Utterance(
                        name, audio, normal(turn.label), turn.speaker, labels={**labels, "text_raw": turn.label},
                        start=turn.start, end=turn.end, channel=channel,
                    )  # fmt: skip


def read_turns(files: Files, stem: str) -> dict[str, Segment]:
    """Return the turns of a session by ids, in the tier ``turns`` (text) and the tier ``speakers`` (local name).

    Without a TextGrid the turns of the RTTM have no text. Speakers' names are local, so the session's comes before.
    """
    session = stem.rsplit("/", 1)[1]
    turns = {}
    if f"{stem}.TextGrid" in files:
        for local, number, interval in intervals(files.read_text(f"{stem}.TextGrid"), f"{stem}.TextGrid"):
            known = {"speaker": f"{session}_{local}"}
            name = f"{session}-{local}-{number}"
            turns[name] = interval._replace(tier="turns", **known)
            turns[f"{name} speaker"] = interval._replace(tier="speakers", label=local, **known)
    elif f"{stem}.rttm" in files:
        logger.warning("%s.TextGrid is not there: turns without text, of the RTTM", stem)
        for number, turn in enumerate(read_rttm(files.lines(f"{stem}.rttm"), f"{stem}.rttm")):
            turns[f"{session}-{turn.label}-{number} speaker"] = turn._replace(speaker=f"{session}_{turn.label}")
    else:
        logger.warning("%s.TextGrid is not there: no turns of this session", stem)
    return turns


class Every(dict[str, str]):
    """All tiers, each under its own name: they are named for the speakers."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return name


def intervals(text: str, name: str) -> Iterator[tuple[str, int, Segment]]:
    """Yield speaker, number within the tier and interval for all that is not silence.

    Ends of tiers and of the file count for nothing: those of 20200622_M_R002S07C01 and 20200710_M_R002S06C01 are too
    early, for which strict readers refuse them.
    """
    numbers: dict[str, int] = {}
    for interval in read_textgrid(text, name, Every()):
        numbers[interval.tier] = number = numbers.get(interval.tier, -1) + 1
        label = interval.label.strip()
        if label and interval.end <= interval.start:
            logger.warning("%s: %r from %g to %g has no length: left out", name, label, interval.start, interval.end)
        elif label:
            yield interval.tier, number, interval._replace(label=label)


def normal(text: str) -> str:
    """Return a transcript without tags and punctuation, Latin letters as ASCII capitals."""
    return OUT.sub("", text).translate(LATIN).upper().strip()
