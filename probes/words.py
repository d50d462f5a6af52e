"""Words known by their stamps, and what that teaches about new words.

A network learns words from stamps (`probes.stamp_network`); its logits then describe words that it has never
heard, and a linear SVM tells those apart from few examples a word. After https://github.com/mdda/cnn-speech-mnist,
with what it lacks: test speakers that neither network nor SVM have heard, random weights, and the stamps'
own pixels beside the logits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from builders.audio import decode
from builders.spoken_words.stamps import stamp
from probes.errors import ProbeError
from probes.results import MAJORITY
from probes.scores import intervals, scores, tallies
from probes.splits import Fold, Splits
from probes.stamp_network import EPOCHS, StampNetwork, train, untrained
from probes.tables import plain

ENCODER = "stamp_cnn"
PIXELS = "stamp"  # the acoustic baseline
REPEATS = 10  # draws of the few examples
C = 1.0  # of the SVM: nothing is left to tune it on
MISSING = "the transfer to new words needs scikit-learn: pip install 'phonelayers[words]'"


@dataclass(frozen=True)
class Words:
    """Spoken words as stamps.

    stamps : np.ndarray [shape=(n, 64, 32), uint8]
    labels : np.ndarray [shape=(n,), int64]
        Index into `names`.
    speakers : np.ndarray [shape=(n,), int64]
        One number a speaker.
    names : tuple of str
    """

    stamps: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray
    names: tuple[str, ...]


def read_words(table: Dataset, voices: np.ndarray, label: str | None = None) -> tuple[Words, np.ndarray]:
    """Make stamps of the rows of a manifest table whose word is known.

    Parameters
    ----------
    table : Dataset
        With `audio`, and `word` or `text`.
    voices : np.ndarray [shape=(rows,), str]
        Speaker of each row.
    label : str, optional
        Column that names the word; ``word`` where there is one, else ``text``.

    Returns
    -------
    words : Words
    rows : np.ndarray [shape=(n,), int64]
        Rows of the table that they are of.

    Raises
    ------
    ProbeError
        If the column is missing, or fewer than two words are there.
    """
    label = label or ("word" if "word" in table.column_names else "text")
    if missing := {label, "audio"} - set(table.column_names):
        raise ProbeError(f"the table has no columns {sorted(missing)}: expected a manifest table of single words")
    names = np.asarray([name or "" for name in plain(table, label)], dtype=str)
    rows = np.flatnonzero(names != "")
    different, labels = np.unique(names[rows], return_inverse=True)
    if len(different) < 2:
        raise ProbeError(f"column {label!r} has {len(different)} words: expected at least 2")
    audio = table.select_columns(["audio"]).with_format("arrow")
    made = [stamp(decode(audio[int(row)]["audio"].to_pylist()[0])) for row in rows]
    speakers = np.unique(voices, return_inverse=True)[1][rows]
    return Words(np.stack(made), labels, speakers, tuple(different.tolist())), rows


def recognise(
    words: Words, splits: Splits, known: Collection[str], *, seed: int = 0
) -> tuple[list[dict[str, Any]], list[StampNetwork]]:
    """Train a network per fold on the known words and score it on speakers it has not heard.

    Returns
    -------
    rows : list of dict
        Results.
    networks : list of StampNetwork
        One a fold.
    """
    names = [name for name in words.names if name in set(known)]
    codes = np.full(len(words.names), -1)
    codes[[words.names.index(name) for name in names]] = np.arange(len(names))
    labels, networks, tested, answered, guessed = codes[words.labels], [], [], [], []
    for fold in splits.folds:
        both = np.concatenate([fold.train, fold.validation])  # nothing is chosen
        learn, test = both[labels[both] >= 0], fold.test[labels[fold.test] >= 0]
        if not len(learn) or not len(test):
            raise ProbeError("a part of a fold has none of the words: more speakers are needed")
        network = train(words.stamps[learn], labels[learn], words=len(names), seed=seed)
        networks.append(network)
        tested.append(test)
        answered.append(network.logits(words.stamps[test]).argmax(axis=1))
        guessed.append(np.full(len(test), np.bincount(labels[learn]).argmax()))
    sizes = [(labels[np.concatenate([fold.train, fold.validation])] >= 0).sum() for fold in splits.folds]
    note = f"{EPOCHS} epochs on train and validation, nothing is chosen"
    about = {"note": note, "n_train": round(float(np.mean(sizes))), "classes": len(names)}
    test, answer, guess = map(np.concatenate, (tested, answered, guessed))
    rows = _scored(labels[test], words.speakers[test], answer, guess, len(names))
    return [{**about, **row} for row in rows], networks


def transfer(
    words: Words, folds: Sequence[Fold], networks: Sequence[StampNetwork], new: Collection[str], shots: Sequence[int],
    *, seed: int = 0,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Yield results of SVMs that learn new words from few examples of each.

    Parameters
    ----------
    words : Words
    folds : sequence of Fold
        Examples are drawn from train and validation, and tested on the test speakers.
    networks : sequence of StampNetwork
        One a fold.
    new : collection of str
        The words, none of which the networks have heard.
    shots : sequence of int
        Examples a word. The draw is repeated `REPEATS` times; values are means over the repeats.

    Raises
    ------
    ImportError
        If scikit-learn is missing.
    ProbeError
        If a word has fewer examples.
    """
    codes = np.full(len(words.names), -1)
    codes[[place for place, name in enumerate(words.names) if name in set(new)]] = np.arange(len(set(new)))
    labels = codes[words.labels]
    kinds = {
        (ENCODER, "trained", "logits"): [net.logits(words.stamps) for net in networks],
        (ENCODER, f"random{seed}", "logits"): [untrained_logits(words, net, seed) for net in networks],
        (PIXELS, "none", "pixels"): [words.stamps.reshape(len(labels), -1) / 255.0] * len(networks),
    }
    for count in shots:
        drawn = [[_draw(labels, fold, count, seed + turn) for fold in folds] for turn in range(REPEATS)]
        for (encoder, init, layer), features in kinds.items():
            about = {"encoder": encoder, "init": init, "layer": layer, "classes": len(set(new))}
            for row in _few(words, labels, folds, features, drawn, len(set(new))):
                if row["encoder"] != MAJORITY or init == "trained":
                    yield {**row, **(about if row["encoder"] != MAJORITY else {"classes": len(set(new))}),
                           "probe": f"svm_{count}_examples"}  # fmt: skip


def untrained_logits(words: Words, network: StampNetwork, seed: int) -> np.ndarray:
    """Return the logits of a network of the same size with random weights."""
    return untrained(network.out.weight.shape[0], seed).logits(words.stamps)


def svm_answers(features: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return what a linear SVM answers on the test rows, features standardised by the train rows."""
    try:
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise ImportError(MISSING) from error
    mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
    scaled = (features - mean) / np.where(scale > 0, scale, 1)
    return LinearSVC(C=C, max_iter=5000).fit(scaled[train], labels[train]).predict(scaled[test])


def _few(
    words: Words, labels: np.ndarray, folds: Sequence[Fold], features: Sequence[np.ndarray],
    drawn: Sequence[Sequence[np.ndarray]], classes: int,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Score all repeats together: each test word counts once a repeat."""
    truth, voices, answers, guesses = [], [], [], []
    for draws in drawn:
        for fold, own, examples in zip(folds, features, draws, strict=True):
            test = fold.test[labels[fold.test] >= 0]
            truth.append(labels[test])
            voices.append(words.speakers[test])
            answers.append(svm_answers(own, labels, examples, test))
            guesses.append(np.zeros(len(test), dtype=np.int64))  # all words are learnt from equally many examples
    rows = list(_scored(*map(np.concatenate, (truth, voices, answers, guesses)), classes))
    size = len(drawn[0][0])
    yield from ({**row, "n_train": size, "n_test": row["n_test"] // len(drawn)} for row in rows)


def _draw(labels: np.ndarray, fold: Fold, count: int, seed: int) -> np.ndarray:
    pool = np.concatenate([fold.train, fold.validation])
    draw = np.random.default_rng(seed)
    chosen = []
    for code in range(labels.max() + 1):
        own = np.sort(pool[labels[pool] == code])
        if len(own) < count:
            raise ProbeError(f"a new word has {len(own)} examples outside the test speakers: {count} are asked for")
        chosen.append(draw.choice(own, count, replace=False))
    return np.concatenate(chosen)


def _scored(
    truth: np.ndarray, voices: np.ndarray, answer: np.ndarray, guess: np.ndarray, classes: int
) -> Iterator[dict[str, Any]]:
    """Yield one result a metric of the answers, and of the majority baseline."""
    groups = np.unique(voices, return_inverse=True)[1]
    counts, majority = tallies(truth, answer, classes, groups), tallies(truth, guess, classes, groups)
    for encoder, init, own in ((MAJORITY, "none", majority), (ENCODER, "trained", counts)):
        values, ranges = scores(own.sum(axis=0), majority.sum(axis=0)), intervals(own, majority)
        for metric, value in values.items():
            low, high = (None if np.isnan(bound) else float(bound) for bound in ranges[metric])
            yield {
                "encoder": encoder, "init": init, "layer": "" if encoder == MAJORITY else "softmax", "layer_index": 0,
                "metric": metric, "value": None if np.isnan(value) else float(value), "ci_low": low, "ci_high": high,
                "n_test": len(truth), "test_speakers": len(counts),
            }  # fmt: skip
