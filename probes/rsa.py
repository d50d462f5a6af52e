"""Representational similarity: whether frames of one phone, and utterances of like phones, lie close together.

After Chrupala, Higy and Alishahi (2020), Analyzing analytical methods, ACL. Local: Pearson's r between the cosine of
two frames and whether they have one label, over all pairs of a sample of frames. Global: r between the cosine of two
pooled utterances and ``1 - edit distance / longer length`` of their phones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from probes.attention import KINDS
from probes.errors import ProbeError
from probes.global_rsa import global_results
from probes.local_rsa import local_sums, unit
from probes.measuring import MOST_GROUPS, Asked, about, joined, value_and_interval
from probes.options import check_least, check_names
from probes.sample import FrameSample, draw_sample

SCOPES = ("local", "global")
POOLS = ("mean", *KINDS)
ROWS = 8192  # pairs that are looked at at a time
PUBLISHED = True  # the published protocol can be repeated


def measure(
    asked: Asked,
    *,
    scopes: tuple[str, ...] = SCOPES,
    frames: int = 70_000,
    utterances: int = 2_000,
    pool: tuple[str, ...] = ("mean",),
    epochs: int = 60,
) -> Iterator[dict[str, Any]]:
    """Yield for each layer r, r with nuisances held constant, and r with shuffled labels.

    Metrics: ``local_rsa``, ``local_rsa_partial`` (held constant: same speaker), ``local_rsa_shuffled``, and for each
    pooling ``global_rsa``, ``global_rsa_partial`` (same speaker, difference of durations), ``global_rsa_shuffled``,
    or ``global_rsa_linear`` and so on. Intervals resample speakers: all pairs within and between them.

    In the published protocol ``local_rsa`` is r over a random pairing that has each sampled frame once, and global RSA
    is measured on a random half of the utterances; attention is trained on the other half, in one batch, and the epoch
    taken that is best on the measured half.

    Parameters
    ----------
    asked : Asked
    scopes : tuple of "local" and "global"
    frames : int
        Sampled frames, 0 for all.
    utterances : int
        Sampled utterances, 0 for all: their pairs are in memory.
    pool : tuple of "mean", "linear" and "scalar"
        Attention is trained on the train speakers to raise r, stopped on validation, and measured on test.
    epochs : int > 0
        Of attention, at most.

    Raises
    ------
    ProbeError
        If a scope or pooling is unknown, or a number makes no sense.
    """
    check_names("scopes", scopes, SCOPES)
    check_least(0, frames=frames, utterances=utterances)
    if "global" in scopes:
        if not pool or set(pool) - set(POOLS):
            raise ProbeError(f"unknown pool={','.join(pool)}: expected one of {list(POOLS)}, or several")
        check_least(1, epochs=epochs)
    if "local" in scopes:
        yield from _local(asked, frames)
    if "global" in scopes:
        yield from global_results(asked, utterances, pool, epochs)


def _local(asked: Asked, frames: int) -> Iterator[dict[str, Any]]:
    clocks = {card.clock for card in asked.columns.values()}
    for clock in sorted(clocks, key=lambda clock: (clock.hop, clock.offset)):
        columns = [name for name, card in asked.columns.items() if card.clock == clock]
        sample = draw_sample(asked, columns, frames)
        for column in columns:
            yield from (paired_results if asked.published else local_results)(asked, column, sample)


def local_results(asked: Asked, column: str, sample: FrameSample) -> Iterator[dict[str, Any]]:
    """Yield the results of one layer on a sample of frames."""
    card = asked.columns[column]
    rows = np.unique(sample.rows)
    groups, voices = asked.groups(MOST_GROUPS, rows), np.zeros(len(asked.table), dtype=np.int64)
    voices[rows] = asked.speakers(rows) if "speakers" in groups.unit else np.arange(len(rows))
    weights = asked.weights(groups.count)
    shuffled = np.random.default_rng(asked.seed).permutation(sample.labels)
    shared = {
        **about(card), "split": "none", "n_test": len(sample.rows), "classes": len(sample.classes),
        "test_speakers": len(np.unique(asked.speakers(rows))),
        "note": joined(asked.note, f"interval over {groups.unit}" if groups.count > 1 else ""),
    }  # fmt: skip
    for labels, control in ((sample.labels, False), (shuffled, True)):
        batches = ((part, values[column]) for part, values in sample.batches(asked.table, {column: card}))
        sums = local_sums(batches, labels, voices[sample.rows], groups.of[sample.rows], groups.count)
        if control:
            yield {**shared, "metric": "local_rsa_shuffled", **value_and_interval(sums.pearson(weights))}
        else:
            yield {**shared, "metric": "local_rsa", **value_and_interval(sums.pearson(weights))}
            yield {**shared, "metric": "local_rsa_partial", **value_and_interval(sums.partial(weights))}


def paired_results(asked: Asked, column: str, sample: FrameSample) -> Iterator[dict[str, Any]]:
    """Yield r of one layer over a random pairing of the sampled frames, as the published code does.

    Its mean over pairings is what `local_results` gives. The values of the sample are in memory.
    """
    card = asked.columns[column]
    batches = sample.batches(asked.table, {column: card})
    values = np.concatenate([values[column] for _, values in batches])
    half = len(values) // 2
    one, two = np.random.default_rng(asked.seed).permutation(len(values))[: 2 * half].reshape(2, half)
    cosine = np.concatenate(
        [
            (unit(values[one[begin : begin + ROWS]]) * unit(values[two[begin : begin + ROWS]])).sum(axis=1)
            for begin in range(0, half, ROWS)
        ]
    )
    with np.errstate(invalid="ignore"):  # one label only
        r = np.corrcoef(cosine, sample.labels[one] == sample.labels[two])[0, 1]
    yield {
        **about(card), "split": "none", "n_test": 2 * half, "classes": len(sample.classes),
        "test_speakers": len(np.unique(asked.speakers(np.unique(sample.rows)))), "metric": "local_rsa",
        "value": None if np.isnan(r) else float(r),
        "note": joined(asked.note, "published protocol: one random pairing of the frames"),
    }  # fmt: skip
