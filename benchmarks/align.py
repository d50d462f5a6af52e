"""How near the aligner's boundaries lie to those that people set by hand in TIMIT.

    python benchmarks/align.py ../shared/data/timit_nltk_sample

Both sides are folded to 39 classes, a closure is one phone with its release, silence is left out. The
first line scores the utterances whose phones are the dictionary's throughout, which are few; the second
the stretches of all utterances where they are.
"""

from __future__ import annotations

import argparse
import time

from datasets import Dataset, concatenate_datasets, load_dataset
from tabulate import tabulate

import builders  # noqa: F401  makes builders/timit loadable
from builders.phones import phone_set
from features.align import align
from features.align_score import Agreement, phone_agreement, word_agreement


def main() -> None:
    """Align a copy of TIMIT without its tiers and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("timit", help="folder or archive of TIMIT, or of the NLTK sample")
    parser.add_argument("--num-proc", type=int, help="processes (default: 1)")
    options = parser.parse_args()
    splits = load_dataset("builders/timit", data_dir=options.timit)
    table = concatenate_datasets(list(splits.values()))
    begin = time.perf_counter()
    made = align(without_segments(table), num_proc=options.num_proc)
    speed = sum(table["duration"]) / (time.perf_counter() - begin)
    print(report(table, made))
    print(f"\n{speed:.0f} times real time")


def without_segments(table: Dataset) -> Dataset:
    """Return the table with no segments, as a corpus without alignment has it."""
    empty = Dataset.from_dict({"segments": [[]] * len(table)}, features=table.select_columns("segments").features)
    return concatenate_datasets([table.remove_columns("segments"), empty], axis=1)


def report(table: Dataset, made: Dataset) -> str:
    """Return a table of how far the tiers of both agree."""
    pairs = list(zip(table["segments"], made["segments"], strict=True))
    gold = phone_set("timit")
    rows = [
        line("phones, utterances with equal sequences", phone_agreement(pairs, reference_set=gold)),
        line("phones, equal stretches", phone_agreement(pairs, reference_set=gold, scored="matches")),
        line("words, utterances with equal sequences", word_agreement(pairs)),
    ]
    headers = ["starts of", "utterances", "equal", "starts", "coverage %", "20 ms %", "50 ms %", "median ms"]
    return tabulate(rows, headers=headers, floatfmt=".1f")


def line(name: str, found: Agreement) -> list[str | float]:
    """Return one row of the table."""
    shares = [100 * share for share in (found.coverage, found.within_20, found.within_50)]
    return [name, found.utterances, found.equal, found.scored, *shares, 1000 * found.median]


if __name__ == "__main__":
    main()
