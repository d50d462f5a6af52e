"""The map step: a manifest table in, the same table with one feature column per layer out."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, Features, IterableDataset, IterableDatasetDict, concatenate_datasets

from builders.audio import decode
from builders.errors import AudioError
from features import encoders
from features.card import encoder_cards
from features.columns import to_arrow
from features.encoder import Encoder, Init, column_prefix
from features.windows import OVERLAP, Window, windows

STEP_VERSION = 1  # output version of the map step itself
DTYPES = ("float16", "float32")
PIECES = 8  # utterances that an encoder sees at once, and
PIECES_SAMPLES = 8 * 30 * 16_000  # their length all together, padding included
BATCH_BYTES = 16_000_000  # of features, or of decoded audio where that is more, in memory before they are written
WAVE_RATE = 16_000 * 4  # bytes of decoded audio per second
UNKNOWN_SECONDS = 30.0  # length of a row to reckon with where the table does not tell

Tables = Dataset | DatasetDict | IterableDataset | IterableDatasetDict


class Encode:
    """The function that `datasets` maps: batches with an `audio` column in, feature columns out.

    ``ds.map(step, batched=True, batch_size=step.batch_size(ds), features=step.features(ds.features))``
    is what `encode` does. Its pickle, and so its fingerprint, holds the configuration and the key of
    the weights, never the weights: the cache is hit in every process, until the output changes.

    Parameters
    ----------
    encoder : str or Encoder
        Hub id, local checkpoint folder, or name of an encoder: see `features.encoders.load`.
    layers : "all", "last" or sequence of str or int
        Layer names, or places counted from the input, negative ones from the end.
    init : "trained" or "random"
        Random weights are drawn with `seed` from the distributions of the reference implementation.
    dtype : "float16" or "float32"
        Of the stored features.

    Raises
    ------
    ValueError
        If a layer or dtype is unknown.
    """

    def __init__(
        self,
        encoder: str | Encoder,
        *,
        layers: str | Sequence[str | int] = "all",
        init: Init = "trained",
        seed: int = 0,
        revision: str | None = None,
        dtype: str = "float16",
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"features can't be stored as {dtype!r}: expected one of {list(DTYPES)}")
        self._spec = {"init": init, "seed": seed, "revision": revision}
        self._name = encoder if isinstance(encoder, str) else None
        self._given = None if isinstance(encoder, str) else encoder
        self.layers = select(list(self.encoder.layers), layers)
        self.cards = encoder_cards(self.encoder, self.layers, dtype)
        self.key = [STEP_VERSION, *(card.to_json() for card in self.cards.values())]

    @property
    def encoder(self) -> Encoder:
        """The encoder; its weights are loaded once per process."""
        return self._given or _load(self._name, **self._spec)

    @property
    def name(self) -> str:
        """What the columns begin with: ``<encoder>`` or ``<encoder>.random<seed>``."""
        return column_prefix(self.encoder)

    def features(self, present: Mapping[str, Any] | None = None) -> Features:
        """Return the columns of the result: those that are `present` and the feature columns."""
        return Features({**(present or {}), **{card.column: card.feature() for card in self.cards.values()}})

    def batch_size(self, dataset: Any) -> int:
        """Return how many rows are at most `BATCH_BYTES`, all as long as the longest."""
        seconds = UNKNOWN_SECONDS
        if isinstance(dataset, Dataset) and "duration" in dataset.column_names and len(dataset):
            seconds = pc.max(dataset.data.column("duration")).as_py() or UNKNOWN_SECONDS
        rate = sum(card.width * np.dtype(card.dtype).itemsize * 16_000 / card.clock.hop for card in self.cards.values())
        return int(max(1, min(1_000, BATCH_BYTES // (max(rate, WAVE_RATE) * seconds))))

    def __call__(self, batch: pa.Table | Mapping[str, Sequence[Any]]) -> pa.Table | dict[str, list[np.ndarray]]:
        """Encode a batch: a table in the arrow format gives a table, a plain batch its new columns."""
        arrow = isinstance(batch, pa.Table)
        waves = [
            self._wave(cell, row) for row, cell in enumerate(batch["audio"].to_pylist() if arrow else batch["audio"])
        ]
        found = self.encode(waves)
        columns = {card.column: found[layer] for layer, card in self.cards.items()}
        if not arrow:
            return columns
        table = batch.replace_schema_metadata(None)
        for card in self.cards.values():
            table = table.append_column(card.column, to_arrow(columns[card.column], card))
        return table

    def without_audio(self, batch: pa.Table) -> pa.Table:
        """Encode a batch in the arrow format and return it without its audio: rows of a feature table."""
        return self(batch).drop_columns(["audio"])

    def encode(self, waves: Sequence[np.ndarray]) -> dict[str, list[np.ndarray]]:
        """Return, per layer, one matrix [shape=(frames, width)] for each utterance [shape=(samples,)] at 16 kHz."""
        encoder = self.encoder
        pieces = [
            (row, piece)
            for row, wave in enumerate(waves)
            for piece in windows(
                len(wave), window=encoder.window, clock=encoder.clock, overlap=getattr(encoder, "overlap", OVERLAP)
            )
        ]
        # Neighbours in length are encoded together: least padding, fewest shapes.
        order = sorted(range(len(pieces)), key=lambda index: pieces[index][1].last - pieces[index][1].first)
        parts: dict[tuple[str, int], np.ndarray] = {}
        for chosen in together(order, [piece.last - piece.first for _, piece in pieces]):
            for layer, matrices in self._states([(waves[pieces[i][0]], pieces[i][1]) for i in chosen]).items():
                parts.update({(layer, index): matrix for index, matrix in zip(chosen, matrices, strict=True)})
        rows: dict[str, list[list[np.ndarray]]] = {layer: [[] for _ in waves] for layer in self.layers}
        for layer in self.layers:
            for index, (row, _) in enumerate(pieces):
                rows[layer][row].append(parts[layer, index])
        return {layer: [self._stack(layer, found) for found in rows[layer]] for layer in self.layers}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_given": self._given if self._name is None else None}

    def _states(self, chosen: list[tuple[np.ndarray, Window]]) -> dict[str, list[np.ndarray]]:
        lengths = np.array([piece.last - piece.first for _, piece in chosen], np.int64)
        inputs = np.zeros((len(chosen), int(lengths.max())), np.float32)
        for row, (wave, piece) in enumerate(chosen):
            inputs[row, : lengths[row]] = wave[piece.first : piece.last]
        states = self.encoder.encode(inputs, lengths, self.layers)
        return {
            layer: [
                states[layer][row, piece.skip : piece.skip + piece.frames].astype(self.cards[layer].dtype)
                for row, (_, piece) in enumerate(chosen)
            ]
            for layer in self.layers
        }

    def _stack(self, layer: str, parts: list[np.ndarray]) -> np.ndarray:
        card = self.cards[layer]
        return np.concatenate(parts) if parts else np.zeros((0, card.width), card.dtype)

    def _wave(self, cell: Mapping[str, Any], row: int) -> np.ndarray:
        try:
            return decode(cell)
        except AudioError as error:
            raise AudioError(f"row {row} of a batch: {error}") from None


def encode(
    dataset: Tables,
    encoder: str | Encoder,
    *,
    layers: str | Sequence[str | int] = "all",
    init: Init = "trained",
    seed: int = 0,
    revision: str | None = None,
    dtype: str = "float16",
    num_proc: int | None = None,
) -> Tables:
    """Return the table with a column of hidden states per layer, ``<encoder>.<layer>``.

    The features are a table of their own in the cache of `datasets`, joined by row: audio is not
    copied. A second call with the same table and encoder reads them from there.

    Parameters
    ----------
    dataset : Dataset, DatasetDict or their streaming counterparts
        A manifest table: it has the columns `id` and `audio`.
    num_proc : int or None
        Processes of a map-style dataset, each with an encoder of its own.

    Other parameters are those of `Encode`.

    Raises
    ------
    ValueError
        If `dataset` has no `audio` column, or has the feature columns already.
    """
    step = Encode(encoder, layers=layers, init=init, seed=seed, revision=revision, dtype=dtype)
    if isinstance(dataset, dict):
        return type(dataset)({split: encode_split(part, step, num_proc=num_proc) for split, part in dataset.items()})
    return encode_split(dataset, step, num_proc=num_proc)


def encode_split(dataset: Dataset | IterableDataset, step: Encode, *, num_proc: int | None = None) -> Any:
    """Return one split with the columns that `step` makes."""
    check(dataset, step)
    if isinstance(dataset, IterableDataset):
        mapped = dataset.with_format("arrow").map(
            step, batched=True, batch_size=step.batch_size(dataset), features=step.features(dataset.features)
        )
        return mapped.with_format(None)
    return join(dataset, feature_table(dataset, step, num_proc=num_proc))


def feature_table(dataset: Dataset, step: Encode, *, num_proc: int | None = None, file: str | None = None) -> Dataset:
    """Return the features of a split as a table of its own, `id` and one column per layer."""
    columns = step.features({"id": dataset.features["id"]})
    if not len(dataset):  # `map` gives an empty table back as it is
        return _empty(columns)
    rows = step.batch_size(dataset)
    audio = dataset.select_columns(["id", "audio"]).with_format("arrow")
    made = audio.map(
        step.without_audio,
        batched=True,
        batch_size=rows,
        writer_batch_size=rows,
        features=columns,
        num_proc=num_proc,
        cache_file_name=file,
        load_from_cache_file=file is None,
        desc=f"Encoding with {step.name}",
    )
    return made.with_format(None)


def join(dataset: Dataset, features: Dataset) -> Dataset:
    """Put a feature table beside its manifest table, row by row.

    Raises
    ------
    ValueError
        If their ids differ: the features were made of another table.
    """
    if not _same_ids(dataset, features):
        raise ValueError(
            "the feature table does not belong to this manifest table, their ids differ: encode the table again"
        )
    if not len(dataset):  # as does concatenation
        return _empty(Features({**dataset.features, **features.features}))
    return concatenate_datasets([dataset, features.remove_columns("id")], axis=1)


def together(order: Sequence[int], lengths: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield runs of `order` for an encoder to see at once, given each piece's length, shorter ones first."""
    first = 0
    while first < len(order):
        count = 1
        for last in range(first + 1, min(first + PIECES, len(order))):
            if (last + 1 - first) * lengths[order[last]] > PIECES_SAMPLES:
                break
            count += 1
        yield order[first : first + count]
        first += count


def select(names: Sequence[str], wanted: str | Iterable[str | int]) -> list[str]:
    """Return the layers that are wanted, in the encoder's order.

    Raises
    ------
    ValueError
        If a layer does not exist.
    """
    if wanted == "all":
        return list(names)
    chosen = ["-1"] if wanted == "last" else [wanted] if isinstance(wanted, str) else [str(layer) for layer in wanted]
    places = {str(place): name for place, name in enumerate(names)}
    places |= {str(place - len(names)): name for place, name in enumerate(names)}
    found = {name if name in names else places.get(name) for name in chosen}
    if None in found:
        raise ValueError(f"no layers {chosen}: expected some of {list(names)}, their numbers, all or last")
    return [name for name in names if name in found]


def check(dataset: Any, step: Encode) -> None:
    """Raise ValueError if the table can't be encoded."""
    columns = dataset.column_names or []
    missing = [name for name in ("id", "audio") if name not in columns]
    if missing:
        raise ValueError(f"the table has no column {missing[0]!r}, only {columns}: load it with a corpus builder")
    there = [card.column for card in step.cards.values() if card.column in columns]
    if there:
        raise ValueError(f"the table has the columns {there} already: choose other layers or drop them")


def _empty(columns: Features) -> Dataset:
    return Dataset.from_dict({name: [] for name in columns}, features=columns)


def _same_ids(one: Dataset, other: Dataset) -> bool:
    if len(one) != len(other):
        return False
    sides = [part.select_columns(["id"]).with_format("arrow").iter(100_000) for part in (one, other)]
    return all(a.column("id").equals(b.column("id")) for a, b in zip(*sides, strict=True))


@functools.lru_cache(maxsize=2)  # a trained and a random one
def _load(name: str, **spec: Any) -> Encoder:
    return encoders.load(name, **spec)
