"""The feature card: what a column of features is, carried by the column itself.

The card is JSON in the `id` field of the column's ``Array2D`` type. So it stays with the column
through `map`, `select`, `concatenate_datasets`, saving, Parquet, the Hub and streaming.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from datasets import Array2D, Features

from features.clock import FrameClock
from features.encoder import Encoder, axis_of, column_prefix
from features.pooling import Pool

CARD_VERSION = 1


@dataclass(frozen=True)
class FeatureCard:
    """Where a column's numbers come from and what its rows and columns mean.

    encoder, init, revision, version
        As in `features.encoder.Encoder`.
    layer : str
        Name of the layer.
    index : int
        Place of the layer in the encoder, 0 nearest to the input.
    width : int
        Numbers per frame.
    axis : str
        What a row of a matrix is: ``frame``, ``token``, ``utterance`` or ``segment``.
    clock : FrameClock or None
        When each frame is, or was before it was pooled; None where there are none.
    dtype : str
        As stored; ``int8`` has a column of scales beside it, see `features.columns`.
    pool : str
        ``none``: all frames are there. Else what `features.pooling.Pool` read.
    """

    encoder: str
    init: str
    revision: str
    version: int
    layer: str
    index: int
    width: int
    axis: str
    clock: FrameClock | None
    dtype: str = "float16"
    pool: str = "none"

    @property
    def column(self) -> str:
        """Name of the column: ``<encoder>[.random<seed>][.<pool>].<layer>``."""
        return f"{column_prefix(self.encoder, self.init, self.pool)}.{self.layer}"

    def feature(self) -> Array2D:
        """Return the column's type, card included."""
        return Array2D(shape=(None, self.width), dtype=self.dtype, id=self.to_json())

    def to_json(self) -> str:
        """Return the card as one line of JSON."""
        return json.dumps({"feature_card": CARD_VERSION, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> FeatureCard:
        """Read a card; the fields of a newer version of it that we don't know are ignored."""
        fields = {name: value for name, value in json.loads(text).items() if name in cls.__dataclass_fields__}
        return replace(cls(**fields), clock=FrameClock(**fields["clock"]) if fields["clock"] else None)


def cards(dataset: Any) -> dict[str, FeatureCard]:
    """Return the cards of a dataset's feature columns, by column, in their order."""
    features: Features = dataset.features or {}
    found = {name: getattr(feature, "id", None) for name, feature in features.items()}
    return {name: FeatureCard.from_json(text) for name, text in found.items() if text and "feature_card" in text}


def encoder_cards(encoder: Encoder, layers: list[str], dtype: str, pool: str = "none") -> dict[str, FeatureCard]:
    """Return the cards of an encoder's layers, by layer."""
    order = list(encoder.layers)
    pooled = Pool.read(pool).axis
    return {
        layer: FeatureCard(
            encoder=encoder.name, init=encoder.init, revision=encoder.revision, version=encoder.version,
            layer=layer, index=order.index(layer), width=encoder.layers[layer],
            axis=pooled or axis_of(encoder, layer),
            clock=encoder.clock, dtype=dtype, pool=pool,
        )
        for layer in layers
    }  # fmt: skip
