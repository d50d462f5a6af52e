"""The tidy results table: one row per encoder, layer, probe and metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
from tabulate import tabulate

from builders.cache import writing
from probes.software import stamped

MAJORITY = "majority"
ACOUSTIC = "none"  # the `init` of encoders that have nothing to train

SCHEMA = pa.schema(
    [
        ("encoder", pa.string()),  # "majority": the baseline that always answers the commonest train class
        ("init", pa.string()),  # trained, random<seed>, none
        ("layer", pa.string()),
        ("probe", pa.string()),
        ("target", pa.string()),  # the tier
        ("metric", pa.string()),
        ("split", pa.string()),  # official, speakers, folds, utterance: see probes.splits
        ("value", pa.float64()),  # over the test frames of all folds together
        ("ci_low", pa.float64()),  # 95 % interval from resampling test speakers
        ("ci_high", pa.float64()),
        ("n_train", pa.int64()),  # frames, mean over folds
        ("n_test", pa.int64()),  # frames, sum over folds
        ("seed", pa.int64()),
        ("layer_index", pa.int64()),
        ("clock", pa.string()),  # hop+offset of the frames in samples
        ("classes", pa.int64()),
        ("folds", pa.int64()),
        ("test_speakers", pa.int64()),
        ("disjoint", pa.bool_()),  # no speaker is on both sides
        ("decay", pa.float64()),  # weight decay chosen on validation, geometric mean over folds
        ("note", pa.string()),
    ]
)
_NULLS_OF_CSV = [""]


@dataclass(frozen=True)
class Results:
    """What probing a table gave.

    table : pyarrow.Table
        Of the schema `SCHEMA`.
    """

    table: pa.Table

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Results:
        """Build the table from one mapping per row; columns that a row lacks are null."""
        return cls(pa.Table.from_pylist(list(rows), schema=SCHEMA))

    @classmethod
    def load(cls, path: str | Path) -> Results:
        """Read a results table that `save` wrote, ``.parquet`` or ``.csv``."""
        if Path(path).suffix == ".parquet":
            return cls(pyarrow.parquet.read_table(path, schema=SCHEMA))
        options = pyarrow.csv.ConvertOptions(
            column_types=SCHEMA, null_values=_NULLS_OF_CSV, strings_can_be_null=True, quoted_strings_can_be_null=False
        )
        return cls(pyarrow.csv.read_csv(path, convert_options=options))

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a DataFrame."""
        return self.table.to_pandas()

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``results.parquet`` and ``results.csv``, each whole or not at all; return their paths."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        writers: dict[str, Callable[[pa.Table, Path], None]] = {
            "results.parquet": pyarrow.parquet.write_table,
            "results.csv": pyarrow.csv.write_csv,
        }
        for name, write in writers.items():
            with writing(folder / name) as temporary:
                write(stamped(self.table), temporary)
        return [folder / name for name in writers]

    def summary(self, metric: str = "accuracy") -> pd.DataFrame:
        """Return one row per encoder and layer: trained, random and majority side by side.

        Columns ``encoder, layer, index, trained, ci_low, ci_high, random, random_low, random_high,
        majority``. Acoustic encoders, which have nothing to train, stand under ``trained``. Several random
        seeds are averaged, bounds included.
        """
        frame = self.to_pandas().query("metric == @metric")
        majority = frame[frame.encoder == MAJORITY].groupby("clock").value.first()
        frame = frame[frame.encoder != MAJORITY]
        rows = []
        for (encoder, layer), part in frame.groupby(["encoder", "layer"], sort=False):
            row = {"encoder": encoder, "layer": layer, "index": part.layer_index.iloc[0]}
            random = part.init.str.startswith("random")
            for names, own in ((_OWN, part[~random]), (_RANDOM, part[random])):
                row |= dict(zip(names, own[list(_OWN.values())].mean(), strict=True))
            rows.append({**row, "majority": majority.get(part.clock.iloc[0])})
        return pd.DataFrame(rows)

    def text(self, metric: str = "accuracy") -> str:
        """Return the summary as a table for the terminal."""
        shown = [
            [row["encoder"], row["layer"], *(_shown(row, names) for names in (_OWN, _RANDOM)), row["majority"]]
            for row in self.summary(metric).to_dict("records")
        ]
        head = ["encoder", "layer", f"{metric} [95 %]", "random weights [95 %]", "majority class"]
        return tabulate(shown, headers=head, floatfmt=".3f", disable_numparse=[2, 3])

    def __str__(self) -> str:
        """Return the accuracy table with what it was measured on."""
        return f"{self.text()}\n{self.protocol()}"

    def protocol(self) -> str:
        """Return one line on splits, frames and classes."""
        first = self.table.slice(0, 1).to_pylist()[0]
        kinds = {
            "official": "the corpus' official splits",
            "speakers": "one split by speakers",
            "folds": f"{first['folds']} folds over speakers, each speaker tested once",
            "utterance": "split by utterance",
        }
        line = f"{kinds[first['split']]}; {first['test_speakers']} test speakers, {first['classes']} classes"
        return f"{line}; {first['note']}" if first["note"] else line


_OWN = {"trained": "value", "ci_low": "ci_low", "ci_high": "ci_high"}
_RANDOM = ("random", "random_low", "random_high")


def _shown(row: Mapping[Any, Any], names: Iterable[str]) -> str:
    value, low, high = (row[name] for name in names)
    if pd.isna(value):
        return ""
    return f"{value:.3f}" if pd.isna(low) else f"{value:.3f} [{low:.3f} {high:.3f}]"
