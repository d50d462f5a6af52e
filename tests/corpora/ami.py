"""A miniature AMI: recordings of several streams, and the annotations as NXT XML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from tests.corpora.sound import noise, riff

HEADER = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'
NAMESPACE = 'xmlns:nite="http://nite.sourceforge.net/"'
LENGTH = 96_000  # samples, 6 s

# meeting -> agent -> (headset, participant, role); agents and headsets are not in one order.
MEETINGS = {
    "ES2011a": {"A": (1, "FEE041", "PM"), "B": (0, "MEO042", "ID")},
    "IS1009a": {"A": (0, "FIE088", "PM"), "B": (1, "MID001", "ME")},
    "ES2010d": {"A": (0, "FEE038", "PM"), "B": (1, "MEE040", "UI")},
    "IS1003b": {"A": (0, "MIO012", "PM"), "B": (1, "MIE011", "ME")},
    "ES2014a": {"A": (0, "MEE054", "PM"), "B": (1, "FEE055", "ME")},
    "EN2002a": {"A": (0, "MEE071", ""), "B": (1, "FEO072", "")},
    "IB4005": {"A": (0, "MIO098", ""), "B": (1, "MIO099", "")},
}
STEREO = "ES2010d"  # its headsets have two equal channels
NO_ARRAY = "IS1003b"
PARTICIPANTS = {"FEE041": ("F", "23", "English"), "MEO042": ("M", "31", "French"), "FIE088": ("F", "44", "English")}

# Elements of a words file: (kind, start, end, text or type, further attributes).
WORDS = {
    "A": (
        ("w", "0.42", "0.99", "Okay", ""), ("w", "0.99", "0.99", ".", 'punc="true"'),
        ("vocalsound", "1.2", "1.5", "laugh", ""),
        ("w", "2.0", "2.25", "The", ""), ("w", "2.25", "2.5", "rem", 'trunc="true"'),
        ("disfmarker", "2.5", "2.6", "", ""),
        ("w", "2.6", "3.0", "X_M_L_", ""), ("w", "", "", "café", ""), ("w", "3.0", "3.0", "?", 'punc="true"'),
        ("gap", "", "", "", ""), ("vocalsound", "4.0", "4.5", "cough", ""),
    ),
    "B": (("w", "1.1", "1.4", "Mm-hmm", ""), ("w", "1.4", "1.4", ",", 'punc="true"'), ("w", "1.4", "1.75", "yeah", ""),
          ("w", "5.5", "5.9", "Bye", "")),
}  # fmt: skip
# Segments: number, start, end, first and last word.
SEGMENTS = {
    "A": ((3, "0.408", "1.55", 0, 2), (8, "1.955", "3.1", 3, 9), (12, "4.0", "4.5", 10, 10)),
    "B": ((5, "1.1", "1.75", 0, 2), (14, "5.5", "6.5", 3, 3)),  # the last one ends behind the audio
}


def samples_of(meeting: str, stream: str) -> np.ndarray:
    """Return a stream's audio [shape=(samples,), int16]."""
    return noise(LENGTH, seed=sum(map(ord, meeting + stream)))


def write(folder: Path, layout: str = "lhotse", meetings: Sequence[str] = tuple(MEETINGS)) -> Path:
    """Write the miniature to `folder`, which is returned.

    layout : {"lhotse", "kaldi", "flat"}
        ``wav_db/<meeting>/audio/`` and ``ami_public_manual_1.6.2/``; ``<meeting>/audio/`` and the annotations beside
        the meetings; all recordings in one folder.
    """
    for meeting in meetings:
        above = {"lhotse": f"wav_db/{meeting}/audio", "kaldi": f"{meeting}/audio", "flat": "wavs"}[layout]
        (folder / above).mkdir(parents=True, exist_ok=True)
        for stream in ("Headset-0", "Headset-1", "Mix-Headset", "Array1-01"):
            if (meeting, stream) != (NO_ARRAY, "Array1-01"):
                pcm = samples_of(meeting, stream)
                two = meeting == STEREO and stream.startswith("Headset")
                (folder / above / f"{meeting}.{stream}.wav").write_bytes(riff(np.stack([pcm] * 2, 1) if two else pcm))
    write_annotations(folder / ("ami_public_manual_1.6.2" if layout == "lhotse" else ""), meetings)
    return folder


def write_annotations(folder: Path, meetings: Sequence[str]) -> None:
    """Write ``words/``, ``segments/`` and ``corpusResources/``."""
    for meeting in meetings:
        for agent in MEETINGS[meeting]:
            save(folder, f"words/{meeting}.{agent}.words.xml", words_of(meeting, agent))
            save(folder, f"segments/{meeting}.{agent}.segments.xml", segments_of(meeting, agent))
    save(folder, "corpusResources/meetings.xml", meetings_xml({meeting: MEETINGS[meeting] for meeting in meetings}))
    rows = "".join(
        f'<participant nite:id="{name}" sex="{sex}" age_at_collection="{age}" native_language="{language}">\n'
        f'  <english_language region="Scotland"/>\n</participant>\n'
        for name, (sex, age, language) in PARTICIPANTS.items()
    )
    save(folder, "corpusResources/participants.xml", rows)


def save(folder: Path, name: str, body: str) -> None:
    """Write a document with the body between the tags of the root."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{HEADER}<nite:root nite:id="x" {NAMESPACE}>\n{body}</nite:root>\n', encoding="iso-8859-1")


def meetings_xml(meetings: Mapping[str, Mapping[str, tuple[int, str, str]]]) -> str:
    """Return the body of meetings.xml."""
    lines = []
    for meeting, agents in meetings.items():
        lines.append(f'<meeting nite:id="m_{meeting}" observation="{meeting}" type="scenario">')
        for agent, (channel, name, role) in agents.items():
            known = f' role="{role}"' if role else ""
            lines.append(f'  <speaker channel="{channel}" nxt_agent="{agent}" global_name="{name}"{known}/>')
        lines.append("</meeting>")
    return "\n".join(lines) + "\n"


def words_of(meeting: str, agent: str) -> str:
    """Return the body of a words file."""
    lines = []
    for number, (kind, start, end, text, further) in enumerate(WORDS[agent]):
        times = f' starttime="{start}" endtime="{end}"' if start else ""
        head = f'<{kind} nite:id="{meeting}.{agent}.words{number}"{times} {further}'.rstrip()
        rest = f">{text}</w>" if kind == "w" else f" type={quoteattr(text)}/>" if text else "/>"
        lines.append(head + rest)
    return "\n".join(lines) + "\n"


def segments_of(meeting: str, agent: str) -> str:
    """Return the body of a segments file."""
    lines = []
    for number, start, end, first, last in SEGMENTS[agent]:
        word = f"id({meeting}.{agent}.words{{}})"
        span = word.format(first) + (f"..{word.format(last)}" if last != first else "")
        lines.append(
            f'<segment nite:id="{meeting}.sync.{number}" channel="0" transcriber_start="{start}" '
            f'transcriber_end="{end}">\n  <nite:child href="{meeting}.{agent}.words.xml#{span}"/>\n</segment>'
        )
    return "\n".join(lines) + "\n"
