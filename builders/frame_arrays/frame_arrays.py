"""Frames with a phoneme each, as CMU's deep learning course hands them out (11-785, homework 1 part 2).

Two generations go around: whole splits as one array of arrays (``train.npy``, ``train_labels.npy``), and one array
an utterance (``train-clean-100/mfcc/103-1240-0000.npy`` and ``.../transcript/103-1240-0000.npy``).
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from datasets import Array2D, Value

from builders.corpus import CorpusConfig, Expected, Facts
from builders.errors import AudioError, CorpusError
from builders.files import Files
from builders.frame_arrays.inventories import HOP, INVENTORIES, SUBPHONES, numbered, spelt
from builders.frames import FrameBuilder, frame_feature, matrix
from builders.listing import Utterance
from builders.npy import index_npy
from builders.pickles import Stored
from builders.schema import SAMPLING_RATE

FLAT = r"(?P<toy>toy_)?(?P<part>train|dev|test)(?:_data)?\.npy"
UTTERANCE = (
    r"(?P<subset>(?P<part>train|dev|test)-(?:clean|other)(?:-\d+)?)/mfcc/"
    r"(?P<name>(?P<speaker>\d+)-(?P<chapter>\d+)-\d+|[^/]+)\.npy"
)
SPLITS = {"train": "train", "validation": "dev", "test": "test"}
TRIED = 20  # files that may be unreadable before the width of the others is given up
ALL = {"train": Expected(), "validation": Expected(), "test": Expected()}


@dataclass
class FrameArraysConfig(CorpusConfig):
    """A generation of the hand-out.

    width : int or None
        Numbers per frame; None: as in the first file.
    inventory : str or None
        What the numbers of flat labels stand for: ``states138``, ``subphones346`` or ``stressed71``; None: by the
        width, and by the largest label where that leaves a choice.
    toy : bool
        Read the flat files ``toy_*`` instead of the others.
    only : str or None
        CSV file whose second column lists the training utterances to take.
    """

    splits: Mapping[str, Expected] = field(default_factory=lambda: dict(ALL))
    width: int | None = None
    inventory: str | None = None
    toy: bool = False
    only: str | None = None


class FrameArrays(FrameBuilder):
    """Matrices of mel bands or MFCC with a label each frame, without audio."""

    FACTS = Facts(
        title="CMU 11-785 homework 1 part 2: frame-level phonemes",
        homepage="https://deeplearning.cs.cmu.edu",
        licence="rules of the Kaggle competitions; of LibriSpeech: CC BY 4.0, of WSJ: LDC",
        private_only="the rules of the competitions allow no redistribution",
        access="join the course's Kaggle competition (11785-hw1p2-f24, ...), accept its rules, fetch its files and "
        "pass data_dir=<folder or zip>",
        citation="Carnegie Mellon University, 11-785 Introduction to Deep Learning, homework 1 part 2.",
        language="en",
        phone_set="arpabet",
        root=r"^(?:.*?/)??(?=(?:train|dev|test)-(?:clean|other)(?:-\d+)?/(?:mfcc|transcript)/[^/]+$"
        r"|(?:toy_)?(?:train|dev|test)(?:_data)?(?:_labels)?\.npy$|[^/]+\.csv$)",
        archive_patterns=("*11*785*hw1p2*.zip", "*hw1p2*.zip", "*11-785*homework-1*.zip"),
        labels=("chapter", "subset"),
        own_labels={"number": Value("int32")},  # in the official order of its split, from 0
    )
    BUILDER_CONFIG_CLASS = FrameArraysConfig
    BUILDER_CONFIGS = [
        FrameArraysConfig(name="default", description="Whichever generation is there."),
        FrameArraysConfig(name="wsj", width=40, inventory="states138"),
        FrameArraysConfig(name="f20", width=13, inventory="subphones346", splits={
            "train": Expected(22_002), "validation": Expected(2_332), "test": Expected(2_251)}),
        FrameArraysConfig(name="s21", width=40, inventory="stressed71"),
        FrameArraysConfig(name="s22", width=13),
        FrameArraysConfig(name="s22_subset8192", width=13, only="train_filenames_subset_8192_v2.csv",
                          splits={**ALL, "train": Expected(8_192)}),
        FrameArraysConfig(name="f22", width=15),
        FrameArraysConfig(name="s23", width=27),
        FrameArraysConfig(name="f24", width=28, splits={
            "train": Expected(28_539, 100.25), "validation": Expected(2_703, 5.36), "test": Expected(2_620, 5.37)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def frame_columns(self) -> dict[str, Array2D]:
        """Return the one column of features: ``frames.mel`` of the flat files, ``frames.mfcc`` of the others."""
        layer = "mel" if any(True for _ in self._members(FLAT)) else "mfcc"
        width = self.config.width or self._width()
        # Half of the 10 ms step: the frame stands for all of it. What lies at the ends is not published.
        feature = frame_feature(encoder="frames", layer=layer, width=width, hop=HOP, offset=HOP // 2, field=HOP)
        return {f"frames.{layer}": feature}

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield one row an utterance; its frames are read later."""
        order = _order(files) if split == "test" else {}
        only = _listed(files, self.config.only) if self.config.only and split == "train" else None
        for path in files.match(FLAT):
            if path["part"] == SPLITS[split] and bool(path["toy"]) == self.config.toy:
                yield from self._flat(path)
        found = (path for path in files.match(UTTERANCE) if path["part"] == SPLITS[split])
        kept = (path for path in found if only is None or f"{path['name']}.npy" in only)
        for number, path in enumerate(kept):
            labels = {"subset": path["subset"], "chapter": path["chapter"]}
            labels["number"] = order.get(f"{path['name']}.npy", number)
            yield Utterance(path["name"], path[0], speaker_id=path["speaker"], labels=labels)

    def cells(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return an utterance's frames and labels."""
        member = row["member"]
        column, feature = next((name, kind) for name, kind in self.info.features.items() if isinstance(kind, Array2D))
        values = matrix(self._array(member, row), feature.shape[1], member)
        if not len(values):
            raise AudioError(f"{row['id']} has no frames")
        segments = [segment._asdict() for segment in self._labels(row, len(values))]
        duration = len(values) * HOP / SAMPLING_RATE
        return {"audio": None, "duration": duration, "source": None, "segments": segments, column: values}

    def _flat(self, path: re.Match[str]) -> Iterator[Utterance]:
        try:
            count = len(self._indexed(path[0]))
        except AudioError:
            count = 1  # bad: is read again, and quarantined
        for number in range(count):
            labels = {"subset": path["part"], "number": number}
            yield Utterance(f"{path['part']}-{number:06d}", path[0], labels=labels)

    def _labels(self, row: Mapping[str, Any], frames: int) -> Iterable[Any]:
        member, split = row["member"], row["subset"].partition("-")[0]
        flat = "/mfcc/" not in member
        where = re.sub(r"(_data)?\.npy$", "_labels.npy", member) if flat else member.replace("/mfcc/", "/transcript/")
        if where not in self.files:
            if split == "test":
                return []  # the labels of the tests are not handed out
            raise AudioError(f"there is no {where}")
        labels = self._array(where, row)
        return numbered(labels, frames, self._inventory()) if flat else spelt(labels, frames)

    def _array(self, member: str, row: Mapping[str, Any]) -> np.ndarray:
        """Return the array of a row: all of a file, or its part of a flat one."""
        found = self._indexed(member)
        if "/" in member:
            return self._open_array(member, found)
        number = row["number"]
        if number >= len(found):
            raise AudioError(f"{member} has no utterance {number}, only {len(found)}")
        if isinstance(found, Stored):  # utterances of one length are saved as one array
            return self._open_array(member, found, number, number + 1)[0]
        return self._open_array(member, found[number])

    def _indexed(self, member: str) -> Any:
        """Return where the arrays of a member lie; of the flat files, which are many arrays, kept."""
        kept = self.__dict__.setdefault("_index", {})
        if member in kept:
            return kept[member]
        place = self.files.place(member)
        with self.files.open(member) as file:
            try:
                found = index_npy(file, place[2] if place else 0, member)
            except (CorpusError, OSError) as error:
                raise AudioError(str(error)) from None
        if not isinstance(found, Stored):
            kept[member] = found
        return found

    def _width(self) -> int:
        reasons = []
        for member in itertools.islice(itertools.chain(self._members(FLAT), self._members(UTTERANCE)), TRIED):
            try:
                found = self._indexed(member)
                return int((found if isinstance(found, Stored) else found[0]).shape[-1])
            except (AudioError, IndexError, AttributeError) as error:
                reasons.append(f"{member}: {error}")
        if reasons:
            raise CorpusError(f"no array of frames can be read: {reasons[0]}")
        raise self._nothing_found()

    def _members(self, pattern: str) -> Iterator[str]:
        found = self.files.match(pattern)
        return (path[0] for path in found if bool(path.groupdict().get("toy")) == self.config.toy)

    def _inventory(self) -> str:
        if "_found" not in self.__dict__:
            self._found = self.config.inventory or self._guess()
        if self._found not in INVENTORIES:
            raise CorpusError(f"unknown inventory {self._found!r}: expected one of {list(INVENTORIES)}")
        return self._found

    def _guess(self) -> str:
        if (self.config.width or self._width()) == 13:
            return "subphones346"
        toy = "toy_" if self.config.toy else ""
        names = (f"{toy}{part}_labels.npy" for part in ("dev", "train"))  # the smaller one first
        for member in (name for name in names if name in self.files):
            count = len(self._indexed(member))
            most = max((int(self._array(member, {"number": n}).max(initial=0)) for n in range(count)), default=0)
            fitting = [name for name, (size, _) in INVENTORIES.items() if most < size and size != SUBPHONES]
            return min(fitting, key=lambda name: INVENTORIES[name][0]) if fitting else "subphones346"
        return "stressed71"


def _order(files: Files) -> dict[str, int]:
    """Return the official order of the tests, file name to place; empty where it is that of the names."""
    name = next(files.names("test_order.csv"), None)
    if name is None:
        return {}
    rows = csv.DictReader(files.lines(name))
    return {_file(row["file"]): number for number, row in enumerate(rows)}


def _listed(files: Files, name: str) -> set[str]:
    """Return the file names in the second column of a list: 8,192 of them."""
    if name not in files:
        raise CorpusError(f"{name} is not in {files.path}")
    rows = csv.reader(files.lines(name))
    next(rows, None)
    return {_file(row[1]) for row in rows if len(row) > 1}


def _file(cell: str) -> str:
    base = cell.strip().rsplit("/", 1)[-1]
    return base if base.endswith(".npy") else f"{base}.npy"
