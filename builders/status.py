"""The command ``status``: what of which corpus lies below a folder, what can go, and what to do next."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tabulate import tabulate

from builders.errors import CorpusError
from builders.inventory import Found, archives, compared
from builders.ledger import FOLDER, Ledger
from builders.places import Corpus, places
from builders.prepared import Prepared, prepared
from builders.published_sizes import published
from builders.recognise import known
from builders.tree import Tree

NAMED = 6  # absent archives that a line names
EXAMPLE = "python -m builders status /data"


@dataclass(frozen=True)
class Row:
    """A line of the table.

    archive : str
        Below the folder; of an unpacked corpus its folder, with a slash at its end.
    size, deletable : int or None
        Bytes.
    state : str
        absent, archived, truncated, partly extracted, extracted, verified or prepared.
    note, next : str
        What is to be said of it, and what to do.
    """

    corpus: str
    archive: str
    size: int | None
    state: str
    deletable: int
    note: str
    next: str


def add_command(commands: Any) -> None:
    """Add the command to the parser's."""
    text = "Tell what of which corpus lies below a folder; of a run's output, how far the run is."
    command = commands.add_parser("status", help=text, description=text, epilog=f"example: {EXAMPLE}")
    command.add_argument("folder", help="folder of corpora, or output of `prepare` or `python -m features`")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the table of corpora, or how far a run is."""
    folder = Path(options.folder)
    if "://" in options.folder or (folder / FOLDER / "run.json").exists():
        _print_run(options)
        return
    if not folder.is_dir():
        raise CorpusError(f"{folder} is no folder: pass the folder of the corpora, or the output of a run")
    rows = table(folder)
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    print(tabulate([_line(row) for row in _folded(rows)], headers=["corpus", "archive", "size", "state", "deletable",
          "notes; what to do next"], maxcolwidths=[None, 48, None, None, None, 70], disable_numparse=True))  # fmt: skip
    free = sum(row.deletable for row in rows)
    print(f"\n{size(free)} can be freed: python -m builders clean {folder}" if free else "\nnothing can be freed")


def table(folder: Path) -> list[Row]:
    """Return a row for each archive, unpacked corpus and prepared data set below a folder, and for what is absent."""
    with closing(Tree(folder)) as tree:
        data = prepared(tree)
        found = [compared(tree, archive, data) for archive in archives(tree)]
        rows = [_archive(tree, archive) for archive in found]
        rows += [_place(tree, place) for place in places(tree)]
        rows += [_prepared(one) for one in data]
    rows += _absent(rows, found)
    return sorted(rows, key=lambda row: (row.corpus, row.state == "absent", row.archive))


def size(count: int | None) -> str:
    """Return bytes as people write them."""
    if count is None:
        return "-"
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def _archive(tree: Tree, found: Found) -> Row:
    state, corpus = found.state, found.corpora[0]
    free = found.size if state in ("extracted", "verified", "prepared") and not found.subset else 0
    path = str(found.path.relative_to(tree.top))
    say = [found.broken, found.remark, found.comparison.what() if found.comparison else ""]
    if found.first is not None:
        say.append(f"{found.first[0]} of its first {found.first[1]} files are there")
    if found.place is not None and not found.broken:
        say.append(f"in {tree.top / found.place.folder}")
    say += [f"in {folder}" for folder in found.prepared]
    note = "; ".join(part for part in say if part)
    return Row(" or ".join(found.corpora), path, found.size, state, free, note, _next(state, corpus, tree.top, found))


def _next(state: str, corpus: str, top: Path, found: Found) -> str:
    where = f"{corpus} --data-dir {found.path}"
    return {
        "truncated": "fetch it again",
        "archived": f"read it as it is: python -m builders prepare {where} --out OUT, or extract {where}",
        "partly extracted": f"python -m builders extract {where}",
        "extracted": f"python -m builders verify {corpus} --data-dir {top}",
        "verified": f"python -m builders clean {top}",
        "prepared": f"python -m builders clean {top} --prepared {found.prepared[0] if found.prepared else ''}",
    }[state]


def _place(tree: Tree, place: Corpus) -> Row:
    told = place.published()
    note = f"{place.recordings:,} recordings in {place.files:,} files"
    note += f", published {told[-1]:,}" if told else ""
    note += f"; cache of {place.hub}" if place.hub else ""
    note += f"; {place.unfinished} downloads unfinished" if place.unfinished else ""
    corpus, folder = place.corpora[0], tree.top / place.folder
    then = f"python -m builders verify {corpus} --data-dir {folder}"
    return Row(" or ".join(place.corpora), f"{place.folder}/", place.bytes, place.state, 0, note, then)


def _prepared(data: Prepared) -> Row:
    note = f"{data.shards} of {data.of} shards, {data.configuration}"
    where = f"python -m features {data.path} --encoder log_mel"
    then = where if data.finished else f"python -m builders prepare {data.corpus} --out ...: it goes on"
    count = sum(path.stat().st_size for path in data.path.rglob("*.parquet"))
    return Row(data.corpus, f"{data.folder}/", count, "prepared" if data.finished else "archived", 0, note, then)


def _absent(rows: list[Row], found: list[Found]) -> Iterator[Row]:
    """Yield the published archives that are not there, of the corpora of which something is."""
    here = {(corpus, archive.name) for archive in found for corpus in archive.corpora}
    for corpus in sorted({row.corpus for row in rows}):
        archives = known()[corpus].facts.archives if corpus in known() else ()
        for archive in archives:
            if (corpus, archive.name) not in here:
                count = published(corpus, archive.name, archives)
                yield Row(corpus, archive.name, count, "absent", 0, "published", known()[corpus].facts.access)


def _folded(rows: list[Row]) -> Iterator[Row]:
    """Yield the rows, what is absent of a corpus as one."""
    for number, row in enumerate(rows):
        if row.state != "absent":
            yield row
        elif number == 0 or rows[number - 1].state != "absent" or rows[number - 1].corpus != row.corpus:
            names = [other.archive for other in rows if (other.state, other.corpus) == ("absent", row.corpus)]
            told = ", ".join(names[:NAMED]) + (f", ... ({len(names)})" if len(names) > NAMED else "")
            yield Row(row.corpus, told, None, "absent", 0, row.note, row.next)


def _line(row: Row) -> list[str]:
    what = "; ".join(part for part in (row.note, row.next) if part)
    return [row.corpus, row.archive, size(row.size), row.state, size(row.deletable or None), what]


def _print_run(options: argparse.Namespace) -> None:
    state = Ledger(options.folder).status()
    if options.json:
        print(json.dumps(state))
        return
    rate, left = state["rate"], state["seconds_left"]
    print(f"shards {state['shards']} of {state['of']}, {state['rows']} rows, {state['hours']:.2f} hours of audio")
    print(f"quarantined {state['quarantined']}")
    print(f"rate {rate:.0f} times real time" if rate else "rate not known yet", end=", ")
    print(f"{timedelta(seconds=round(left))} left" if left is not None else "time left not known yet")
