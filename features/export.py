"""Feature tables as files for other tools: ``.npy``, ``.safetensors``, and the pickles of the VGS analysis.

``.npy``: one file per utterance and layer, ``<split>/<column>/<id>.npy``. ``.safetensors``: one file per utterance,
``<split>/<id>.safetensors``, a tensor per column. Beside them lies ``features.jsonl``, one line per matrix.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from tabulate import tabulate

from builders.cache import digest, writing
from builders.materialise import differ_by_case
from builders.phones import PHONE_SETS
from features.card import FeatureCard, cards
from features.columns import matrices
from features.store import TableError, open_table
from features.vgs_export import export_vgs, model_layers, models

FORMATS = ("npy", "safetensors", "vgs")
MANIFEST, IDENTITY = "features.jsonl", "export.json"
EXPORT_VERSION = 1  # raised when the same table begins to give other files
ROWS = 16  # utterances in memory
LONGEST_NAME = 200  # bytes of a file name without suffix; file systems take 255
KINDS = {"float16": "F16", "float32": "F32", "float64": "F64"}
EXAMPLE = "example: python -m features export tables/timit --format npy --out exports/timit --encoders whisper-tiny.en"


def export(arguments: Sequence[str]) -> None:
    """Write the files of one export and print where they are."""
    options = export_parser().parse_args(arguments)
    table = open_table(options.table, options.features)
    if options.format == "vgs":
        written = _export_vgs(table, options)
    else:
        chosen = {split: choose(part, options.encoders, options.layers) for split, part in _splits(table, options)}
        prepare(options.out, [options.format, _identity(table, options), _cards(chosen)])
        written = [write_files(table, chosen, options.out, options.format)]
    print(tabulate([[path, path.stat().st_size / 1e6] for path in written], headers=["file", "MB"], floatfmt=",.1f"))


def export_parser() -> argparse.ArgumentParser:
    """Return the parser of the export command."""
    parser = argparse.ArgumentParser(
        prog="python -m features export",
        description="Write a table's features as files that other tools read. A run that was interrupted goes on.",
        epilog=EXAMPLE,
    )
    parser.add_argument("table", type=Path, help="table written by `python -m builders load --out`")
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--features", nargs="+", type=Path, help="feature tables (default: all in TABLE/features)")
    parser.add_argument("--split", help="one split only (vgs: needed where there are several)")
    parser.add_argument("--layers", nargs="+", metavar="NAME", help="only these layers")
    parser.add_argument("--encoders", nargs="+", metavar="NAME", help="npy, safetensors: only these encoders")
    vgs = parser.add_argument_group("vgs")
    vgs.add_argument("--trained", metavar="NAME", help="what the trained model's columns begin with, e.g. whisper-tiny")
    vgs.add_argument("--random", metavar="NAME", help="the same of the random one, e.g. whisper-tiny.random0")
    vgs.add_argument("--generation", choices=("file-per-layer", "six-files"), default="file-per-layer",
                     help="of the files (default: file-per-layer, the newer one)")  # fmt: skip
    vgs.add_argument("--boundaries", choices=("design", "published"), default="design",
                     help="frames of a phone: those centred in it, or as published (default: design)")  # fmt: skip
    vgs.add_argument("--phone-set", choices=PHONE_SETS, help="of the tier `phones` (default: the corpus')")
    return parser


def choose(
    part: Dataset, encoders: Sequence[str] | None = None, layers: Sequence[str] | None = None
) -> dict[str, FeatureCard]:
    """Return the cards of the columns that are asked for.

    Raises
    ------
    TableError
        If there is none.
    """
    known = cards(part)
    wanted = {
        name: card
        for name, card in known.items()
        if (not encoders or card.encoder in encoders or name.removesuffix(f".{card.layer}") in encoders)
        and (not layers or card.layer in layers)
    }
    if not wanted:
        there = list(known) or "none: run `python -m features TABLE --encoder ...` first"
        raise TableError(f"no such features: the table has {there}")
    return wanted


def write_files(
    table: DatasetDict, chosen: Mapping[str, Mapping[str, FeatureCard]], out: Path, kind: str
) -> Path:  # fmt: skip
    """Write one file per matrix (``npy``) or utterance (``safetensors``) and the manifest; return the manifest.

    Files that are there already stay as they are: each takes its name when it is whole.

    Raises
    ------
    TableError
        If two rows of a split have one id.
    """
    with writing(out / MANIFEST) as path, path.open("w", encoding="utf-8") as lines:
        for split, columns in chosen.items():
            write = _write_npy if kind == "npy" else _write_safetensors
            for line in write(table[split], columns, out, split, file_names(table[split], split)):
                lines.write(json.dumps({"split": split, **line}, ensure_ascii=False) + "\n")
    return out / MANIFEST


def file_names(part: Dataset, split: str) -> Callable[[str], str]:
    """Return what gives the file name of an id.

    Raises
    ------
    TableError
        If two rows have one id.
    """
    ids = part.select_columns(["id"]).with_format("arrow")[:].column("id")
    counts = ids.value_counts()
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    if len(twice):
        raise TableError(
            f"split {split!r}: {len(twice)} ids stand in several rows, such as {twice[0].as_py()!r}: "
            "join tables whose ids differ"
        )
    return partial(file_name, marked=differ_by_case(ids))


def file_name(identifier: str, *, marked: bool = False) -> str:
    """Return an id as the name of a file: other characters than letters, digits and ``_.-~`` as ``%XX``.

    Different ids have different names. A long one is cut and ends in a hash, and so does each (`marked`) where some
    differ in case only; one that begins with a point, as hidden files and ``..`` do, begins with ``%2E``.
    """
    name = quote(identifier, safe="", errors="surrogatepass")
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    if len(name) <= LONGEST_NAME and not marked:
        return name
    return f"{name[: LONGEST_NAME - 20]}~{hashlib.sha256(identifier.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def prepare(out: Path, parts: Sequence[Any]) -> None:
    """Make the folder, or check that it holds the same export.

    Raises
    ------
    TableError
        If it holds another.
    """
    key = digest([EXPORT_VERSION, *parts])
    file = out / IDENTITY
    if file.exists() and json.loads(file.read_text(encoding="utf-8")).get("key") != key:
        raise TableError(f"{out} holds an export of another table or with other options: choose another --out")
    if not file.exists() and out.is_dir() and any(out.iterdir()):
        raise TableError(f"{out} holds other files: choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    with writing(file) as path:
        path.write_text(json.dumps({"key": key}), encoding="utf-8")


def _write_npy(
    part: Dataset, columns: Mapping[str, FeatureCard], out: Path, split: str, named: Callable[[str], str]
) -> Iterator[dict[str, Any]]:  # fmt: skip
    for column, card in columns.items():
        folder = Path(split, file_name(column))
        (out / folder).mkdir(parents=True, exist_ok=True)
        for identifier, found in _rows(part, [column]):
            file = folder / f"{named(identifier)}.npy"
            if not (out / file).exists():
                with writing(out / file) as path, path.open("wb") as opened:
                    np.save(opened, found[column])
            yield _line(identifier, file, found[column], column, card)


def _write_safetensors(
    part: Dataset, columns: Mapping[str, FeatureCard], out: Path, split: str, named: Callable[[str], str]
) -> Iterator[dict[str, Any]]:  # fmt: skip
    (out / split).mkdir(parents=True, exist_ok=True)
    for identifier, found in _rows(part, list(columns)):
        file = Path(split, f"{named(identifier)}.safetensors")
        if not (out / file).exists():
            with writing(out / file) as path:
                path.write_bytes(safetensors(found, {name: card.to_json() for name, card in columns.items()}))
        for column, card in columns.items():
            yield {**_line(identifier, file, found[column], column, card), "tensor": column}


def safetensors(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file: the length of a JSON header, the header, the arrays one behind the other.

    The format: https://huggingface.co/docs/safetensors
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": KINDS[str(array.dtype)], "shape": list(array.shape), "data_offsets": [at, at + array.nbytes],
        }  # fmt: skip
        at += array.nbytes
    text = json.dumps(header).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    return b"".join([struct.pack("<Q", len(text)), text, *(np.ascontiguousarray(a).tobytes() for a in arrays.values())])


def _rows(part: Dataset, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    ids = part.select_columns(["id"])
    for first in range(0, len(part), ROWS):
        names = ids[first : first + ROWS]["id"]
        found = {}
        for column in columns:
            values, lengths = matrices(part, column, slice(first, first + len(names)))
            found[column] = np.split(values, np.cumsum(lengths)[:-1])
        for number, name in enumerate(names):
            yield name, {column: parts[number] for column, parts in found.items()}


def _line(identifier: str, file: Path, values: np.ndarray, column: str, card: FeatureCard) -> dict[str, Any]:
    return {
        "id": identifier, "file": file.as_posix(), "shape": list(values.shape), "dtype": str(values.dtype),
        "column": column, "encoder": card.encoder, "init": card.init, "revision": card.revision, "layer": card.layer,
        "axis": card.axis, "pool": card.pool, "clock": card.clock and card.clock.to_dict(),
    }  # fmt: skip


def _export_vgs(table: DatasetDict, options: argparse.Namespace) -> list[Path]:
    splits = dict(_splits(table, options))
    if len(splits) > 1:
        raise TableError(f"the analysis knows no splits: pass --split, one of {list(splits)}")
    (part,) = splits.values()
    trained, random = pick_models(part, options.trained, options.random)
    keywords = {name: getattr(options, name) for name in ("generation", "boundaries", "layers", "phone_set")}
    chosen = {"": choose(part)}
    model_layers(part, trained, options.layers)  # says what is wrong before anything is written
    prepare(options.out, ["vgs", trained, random, sorted(keywords.items()), _identity(table, options), _cards(chosen)])
    written = export_vgs(part, options.out, trained=trained, random=random, **keywords)
    if random is None:
        print(f"no random weights: add them with `python -m features {options.table} --encoder ... --init random`")
    return written


def pick_models(part: Dataset, trained: str | None, random: str | None) -> tuple[str, str | None]:
    """Return what the columns of the trained and the random model begin with.

    Raises
    ------
    TableError
        If the table leaves a choice.
    """
    plain, drawn = models(part)
    if trained is None:
        both = [name for name in plain if any(other.startswith(f"{name}.random") for other in drawn)] or plain
        if len(both) != 1:
            raise TableError(f"which model? Pass --trained, one of {[*plain, *drawn]}")
        trained = both[0]
    if random is None:
        fitting = [name for name in drawn if name.startswith(f"{trained}.random")]
        if len(fitting) > 1:
            raise TableError(f"which random weights? Pass --random, one of {fitting}")
        random = fitting[0] if fitting else None
    return trained, random


def _splits(table: DatasetDict, options: argparse.Namespace) -> Iterator[tuple[str, Dataset]]:
    if options.split and options.split not in table:
        raise TableError(f"{options.table} has no split {options.split!r}: expected one of {list(table)}")
    return ((name, part) for name, part in table.items() if options.split in (None, name))


def _identity(table: DatasetDict, options: argparse.Namespace) -> list[Any]:
    """Return what the exported rows are: ids, and the features' fingerprints."""
    return [
        (name, part._fingerprint, digest(part.select_columns(["id"]).with_format("arrow")[:]["id"].to_pylist()))
        for name, part in _splits(table, options)
    ]


def _cards(chosen: Mapping[str, Mapping[str, FeatureCard]]) -> list[str]:
    return [card.to_json() for columns in chosen.values() for card in columns.values()]
