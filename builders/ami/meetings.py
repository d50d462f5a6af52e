"""The meetings of AMI: which split each belongs to, who takes part, and what their names say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from builders.errors import CorpusError
from builders.files import Files
from builders.nxt import NITE_ID, parse

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
