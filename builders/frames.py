"""Rows made of matrices of frames instead of audio: their columns, and segments out of one label per frame."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from datasets import Array2D, Features

from builders.corpus import CorpusBuilder
from builders.errors import AudioError, CorpusError
from builders.matrices import matrix_array
from builders.pickles import Stored
from builders.schema import SAMPLING_RATE, Segment

CARD_VERSION = 1  # of features.card, which reads what is written here


def frame_feature(
    *, encoder: str, layer: str, width: int, hop: int, offset: int, field: int, init: str = "none", index: int = 0,
    axis: str = "frame", padded: bool = False, revision: str = "", version: int = 1, dtype: str = "float32",
) -> Array2D:  # fmt: skip
    """Return the type of a column of matrices (frames, width), with the feature card that probes read.

    Frame ``t`` is centred at sample ``t * hop + offset`` of 16 kHz; the fields are those of
    `features.card.FeatureCard`, which this package does not import.
    """
    card = {
        "feature_card": CARD_VERSION, "encoder": encoder, "init": init, "revision": revision, "version": version,
        "layer": layer, "index": index, "width": width, "axis": axis, "dtype": dtype, "pool": "none",
        "clock": {"hop": hop, "offset": offset, "field": field, "padded": padded},
    }  # fmt: skip
    return Array2D(shape=(None, width), dtype=dtype, id=json.dumps(card, sort_keys=True))


def runs(labels: np.ndarray, tier: str, hop: int) -> list[Segment]:
    """Return one segment per run of equal labels [shape=(frames,)]; frame ``t`` is ``[t * hop, (t + 1) * hop)``."""
    if not len(labels):
        return []
    edges = np.r_[0, np.flatnonzero(labels[1:] != labels[:-1]) + 1, len(labels)]
    return [
        Segment(tier, first * hop / SAMPLING_RATE, last * hop / SAMPLING_RATE, str(labels[first]))
        for first, last in itertools.pairwise(edges.tolist())
    ]


def matrix(values: np.ndarray, width: int, what: str) -> np.ndarray:
    """Return a matrix [shape=(frames, width), float32], or say why it is none."""
    if values.ndim != 2 or values.shape[1] != width or values.dtype.kind not in "fiu":
        raise AudioError(f"{what} is an array of shape {values.shape} and type {values.dtype}, not (frames, {width})")
    return values.astype(np.float32, copy=False)


class FrameBuilder(CorpusBuilder):
    """Base class of corpora whose rows hold matrices of frames; `audio` and `source` are null in them."""

    def frame_columns(self) -> Mapping[str, Array2D]:
        """Return the columns of matrices with their types, found out from the files before anything else is read."""
        raise NotImplementedError

    def _info(self) -> datasets.DatasetInfo:
        info = super()._info()
        info.features = Features({**info.features, **self.frame_columns()})
        return info

    def _assemble(self, rows: pa.Table, made: list[dict[str, Any]]) -> pa.Table:
        kinds = {name: kind for name, kind in self.info.features.items() if isinstance(kind, Array2D)}
        others = [{name: value for name, value in values.items() if name not in kinds} for values in made]
        table = super()._assemble(rows, others)
        for name, kind in kinds.items():
            place = table.schema.get_field_index(name)
            column = matrix_array([values[name] for values in made], kind.shape[1], kind.dtype)
            table = table.set_column(place, table.schema.field(place), column)
        return table

    def _open_array(self, member: str, array: Any, first: int = 0, last: int | None = None) -> np.ndarray:
        """Return rows of an array that was indexed in a member."""
        if not isinstance(array, Stored):
            return np.asarray(array)[first:last]
        with self.files.open(member) as file:
            try:
                return array.read(file, first, last)
            except (CorpusError, OSError) as error:
                raise AudioError(f"{member}: {error}") from None
