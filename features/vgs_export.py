"""The pickles of the VGS phoneme analysis out of a table with trained and random features.

``global_input.pkl`` {audio_id, ipa, text, audio}, ``global_<trained|random>_<layer>.pkl`` {layer: matrices},
``local_input.pkl`` {features, labels}, ``local_<trained|random>_<layer>.pkl`` {layer: {features, labels}}, or, as the
older generation has it, all layers of a model in one file without the layer in its name. What a file has is told by
the card of the corpus, ``builders/vgs_analysis/README.md``.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from datasets import Dataset

from builders.audio import decode
from builders.cache import writing
from builders.phones import phone_set as phone_set_of
from features.card import FeatureCard, cards
from features.clock import FrameClock
from features.columns import matrices
from features.phone_text import arpabet, ipa, ipa_of_text
from features.pickle_stream import PickleStream
from features.vgs_mfcc import CLOCK, ENCODER, LAYER, WIDTH, vgs_mfcc

logger = logging.getLogger(__name__)

Generation = Literal["file-per-layer", "six-files"]
Boundaries = Literal["design", "published"]
ROWS = 16  # utterances in memory
STEP = 160  # samples; the published code counts in steps of 10 ms
Phones = Sequence[tuple[float, float, str]]  # start and end in seconds, ARPAbet


@dataclass
class Spoken:
    """What an export needs of the table's rows, without audio and features.

    rows : list of int
        Those that are exported.
    ids, texts, spelt : list of str
    phones : list of Phones
        Empty for all where the table has no tier `phones`.
    """

    rows: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    spelt: list[str] = field(default_factory=list)
    phones: list[Phones] = field(default_factory=list)

    @property
    def aligned(self) -> bool:
        """Whether there are phones, and so local files."""
        return any(self.phones)


def export_vgs(
    table: Dataset,
    out: Path,
    *,
    trained: str,
    random: str | None,
    generation: Generation = "file-per-layer",
    boundaries: Boundaries = "design",
    layers: Sequence[str] | None = None,
    phone_set: str | None = None,
) -> list[Path]:
    """Write the files that are not there yet and return all.

    In memory are a few utterances, and of all of them ids, texts, and phones. A file takes its name when it is whole.

    Parameters
    ----------
    table : Dataset
        Manifest and feature columns.
    trained, random : str
        What the columns of the two models begin with; without `random` its files are not written.
    layers : sequence of str, optional
        All where left out.
    phone_set : str, optional
        Of the tier `phones`; by default that of each row's corpus.

    Raises
    ------
    ValueError
        If there are no such columns, or neither audio nor the analysis' MFCC.
    """
    models = {
        "trained": model_layers(table, trained, layers),
        "random": model_layers(table, random, layers) if random else {},
    }
    spoken = read_spoken(table, phone_set)
    write = _Writer(table, spoken, boundaries, out)
    files = [write.input_files()]
    for mode, found in models.items():
        groups = [[layer] for layer in found] if generation == "file-per-layer" else [list(found)] if found else []
        for group in groups:
            name = f"{mode}_{group[0]}" if generation == "file-per-layer" else mode
            files.append(write.layer_files(name, {layer: found[layer] for layer in group}))
    _write_cards(out, models)
    return [path for group in files for path in group]


def read_spoken(table: Dataset, phone_set: str | None = None) -> Spoken:
    """Return ids, texts, IPA and phones of the rows; those without phones are left out where others have them."""
    plain = table.select_columns([c for c in ("id", "text", "language", "corpus", "segments") if c in table.features])
    every, bare = Spoken(), []
    for number, row in enumerate(plain):
        phones = phones_of(row, phone_set)
        every.rows.append(number)
        every.ids.append(row["id"])
        every.texts.append(row.get("text") or "")
        every.phones.append(phones)
        every.spelt.append(ipa(name for _, _, name in phones))
        bare += [] if phones else [number]
    if not every.aligned:
        languages = plain["language"] if "language" in plain.features else [None] * len(plain)
        every.spelt = [ipa_of_text(text, code) for text, code in zip(every.texts, languages, strict=True)]
        logger.warning("no row has a tier `phones`: IPA is made of the texts, and there are no local files")
        return every
    if bare:
        logger.warning("%d of %d utterances left out: no tier `phones`, as the analysis does", len(bare), len(plain))
    kept = [number for number in every.rows if every.phones[number]]
    parts = ([column[number] for number in kept] for column in (every.ids, every.texts, every.spelt, every.phones))
    return Spoken(kept, *parts)


def phones_of(row: Mapping[str, Any], phone_set: str | None) -> Phones:
    """Return the phones of a row in the order of time, deleted ones left out."""
    segments = [segment for segment in row["segments"] if segment["tier"] == "phones"]
    if not segments:
        return []
    known = phone_set or phone_set_of(row["corpus"])
    named = ((s["start"], s["end"], arpabet(s["label"], known)) for s in sorted(segments, key=lambda s: s["start"]))
    return [phone for phone in named if phone[2] is not None]


def labelled(phones: Phones, clock: FrameClock, frames: int, boundaries: Boundaries) -> tuple[np.ndarray, list[str]]:
    """Return which frames of an utterance are labelled and how, in the order of the phones.

    ``design``: a frame belongs to the phone that holds its centre, ``start <= centre < end``. ``published``: from the
    frame of the start to that of the end inclusive, both counted as the frames that the time before them has, so
    that a frame on a boundary occurs twice; of layers behind convolutions without padding the frames before the first
    are counted from the end, as the published code does.

    Returns
    -------
    numbers : np.ndarray [shape=(n,), int64]
    labels : list of str
    """
    numbers: list[range] = []
    labels: list[str] = []
    times = np.rint(clock.times(frames) * 1e9)
    after = 0
    for start, end, name in phones:
        if boundaries == "published":
            found = range(index_of(start, clock), index_of(end, clock) + 1)
            found = range(max(found.start, -frames), max(min(found.stop, frames), max(found.start, -frames)))
        else:
            first, last = np.searchsorted(times, np.rint(np.array([start, end]) * 1e9))
            found = range(max(int(first), after), max(int(last), after))
            after = max(after, found.stop)
        numbers.append(found)
        labels += [name] * len(found)
    flat = [number for found in numbers for number in found]
    return np.array(flat, np.int64), labels


def index_of(seconds: float, clock: FrameClock) -> int:
    """Return the published index of a moment: the frames of whole 10 ms before it; negative before the first field."""
    samples = STEP * (int(seconds * 1000) // 10)
    if clock.padded:
        return max(0, -(-(samples - clock.offset) // clock.hop))
    return (samples - clock.field) // clock.hop + 1


class _Writer:
    """Writes pairs of files, global and local, in one pass over a column."""

    def __init__(self, table: Dataset, spoken: Spoken, boundaries: Boundaries, out: Path) -> None:
        self.table, self.spoken, self.boundaries, self.out = table, spoken, boundaries, out

    def input_files(self) -> list[Path]:
        """Write what the models heard and were told."""
        spoken, count = self.spoken, len(self.spoken.rows)
        with self._pair("input") as streams:
            if streams is not None:
                whole, local = streams
                for name, texts in (("audio_id", spoken.ids), ("ipa", spoken.spelt), ("text", spoken.texts)):
                    whole.texts(name, texts, count, max(map(len, texts), default=1))
                self._layer(whole, local, "audio", None, self._audio(), WIDTH, np.dtype(np.float64), CLOCK)
        return self._paths("input")

    def layer_files(self, name: str, layers: Mapping[str, FeatureCard]) -> list[Path]:
        """Write the layers of a model."""
        frames = any(card.axis == "frame" for card in layers.values())
        with self._pair(name, frames) as streams:
            if streams is not None:
                for layer, card in layers.items():
                    found = self._matrices(card.column)
                    self._layer(*streams, layer, layer, found, card.width, np.dtype(np.float32), card.clock,
                                pooled=card.axis == "utterance")  # fmt: skip
        return self._paths(name, frames)

    def _layer(
        self, whole: PickleStream, local: PickleStream | None, key: str, local_key: str | None,
        values: Iterable[np.ndarray], width: int, dtype: np.dtype, clock: FrameClock, *, pooled: bool = False,
    ) -> None:  # fmt: skip
        if pooled:  # one vector an utterance is one array
            with whole.rows(key, width, dtype) as rows:
                for matrix in values:
                    rows.add(matrix)
            return
        names: list[str] = []
        with contextlib.ExitStack() as stack:
            stack.enter_context(whole.matrices(key, len(self.spoken.rows)))
            if local is not None:
                if local_key is not None:
                    stack.enter_context(local.table(local_key))
                rows = stack.enter_context(_rows_then_labels(local, width, dtype, names))
            for matrix, phones in zip(values, self.spoken.phones, strict=True):
                whole.matrix(matrix.astype(dtype, copy=False))
                if local is not None:
                    numbers, labels = labelled(phones, clock, len(matrix), self.boundaries)
                    chosen = matrix[numbers]
                    good = ~np.isnan(chosen.sum(axis=1))
                    rows.add(chosen[good])
                    names.extend(label for label, kept in zip(labels, good.tolist(), strict=True) if kept)

    def _matrices(self, column: str) -> Iterator[np.ndarray]:
        wanted = self.spoken.rows
        for first in range(0, len(wanted), ROWS):
            rows = wanted[first : first + ROWS]
            values, lengths = matrices(self.table, column, slice(rows[0], rows[-1] + 1))
            parts = np.split(values, np.cumsum(lengths)[:-1])
            yield from (parts[row - rows[0]] for row in rows)

    def _audio(self) -> Iterator[np.ndarray]:
        stored = f"{ENCODER}.{LAYER}"
        if stored in self.table.features:
            yield from self._matrices(stored)
            return
        if "audio" not in self.table.features:
            raise ValueError(f"the table has neither audio nor the column {stored}: the MFCC cannot be made")
        audio = self.table.select_columns(["audio"])
        for row in self.spoken.rows:
            cell = audio[row]["audio"]
            if cell is None:
                raise ValueError(f"{self.table[row]['id']} has no audio, and there is no column {stored}")
            yield vgs_mfcc(decode(cell))

    def _paths(self, name: str, frames: bool = True) -> list[Path]:
        scopes = ("global", "local") if self.spoken.aligned and frames else ("global",)
        return [self.out / f"{scope}_{name}.pkl" for scope in scopes]

    @contextlib.contextmanager
    def _pair(self, name: str, frames: bool = True) -> Iterator[tuple[PickleStream, PickleStream | None] | None]:
        """Open the two files, None where they are there already."""
        paths = self._paths(name, frames)
        if all(path.exists() for path in paths):
            yield None
            return
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(stack.enter_context(writing(path)).open("wb")) for path in paths]
            streams = [PickleStream(file) for file in opened]
            yield streams[0], streams[1] if len(streams) > 1 else None
            for stream in streams:
                stream.close()


@contextlib.contextmanager
def _rows_then_labels(stream: PickleStream, width: int, dtype: np.dtype, names: list[str]) -> Iterator[Any]:
    with stream.rows("features", width, dtype) as rows:
        yield rows
    stream.texts("labels", names, len(names), max(map(len, names), default=1))


def models(table: Dataset) -> tuple[list[str], list[str]]:
    """Return what the columns of models begin with, trained (or without weights) and random ones."""
    found = [card for card in cards(table).values() if card.encoder != ENCODER and card.axis != "token"]
    names = {card.column.removesuffix(f".{card.layer}"): card.init.startswith("random") for card in found}
    return [n for n, is_random in names.items() if not is_random], [n for n, is_random in names.items() if is_random]


def model_layers(table: Dataset, prefix: str, wanted: Sequence[str] | None) -> dict[str, FeatureCard]:
    """Return the cards of a model's layers, or of those that are wanted, from the input on.

    Raises
    ------
    ValueError
        If the table lacks them.
    """
    found = {
        card.layer: card
        for name, card in cards(table).items()
        if name == f"{prefix}.{card.layer}" and card.axis in ("frame", "utterance")
    }
    if not found:
        plain, drawn = models(table)
        raise ValueError(f"the table has no features of {prefix!r}: expected one of {plain + drawn}")
    unknown = [layer for layer in wanted or () if layer not in found]
    if unknown:
        raise ValueError(f"{prefix} has no layers {unknown}: expected some of {list(found)}")
    chosen = {layer: card for layer, card in found.items() if not wanted or layer in wanted}
    return dict(sorted(chosen.items(), key=lambda item: item[1].index))


def _write_cards(out: Path, layers: Mapping[str, Mapping[str, FeatureCard]]) -> None:
    """Write what the pickles can't say beside them: ``cards.json``, read by ``builders/vgs_analysis``."""
    found = {
        f"{mode}/{name}": json.loads(card.to_json()) for mode, each in layers.items() for name, card in each.items()
    }
    with writing(out / "cards.json") as path:
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")
