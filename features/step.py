"""The function that is mapped: batches with audio or text in, feature columns of each layer out."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features

from builders.audio import decode
from builders.errors import AudioError
from features import blas, variants
from features.budget import most_seconds, most_tokens
from features.card import FeatureCard, encoder_cards
from features.checkpoint import CheckpointError
from features.columns import column_types, fits, to_arrows, to_columns
from features.encoder import Encoder, Init, Read, TextEncoder, Tokens, axis_of, column_prefix, input_of
from features.pooling import Pool, utterance_mean
from features.tokens import token_arrows, token_columns, token_types
from features.windows import OVERLAP, Window, windows

STEP_VERSION = 1  # output version of the map step itself
DTYPES = ("float16", "float32", "int8")
PIECES = 8  # utterances that an encoder sees at once, and
PIECES_SAMPLES = 8 * 30 * 16_000  # their length all together, padding included
BATCH_BYTES = 16_000_000  # of features, or of decoded audio where that is more, in memory before they are written
GPU_BATCH_BYTES = 8 * BATCH_BYTES  # one short utterance leaves most of a GPU idle, and a CPU busy
WAVE_RATE = 16_000 * 4  # bytes of decoded audio per second


class Encode:
    """The function that `datasets` maps: batches with an `audio` or `text` column in, feature columns out.

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
    dtype : "float16", "float32" or "int8"
        Of the stored features; int8 with a scale per frame, see `features.columns`.
    pool : "none", "mean", "segments:TIER" or "centre:TIER"
        One row per utterance, or per segment of a tier, in place of one per frame: see
        `features.pooling`.
    trim_context : bool
        Compute only a little of the silence that fills the window behind a short utterance: faster, and
        no longer exact. The columns are named ``<encoder>.trimmed``; `features.deviation` tells how far
        they are off.
    compute : "float32", "float16" or "bfloat16"
        Of weights and activations. The columns of the latter are named ``<encoder>.compute-float16``.

    Raises
    ------
    ValueError
        If a layer, dtype or pooling is unknown, segments are asked of an encoder without frames, or there
        is no context to trim.
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
        pool: str = "none",
        trim_context: bool = False,
        compute: str = "float32",
    ) -> None:
        if dtype not in DTYPES:
            raise ValueError(f"features can't be stored as {dtype!r}: expected one of {list(DTYPES)}")
        options: dict[str, Any] = {"trim_context": True} if trim_context else {}
        options |= {} if compute == "float32" else {"compute": compute}  # what is exact pickles as ever: caches hold
        self._spec = {"init": init, "seed": seed, "revision": revision, **options}
        self._name = encoder if isinstance(encoder, str) else None
        self.cards: dict[str, FeatureCard] = {}  # until the layers are known
        self._given = None if isinstance(encoder, str) else variants.variant(encoder, **options)
        made = self.encoder
        self.layers = select(list(made.layers), layers)
        self.pool = Pool.read(pool)
        self.dtype = dtype
        self.cards = encoder_cards(made, self.layers, dtype, pool)
        self._prefix, self._input = column_prefix(made.name, made.init, str(self.pool)), input_of(made)
        self._clock, self._window, self._overlap = made.clock, made.window, getattr(made, "overlap", OVERLAP)
        self._whole = [layer for layer in self.layers if axis_of(made, layer) == "utterance"]
        # what is still to be pooled or scaled is not rounded before
        self._kept = "float32" if dtype == "int8" or self.pool.axis else dtype
        self._tokens = self._input == "text" and not self.pool.axis
        if self.pool.tier and self._clock is None:
            raise ValueError(f"{self.name} has no frames to pool by segment: expected pool none or mean")
        if self.pool.tier and self._whole:
            raise ValueError(f"{self.name} has no frames of {self._whole} to pool by segment: choose other layers")
        self.key = [STEP_VERSION, *(card.to_json() for card in self.cards.values())]

    @property
    def encoder(self) -> Encoder | TextEncoder:
        """The encoder; its weights are loaded once per process.

        Raises
        ------
        CheckpointError
            If they are other weights by now than those that the cards tell of.
        """
        if self._given:
            return self._given
        found = variants.load(self._name, **self._spec)
        begun = {card.revision for card in self.cards.values()} or {found.revision}
        if {found.revision} != begun:
            raise CheckpointError(f"{self._name}: the checkpoint has changed since this began: begin again")
        return found

    @property
    def name(self) -> str:
        """What the columns begin with: ``<encoder>``, ``<encoder>.random<seed>``, ``<encoder>.mean``."""
        return self._prefix

    @property
    def inputs(self) -> list[str]:
        """The columns that are read."""
        return [self._input, *(["segments"] if self.pool.tier else [])]

    @property
    def byte_rate(self) -> float:
        """Bytes of features per second of audio as they are stored, 0 where that depends on the text or the pooling."""
        clock = self._clock
        if clock is None or self.pool.axis:
            return 0.0
        widths = sum(card.width for card in self.cards.values() if card.axis == "frame")
        return widths * np.dtype(self.dtype).itemsize * 16_000 / clock.hop

    def features(self, present: Mapping[str, Any] | None = None) -> Features:
        """Return the columns of the result: those that are `present` and the feature columns."""
        tokens = token_types(self.name) if self._tokens else {}
        layers = [column_types(card) for card in self.cards.values()]
        return Features(functools.reduce(dict.__or__, layers, {**(present or {}), **tokens}))

    def batch_size(self, dataset: Any) -> int:
        """Return how many rows are at most `BATCH_BYTES` (on a GPU `GPU_BATCH_BYTES`), all as long as the longest."""
        clock, table = self._clock, dataset.data if isinstance(dataset, Dataset) and len(dataset) else None
        frame = sum(card.width for card in self.cards.values()) * np.dtype(self._kept).itemsize
        if self._input == "text":
            row = frame * most_tokens(table, self._window)
        elif clock is None:  # one row per utterance
            row = max(frame, WAVE_RATE * most_seconds(table))
        else:
            row = max(frame * 16_000 / clock.hop, WAVE_RATE) * most_seconds(table)
        most = GPU_BATCH_BYTES if blas.on_gpu() else BATCH_BYTES
        return int(max(1, min(1_000, most // max(1, row))))

    def __call__(self, batch: pa.Table | Mapping[str, Sequence[Any]]) -> pa.Table | dict[str, list[Any]]:
        """Encode a batch: a table in the arrow format gives a table, a plain batch its new columns."""
        tokens, waves, segments = self.read(batch)
        return self.put(batch, tokens, self.encode(waves, segments))

    def read(self, batch: pa.Table | Mapping[str, Sequence[Any]]) -> Read:
        """Return what the encoder takes: decoded audio, or the tokens of texts and their ids; and the segments."""
        arrow = isinstance(batch, pa.Table)
        cells = [batch[name].to_pylist() if arrow else batch[name] for name in self.inputs]
        bounds = cells[1] if self.pool.tier else None
        if self._input == "audio":
            return Read([], [self._wave(cell, batch, row) for row, cell in enumerate(cells[0])], bounds)
        tokens = self.encoder.tokenize(cells[0])
        return Read(tokens, [text.ids for text in tokens], bounds)

    def put(self, batch: Any, tokens: list[Tokens], found: dict[str, list[np.ndarray]]) -> Any:
        """Return a table with the columns of what `encode` found beside its own, of a plain batch the new ones."""
        arrow = isinstance(batch, pa.Table)
        columns: dict[str, Any] = {}
        if self._tokens:
            columns |= (token_arrows if arrow else token_columns)(self.name, tokens)
        for layer, card in self.cards.items():
            columns |= (to_arrows if arrow else to_columns)(found[layer], card)
        if not arrow:
            return columns
        plain = batch.replace_schema_metadata(None)
        return functools.reduce(lambda table, column: table.append_column(*column), columns.items(), plain)

    def without_inputs(self, batch: pa.Table) -> pa.Table:
        """Encode a batch in the arrow format and return it without what it was made of: rows of a feature table."""
        return self(batch).drop_columns(self.inputs)

    def encode(
        self, waves: Sequence[np.ndarray], segments: Sequence[Sequence[Mapping[str, Any]]] | None = None
    ) -> dict[str, list[np.ndarray]]:
        """Return, per layer, one matrix [shape=(rows, width)] for each utterance, in float32 where it is int8 later.

        Parameters
        ----------
        waves : sequence of np.ndarray [shape=(samples,), float32] or [shape=(tokens,), int32]
            Audio at 16 kHz, or the ids of a text's tokens.
        segments : sequence of sequence of mapping, optional
            The cells of the column `segments`, for pooling.
        """
        pieces = [(row, piece) for row, wave in enumerate(waves) for piece in self._windows(len(wave))]
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
        bounds = segments or [()] * len(waves)
        return {
            layer: [self._stack(layer, *found) for found in zip(rows[layer], bounds, strict=True)]
            for layer in self.layers
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_given": self._given if self._name is None else None}

    def _states(self, chosen: list[tuple[np.ndarray, Window]]) -> dict[str, list[np.ndarray]]:
        lengths = np.array([piece.last - piece.first for _, piece in chosen], np.int64)
        inputs = np.zeros((len(chosen), int(lengths.max())), chosen[0][0].dtype)
        for row, (wave, piece) in enumerate(chosen):
            inputs[row, : lengths[row]] = wave[piece.first : piece.last]
        states = self.encoder.encode(inputs, lengths, self.layers)
        return {
            layer: [
                self._cast(states[layer][row, self._rows(layer, piece)], layer) for row, (_, piece) in enumerate(chosen)
            ]
            for layer in self.layers
        }

    def _cast(self, states: np.ndarray, layer: str) -> np.ndarray:
        with fits(f"{self.name}.{layer}", self._kept):
            return states.astype(self._kept)

    def _rows(self, layer: str, piece: Window) -> slice:
        """Return which rows of a window's matrix are kept."""
        if layer in self._whole:
            return slice(0, 1)
        return slice(piece.skip, piece.skip + piece.frames)

    def _windows(self, length: int) -> list[Window]:
        if self._clock is None:  # a text is one piece: the encoder has cut it
            return [Window(0, length, 0, length)] if length else []
        return windows(length, window=self._window, clock=self._clock, overlap=self._overlap)

    def _stack(self, layer: str, parts: list[np.ndarray], segments: Sequence[Mapping[str, Any]]) -> np.ndarray:
        states = np.concatenate(parts) if parts else np.zeros((0, self.cards[layer].width), self._kept)
        if layer in self._whole:  # of longer audio the mean of its windows
            return self._cast(utterance_mean(states), layer)
        return self.pool(states, self._clock, segments)

    def _wave(self, cell: Mapping[str, Any], batch: Any, row: int) -> np.ndarray:
        try:
            return decode(cell)
        except AudioError as error:
            known = "id" in getattr(batch, "column_names", batch)
            where = f"utterance {batch['id'][row]}" if known else f"row {row} of a batch"
            raise AudioError(f"{where}: {error}") from None


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
