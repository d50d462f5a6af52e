"""FSD50K: 51,197 clips of Freesound with sound events out of 200 classes of AudioSet's ontology.

Source: Fonseca et al. (2022), https://zenodo.org/records/4060432. The audio is published as split zips, which are read
as they are. The ground truth is needed; whatever of the metadata is there adds columns.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any

from datasets import List, Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

PUBLISHED = {
    "FSD50K.dev_audio.z01": "faa7cf4cc076fc34a44a479a5ed862a3",
    "FSD50K.dev_audio.z02": "8f9b66153e68571164fb1315d00bc7bc",
    "FSD50K.dev_audio.z03": "1196ef47d267a993d30fa98af54b7159",
    "FSD50K.dev_audio.z04": "d088ac4e11ba53daf9f7574c11cccac9",
    "FSD50K.dev_audio.z05": "81356521aa159accd3c35de22da28c7f",
    "FSD50K.dev_audio.zip": "c480d119b8f7a7e32fdb58f3ea4d6c5a",
    "FSD50K.eval_audio.z01": "3090670eaeecc013ca1ff84fe4442aeb",
    "FSD50K.eval_audio.zip": "6fa47636c3a3ad5c7dfeba99f2637982",
    "FSD50K.ground_truth.zip": "ca27382c195e37d2269c4c866dd73485",
    "FSD50K.metadata.zip": "b9ea0c829a411c1d42adb9da539ed237",
    "FSD50K.doc.zip": "3516162b82dc2945d3e7feba0904e800",
}
ZENODO = "https://zenodo.org/records/4060432/files/{}?download=1"
PARTS = {"train": ("dev", "train"), "validation": ("dev", "val"), "test": ("eval", None)}
RATINGS = ("pp_pnp_ratings_FSD50K.json", "pp_pnp_ratings.json")  # the file's name, and that in the documentation


class FSD50K(CorpusBuilder):
    """FSD50K, several labels a clip."""

    FACTS = Facts(
        title="FSD50K: Freesound Dataset 50k",
        homepage="https://zenodo.org/records/4060432",
        licence="CC BY 4.0; each clip has its own: CC0, CC BY, CC BY-NC or CC Sampling+",
        access="FSD50K is open: without data_dir its archives are fetched (25 GB); or pass data_dir=<their folder, "
        "split zips as they are, or where they are unpacked>",
        citation="Fonseca, E., Favory, X., Pons, J., Font, F., Serra, X. (2022). FSD50K: An Open Dataset of "
        "Human-Labeled Sound Events. IEEE/ACM Transactions on Audio, Speech, and Language Processing 30.",
        root=r"^(?:.*/)?(?=FSD50K\.(?:(?:dev|eval)_audio(?:_16k)?|ground_truth|metadata|doc)/)",
        archives=tuple(Archive(name, md5=md5, url=ZENODO.format(name)) for name, md5 in PUBLISHED.items()),
        archive_patterns=("*fsd50k*",),
        labels=("events",),
        own_labels={
            "mids": List(Value("string")),  # the events' identifiers in AudioSet's ontology
            "collection_events": List(Value("string")),  # as raters gave them: over 350 classes, no parents added
            "collection_mids": List(Value("string")),
            "uploader": Value("string"),  # in one split only
            "title": Value("string"),
            "description": Value("string"),
            "tags": List(Value("string")),
            "licence": Value("string"),  # of the clip
            # 1 present and predominant, 0.5 present, 0 unsure, -1 not present: one number a rater
            "ratings": List({"mid": Value("string"), "votes": List(Value("float64"))}),
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(
            name="default",
            splits={"train": Expected(36796), "validation": Expected(4170), "test": Expected(10231, 27.9)},
        )
    ]
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips of dev.csv that are of a split, or those of eval.csv."""
        part, wanted = PARTS[split]
        table = f"FSD50K.ground_truth/{part}.csv"
        if table not in files:
            return
        folder = audio_folder(files, part)
        about = read_clips(files, part)
        for row in csv.DictReader(files.lines(table)):
            if row.get("split") == wanted:
                labels = {
                    "events": words(row["labels"]), "mids": words(row["mids"]), **about.get(row["fname"], {}),
                }  # fmt: skip
                yield Utterance(row["fname"], f"{folder}{row['fname']}.wav", labels=labels)


def audio_folder(files: Files, part: str) -> str:
    """Return where the clips of a part are: in the original's folder, else in that of the copy at 16 kHz."""
    original, copy = f"FSD50K.{part}_audio/", f"FSD50K.{part}_audio_16k/"
    there = (folder for folder in (original, copy) if next(files.names(f"{folder}*"), None))
    return next(there, original)


def read_clips(files: Files, part: str) -> Mapping[str, dict[str, Any]]:
    """Read the metadata of a part: clip to labels. Of a copy without them, nothing.

    collection_dev.csv:          64762,"Electric_guitar,Guitar","/m/02sgy,/m/0342h"
    dev_clips_info_FSD50K.json:  {"64760": {"title": "guitarras_63.wav", "description": "electric guitar",
                                  "tags": ["electric", "guitar"], "license": "http://...", "uploader": "casualsamples"}}
    pp_pnp_ratings_FSD50K.json:  {"338674": {"/m/0ghcn6": [1.0, 1.0], "/m/01z5f": [1.0, 1.0, -1]}}
    """
    clips: dict[str, dict[str, Any]] = {}
    table = f"FSD50K.metadata/collection/collection_{part}.csv"
    for row in csv.DictReader(files.lines(table) if table in files else ()):
        raw = {"collection_events": words(row["labels"]), "collection_mids": words(row["mids"])}
        clips.setdefault(row["fname"], {}).update(raw)
    for name, info in read_json(files, f"{part}_clips_info_FSD50K.json").items():
        clips.setdefault(name, {}).update(
            uploader=info.get("uploader"), title=info.get("title"), description=info.get("description"),
            tags=info.get("tags"), licence=info.get("license"),
        )  # fmt: skip
    for name, rated in next(filter(None, (read_json(files, name) for name in RATINGS)), {}).items():
        ratings = [{"mid": mid, "votes": [float(vote) for vote in votes]} for mid, votes in rated.items()]
        clips.setdefault(name, {})["ratings"] = ratings
    return clips


def read_json(files: Files, name: str) -> dict[str, Any]:
    """Return a table of FSD50K.metadata, empty where it is not there."""
    member = f"FSD50K.metadata/{name}"
    return json.loads(files.read_text(member)) if member in files else {}


def words(cell: str) -> list[str]:
    """Return the labels of a cell, which commas join; a cell may be empty."""
    return cell.split(",") if cell else []
