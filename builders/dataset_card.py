"""The card of a made data set: a README.md whose YAML tells `datasets` and the Hub what is in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from huggingface_hub import DatasetCardData


def card(
    title: str,
    features: Features,
    splits: Mapping[str, tuple[int, int]],
    text: str,
    *,
    more: Mapping[str, Any] | None = None,
    suffix: str = "parquet",
    run: str = "",
) -> str:
    """Return the card.

    Parameters
    ----------
    title : str
    features : Features
        Columns, `Audio` and `Array2D` among them: readers need nothing of ours to know their types.
    splits : mapping of str to (rows, bytes)
    text : str
        What stands below the YAML.
    more : mapping, optional
        Further fields of the YAML: language, licence.
    suffix : str
        Of the shards, ``data/<split>-*.<suffix>``.
    run : str
        Digest of what is in the shards. `datasets` caches a local folder by its name and card, not by its content.
    """
    data = DatasetCardData(pretty_name=title, **dict(more or {}))
    info = DatasetInfo(features=features, splits=SplitDict(), dataset_size=sum(size for _, size in splits.values()))
    for split, (rows, size) in splits.items():
        info.splits.add(SplitInfo(split, num_examples=rows, num_bytes=size))
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    files = [{"split": split, "path": f"data/{split}-*.{suffix}"} for split in splits]
    made = {"description": f"run {run}"} if run else {}
    data.configs = [{"config_name": "default", "data_files": files, **made}]
    return f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n"
