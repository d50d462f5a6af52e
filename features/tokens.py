"""The tokens of a text encoder as columns beside its layers: ids, types, masks, character offsets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from datasets import Features, List, Value

from features.encoder import Tokens

# By field of `Tokens`. Named after the encoder, since each has a vocabulary of its own.
COLUMNS = {"ids": "token_ids", "type_ids": "token_type_ids", "mask": "attention_mask", "offsets": "char_offsets"}
TYPES = {
    "ids": List(Value("int32")), "type_ids": List(Value("int32")), "mask": List(Value("int8")),
    "offsets": List(List(Value("int32"))),
}  # fmt: skip
NONE = Tokens(*(np.zeros(0, np.int32) for _ in range(3)), np.zeros((0, 2), np.int32))  # of a null text


def token_types(prefix: str) -> Features:
    """Return the columns ``<encoder>.token_ids``, ``.token_type_ids``, ``.attention_mask``, ``.char_offsets``."""
    return Features({f"{prefix}.{COLUMNS[field]}": feature for field, feature in TYPES.items()})


def token_columns(prefix: str, tokens: Sequence[Tokens]) -> dict[str, list[list[int]]]:
    """Return the values of these columns, one list a row and token."""
    return {f"{prefix}.{name}": [getattr(row, field).tolist() for row in tokens] for field, name in COLUMNS.items()}


def token_arrows(prefix: str, tokens: Sequence[Tokens]) -> dict[str, pa.Array]:
    """Return these columns as Arrow arrays."""
    schema = token_types(prefix).arrow_schema
    return {
        name: pa.array(values, type=schema.field(name).type) for name, values in token_columns(prefix, tokens).items()
    }
