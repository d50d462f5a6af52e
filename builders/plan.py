"""The command ``plan``: what the next steps cost in bytes and time, before they begin."""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import tarfile
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tabulate import tabulate

from builders.audio import normalise
from builders.budget import DTYPES, POOLS, UTTERANCE, Choice, audio_rate, choice, fitting
from builders.errors import AudioError, CorpusError
from builders.places import places
from builders.recognise import AUDIO
from builders.register import builder_class, corpora
from builders.schema import SAMPLING_RATE
from builders.status import Row, size, table
from builders.tree import Tree

EXAMPLE = "python -m builders plan librispeech --data-dir /data --encoder whisper-tiny --layers last"
TARS = (".gz", ".tgz", ".tar")
SAMPLE_SECONDS, SAMPLE_FILES = 5.0, 200  # of work, and recordings, of the sample run
PLANNED = """
Beside the storage table that is often planned with:
  planned  80 one-byte mel values and a position, about 100 bytes a frame, 50 frames a second:
           18.0 MB an hour, 0.9 TB for 50,000 hours
  ours     one float16 layer of the smallest Whisper, 384 values, 50 frames a second:
           138.2 MB an hour, 6.9 TB for 50,000 hours; as FLAC the audio itself is {audio:.1f} MB an hour"""


@dataclass
class Cost:
    """What a corpus takes, in bytes, and how long its audio is.

    hours, utterance : float
        Of audio; mean length of an utterance in seconds.
    assumed : str
        Where the hours are from.
    """

    corpus: str
    now: int
    freed: int
    hours: float
    utterance: float
    assumed: str


@dataclass
class Sample:
    """A short run of normalising: audio seconds a second on one core, and bytes of FLAC a second of audio."""

    speed: float
    rate: float


def add_command(commands: Any) -> None:
    """Add the command to the parser's."""
    text = "Tell what normalised audio and features will need in bytes and hours, and whether the disk holds them."
    command = commands.add_parser("plan", help=text, description=text, epilog=f"example: {EXAMPLE}")
    command.add_argument("corpus", nargs="*", help="corpora (default: all that are there)")
    command.add_argument("--data-dir", required=True, type=Path, help="folder of the corpora")
    command.add_argument("--encoder", help="whose features are to be kept")
    command.add_argument("--layers", nargs="+", default=["all"], help="all, last or numbers (default: all)")
    command.add_argument("--dtype", choices=DTYPES, default="float16", help="of the features (default: float16)")
    command.add_argument("--pool", choices=POOLS, default="none", help="mean: a vector an utterance (default: none)")
    command.add_argument("--feature-rate", type=float, metavar="BYTES", help="of features a second of audio")
    command.add_argument("--rate", type=float, metavar="TIMES", help="normalising, times real time (default: measured)")
    command.add_argument("--encode-rate", type=float, metavar="TIMES", help="encoding, times real time")
    command.add_argument("--workers", type=int, default=1, help="processes that normalise (default: 1)")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the budget; exit status 1 where the disk cannot hold it."""
    if not options.data_dir.is_dir():
        raise CorpusError(f"{options.data_dir} is no folder: pass the folder of the corpora")
    if wrong := [name for name in options.corpus if name not in corpora()]:
        raise CorpusError(f"there is no corpus {wrong[0]!r}: expected some of {corpora()}")
    wanted = choice(options.encoder, options.layers, options.dtype, options.pool) if options.encoder else None
    costs = budget(table(options.data_dir), options.corpus)
    sample = measure(options.data_dir, options.corpus)
    print(tabulate([_line(cost, wanted, options, sample) for cost in costs],
                   headers=["corpus", "hours", "now", "after cleaning", "after processing", "of it audio",
                            "of it features", "time", "hours are"], disable_numparse=True))  # fmt: skip
    print(PLANNED.format(audio=_audio(sample) * 3600 / 1e6))
    return _verdict(costs, wanted, options, sample)


def budget(rows: list[Row], wanted: list[str]) -> list[Cost]:
    """Return what each corpus takes now, what of it can go, and its hours."""
    names = wanted or sorted({row.corpus for row in rows if " or " not in row.corpus})
    costs = []
    for corpus in names:
        here = [row for row in rows if corpus in row.corpus.split(" or ") and row.state != "absent"]
        hours, utterance, assumed = _hours(corpus, here)
        total = sum(row.size or 0 for row in here)
        costs.append(Cost(corpus, total, sum(row.deletable for row in here), hours, utterance, assumed))
    return costs


def measure(top: Path, wanted: list[str]) -> Sample | None:
    """Normalise some recordings that are there, None if there are none."""
    begun, heard, flac, files = time.perf_counter(), 0.0, 0, 0
    spent = 0.0
    for data, channel in _recordings(top, wanted):
        start = time.perf_counter()
        try:
            audio = normalise(data, channel=channel)
        except AudioError:
            continue
        spent += time.perf_counter() - start
        heard += audio.samples / SAMPLING_RATE
        flac += len(audio.flac)
        files += 1
        if files >= SAMPLE_FILES or time.perf_counter() - begun > SAMPLE_SECONDS:
            break
    return Sample(heard / spent, flac / heard) if heard else None


def _recordings(top: Path, wanted: list[str]) -> Any:
    with closing(Tree(top)) as tree:
        found = [place for place in places(tree) if not wanted or set(wanted) & set(place.corpora)]
        paths = [(file, builder_class(place.corpora[0]).FACTS.channel) for place in found
                 for folder in tree.folders(place.folder)[:: max(1, len(tree.folders(place.folder)) // 50)]
                 for file in tree.files(folder, 20) if file.path.lower().endswith(AUDIO)]  # fmt: skip
    archives = [row for row in table(top) if row.state == "archived" and row.archive.endswith(TARS)
                and (not wanted or set(wanted) & set(row.corpus.split(" or ")))]  # fmt: skip
    for file, channel in paths[:: max(1, len(paths) // SAMPLE_FILES)]:
        yield (top / file.path).read_bytes(), channel
    for row in archives:
        yield from _packed(top / row.archive, builder_class(row.corpus.split(" or ")[0]).FACTS.channel)


def _packed(path: Path, channel: str) -> Any:
    """Yield some of the first recordings of a tar."""
    try:
        with tarfile.open(path, "r|*") as tar:
            for number, info in enumerate(tar):
                if number > SAMPLE_FILES:
                    return
                if info.isreg() and info.name.lower().endswith(AUDIO) and info.size < 100_000_000:
                    yield tar.extractfile(info).read(), channel
    except (tarfile.TarError, OSError, EOFError):
        return


def _hours(corpus: str, rows: list[Row]) -> tuple[float, float, str]:
    """Return the hours of what is there, seconds of an utterance, and where the hours are from."""
    archives = [Path(row.archive).name for row in rows if not row.archive.endswith("/") and row.state != "truncated"]
    folders = [row for row in rows if row.archive.endswith("/")]
    best, about = (0.0, UTTERANCE), "not published, nothing is here"
    for config in builder_class(corpus).BUILDER_CONFIGS:
        hours = sum(split.hours or 0 for split in config.splits.values())
        count = sum(split.utterances or 0 for split in config.splits.values())
        needed = [p for p in config.archives if not p.startswith("doc.") and "/" not in p]
        packed = needed and all(any(fnmatch.fnmatch(name, pattern) for name in archives) for pattern in needed)
        if hours > best[0] and (packed or folders or (archives and not needed)):
            best, about = (hours, hours * 3600 / count if count else UTTERANCE), f"published ({config.name})"
    if best[0] or not rows:
        return *best, about
    seconds = sum(row.size or 0 for row in folders or rows) / (16_000 * 2)
    return seconds / 3600, UTTERANCE, "from its bytes, as 16 kHz WAV"


def _audio(sample: Sample | None) -> float:
    return audio_rate(sample.rate if sample else None)


def _features(cost: Cost, wanted: Choice | None, options: argparse.Namespace) -> float:
    rate = options.feature_rate or (wanted.rate(cost.utterance) if wanted else 0.0)
    return rate * cost.hours * 3600


def _seconds(cost: Cost, options: argparse.Namespace, sample: Sample | None) -> float | None:
    speed = options.rate or (sample.speed * options.workers if sample else None)
    if speed is None:
        return None
    encode = cost.hours * 3600 / options.encode_rate if options.encode_rate else 0.0
    return cost.hours * 3600 / speed + encode


def _line(cost: Cost, wanted: Choice | None, options: argparse.Namespace, sample: Sample | None) -> list[str]:
    audio, features = int(cost.hours * 3600 * _audio(sample)), int(_features(cost, wanted, options))
    seconds = _seconds(cost, options, sample)
    clean = cost.now - cost.freed
    took = "not known: pass --rate" if seconds is None else str(timedelta(seconds=round(seconds)))
    return [cost.corpus, f"{cost.hours:,.1f}", size(cost.now), size(clean), size(clean + audio + features), size(audio),
            size(features), took, cost.assumed]  # fmt: skip


def _verdict(costs: list[Cost], wanted: Choice | None, options: argparse.Namespace, sample: Sample | None) -> int:
    free = shutil.disk_usage(options.data_dir).free
    freed = sum(cost.freed for cost in costs)
    audio = sum(cost.hours for cost in costs) * 3600 * _audio(sample)
    features = sum(_features(cost, wanted, options) for cost in costs)
    how = "measured on this machine" if sample and not options.rate else "as given" if options.rate else "not known"
    speed = options.rate or (sample.speed if sample else 0.0)
    print(f"\nnormalising: {speed:.0f} times real time, {how}; audio: {_audio(sample) * 3600 / 1e6:.1f} MB an hour")
    needed = audio + features
    print(f"needed {size(int(needed))}, free {size(free)}, and {size(freed)} after cleaning")
    if needed <= free:
        print("the disk holds it")
        return 0
    if needed <= free + freed:
        print(f"the disk holds it once it is cleaned: python -m builders clean {options.data_dir}")
        return 0
    print(
        f"the disk cannot hold it: {size(int(needed - free - freed))} too little. "
        f"{_instead(costs, wanted, free + freed - audio)}"
    )
    return 1


def _instead(costs: list[Cost], wanted: Choice | None, room: float) -> str:
    """Say which choice of features would fit."""
    if room < 0:
        return "Not even the normalised audio fits: prepare one corpus at a time, or choose a larger disk"
    hours = sum(cost.hours for cost in costs)
    mean = sum(cost.utterance * cost.hours for cost in costs) / hours if hours else UTTERANCE
    less = fitting(wanted, hours * 3600, room, mean) if wanted else None
    if less is None:
        return f"{size(int(room))} are left for features: {room / hours / 3600:,.0f} bytes a second of audio"
    return f"It would hold: {less} ({size(int(less.rate(mean) * hours * 3600))})"
