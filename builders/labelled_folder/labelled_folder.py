"""Any folder of recordings whose label is their folder, or a column of a table that lies with them.

The layouts are those of the `audiofolder` of Hugging Face `datasets`
(https://huggingface.co/docs/datasets/audio_load), and tables as people write them::

    emotion/happy/x.wav                              the folder is the label
    emotion/train/happy/x.wav, emotion/test/...      train, validation, test
    emotion/metadata.csv: file_name,label            a table is the label; folders mean nothing then
    emotion/train/metadata.jsonl, emotion/test.tsv   a table a split
"""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from datasets import DatasetInfo, Value

from builders.cache import absolute
from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.emotions import WORDS
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.lookup import Lookup
from builders.schema import SHARED_LABELS, manifest_features
from builders.tsv import read_tsv

logger = logging.getLogger(__name__)

AUDIO = r"(?:.*/)?[^/]+\.(?i:wave?|flac|og[ga]|opus|mp[234]|m4a|aif[fc]?|aiff|au|snd|sph|nist|caf|w64)"
TABLE = r"(?P<folder>(?:.*/)?)(?P<stem>[^/]+)\.(?P<kind>(?i:csv|tsv|jsonl))"
NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
SPLITS = {name: split for split, names in NAMES.items() for name in names}
PATHS = ("file_name", "filename", "path", "file", "audio_path", "audio", "wav", "fname")
LABELS = ("label", "category", "class", "class_name")
WRITTEN = {  # core columns, and what tables call them
    "text": ("text", "transcription", "transcript", "sentence"),
    "speaker_id": ("speaker_id", "speaker", "spk_id"),
    "language": ("language", "lang", "locale"),
}


@dataclass
class LabelledFolderConfig(CorpusConfig):
    """What the label is.

    label_column : str or None
        The column of the table; None is the first of those in `LABELS` (of `emotion`, that column before them).
    file_column : str or None
        The column that names the file; None is the first of those in `PATHS`.
    columns : sequence of str, or str with commas
        Further columns to keep: those that corpora share with their type, others as text. `text`, `speaker_id` and
        `language` are kept in any case.
    table : str or None
        Pattern of the tables' names, e.g. ``labels.csv``; None is every table with both columns.
    level : int
        Without a table: which folder below that of the split is the label, from 0; -1 is the one that holds the file.
    """

    splits: Mapping[str, Expected] = field(default_factory=lambda: dict.fromkeys(NAMES, Expected()))
    label_column: str | None = None
    file_column: str | None = None
    columns: Sequence[str] = ()
    table: str | None = None
    level: int = -1


class LabelledFolder(CorpusBuilder):
    """Recordings of one's own with one label each."""

    FACTS = Facts(
        title="Recordings of one's own with labels",
        homepage="https://huggingface.co/docs/datasets/audio_load",
        licence="your own",
        access="put recordings into one folder a label, or a table with the columns file_name and label beside them, "
        "and pass data_dir=<the folder or an archive of it>",
        citation="None: cite where your recordings come from.",
        labels=("category",),
    )
    BUILDER_CONFIG_CLASS = LabelledFolderConfig
    BUILDER_CONFIGS = [
        LabelledFolderConfig(name="category", description="The label is the category."),
        LabelledFolderConfig(
            name="emotion", description="The label is an emotion as well, in the words of all corpora."
        ),
    ]
    DEFAULT_CONFIG_NAME = "category"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield what the tables name, then what is there beside it."""
        tables = list(self._tables(files))
        named: set[int] = set()
        if tables:
            yield from self._rows(files, tables, split, named)
        unlabelled = 0
        for member in (found[0] for found in files.match(AUDIO)):
            if split_of(member) == split and hash(member) not in named:
                label = None if tables else self._folder_label(member)
                unlabelled += label is None
                yield self._utterance(member, label)
        if unlabelled:
            why = "no table names them" if tables else "they lie in no folder"
            logger.warning("labelled_folder: %s: %d recordings have no label: %s", split, unlabelled, why)

    def _rows(self, files: Files, tables: Sequence[re.Match[str]], split: str, named: set[int]) -> Iterator[Utterance]:
        """Yield the rows of a split; `named` takes the hashes of the members that rows of any split name."""
        audio = (found[0] for found in files.match(AUDIO))
        keys = ((key, member) for member in audio for key in (base(member), base(member).rpartition(".")[0]))
        with Lookup(keys) as bases:
            for table in tables:
                columns = columns_of(files, table)
                path, label = self._path_of(columns), self._label_of(columns)
                for number, cells in enumerate(read_table(files, table), 1):
                    if not cells.get(path):
                        logger.warning("labelled_folder: %s: row %d names no file: left out", table[0], number)
                        continue
                    member = find(files, bases, table["folder"], cells[path])
                    named.add(hash(member))
                    if (split_named(cells.get("split")) or table_split(table) or split_of(member)) == split:
                        yield self._utterance(member, cells.get(label) or None, cells)

    def _utterance(self, member: str, label: str | None, cells: Mapping[str, str] | None = None) -> Utterance:
        cells = cells or {}
        core = {
            name: next((cells[column] for column in written if cells.get(column)), None)
            for name, written in WRITTEN.items()
        }
        labels = {name: typed(name, cells.get(name)) for name in self._kept()}
        labels["category"] = label
        if self.config.name == "emotion":
            labels["emotion"] = label and WORDS.get(label.strip().lower(), label)
        return Utterance(member, member, labels=labels, **core)

    def _folder_label(self, member: str) -> str | None:
        folders = member.split("/")[:-1]
        below = folders[1:] if folders and split_named(folders[0]) else folders
        level = int(self.config.level)  # the command passes text
        return below[level] if -len(below) <= level < len(below) else None

    def _tables(self, files: Files) -> Iterator[re.Match[str]]:
        """Yield the tables that name files and have labels."""
        seen = {}
        for table in list(files.match(TABLE)):
            if self.config.table is None or PurePosixPath(table[0]).match(self.config.table):
                columns = seen[table[0]] = columns_of(files, table)
                if self._path_of(columns) and self._label_of(columns):
                    yield table
        asked = [name for name in (self.config.label_column, self.config.file_column, self.config.table) if name]
        if asked and not any(self._path_of(columns) and self._label_of(columns) for columns in seen.values()):
            raise CorpusError(
                f"{files.path} has no table with {' and '.join(map(repr, asked))}: there are {seen or 'no tables'}; "
                "pass label_column=..., file_column=..."
            )

    def _path_of(self, columns: Sequence[str]) -> str | None:
        return next(
            (name for name in ([self.config.file_column] if self.config.file_column else PATHS) if name in columns),
            None,
        )

    def _label_of(self, columns: Sequence[str]) -> str | None:
        usual = ("emotion", *LABELS) if self.config.name == "emotion" else (*LABELS, "emotion")
        return next(
            (name for name in ([self.config.label_column] if self.config.label_column else usual) if name in columns),
            None,
        )

    def _kept(self) -> list[str]:
        columns = self.config.columns  # the command passes text
        names = columns.split(",") if isinstance(columns, str) else columns
        return [name for name in names if name not in (*WRITTEN, "category")]

    def _info(self) -> DatasetInfo:
        info = super()._info()
        kept = self._kept()
        shared = ["category", *(["emotion"] if self.config.name == "emotion" else []), *kept]
        own = {name: Value("string") for name in kept if name not in SHARED_LABELS}
        info.features = manifest_features(dict.fromkeys(name for name in shared if name in SHARED_LABELS), own)
        return info

    def _open_files(self, data_dir: str | None, config_name: str | None) -> Files | None:
        """Open the corpus; a folder in which all of an archive lies is no part of the names in it."""
        files = super()._open_files(data_dir, config_name)
        if absolute(data_dir).is_dir():
            return files
        top = top_folder(files)
        files.close()
        return Files(absolute(data_dir), root=f"^{re.escape(top)}")


def top_folder(files: Files) -> str:
    """Return the folder above all recordings and tables with its slash: "" if there is none, or it is all the label."""
    tops, deeper, tabled = set(), False, False
    for found in files.match(f"(?P<top>[^/]*/)?(?:{AUDIO}|{TABLE})"):
        tops.add(found["top"] or "")
        deeper = deeper or found[0].count("/") > 1
        tabled = tabled or found["kind"] is not None
        if len(tops) > 1:
            return ""
    top = tops.pop() if tops else ""
    return top if (tabled or deeper) and not split_named(top.rstrip("/")) else ""


def columns_of(files: Files, table: re.Match[str]) -> list[str]:
    """Return the names of a table's columns; of JSON lines, those of the first."""
    first = next(files.lines(table[0]), "")
    if table["kind"].lower() == "jsonl":
        return list(json.loads(first or "{}"))
    return next(csv.reader([first], delimiter="\t" if table["kind"].lower() == "tsv" else ","), [])


def read_table(files: Files, table: re.Match[str]) -> Iterable[dict[str, str]]:
    """Yield the rows of a table: commas, tabs or a JSON object a line.

    file_name,label,text
    happy/x.wav,happy,Good morning.
    """
    kind, lines = table["kind"].lower(), files.lines(table[0])
    if kind == "jsonl":
        return ({name: text(value) for name, value in json.loads(line).items() if value is not None} for line in lines)
    return read_tsv(lines) if kind == "tsv" else csv.DictReader(lines)


def find(files: Files, bases: Lookup, folder: str, path: str) -> str:
    """Return the member that a table's row means; of one that is not there, the path as it is written.

    It is looked for beside the table, then below the top folder under ever shorter ends of the path, since tables can
    hold the paths of another machine, then anywhere by its name or stem, if only one file has it.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    for name in (f"{folder}{'/'.join(parts)}", *("/".join(parts[first:]) for first in range(len(parts)))):
        if name in files:
            return name
    found = bases.values(parts[-1]) if parts else []
    return found[0] if len(found) == 1 else "/".join(parts)


def split_named(name: str | None) -> str | None:
    """Return the split that a folder, a table or a cell names."""
    return SPLITS.get(name.strip().lower()) if name else None


def split_of(member: str) -> str:
    """Return the split whose folder a file lies in; train if in none."""
    top, slash, _ = member.partition("/")
    return (split_named(top) if slash else None) or "train"


def table_split(table: re.Match[str]) -> str | None:
    """Return the split that a table is of, by its name or by its folder."""
    return split_named(table["stem"]) or split_named(table["folder"].partition("/")[0])


def base(member: str) -> str:
    """Return the name without folders."""
    return member.rpartition("/")[2]


def text(value: Any) -> str:
    """Return a value of JSON as tables of text have it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def typed(name: str, cell: str | None) -> Any:
    """Return a cell with the type of the column that corpora share, as text where they share none."""
    if not cell:
        return None
    if name == "fold":
        return int(float(cell))
    if name == "events":
        return json.loads(cell) if cell.startswith("[") else cell.split(",")
    return cell
