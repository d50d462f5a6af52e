"""Reading archives of very many members, beside what else reads them.

    python benchmarks/archives.py                          200,000 members of 2 kB
    python benchmarks/archives.py --members 2000000 --bytes 64
    python benchmarks/archives.py --clips speech/ --gigabytes 2       recordings of that folder, as Opus, over and over

Each measurement runs in a process of its own with a fresh cache. Sequential reading is that of every member's bytes.
The last line projects index and seek points to 10.8 million members in 698 GB.
"""

from __future__ import annotations

import argparse
import gzip
import io
import itertools
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import soundfile as sf
from tabulate import tabulate

MANY, MANY_BYTES = 10_800_000, 698e9
WATCHED = """
import gzip, io, json, os, random, re, sys, tarfile, threading, time
peak = 0

def anonymous():
    with open("/proc/self/status") as status:
        return int(re.search(r"RssAnon:\\s+(\\d+)", status.read())[1]) * 1024

def watch():
    global peak
    while True:
        peak = max(peak, anonymous())
        time.sleep(0.01)

path, cores = sys.argv[1], int(sys.argv[2])
os.sched_setaffinity(0, set(list(os.sched_getaffinity(0))[:cores]))
os.cpu_count = lambda: cores
from builders.files import Files
base = anonymous()
threading.Thread(target=watch, daemon=True).start()
start, count = time.perf_counter(), 0
{work}
print(json.dumps([time.perf_counter() - start, max(0, peak - base), count]))
"""
OURS = {
    "index": "count = Files(path).count()[0]",
    "first row": "files = Files(path); name = next(iter(files.names())); count = len(files.read(name)); files.close()",
    "random": "files = Files(path); names = random.Random(0).sample(list(files.names()), 1000)\n"
    "start = time.perf_counter()\nfor name in names: count += len(files.read(name))\nfiles.close()",
    "sequential": "files = Files(path)\nfor member in files.members():\n"
    "    with files.sources[0].open(member) as file: count += len(file.read())\nfiles.close()",
}
OTHERS = {
    "tarfile": "with tarfile.open(path, 'r|gz') as tar:\n    for info in tar:\n        tar.members = []\n"
    "        if info.isreg(): count += len(tar.extractfile(info).read())",
    "indexed_gzip": "import indexed_gzip\nfile = indexed_gzip.IndexedGzipFile(path)\n"
    "with tarfile.open(fileobj=file, mode='r:') as tar:\n    for info in tar:\n        tar.members = []\n"
    "        if info.isreg(): count += len(tar.extractfile(info).read())",
    "indexed_gzip random": "import indexed_gzip\nfile = indexed_gzip.IndexedGzipFile(path)\n"
    "tar = tarfile.open(fileobj=file, mode='r:')\n"
    "infos = random.Random(0).sample(tar.getmembers(), 1000)\nstart = time.perf_counter()\n"
    "for info in infos: count += len(tar.extractfile(info).read())",
    "ratarmount index": "from ratarmountcore.mountsource.factory import open_mount_source\n"
    "source = open_mount_source(path, writeIndex=True, indexFilePath=path + '.ratarmount', parallelization=cores)\n"
    "source.__exit__(None, None, None)",
    "ratarmount random": "from ratarmountcore.mountsource.factory import open_mount_source\n"
    "source = open_mount_source(path, writeIndex=True, indexFilePath=path + '.ratarmount', parallelization=cores)\n"
    "names = random.Random(0).sample(list(Files(path).names()), 1000)\nstart = time.perf_counter()\n"
    "for name in names:\n    with source.open(source.lookup('/' + name)) as file: count += len(file.read())\n"
    "source.__exit__(None, None, None)",
}


def write(path: Path, contents: Iterator[bytes]) -> int:
    """Write the archive, in folders of a hundred as corpora have them, and return the number of members."""
    number = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number, content in enumerate(contents, 1):
            info = tarfile.TarInfo(f"corpus/train/{number // 10_000}/{number // 100}/{number:09d}.opus")
            info.size = len(content)
            file.write(info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512))
        file.write(bytes(10_240))
    return number


def noise(members: int, size: int) -> Iterator[bytes]:
    """Yield random bytes."""
    draw = random.Random(0)
    return (draw.randbytes(size) for _ in range(members))


def clips(folder: Path, size: float) -> Iterator[bytes]:
    """Yield the recordings of a folder as Opus, over and over in another order, until they are `size` bytes."""
    draw = random.Random(0)
    packed = [_opus(path) for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".wav", ".flac", ".opus")]
    total = 0
    for _ in itertools.count():
        for content in draw.sample(packed, len(packed)):
            if total >= size:
                return
            total += len(content)
            yield content


def _opus(path: Path) -> bytes:
    if path.suffix.lower() == ".opus":
        return path.read_bytes()
    values, rate = sf.read(path)
    buffer = io.BytesIO()
    sf.write(buffer, values, rate, format="OGG", subtype="OPUS")
    return buffer.getvalue()


def measure(work: str, path: Path, cores: int, cache: Path) -> tuple[float, float, int]:
    """Return seconds, memory in MB beyond that of the imports, and what the work counted."""
    environment = {**os.environ, "PHONELAYERS_CACHE": str(cache), "HF_HOME": str(cache)}
    command = [sys.executable, "-W", "ignore", "-c", WATCHED.replace("{work}", work), str(path), str(cores)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return float("nan"), float("nan"), done.stderr.splitlines()[-1:]
    seconds, memory, count = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory / 1e6, count


def main() -> None:
    """Print a line for each measurement, with its ratio to plain `tarfile`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=2_000, help="of a member (default: 2000)")
    parser.add_argument("--clips", type=Path, help="folder of recordings that the members are, in place of noise")
    parser.add_argument("--gigabytes", type=float, default=2.0, help="of clips (default: 2)")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", help="where the archive goes (default: a temporary folder)")
    parser.add_argument("--ours-only", action="store_true", help="beside `tarfile`; the others take long")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path, cache = Path(folder, "corpus.tar.gz"), Path(folder, "cache")
        made = clips(options.clips, options.gigabytes * 1e9) if options.clips else noise(options.members, options.bytes)
        members = write(path, made)
        what = "Opus clips" if options.clips else f"members of {options.bytes} bytes"
        print(f"{members:,} {what}, {path.stat().st_size / 1e6:.0f} MB packed", flush=True)
        for cores in options.cores:
            _table(path, cores, cache / str(cores), members, {} if options.ours_only else OTHERS)


def _table(path: Path, cores: int, cache: Path, members: int, others: dict[str, str]) -> None:
    cache.mkdir(parents=True)
    plain = measure(OTHERS["tarfile"], path, cores, cache)
    rows = [["tarfile, sequential", *plain[:2], 1.0]]
    for name, work in {**OURS, **{name: work for name, work in others.items() if name != "tarfile"}}.items():
        seconds, memory, count = measure(work, path, cores, cache)
        same = count == plain[2] if name in ("sequential", "indexed_gzip") else True
        label = f"ours, {name}" if name in OURS else name
        rows.append([label if same else f"{label}: {count}", seconds, memory, plain[0] / seconds])
        if name == "index":
            index = _bytes(cache / "indices"), _bytes(cache / "seekpoints"), seconds
    headers = [f"{cores} core(s)", "seconds", "memory, MB", "speed, tarfile = 1"]
    print(tabulate(rows, headers=headers, floatfmt=("", ".2f", ".0f", ".2f")), flush=True)
    members_more, bytes_more = MANY / members, MANY_BYTES / path.stat().st_size
    minutes = " to ".join(f"{index[2] * more / 60:.0f}" for more in sorted((members_more, bytes_more)))
    print(f"index {index[0] / 1e6:.0f} MB, seek points {index[1] / 1e6:.1f} MB; of {MANY:,} members in 698 GB")
    print(f"{index[0] * members_more / 1e9:.1f} and {index[1] * bytes_more / 1e9:.1f} GB, made in {minutes} minutes\n")


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
