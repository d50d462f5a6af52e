"""A line of a manifest in its three forms: plain, of NeMo, and a cut of lhotse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets import Audio, Features

from builders.schema import CORE

TURNS = ("turns", "speakers")  # tiers of who speaks when; the first has what is said as well
ALIGNMENTS = {"words": "word", "phones": "phone"}  # lhotse's own names of tiers


@dataclass(frozen=True)
class Clip:
    """The stretch of an audio file that a line is about.

    path : str
        As the manifest has it.
    start, duration : float
        Seconds.
    rate, frames, channels : int
        Of the whole file; 0 where nobody asked.
    kept : sequence of int
        The channels that make the mono signal.
    cut : bool
        Whether the file goes on before or behind.
    """

    path: str
    start: float
    duration: float
    rate: int = 0
    frames: int = 0
    channels: int = 1
    kept: Sequence[int] = (0,)
    cut: bool = False


@dataclass(frozen=True)
class Entry:
    """What a line says.

    row : mapping
        Of the listing.
    duration : float
        Seconds at 16 kHz, as in the table.
    segments : sequence of mapping
    labels : sequence of str
        Columns of `row` behind the core ones.
    clip : Clip
    stems : mapping of str to Clip
        Further audio columns.
    split : str or None
        Where one file holds several.
    """

    row: Mapping[str, Any]
    duration: float
    segments: Sequence[Mapping[str, Any]]
    labels: Sequence[str]
    clip: Clip
    stems: Mapping[str, Clip] = field(default_factory=dict)
    split: str | None = None


def label_columns(features: Features) -> list[str]:
    """Return the columns behind the core ones that a line of text can hold: neither audio nor matrices."""
    bare = (name for name, kind in features.items() if name not in CORE and not isinstance(kind, Audio))
    return [name for name in bare if not type(features[name]).__name__.startswith("Array")]


def plain(entry: Entry) -> dict[str, Any]:
    """Return the line of this project: every key in every line, null where the corpus says nothing."""
    row = entry.row
    line = {
        "audio_path": entry.clip.path,
        "text": row["text"],
        "duration": entry.duration,
        "speaker_id": row["speaker_id"],
        "language": row["language"],
        **{name: row[name] for name in entry.labels},
        "id": row["id"],
        "corpus": row["corpus"],
        "offset": entry.clip.start,
        "segments": list(entry.segments),
        "stems": {name: clip.path for name, clip in entry.stems.items()},
    }
    return line if entry.split is None else {**line, "split": entry.split}


def nemo(entry: Entry) -> dict[str, Any]:
    """Return a line of NeMo's manifests; `text` is empty where there is none, as its readers want a string."""
    row, clip = entry.row, entry.clip
    line = {
        "audio_filepath": clip.path,
        "offset": clip.start if clip.cut else None,
        "duration": entry.duration,
        "text": row["text"] or "",
        "lang": row["language"],
        "speaker": row["speaker_id"],
        "id": _name(entry),
        **{name: stem.path for name, stem in entry.stems.items()},
    }
    return {name: value for name, value in line.items() if value is not None}


def lhotse(entry: Entry) -> dict[str, Any]:
    """Return a cut of lhotse: a `MonoCut`, or a `MultiCut` where the mono signal is the mean of several channels."""
    clip, name = entry.clip, _name(entry)
    channel = list(clip.kept) if len(clip.kept) > 1 else clip.kept[0]
    recording = _recording(name, clip)
    supervisions, rest = _supervisions(entry, name, {"recording_id": recording["id"], "channel": channel})
    custom = {key: entry.row[key] for key in entry.labels if entry.row[key] is not None}
    custom |= {key: _recording(f"{name}-{key}", stem) for key, stem in entry.stems.items()}
    if rest:
        custom["segments"] = [dict(segment) for segment in rest]
    return {
        "id": name,
        "start": clip.start,
        "duration": clip.duration,
        "channel": channel,
        "supervisions": supervisions,
        "recording": recording,
        **({"custom": custom} if custom else {}),
        "type": "MultiCut" if isinstance(channel, list) else "MonoCut",
    }


FORMS = {"plain": plain, "nemo": nemo, "lhotse": lhotse}


def _name(entry: Entry) -> str:
    """Return the id; ids are unique within a split only."""
    return entry.row["id"] if entry.split is None else f"{entry.split}/{entry.row['id']}"


def _recording(name: str, clip: Clip) -> dict[str, Any]:
    return {
        "id": clip.path if clip.cut else name,
        "sources": [{"type": "file", "channels": list(range(clip.channels)), "source": clip.path}],
        "sampling_rate": clip.rate,
        "num_samples": clip.frames,
        "duration": clip.frames / clip.rate,
        "channel_ids": list(range(clip.channels)),
    }


def _supervisions(
    entry: Entry, name: str, common: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """Return the supervisions of a cut, and the segments that belong to none of them.

    One for the whole cut, which has its tiers as alignments; or one for each turn, which has what its speaker says
    in it. A cut with turns has one for the whole only where the corpus gives a text or a speaker of the whole.
    """
    row = entry.row
    turns = _turns(entry.segments)
    left = [segment for segment in entry.segments if segment["tier"] not in TURNS]
    made = []
    for number, turn in enumerate(turns):
        inside = [segment for segment in left if _within(segment, turn)]
        left = [segment for segment in left if not _within(segment, turn)]
        said = turn["label"] if turn["tier"] == "turns" else None
        whose = {"text": said, "speaker": turn["speaker"] or turn["label"], "language": row["language"]}
        times = {"start": turn["start"], "duration": turn["end"] - turn["start"]}
        made.append(_supervision(f"{name}-{number}", times, whose, inside, common))
    if turns and row["text"] is None and row["speaker_id"] is None:
        return made, left
    about = {
        "text": row["text"],
        "speaker": row["speaker_id"],
        "language": row["language"],
        "gender": row.get("gender"),
    }
    times = {"start": 0.0, "duration": entry.clip.duration}
    return [_supervision(name, times, about, left, common), *made], []


def _turns(segments: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the turns, of one tier; those without length are none to lhotse."""
    long = [segment for segment in segments if segment["end"] > segment["start"]]
    tiers = ([segment for segment in long if segment["tier"] == tier] for tier in TURNS)
    return next((found for found in tiers if found), [])


def _within(segment: Mapping[str, Any], turn: Mapping[str, Any]) -> bool:
    same = segment["speaker"] is not None and segment["speaker"] == turn["speaker"]
    return same and turn["start"] <= segment["start"] < turn["end"]


def _supervision(
    name: str,
    times: Mapping[str, float],
    about: Mapping[str, str | None],
    segments: Iterable[Mapping[str, Any]],
    common: Mapping[str, Any],
) -> dict[str, Any]:
    made = {"id": name, **common, **times, **{key: value for key, value in about.items() if value is not None}}
    alignment: dict[str, list[list[Any]]] = {}
    for segment in segments:
        item = [segment["label"], segment["start"], segment["end"] - segment["start"], segment["score"]]
        alignment.setdefault(ALIGNMENTS.get(segment["tier"], segment["tier"]), []).append(item)
    return {**made, "alignment": alignment} if alignment else made
