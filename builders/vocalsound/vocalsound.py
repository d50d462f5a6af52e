"""VocalSound: laughter, sighs, coughs, throat clearing, sneezes and sniffs of 3,365 people.

Source: Gong, Yu & Glass (2022), https://github.com/YuanGongND/vocalsound. The archives and their
description differ in the names of folders and files (``audio_44k`` or ``data_44k``; ``tr.json`` or
``tr_rev.json``; ``tr_meta.json`` or ``tr_meta.csv``): either is read.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from datasets import List, Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

PARTS = {"train": "tr", "validation": "val", "test": "te"}
COUNTS = {"train": 15570, "validation": 1860, "test": 3594}
FOLDERS = {"16k": ("audio_16k",), "44k": ("data_44k", "audio_44k")}
LISTS = {"16k": ("{}.json", "{}_rev.json"), "44k": ("{}_rev.json", "{}.json")}
CLASSES = {
    "/m/01j3sz": "laughter", "/m/07plz5l": "sigh", "/m/01b_21": "cough",
    "/m/0dl9sf8": "throatclearing", "/m/01hsr_": "sneeze", "/m/07ppn3j": "sniff",
}  # fmt: skip
GENDERS = {"f": "female", "m": "male"}


class VocalSound(CorpusBuilder):
    """VocalSound, at 16 or 44.1 kHz."""

    FACTS = Facts(
        title="VocalSound",
        homepage="https://github.com/YuanGongND/vocalsound",
        licence="CC BY-SA 4.0",
        access="VocalSound is open: without data_dir it is fetched by the links of "
        "https://github.com/YuanGongND/vocalsound",
        citation="Gong, Y., Yu, J., Glass, J. (2022). Vocalsound: A Dataset for Improving Human Vocal Sounds "
        "Recognition. ICASSP.",
        root=r"^(?:.*/)?(?=(?:audio_16k|audio_44k|data_44k|meta|datafiles(?:/subtest)?)/[^/]+$)"
        r"|^(?:.*/)?(?=class_labels_indices_vs\.csv$)",
        archives=(
            Archive(
                "vs_release_16k.zip",
                1783406544,
                url="https://www.dropbox.com/s/c5ace70qh1vbyzb/vs_release_16k.zip?dl=1",
            ),
            Archive("vs_release_44k.zip", url="https://www.dropbox.com/s/ybgaprezl8ubcce/vs_release_44k.zip?dl=1"),
        ),
        archive_patterns=("*vs_release*", "*vocalsound*"),
        labels=("gender", "age", "category"),
        own_labels={
            "mid": Value("string"),  # the class' identifier in AudioSet's ontology
            "class_index": Value("int32"),
            "session_number": Value("int32"),
            "country": Value("string"),
            "native_language": Value("string"),
            "health": Value("string"),  # "no" is no problem
            "subtests": List(Value("string")),  # age1 (18-25), age2 (26-48), age3 (49-80), female, male
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(
            name=name,
            splits={split: Expected(count) for split, count in COUNTS.items()},
            archives=[f"*{name}*", "*vocalsound*"],
        )
        for name in FOLDERS
    ]
    DEFAULT_CONFIG_NAME = "16k"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips that the list of a split names."""
        folders = (name for name in FOLDERS[self.config.name] if next(files.names(f"{name}/*"), None))
        if (folder := next(folders, None)) is None:
            return
        indices, speakers = read_indices(files), read_speakers(files)
        subtests = read_subtests(files) if split == "test" else {}
        lists = (f"datafiles/{name.format(PARTS[split])}" for name in LISTS[self.config.name])
        listed = next((name for name in lists if name in files), None)
        clips = read_list(files, listed) if listed else clips_of(files, folder, PARTS[split])
        for stem, mid in clips:
            speaker, session, _ = stem.split("_", 2)  # f0003_0_cough
            labels = {
                "gender": GENDERS.get(speaker[0]), "category": CLASSES.get(mid), "mid": mid,
                "class_index": indices.get(mid), "session_number": int(session),
                "subtests": subtests.get(stem, []), **speakers.get(speaker, {}),
            }  # fmt: skip
            yield Utterance(stem, f"{folder}/{stem}.wav", None, speaker, labels=labels)


def read_list(files: Files, name: str) -> Iterator[tuple[str, str]]:
    """Read a list of clips, as pairs of name and class; the paths in it are those of the authors' machine.

    {"data": [{"wav": "/data/sls/audioset/vs/f0003_0_cough.wav", "labels": "/m/01b_21", "spk_id": "f0003"}, ...]}
    """
    for entry in json.loads(files.read_text(name))["data"]:
        yield entry["wav"].replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".wav"), entry["labels"]


def clips_of(files: Files, folder: str, part: str) -> Iterator[tuple[str, str]]:
    """Yield names and classes of the clips whose speakers a part's table has: for copies without lists."""
    speakers = read_speakers(files, part)
    mids = {name: mid for mid, name in CLASSES.items()}
    for found in files.match(rf"{folder}/(?P<stem>(?P<speaker>[fm]\d+)_\d+_(?P<name>[a-z]+))\.wav"):
        if found["speaker"] in speakers and found["name"] in mids:
            yield found["stem"], mids[found["name"]]


def read_subtests(files: Files) -> dict[str, list[str]]:
    """Read datafiles/subtest/te_<group>.json: clip to the parts of the test set that it is in."""
    groups = defaultdict(list)
    for found in files.match(r"datafiles/subtest/te_(?P<group>[a-z]+\d?)(?:_rev)?\.json"):
        for stem, _ in read_list(files, found[0]):
            if found["group"] not in groups[stem]:  # both forms may be there
                groups[stem].append(found["group"])
    return groups


def read_indices(files: Files) -> dict[str, int]:
    """Read class_labels_indices_vs.csv where it is there: class to number.

    index,mid,display_name
    0,/m/01j3sz,"Laughter"
    """
    name = "class_labels_indices_vs.csv"
    return {row["mid"]: int(row["index"]) for row in csv.DictReader(files.lines(name))} if name in files else {}


def read_speakers(files: Files, part: str = "all|tr|val|te") -> dict[str, dict[str, Any]]:
    """Read meta/*_meta.csv or .json: six columns in this order, whatever they are named.

    spk_id,gender,age,country,native language,health condition
    f0003,female,31,United States,English,no
    """
    speakers = {}
    for found in files.match(rf"meta/(?:{part})_meta(?:_rev)?\.(?P<kind>csv|json)"):
        is_csv = found["kind"] == "csv"
        rows = csv.reader(files.lines(found[0])) if is_csv else read_json_rows(files.read_text(found[0]))
        for row in rows:
            # pandas may put its index before them
            values = [None if value is None else str(value).strip() or None for value in list(row)[-6:]]
            if len(values) == 6 and values[0] and values[0][1:].isdigit():  # not the header
                names = ("age", "country", "native_language", "health")
                speakers[values[0]] = dict(zip(names, values[2:], strict=True))
    return speakers


def read_json_rows(text: str) -> Iterator[Any]:
    """Yield the rows of a table written as JSON: a list of objects or lists, maybe under a key, or pandas' columns."""
    table = json.loads(text)
    if isinstance(table, dict) and len(table) == 1:
        (table,) = table.values()
    if isinstance(table, dict):  # {"spk_id": {"0": "f0003", ...}, "gender": {...}, ...}
        columns = [column.values() if isinstance(column, dict) else column for column in table.values()]
        yield from zip(*columns, strict=True)
    else:
        yield from (row.values() if isinstance(row, dict) else row for row in table)
