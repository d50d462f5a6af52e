"""VoxCeleb 1 and 2: celebrities talking in YouTube videos, for speaker recognition.

Sources: Nagrani et al. (2017), Chung et al. (2018), https://www.robots.ox.ac.uk/~vgg/data/voxceleb/. Audio lies under
``wav/`` or ``aac/``, with ``dev/`` or ``test/`` before it or not; the tables of speakers (``vox1_meta.csv``,
``vox2_meta.csv``) tell the splits. The first release of VoxCeleb 1 has names instead of ids.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from datasets import List, Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance

logger = logging.getLogger(__name__)

# wav/id10001/1zcIwhmdeo4/00001.wav | dev/aac/id00012/21Uxsk56VDQ/00001.m4a; id1... is VoxCeleb 1, id0... is 2
BELOW = (
    r"(?:(?P<part>dev|test)/)?(?:wav|aac)/(?P<speaker>id{number}\d{{4}})/(?P<video>[^/]+)/"
    r"(?P<utterance>\d+)\.(?P<kind>wav|m4a)"
)
OLD = r"voxceleb1_wav/(?P<name>[^/]+)/(?P<video>.+)_(?P<utterance>\d+)\.wav"  # of the first release
NUMBER = {"voxceleb1": "1", "voxceleb2": "0"}
SPLITS = {"train": "dev", "test": "test"}
IDENTIFICATION = {"train": "1", "validation": "2", "test": "3"}  # as iden_split.txt numbers them
TEST_SPEAKERS = range(10270, 10310)  # of VoxCeleb 1, where vox1_meta.csv is not there
GENDERS = {"f": "female", "m": "male"}
TRIALS = r"(?:.*/)?(?P<name>veri_test2?|list_test_(?:hard|all)2?)\.txt"


class VoxCeleb(CorpusBuilder):
    """VoxCeleb 1 and 2."""

    FACTS = Facts(
        title="VoxCeleb 1 and 2",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
        licence="CC BY 4.0 (metadata; audio: copyright of the videos' owners)",
        private_only="the sound belongs to the videos' owners",
        access="VoxCeleb is given on request: ask at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/ and pass "
        "data_dir=<folder of the archives or parts, vox1_meta.csv or vox2_meta.csv, and the lists of trials>",
        citation="Nagrani, A., Chung, J. S., Xie, W., Zisserman, A. (2020). VoxCeleb: Large-scale speaker verification "
        "in the wild. Computer Speech & Language 60.",
        channel="0",
        root=r"^(?:.*?/)??(?=(?:(?:dev|test)/)?(?:wav|aac)/id\d{5}/|voxceleb1_wav/)",
        archives=(
            Archive("vox1_dev_wav_partaa", None, "e395d020928bc15670b570a21695ed96"),  # partab, ... are found by it
            Archive("vox1_dev_wav.zip", None, "ae63e55b951748cc486645f532ba230b"),
            Archive("vox1_test_wav.zip", None, "185fdc63c3c739954633d50379a3d102"),
            Archive("vox2_dev_aac_partaa", None, "da070494c573e5c0564b1d11c3b20577"),
            Archive("vox2_dev_aac.zip", None, "bbc063c46078a602ca71605645c2a402"),
            Archive("vox2_test_aac.zip", None, "0d2b3ea430a821c33263b5ea37ede312"),
        ),
        archive_patterns=("vox1*", "vox2*"),
        labels=("gender",),
        own_labels={
            "name": Value("string"),
            "nationality": Value("string"),
            "video": Value("string"),  # YouTube's id
            "trials": List({"list": Value("string"), "other": Value("string"), "same": Value("bool")}),
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="voxceleb1", description="Verification: development and test speakers, trials.",
                     splits={"train": Expected(148_642, 340.4), "test": Expected(4_874, 11.2)},
                     archives=["vox1*"]),
        CorpusConfig(name="voxceleb1_identification", description="All speakers in all splits, as in iden_split.txt.",
                     splits={"train": Expected(138_361), "validation": Expected(6_904), "test": Expected(8_251)},
                     archives=["vox1*"]),
        CorpusConfig(name="voxceleb2", description="Development and test speakers of VoxCeleb 2.",
                     splits={"train": Expected(1_092_009, 2360.2), "test": Expected(36_237, 79.9)},
                     archives=["vox2*"]),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "voxceleb1"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances of a split."""
        corpus, _, identification = self.config.name.partition("_")
        speakers = read_speakers(files, corpus)
        if identification:
            found = read_iden_split(files, IDENTIFICATION[split])
        else:
            found = (path for path in find_audio(files, corpus, speakers) if part_of(path, speakers) == SPLITS[split])
        trials = Trials(files) if self.config.name == "voxceleb1" else None
        for path in found:
            known = speakers.get(path["speaker"], {})
            name = f"{path['speaker']}-{path['video']}-{path['utterance']}"
            labels = {key: known.get(key) for key in ("gender", "name", "nationality")}
            labels |= {"video": path["video"], "trials": trials.of(name) if trials else None}
            yield Utterance(name, path["member"], None, path["speaker"], labels=labels)


def find_audio(files: Files, corpus: str, speakers: dict[str, dict[str, str]]) -> Iterator[dict[str, str]]:
    """Yield what the paths of the recordings say; where somebody made a wav of an m4a, that is the recording."""
    for found in files.match(BELOW.format(number=NUMBER[corpus])):
        path = {**found.groupdict(default=""), "member": found[0]}
        if path["kind"] == "m4a" and any(name in files for name in copies(path)):
            continue
        if path["kind"] == "wav" and corpus == "voxceleb2" and not path["part"]:
            original = next((name for name in copies(path) if name in files), "")
            path["part"] = original.split("/")[0].replace("aac", "test")  # aac/: see `part_of`
        yield path
    ids = {known["name"]: speaker for speaker, known in speakers.items() if "name" in known}
    for found in files.match(OLD) if corpus == "voxceleb1" else ():
        speaker = ids.get(found["name"], found["name"])
        yield {"part": "", **found.groupdict(), "speaker": speaker, "member": found[0]}


def copies(path: Mapping[str, str]) -> list[str]:
    """Return where the recording can lie in the other format: in the same folder, or in those of the zips."""
    folder, suffix = {"wav": ("aac", "m4a"), "m4a": ("wav", "wav")}[path["kind"]]
    tail = f"{folder}/{path['speaker']}/{path['video']}/{path['utterance']}.{suffix}"
    return [f"{path['member'][:-3]}{suffix}", *(f"{part}{tail}" for part in ("dev/", "test/", ""))]


def part_of(path: dict[str, str], speakers: dict[str, dict[str, str]]) -> str:
    """Return ``dev`` or ``test``: by the table of speakers, else by the folder, else as the zips have it."""
    part = speakers.get(path["speaker"], {}).get("set") or path["part"]
    if part:
        return part
    if path["speaker"].startswith("id1"):
        return "test" if int(path["speaker"][2:]) in TEST_SPEAKERS else "dev"
    if path["speaker"].startswith("id0") and path["kind"] == "wav":
        raise CorpusError(
            f"{path['member']}: neither a folder nor vox2_meta.csv says whether this is of the development or the test "
            "set: put vox2_meta.csv beside it"
        )
    # The zip of VoxCeleb 2's test set has no folder before aac/. Old names of VoxCeleb 1: those in E are the test set.
    return "test" if path["speaker"].startswith(("id0", "E")) else "dev"


def read_speakers(files: Files, corpus: str) -> dict[str, dict[str, str]]:
    r"""Read vox1_meta.csv or vox2_meta.csv where it is there: speaker to name, gender, nationality, set.

    VoxCeleb1 ID	VGGFace1 ID	Gender	Nationality	Set
    id10001	A.J._Buckley	m	Ireland	dev
    id00012 ,n000012 ,m ,dev
    """
    found = next(files.match(rf"(?:.*/)?vox{corpus[-1]}_meta\.csv"), None)
    lines = files.lines(found[0]) if found else iter(())
    header = next(lines, "")
    comma = "\t" not in header
    columns = [column_name(title, corpus) for title in header.split("," if comma else "\t")]
    speakers = {}
    for line in lines:
        row = dict(zip(columns, map(str.strip, line.split("," if comma else "\t")), strict=False))
        row["gender"] = GENDERS.get(row.get("gender", ""), "")
        speakers[row["id"]] = {key: value for key, value in row.items() if value}
    return speakers


def column_name(title: str, corpus: str) -> str:
    """Return what a column holds: titles differ between copies, and VGGFace's id is a name in VoxCeleb 1 only."""
    title = title.strip().lower()
    for word in ("gender", "nationality", "set"):
        if word in title:
            return word
    if "vggface" in title:
        return "name" if corpus == "voxceleb1" else "vggface"
    return "id" if title.endswith("id") else "name"


def read_iden_split(files: Files, number: str) -> Iterator[dict[str, str]]:
    """Yield the recordings of a split of the identification task.

    1 id10006/nLEBBc9oIFs/00003.wav
    3 id10006/HaS2PFVxbOU/00001.wav
    """
    found = next(files.match(r"(?:.*/)?iden_split\.txt"), None)
    for line in files.lines(found[0]) if found else ():
        split, path = line.split()
        if split == number:
            speaker, video, utterance = path.removesuffix(".wav").split("/")
            places = [f"{folder}wav/{path}" for folder in ("", "dev/", "test/")]
            member = next((place for place in places if place in files), places[0])  # absent: quarantined
            yield {"speaker": speaker, "video": video, "utterance": utterance, "member": member}


class Trials:
    """The lists of verification trials, by their first utterance; the largest has 581,480 lines of fixed width."""

    def __init__(self, files: Files) -> None:
        self.lists = {found["name"]: read_trials(files, found[0]) for found in files.match(TRIALS)}

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the trials whose first utterance this is."""
        found = []
        for title, lines in self.lists.items():
            first, last = np.searchsorted(lines, [f"{name} ".encode(), f"{name}!".encode()])
            for line in lines[first:last]:
                _, other, same = line.decode().split()
                found.append({"list": title, "other": other, "same": same == "1"})
        return found


def read_trials(files: Files, name: str) -> np.ndarray:
    """Read a list of trials as sorted lines ``first second same``, utterances named as ids of rows.

    1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav
    0 id10270/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav
    """
    rows = (re.sub(r"\.wav\b", "", line).replace("/", "-").split() for line in files.lines(name))
    # An array of bytes is a fifth of the size of a list of strings.
    lines = np.fromiter((f"{first} {second} {same}".encode() for same, first, second in rows), "S64")
    return np.sort(lines)
