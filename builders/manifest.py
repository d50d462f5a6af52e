"""The command ``python -m builders manifest``: a corpus as JSONL, its audio referred to or written beside it.

A run makes the lines shard by shard in a hidden folder beside the output, so that a killed one goes on; at the end
the shards are put together in their order and the folder goes.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasets import load_dataset_builder

from builders import runner
from builders.cache import absolute, digest, writing
from builders.clips import Clips
from builders.corpus import BATCH_BYTES, BATCH_ROWS, MACHINERY_VERSION, CorpusBuilder
from builders.errors import AudioError, CorpusError, MemberError
from builders.ledger import Ledger
from builders.lengths import measuring
from builders.listing import Shard, batches, shards, weights
from builders.manifest_forms import FORMS, label_columns
from builders.materialise import Shelf, claim, differ_by_case
from builders.options import QUARANTINED, call, corpus_options
from builders.quarantine import check_all
from builders.shard_files import shard_name

MANIFEST_VERSION = 1  # raised when the same corpus begins to give other lines
AUDIO_FROM = ("corpus", "configuration", "files", "machinery")  # of a run's identity, what its audio depends on
SUFFIX = ".jsonl"


@dataclass(frozen=True)
class Manifest:
    """The job of writing the lines of one configuration of a corpus.

    call : mapping
        Arguments of `load_dataset`.
    clips : Clips
        Says where the audio of a line is.
    ranges : mapping of str to sequence of (Shard, float)
        Per split: the ranges of its shards, and their share of the work.
    several : bool
        Whether one file holds several splits.
    made_from : mapping
        What decides the bytes.
    """

    call: Mapping[str, Any]
    clips: Clips
    ranges: Mapping[str, Sequence[tuple[Shard, float]]]
    several: bool
    made_from: Mapping[str, Any]

    def identity(self) -> Mapping[str, Any]:
        """Return what decides the bytes."""
        return self.made_from

    def tasks(self) -> list[runner.Task]:
        """Return the shards of all splits."""
        return [
            runner.Task(shard_name(split, shard.number, len(ranges), "jsonl"), weight, (split, shard))
            for split, ranges in self.ranges.items()
            for shard, weight in ranges
        ]

    def ready(self, ledger: Ledger) -> None:
        """Make room for half-written audio, and clear what a killed run left of it."""
        if self.clips.shelf is not None:
            shutil.rmtree(self.clips.shelf.partial, ignore_errors=True)
            Path(self.clips.shelf.partial).mkdir(parents=True)

    def make(self, task: runner.Task, path: Path) -> runner.Made:
        """Write the lines of one shard, and their audio."""
        split, shard = task.shard
        arguments = json.dumps(dict(self.call), sort_keys=True)
        reader = _reader(arguments, self.made_from["files"], headers=self.clips.shelf is None)
        listing, labels = reader.listing(split), label_columns(reader.info.features)
        seconds, written, number = 0.0, 0, shard.first
        bad: list[tuple[str, str]] = []
        with path.open("w", encoding="utf-8") as file:
            for rows in batches(listing, shard, rows=BATCH_ROWS, size=BATCH_BYTES):
                for row in rows.to_pylist():
                    try:
                        entry = self.clips.entry(reader, split, number, row, labels, split if self.several else None)
                    except (AudioError, MemberError) as error:
                        bad.append((row["member"], str(error)))
                    else:
                        file.write(json.dumps(FORMS[self.clips.form](entry), ensure_ascii=False) + "\n")
                        seconds, written = seconds + entry.duration, written + 1
                    number += 1
        return runner.Made(written, seconds, bad)


def write_manifest(
    call: Mapping[str, Any],
    out: str | Path,
    *,
    split: str | None = None,
    form: str = "plain",
    audio: str | None = None,
    audio_dir: str | Path | None = None,
    workers: int = 1,
) -> tuple[list[Path], Path | None, Ledger]:
    """Write the manifest of a corpus, or go on with it where a killed run stopped.

    Parameters
    ----------
    call : mapping
        Arguments of `load_dataset`: path, name, data_dir, options.
    out : path
        A file, if it ends in ``.jsonl``; else a folder, which gets a file for each split.
    split : str, optional
        One split only.
    form : "plain", "nemo" or "lhotse"
    audio : "wav" or "flac", optional
        Write the audio to `audio_dir`: 16 kHz, mono, 16 bit. Without it nothing more is decoded than durations need.
    workers : int
        Processes.

    Returns
    -------
    list of Path, Path or None, Ledger
        The files, the list of quarantined recordings if there are any, and the ledger of the run.

    Raises
    ------
    CorpusError
        If there is such a file already, the audio of another corpus or copy is where this one's would go, or a form
        that refers to files meets an archive and `audio` is not given.
    TooManyBadFilesError
        If more recordings were quarantined than `max_bad` allows: their list is there, the manifest is not.
    """
    if (audio is None) != (audio_dir is None):
        raise CorpusError("--audio and --audio-dir go together: the form of the audio files and their folder")
    builder = load_dataset_builder(**call)
    listings = builder.listings(*([split] if split else []))
    targets = _targets(builder, absolute(out), split, listings)
    folder = absolute(out) if absolute(out).suffix != SUFFIX else absolute(out).parent
    made_from = _identity(builder, targets, form, audio, audio_dir)
    run = folder / f".{_stem(builder)}.{digest([json.dumps(made_from)])}.run"
    shutil.rmtree(run.with_suffix(".done"), ignore_errors=True)
    taken = [path for path in targets if path.exists()]
    if taken and not run.exists():
        raise CorpusError(f"{taken[0]} exists already: remove it or choose another --out")
    shelf = _shelf(builder, listings, audio, absolute(audio_dir), run.stem) if audio else None
    clips = Clips(form, str(folder), shelf)
    clips.check(builder, listings)
    if shelf is not None:
        claim(Path(shelf.folder), {key: made_from[key] for key in AUDIO_FROM})
    ranges = {name: _ranges(listing, by_bytes=audio is not None) for name, listing in listings.items()}
    job = Manifest(dict(call), clips, ranges, any(len(splits) > 1 for splits in targets.values()), made_from)
    ledger = runner.run(job, run, workers=workers, unit="B" if audio else " rows")
    return list(targets), _finish(builder, job, ledger, targets, folder), ledger


def _identity(
    builder: CorpusBuilder, targets: Mapping[Path, Sequence[str]], form: str, audio: str | None, audio_dir: Any
) -> dict[str, Any]:
    return {
        "corpus": builder.name,
        "configuration": builder.config_id,
        "files": builder.config.identity,
        "machinery": [MACHINERY_VERSION, MANIFEST_VERSION],
        "outputs": {path.name: list(splits) for path, splits in targets.items()},
        "form": form,
        "audio": None if audio is None else [audio, str(absolute(audio_dir))],
    }


def _stem(builder: CorpusBuilder) -> str:
    """Return the corpus' name, and its configuration's where that is not the default."""
    default = builder.DEFAULT_CONFIG_NAME or builder.BUILDER_CONFIGS[0].name
    return builder.name if builder.config.name == default else f"{builder.name}_{builder.config.name}"


def _targets(
    builder: CorpusBuilder, out: Path, split: str | None, listings: Mapping[str, pa.Table]
) -> dict[Path, list[str]]:
    """Return the files to be written, and which splits each holds."""
    if out.suffix == SUFFIX:
        return {out: list(listings)}
    if out.suffix in (".json", ".gz"):
        raise CorpusError(f"{out.name}: a manifest's name ends in {SUFFIX}; any other is taken for a folder")
    if len(builder.config.splits) == 1:
        return {out / f"{_stem(builder)}{SUFFIX}": list(listings)}
    return {out / f"{_stem(builder)}_{name}{SUFFIX}": [name] for name in listings}


def _shelf(builder: CorpusBuilder, listings: Mapping[str, pa.Table], form: str, folder: Path, run: str) -> Shelf:
    rows = {split: listing.num_rows for split, listing in listings.items()}
    marked = {split: differ_by_case(listing.column("id")) for split, listing in listings.items()}
    return Shelf(str(folder / _stem(builder)), form, str(folder / f"{run}.partial"), rows, marked)


def _ranges(listing: pa.Table, *, by_bytes: bool) -> list[tuple[Shard, float]]:
    if not by_bytes:
        return [(shard, float(shard.last - shard.first)) for shard in shards(listing)]
    sizes = weights(listing)
    return [(shard, float(sizes[shard.first : shard.last].sum())) for shard in shards(listing)]


@functools.lru_cache(maxsize=1)
def _reader(call: str, _identity: str, *, headers: bool) -> Any:
    """Return a worker's builder: an archive's index is read once a process, and again once the corpus is another."""
    builder = load_dataset_builder(**json.loads(call))
    builder.fetch()
    return measuring(builder) if headers else builder


def _finish(
    builder: CorpusBuilder, job: Manifest, ledger: Ledger, targets: Mapping[Path, Sequence[str]], folder: Path
) -> Path | None:
    """List the quarantined recordings, put the shards together and remove the run's folder."""
    tasks = {task.name: task.shard for task in job.tasks()}
    lines = [
        json.dumps({"split": split, "member": member, "reason": reason}, ensure_ascii=False) + "\n"
        for name, (split, _) in tasks.items()
        for member, reason in ledger.entries[name].bad
    ]
    first = next(iter(targets))
    quarantine = folder / f"{first.stem if len(targets) == 1 else _stem(builder)}.quarantine{SUFFIX}"
    quarantine.unlink(missing_ok=True)
    if lines:
        with writing(quarantine) as path:
            path.write_text("".join(lines), encoding="utf-8")
    listed = sum(shard.last - shard.first for _, shard in tasks.values())
    written = sum(entry.rows for entry in ledger.entries.values())
    absent = sum(builder.absent(builder.listing(split)) for split in {split for split, _ in tasks.values()})
    check_all(str(quarantine), listed, written, len(lines), builder.config.max_bad, absent=absent)
    for target, splits in targets.items():
        _join([Path(ledger.root, name) for name, (split, _) in tasks.items() if split in splits], target)
    if job.clips.shelf is not None:
        shutil.rmtree(job.clips.shelf.partial, ignore_errors=True)
    _remove(Path(ledger.root))
    return quarantine if lines else None


def _remove(run: Path) -> None:
    """Remove the folder of a finished run under another name: half of it must not look like a run."""
    done = run.with_suffix(".done")
    if run.exists():
        run.rename(done)
    shutil.rmtree(done, ignore_errors=True)


def _join(shards: Sequence[Path], target: Path) -> None:
    with writing(target) as temporary, temporary.open("wb") as whole:
        for path in shards:
            with path.open("rb") as part:
                shutil.copyfileobj(part, whole)


def add_command(add: Callable[[str, Any, str], argparse.ArgumentParser]) -> None:
    """Add the command to those of ``python -m builders``."""
    command = add("manifest", run_manifest, "Write a corpus as JSONL for training programs; killed, it goes on.")
    corpus_options(command)
    command.add_argument("--split", help="one split only, e.g. train")
    command.add_argument("--out", required=True, help="a file, if it ends in .jsonl; else a folder, a file a split")
    command.add_argument("--format", choices=tuple(FORMS), default="plain", help="of the lines (default: plain)")
    command.add_argument("--audio", choices=("wav", "flac"), help="write the audio, 16 kHz mono 16 bit")
    command.add_argument("--audio-dir", help="folder to write the audio to")
    command.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    command.add_argument("--max-bad", type=float, help="share of bad recordings to bear (default: 0.01 for most)")


def run_manifest(options: argparse.Namespace) -> int:
    """Write the manifest and say what came of it."""
    arguments = call(options) if options.max_bad is None else {**call(options), "max_bad": options.max_bad}
    targets, quarantine, ledger = write_manifest(
        arguments, options.out, split=options.split, form=options.format, audio=options.audio,
        audio_dir=options.audio_dir, workers=options.workers,
    )  # fmt: skip
    rows = sum(entry.rows for entry in ledger.entries.values())
    print(f"{' '.join(map(str, targets))}: {rows} rows, {ledger.hours:.2f} hours")
    if quarantine is not None:
        print(f"quarantined: {ledger.quarantined}, see {quarantine}", file=sys.stderr)
    return QUARANTINED if quarantine else 0
