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
        ("target", pa.string()),  # the tier, or the column of labels
        ("metric", pa.string()),  # "weight": of a layer, where a probe mixes layers
        ("split", pa.string()),  # official, speakers, folds, utterance: see probes.splits; published
        ("value", pa.float64()),  # over the test examples of all folds together, mean over seeds
        ("ci_low", pa.float64()),  # 95 % interval from resampling test speakers
        ("ci_high", pa.float64()),
        ("n_train", pa.int64()),  # examples, mean over folds
        ("n_test", pa.int64()),  # examples, sum over folds
        ("seed", pa.int64()),
        ("layer_index", pa.int64()),
        ("clock", pa.string()),  # hop+offset of the frames in samples
        ("classes", pa.int64()),
        ("folds", pa.int64()),
        ("test_speakers", pa.int64()),
        ("disjoint", pa.bool_()),  # no speaker is on both sides
        ("decay", pa.float64()),  # weight decay chosen on validation, geometric mean over folds
        ("other", pa.string()),  # what a layer is compared with: a column, or the tier
        ("other_encoder", pa.string()),  # the same for a column, as its card says
        ("other_init", pa.string()),
        ("other_layer", pa.string()),
        ("note", pa.string()),
        ("examples", pa.string()),  # frames, segments, centres, utterances
        ("inventory", pa.string()),  # of phone classes: 39, 48, 61, broad
        ("protocol", pa.string()),  # standard; published: with the flaws of the published code
        ("seeds", pa.int64()),  # trained with so many, from `seed` on
        ("spread", pa.float64()),  # standard deviation over seeds
        ("options", pa.string()),  # of the probe, and what it chose on validation: JSON
        ("part", pa.string()),  # of a suite, see probes.suite
    ]
)
_NULLS_OF_CSV = [""]


@dataclass(frozen=True)
class Results:
    """What probing a table gave.

    table : pyarrow.Table
        Of the schema `SCHEMA`.
    comparisons : pyarrow.Table or None
        Differences between layers and between trained and random, see `probes.comparisons`.
    confusions : pyarrow.Table or None
        ``encoder, init, layer, truth, answer, count``: how often each class was taken for each.
    """

    table: pa.Table
    comparisons: pa.Table | None = None
    confusions: pa.Table | None = None

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
        """Write ``results.parquet`` and ``results.csv``, each whole or not at all; return their paths.

        The same of ``comparisons`` and ``confusions`` where there are any.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        parts = {"results": self.table, "comparisons": self.comparisons, "confusions": self.confusions}
        writers: dict[str, Callable[[pa.Table, Path], None]] = {
            "parquet": pyarrow.parquet.write_table,
            "csv": pyarrow.csv.write_csv,
        }
        written = []
        for name, table in parts.items():
            if table is None or not (len(table) or name == "results"):
                continue
            for kind, write in writers.items():
                written.append(folder / f"{name}.{kind}")
                with writing(written[-1]) as temporary:
                    write(stamped(table) if name == "results" else table, temporary)
        return written

    @property
    def metric(self) -> str:
        """The metric that is shown: accuracy, or the first one where there is none."""
        names = self.table["metric"].to_pylist()
        return "accuracy" if "accuracy" in names or not names else names[0]

    def summary(self, metric: str = "accuracy") -> pd.DataFrame:
        """Return one row per encoder and layer: trained, random and majority side by side.

        Columns ``encoder, layer, index, trained, ci_low, ci_high, random, random_low, random_high,
        majority, selectivity``. Acoustic encoders, which have nothing to train, stand under ``trained``, and so
        does selectivity. Several random seeds are averaged, bounds included.
        """
        everything = self.to_pandas()
        selectivity = everything.query("metric == 'selectivity' and not init.str.startswith('random')")
        selectivity = selectivity.groupby(["encoder", "layer"]).value.mean()
        frame = everything.query("metric == @metric")
        majority = frame[frame.encoder == MAJORITY].groupby("clock").value.first()
        frame = frame[frame.encoder != MAJORITY]
        rows = []
        for (encoder, layer), part in frame.groupby(["encoder", "layer"], sort=False):
            row = {"encoder": encoder, "layer": layer, "index": part.layer_index.iloc[0]}
            random = part.init.str.startswith("random")
            for names, own in ((_OWN, part[~random]), (_RANDOM, part[random])):
                row |= dict(zip(names, own[list(_OWN.values())].mean(), strict=True))
            extra = {"selectivity": selectivity.get((encoder, layer))}
            rows.append({**row, "majority": majority.get(part.clock.iloc[0]), **extra})
        return pd.DataFrame(rows)

    def text(self, metric: str | None = None) -> str:
        """Return the summary as a table for the terminal."""
        metric = metric or self.metric
        frame = self.to_pandas().query("metric == @metric")
        if frame.other.notna().any():
            return self._between(frame)
        summary = self.summary(metric)
        last = ["majority"] + (["selectivity"] if summary.selectivity.notna().any() else [])
        shown = [
            [row["encoder"], row["layer"], *(_shown(row, names) for names in (_OWN, _RANDOM)), *(row[n] for n in last)]
            for row in summary.to_dict("records")
        ]
        head = ["encoder", "layer", f"{metric} [95 %]", "random weights [95 %]", "majority class", *last[1:]]
        return tabulate(shown, headers=head, floatfmt=".3f", disable_numparse=[2, 3])

    @staticmethod
    def _between(frame: pd.DataFrame) -> str:
        """Return a table of layers by what they are compared with: the tier, then the layers by number."""
        wide = frame.pivot_table(index=["encoder", "init", "layer"], columns="other", values="value", sort=False)
        tier = frame.target.iloc[0]
        layers = [_column(*key) for key in wide.index]
        wide = wide.reindex(columns=[*([tier] if tier in wide else []), *layers])
        heads = ["", frame.metric.iloc[0], *(str(layers.index(n) + 1) if n in layers else n for n in wide)]
        rows = [[n + 1, layers[n], *map(_shown_share, values)] for n, values in enumerate(wide.to_numpy())]
        return tabulate(rows, headers=heads, disable_numparse=True)

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
            "published": "random halves of the examples, tuned on the test half, as the published code does",
            "none": "nothing is trained",
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


def _column(encoder: str, init: str, layer: str) -> str:
    return ".".join([encoder, *([init] if init.startswith("random") else []), layer])


def _shown_share(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"
