"""AudioSet: ten-second clips of two million videos with sound events out of 527 classes.

Source: Gemmeke et al. (2017), https://research.google.com/audioset/download.html; strong labels: Hershey et al. (2021),
https://research.google.com/audioset/download_strong.html. Published are tables of segments. Clips are what somebody
fetched of them: in folders or archives under several forms of names, or as on the Hub in tars and Parquet shards.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping

from datasets import List, Value

from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.lookup import Lookup
from builders.schema import Segment
from builders.tsv import read_tsv

TABLES = {
    "bal_train": "balanced_train_segments.csv",
    "unbal_train": "unbalanced_train_segments.csv",
    "eval": "eval_segments.csv",
}
STRONG = {"train": "audioset_train_strong.tsv", "test": "audioset_eval_strong.tsv"}
STRONG_COLUMNS = ("segment_id", "start_time_seconds", "end_time_seconds", "label")
PUBLISHED = {"bal_train": 22160, "unbal_train": 2_041_789, "eval": 20371}
CONFIGS = {
    "balanced": ("bal_train",),
    "unbalanced": ("unbal_train",),
    "full": ("bal_train", "unbal_train"),
}
FOLDERS = "|".join([*TABLES, *(name.removesuffix(".csv") for name in TABLES.values())])
NAMES = r"class_labels_indices\.csv|mid_to_display_name\.tsv|ontology\.json"
# --PJHxphWEs, Y--PJHxphWEs, --PJHxphWEs_30, --PJHxphWEs_30.000_40.000, --PJHxphWEs_30000_40000
STEM = re.compile(r"(?P<video>[A-Za-z0-9_-]{11})(?:_\d+(?:\.\d+)?){0,2}")
AUDIO = r"(?:wav|flac|mp3|m4a|ogg|opus|mp4|WAV|FLAC)"
CLIP = rf"(?:.*/)?(?P<stem>[^/]+)\.{AUDIO}"
ARCHIVES = {
    "bal_train": ("bal_train*", "balanced_train*", "bal_train/*.parquet"),
    "unbal_train": ("unbal_train*", "unbalanced_train*", "unbal_train/*.parquet"),
    "eval": ("eval*", "eval/*.parquet"),
}


def _config(name: str, subsets: Iterable[str]) -> CorpusConfig:
    return CorpusConfig(
        name=name,
        splits={"train": Expected(sum(PUBLISHED[subset] for subset in subsets)), "test": Expected(PUBLISHED["eval"])},
        archives=["*audioset*", *(pattern for subset in (*subsets, "eval") for pattern in ARCHIVES[subset])],
    )


class AudioSet(CorpusBuilder):
    """AudioSet, of which everybody has another part."""

    FACTS = Facts(
        title="AudioSet",
        homepage="https://research.google.com/audioset/",
        licence="labels CC BY 4.0, ontology CC BY-SA 4.0; the sound belongs to who made the videos",
        private_only="the sound belongs to who made the videos",
        access="AudioSet is published without sound: put the segment csvs of https://research.google.com/audioset/ "
        "beside clips named by video (<YTID>.wav), or fetch https://huggingface.co/datasets/agkphysics/AudioSet, and "
        "pass data_dir=<its folder>",
        citation="Gemmeke, J. F., Ellis, D. P. W., Freedman, D., Jansen, A., Lawrence, W., Moore, R. C., Plakal, M., "
        "Ritter, M. (2017). Audio Set: An ontology and human-labeled dataset for audio events. ICASSP.",
        root=rf"^(?:.*/)?(?=(?:{FOLDERS})/|(?:{'|'.join([*TABLES.values(), *STRONG.values()])}|{NAMES})$)"
        rf"|^(?:.*/)(?=Y?[A-Za-z0-9_-]{{11}}(?:_[\d.]+)*\.{AUDIO}$)",
        labels=("events", "subset"),
        own_labels={
            "mids": List(Value("string")),  # the events' identifiers in the ontology
            "video_start": Value("float64"),  # of the clip in the video, seconds
            "video_end": Value("float64"),
        },
        absent_ok=True,
    )
    BUILDER_CONFIGS = [
        *(_config(name, subsets) for name, subsets in CONFIGS.items()),
        CorpusConfig(
            name="strong",
            description="The clips of which each event's begin and end are known: tier `events`.",
            splits={"train": Expected(103_463), "test": Expected(16_996)},
            archives=["*audioset*", *itertools.chain.from_iterable(ARCHIVES.values())],
        ),
    ]
    DEFAULT_CONFIG_NAME = "balanced"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the segments of the tables, those of which there is no clip included."""
        names = read_names(files)
        with Lookup(clips(files)) as there:
            if self.config.name == "strong":
                yield from strong_segments(files, split, there, names)
                return
            for subset in CONFIGS[self.config.name] if split == "train" else ("eval",):
                if TABLES[subset] in files:
                    yield from segments(files, subset, there, names)
                else:
                    yield from shard_rows(files, subset)


def clips(files: Files) -> Iterator[tuple[str, str]]:
    """Yield the video and the member of each clip."""
    for found in files.match(CLIP):
        stem = found["stem"]
        named = STEM.fullmatch(stem) or (STEM.fullmatch(stem[1:]) if stem.startswith("Y") else None)
        if named:
            yield named["video"], found[0]


def segments(files: Files, subset: str, there: Lookup, names: Mapping[str, str]) -> Iterator[Utterance]:
    """Yield the rows of a table of segments, of which there is one a video.

    # Segments csv created Sun Mar  5 10:54:31 2017
    # num_ytids=22160, num_segs=22160, num_unique_labels=527, num_positive_labels=52882
    # YTID, start_seconds, end_seconds, positive_labels
    --PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"
    """
    lines = (line for line in files.lines(TABLES[subset]) if not line.startswith("#"))
    for video, start, end, mids in csv.reader(lines, skipinitialspace=True):
        labels = {
            **events(mids.split(","), names), "subset": subset, "video_start": float(start), "video_end": float(end),
        }  # fmt: skip
        yield Utterance(video, there.get(video) or video, labels=labels)


def strong_segments(files: Files, split: str, there: Lookup, names: Mapping[str, str]) -> Iterator[Utterance]:
    """Yield the clips of a table of strong labels: clip and its begin in milliseconds, seconds in the clip, label.

    segment_id	start_time_seconds	end_time_seconds	label
    s9d-2nhuJCQ_30000	2.627	7.237	/m/053hz1
    """
    table = STRONG[split]
    if table not in files:
        return
    rows = (row for row in read_tsv(files.lines(table), STRONG_COLUMNS) if row["segment_id"] != STRONG_COLUMNS[0])
    pairs = ((row["segment_id"], " ".join(row[name] for name in STRONG_COLUMNS[1:])) for row in rows)
    with Lookup(pairs) as events_of:  # those of a clip need not follow each other
        for segment, found in events_of.groups():
            video, _, begin = segment.rpartition("_")
            marked = sorted((float(start), float(end), mid) for start, end, mid in map(str.split, found))
            start = int(begin) / 1000
            labels = {
                **events(dict.fromkeys(mid for *_, mid in marked), names), "subset": table.split("_")[1] + "_strong",
                "video_start": start, "video_end": start + 10,
            }  # fmt: skip
            tier = [Segment("events", start, end, names.get(mid, mid)) for start, end, mid in marked]
            yield Utterance(video, there.get(video) or video, labels=labels, segments=tier)


def shard_rows(files: Files, subset: str) -> Iterator[Utterance]:
    """Yield the rows of the Hub's shards of a subset: they have all that is needed, and name no clip that is missing.

    {"file_name": "--PJHxphWEs.flac", "video_id": "--PJHxphWEs", "labels": ["/m/09x0r", "/t/dd00088"],
     "human_labels": ["Speech", "Gush"]}
    """
    for table in files.match(rf"{subset}/[^/]+\.jsonl"):
        for row in map(json.loads, files.lines(table[0])):
            labels = {"events": row["human_labels"], "mids": row["labels"], "subset": subset}
            yield Utterance(row["video_id"], f"{subset}/{row['file_name']}", labels=labels)


def events(mids: Iterable[str], names: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the label columns for some identifiers; one without a name stands for itself."""
    mids = list(mids)
    return {"events": [names.get(mid, mid) for mid in mids], "mids": mids}


def read_names(files: Files) -> dict[str, str]:
    """Read the names of the classes, out of whichever tables are there, the first one to have a name counts.

    class_labels_indices.csv:  0,/m/09x0r,"Speech"
    mid_to_display_name.tsv:   /m/09x0r	Speech
    ontology.json:             [{"id": "/m/09x0r", "name": "Speech", ...}, ...]
    """
    names: dict[str, str] = {}
    if "ontology.json" in files:
        names |= {entry["id"]: entry["name"] for entry in json.loads(files.read_text("ontology.json"))}
    if "mid_to_display_name.tsv" in files:
        names |= {row["mid"]: row["name"] for row in read_tsv(files.lines("mid_to_display_name.tsv"), ("mid", "name"))}
    if "class_labels_indices.csv" in files:
        names |= {row["mid"]: row["display_name"] for row in csv.DictReader(files.lines("class_labels_indices.csv"))}
    return names
