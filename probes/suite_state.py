"""What a part of the suite was measured on: whether it is done, and whether it may stand beside other parts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

import pyarrow as pa
from datasets import Audio, Dataset

from features.card import FeatureCard, cards

ROWS = 1024  # hashed at a time
PLACES = ("audio", "audio_path")  # where sound lies changes nothing that a probe sees


@dataclass(frozen=True)
class State:
    """A table and the settings that all parts share.

    table : str
        Hash of ids, segments, and every other column that is neither sound nor features.
    features : dict of str to str
        Hash of the card of each feature column, in each split.
    shared : dict
        Arguments of `probes.probe`, as JSON has them.
    """

    table: str
    features: dict[str, str]
    shared: dict[str, Any]

    @classmethod
    def of(cls, dataset: Any, shared: Mapping[str, Any]) -> State:
        """Return the state of a Dataset or DatasetDict."""
        splits = dataset if isinstance(dataset, dict) else {"all": dataset}
        known = {name: cards(part) for name, part in splits.items()}
        hashes = {name: manifest_hash(part, known[name]) for name, part in splits.items()}
        features = {
            f"{name}/{column}": _hash(card.to_json()) for name, own in known.items() for column, card in own.items()
        }
        plain = json.loads(json.dumps(dict(shared), default=list))
        return cls(_hash(json.dumps(hashes)), features, plain)

    def key(self, asked: Mapping[str, Any]) -> str:
        """Return a hash of what a part asks of this table: equal where the part need not be run again."""
        return _hash(json.dumps([self.table, self.features, dict(asked)], sort_keys=True, default=list))

    def told(self) -> dict[str, Any]:
        """Return what is written beside the results of a part."""
        return asdict(self)

    def fits(self, mark: Mapping[str, Any]) -> bool:
        """Return whether a part's results are of this table, of features that are still there, with these settings."""
        same = (mark.get("table"), mark.get("shared")) == (self.table, self.shared)
        return same and mark["features"].items() <= self.features.items()


def manifest_hash(dataset: Dataset, features: Mapping[str, FeatureCard]) -> str:
    """Return a hash of all columns but sound and features: the same for the same rows, however they are stored."""
    names = [
        name for name, kind in dataset.features.items()
        if not isinstance(kind, Audio) and name not in PLACES and name.removesuffix(".scale") not in features
    ]  # fmt: skip
    plain, found = dataset.select_columns(sorted(names)).with_format("arrow"), sha256()
    for start in range(0, len(dataset), ROWS):
        rows = plain[start : start + ROWS].combine_chunks().replace_schema_metadata(None)
        with pa.BufferOutputStream() as sink:
            with pa.ipc.new_stream(sink, rows.schema) as writer:
                writer.write_table(rows.select(sorted(names)))
            found.update(sink.getvalue())
    return found.hexdigest()


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
