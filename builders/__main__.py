"""The command ``python -m builders``: which corpora there are, and turning one into a table."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from datasets import DatasetDict, load_dataset, load_dataset_builder
from datasets.utils.py_utils import convert_file_size_to_int
from tabulate import tabulate

from builders import check as quality_check
from builders import clean, corpora, extract, manifest, plan, startup, status
from builders.cache import absolute
from builders.corpus import CorpusBuilder
from builders.errors import CorpusError
from builders.listing import SHARD_BYTES
from builders.options import QUARANTINED, call, corpus_options
from builders.prepare import QUARANTINE, output, prepare
from builders.push import push
from builders.register import HOME, builder_class
from builders.training_jobs import inventory
from builders.verify import verify, verify_archives

EXAMPLES = {
    "list": "python -m builders list",
    "show": "python -m builders show timit",
    "load": "python -m builders load timit --data-dir /data/TIMIT --out tables/timit",
    "prepare": "python -m builders prepare timit --data-dir /data/TIMIT --out /data/prepared --workers 4",
    "push": "python -m builders push /data/prepared/timit --repo my-lab/timit",
    "verify": "python -m builders verify librispeech test-clean --data-dir /data/LibriSpeech",
    "manifest": "python -m builders manifest timit --data-dir /data/TIMIT --out manifests",
    "check": "python -m builders check tables/timit --out quality/timit",
    "jobs": "python -m builders jobs /data/prepared",
    "enable": "python -m builders enable",
    "disable": "python -m builders disable",
}
DISK = (status, extract, clean, plan)  # commands that lie in modules of their own
EXAMPLES |= {module.__name__.split(".")[-1]: module.EXAMPLE for module in DISK}
DIFFERENT = 1  # exit status: the corpus is not what was published


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, 2 for bad input, 3 where recordings were quarantined."""
    options = parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (CorpusError, ValueError) as error:  # ValueError: what `datasets` says of a configuration or option
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # an --out that cannot be made, a disk that fails
        print(f"error: {f'{error.filename}: {error.strerror}' if error.filename else error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: nothing half-written is left, the same command starts again", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    top = argparse.ArgumentParser(prog="python -m builders", description="Speech corpora as tables.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, epilog=f"example: {EXAMPLES[name]}")
        command.set_defaults(run=run)
        return command

    add("list", run_list, "List all corpora.")
    add("show", run_show, "Show a corpus: source, licence, configurations, labels.").add_argument("corpus")
    load = add("load", run_load, "Read a corpus, normalise its audio and report; write the table with --out.")
    check = add("verify", run_verify, "Compare what is there with what was published; exit status 1 where they differ.")
    make = add("prepare", run_prepare, "Write a corpus as Parquet shards with a card; an interrupted run goes on.")
    for command in (load, check, make):
        corpus_options(command)
    for command in (load, check):
        command.add_argument("--num-proc", type=int, help="processes (default: 1)")
    make.add_argument("--out", required=True, help="folder or address to write to; the data set is a folder in it")
    make.add_argument("--workers", type=int, help="processes (default: 1, with Ray all CPUs of the cluster)")
    make.add_argument("--engine", choices=("local", "ray"), default="local", help="where they run (default: local)")
    make.add_argument("--max-shard-size", type=size, default=SHARD_BYTES, metavar="SIZE",
                      help="of a shard's source audio, e.g. 200MB (default: 500MB)")  # fmt: skip
    make.add_argument("--max-bad", type=float, help="share of bad recordings to bear (default: 0.01 for most corpora)")
    send = add("push", run_push, "Upload a prepared data set, a feature table or results to the Hub, private.")
    send.add_argument("folder", type=Path)
    send.add_argument("--repo", required=True, metavar="ORGANISATION/NAME")
    send.add_argument("--public", action="store_true", help="let everyone read it, where the licence allows that")
    send.add_argument("--i-have-the-right-to-publish", action="store_true", help="where the licence does not")
    work = add("jobs", run_jobs, "List the training jobs, and which of their corpora lie below a folder.")
    work.add_argument("root", nargs="?", type=Path, help="folder that holds prepared or raw corpora")
    load.add_argument("--split", help="one split only, e.g. train")
    load.add_argument("--out", type=Path, help="folder to write the table to")
    load.add_argument("--max-bad", type=float, help="share of bad recordings to bear (default: 0.01 for most corpora)")
    check.add_argument("--deep", action="store_true", help="decode all audio: hours, and what is truncated")
    manifest.add_command(add)
    quality_check.add_command(add)
    add("enable", run_enable, "Make builders/<corpus> loadable in every program of this environment.")
    add("disable", run_disable, "Take that back.")
    for module in DISK:
        module.add_command(commands)
    return top


def run_list(_: argparse.Namespace) -> None:
    """Print one line per corpus."""
    rows = []
    for name in corpora():
        builder = builder_class(name)
        facts = builder.FACTS
        hours = max(sum(split.hours or 0 for split in config.splits.values()) for config in builder.BUILDER_CONFIGS)
        labels = ", ".join([*facts.labels, *facts.own_labels])
        rows.append([name, facts.language, f"{hours:.0f}" if hours else "", facts.phone_set, facts.licence, labels])
    print(
        tabulate(
            rows,
            headers=["corpus", "language", "hours", "phones", "licence", "labels"],
            maxcolwidths=40,
            disable_numparse=True,
        )
    )
    state = "on" if startup.enabled() else "off (python -m builders enable)"
    print(f"\nload_dataset('builders/<corpus>') works after `import builders`; in every program: {state}")


def run_show(options: argparse.Namespace) -> None:
    """Print a corpus' card and configurations."""
    builder = builder_class(options.corpus)
    card = HOME / options.corpus / "README.md"
    if card.exists():
        print(card.read_text(encoding="utf-8").split("---\n")[-1].strip(), end="\n\n")
    rows = [
        [config.name, split, expected.utterances, expected.hours]
        for config in builder.BUILDER_CONFIGS
        for split, expected in config.splits.items()
    ]
    print(tabulate(rows, headers=["configuration", "split", "utterances", "hours"]))
    print(f"\n{builder.FACTS.access}")


def run_load(options: argparse.Namespace) -> int:
    """Make the table, print what is in it, write it where asked."""
    if options.out and options.out.exists():
        raise CorpusError(f"{options.out} exists already: remove it or choose another --out")
    if options.out:
        make_room(options.out)
    builder, table = load(options, max_bad=options.max_bad)
    print(summary(builder, table))
    if options.split and options.split not in table:
        raise CorpusError(f"{options.corpus} has no split {options.split!r} here: expected one of {list(table)}")
    if options.out:
        save(DatasetDict({options.split: table[options.split]}) if options.split else table, options.out)
        print(f"\ntable: {options.out}\nnext: python -m features {options.out} --encoder log_mel --layers all")
    bad = quarantined(builder, table)
    for path in bad:
        print(f"quarantined: {path}", file=sys.stderr)
    return QUARANTINED if bad else 0


def run_verify(options: argparse.Namespace) -> int:
    """Compare counts, and with --deep hours, with the published ones; archives with what was unpacked from them."""
    if options.deep:
        builder, table = load(options, max_bad=1.0)
    else:
        builder, table = load_dataset_builder(**call(options)), None
    findings = verify(builder, table)
    headers = ["split", "utterances", "published", "hours", "published", "finding"]
    print(tabulate([list(finding) for finding in findings], headers=headers, floatfmt=".2f"))
    right = all(finding.what == "as published" for finding in findings)
    if options.data_dir:
        unpacked = verify_archives(options.corpus, options.config, absolute(options.data_dir), deep=options.deep)
        if unpacked:
            print(f"\n{tabulate(unpacked, headers=['archive', 'files', 'unpacked in', 'finding', ''])}")
        right = right and all(archive.right for archive in unpacked)
    return 0 if right else DIFFERENT


def run_prepare(options: argparse.Namespace) -> int:
    """Write the shards and say what came of it."""
    arguments = call(options)
    if options.max_bad is not None:
        arguments["max_bad"] = options.max_bad
    out = output(options.out, load_dataset_builder(**arguments))
    ledger = prepare(
        arguments, out, workers=options.workers, engine=options.engine, max_shard_size=options.max_shard_size
    )
    print(f"{out}: {sum(entry.rows for entry in ledger.entries.values())} rows, {ledger.hours:.2f} hours")
    if "://" in out:
        print(f"next: load_dataset('parquet', data_files='{out}/data/*.parquet')")
    else:
        print(f"next: load_dataset({out!r}), or python -m features {out} --encoder log_mel")
    if ledger.quarantined:
        print(f"quarantined: {ledger.quarantined}, see {out}/{QUARANTINE}", file=sys.stderr)
    return QUARANTINED if ledger.quarantined else 0


def run_push(options: argparse.Namespace) -> None:
    """Upload and say where it is."""
    print(push(options.folder, options.repo, public=options.public, permitted=options.i_have_the_right_to_publish))


def run_jobs(options: argparse.Namespace) -> None:
    """Print one line per training job."""
    if options.root and not options.root.is_dir():
        raise CorpusError(f"{options.root} is not a folder: pass the one that holds the corpora")
    headers = ["job", "label", "found", "missing"] if options.root else ["job", "label", "corpora"]
    rows = inventory(options.root)
    print(tabulate(rows if options.root else [[*row[:2], row[3]] for row in rows], headers=headers, maxcolwidths=60))


def size(text: str) -> int:
    """Read a number of bytes as `datasets` does: 500MB, 1GiB, 60000."""
    return int(text) if text.isdigit() else convert_file_size_to_int(text)


def load(options: argparse.Namespace, *, max_bad: float | None) -> tuple[CorpusBuilder, DatasetDict]:
    """Return the builder and the table."""
    keywords = call(options) if max_bad is None else {**call(options), "max_bad": max_bad}
    return load_dataset_builder(**keywords), load_dataset(**keywords, num_proc=options.num_proc)


def summary(builder: CorpusBuilder, table: DatasetDict) -> str:
    """Return a table of what was found beside what was published."""
    rows = []
    for split, part in table.items():
        expected = builder.config.splits.get(split)
        hours = sum(part.data.column("duration").to_numpy()) / 3600
        rows.append([split, len(part), expected and expected.utterances, hours, expected and expected.hours])
    headers = ["split", "utterances", "published", "hours", "published"]
    return tabulate(rows, headers=headers, floatfmt=".2f")


def quarantined(builder: CorpusBuilder, table: DatasetDict) -> list[Path]:
    """Return the quarantine files of the splits that have one."""
    return [path for split in table if (path := builder.quarantine_file(split)).exists()]


def make_room(out: Path) -> None:
    """Make the folder that a table goes into: that it cannot be made is said before the work."""
    with suppress(OSError):
        out.parent.mkdir(parents=True, exist_ok=True)
    if not (out.parent.is_dir() and os.access(out.parent, os.W_OK)):
        raise CorpusError(f"{out} can't be written: {out.parent} is no folder to write to, choose another --out")


def save(table: DatasetDict, out: Path) -> None:
    """Write the table under a temporary name first: a half-written one never has the name of a table."""
    working = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        table.save_to_disk(str(working))
        working.rename(out)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def run_enable(_: argparse.Namespace) -> None:
    """Write the start-up files."""
    print(f"on: load_dataset('builders/<corpus>') works in every program of {startup.enable()}")


def run_disable(_: argparse.Namespace) -> None:
    """Remove the start-up files."""
    print("off" if startup.disable() else "was off already")


if __name__ == "__main__":
    sys.exit(main())
