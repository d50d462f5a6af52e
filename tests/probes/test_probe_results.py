"""The results table on disk and in the terminal, and the figure."""

from __future__ import annotations

import builtins
import sys

import numpy as np
import pyarrow as pa
import pytest

from probes import ProbeError
from probes.figures import plot
from probes.results import SCHEMA, Results


def row(encoder: str, init: str, layer: str, index: int, value: float, **changes) -> dict:
    common = {
        "probe": "linear", "target": "phones", "metric": "accuracy", "split": "folds", "ci_low": value - 0.02,
        "ci_high": value + 0.02, "n_train": 100, "n_test": 50, "seed": 0, "clock": "320+0", "classes": 39, "folds": 5,
        "test_speakers": 10, "disjoint": True, "decay": 0.01, "note": "",
    }  # fmt: skip
    return {**common, "encoder": encoder, "init": init, "layer": layer, "layer_index": index, "value": value, **changes}


def example() -> Results:
    rows = [row("majority", "none", "", 0, 0.23), row("majority", "none", "", 0, 0.24, clock="160+0")]
    rows += [row("log_mel", "none", "mel", 0, 0.44, clock="160+0"), row("mfcc", "none", "mfcc", 0, 0.48, clock="160+0")]
    rows += [row("whisper-tiny.en", "trained", f"block{n}", n, 0.6 + 0.05 * n) for n in range(4)]
    rows += [
        row("whisper-tiny.en", f"random{s}", f"block{n}", n, 0.45 - 0.02 * n + 0.1 * s)
        for s in (0, 1)
        for n in range(4)
    ]
    rows += [row("whisper-tiny.en", "trained", "block0", 0, 0.5, metric="macro_f1", note='a "quoted", note')]
    return Results.from_rows(rows)


def test_columns_begin_with_those_of_the_design():
    first = "encoder, init, layer, probe, target, metric, split, value, ci_low, ci_high, n_train, n_test, seed"
    assert SCHEMA.names[:13] == first.split(", ")
    assert example().to_pandas().columns.tolist() == SCHEMA.names


def test_parquet_equals_csv_with_nulls_quotes_and_all_digits(tmp_path):
    rows = [*example().table.to_pylist(), row("x", "none", "", 0, 1 / 3, ci_low=None, ci_high=None, decay=None)]
    results = Results.from_rows(rows)
    parquet, csv = results.save(tmp_path)
    assert (parquet.name, csv.name) == ("results.parquet", "results.csv")
    assert Results.load(parquet).table.equals(results.table)
    assert Results.load(csv).table.equals(results.table)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.parquet"]  # nothing temporary


def test_a_failed_write_leaves_the_old_table(tmp_path, monkeypatch):
    old = example()
    old.save(tmp_path)

    def broken(table: pa.Table, path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("pyarrow.parquet.write_table", broken)
    with pytest.raises(OSError, match="disk full"):
        Results.from_rows([]).save(tmp_path)
    assert Results.load(tmp_path / "results.parquet").table.equals(old.table)


def test_summary_puts_trained_random_and_the_majority_of_the_clock_side_by_side():
    summary = example().summary().set_index(["encoder", "layer"])
    assert summary.loc[("whisper-tiny.en", "block2"), "trained"] == pytest.approx(0.7)
    assert summary.loc[("whisper-tiny.en", "block2"), "random"] == pytest.approx(0.46)  # mean of two seeds
    assert summary.loc[("whisper-tiny.en", "block2"), "majority"] == 0.23
    assert summary.loc[("mfcc", "mfcc"), "majority"] == 0.24
    assert np.isnan(summary.loc[("mfcc", "mfcc"), "random"])
    assert len(summary) == 6


def test_random_weights_alone_stand_in_their_own_column():
    only = Results.from_rows([row("w", "random0", "l", 0, 0.4)])
    assert only.summary().trained.isna().all()
    assert "0.400 [0.380 0.420]" in only.text()
    assert "nan" not in only.text()
    assert "0.400\n" in Results.from_rows([row("w", "none", "l", 0, 0.4, ci_low=None, ci_high=None)]).text() + "\n"


def test_printed_table_has_a_row_per_layer_and_the_protocol():
    text = str(example())
    line = next(line for line in text.splitlines() if "block3" in line)
    assert line.split() == [
        "whisper-tiny.en",
        "block3",
        "0.750",
        "[0.730",
        "0.770]",
        "0.440",
        "[0.420",
        "0.460]",
        "0.230",
    ]
    assert "5 folds over speakers, each speaker tested once; 10 test speakers, 39 classes" in text


def test_figure_shows_every_series_and_both_files_are_whole(tmp_path):
    png, svg = plot(example(), tmp_path)
    assert png.read_bytes().startswith(b"\x89PNG") and png.read_bytes().rstrip().endswith(b"IEND\xaeB`\x82")
    text = svg.read_text()
    for shown in ("trained", "random weights, seed 0", "random weights, seed 1", "log_mel", "mfcc", "majority class",
                  "block3", "layer", "frame accuracy (%)", "10 test speakers"):  # fmt: skip
        assert shown in text
    assert plot(example(), tmp_path / "again")[1].read_text() == text  # no dates, no random ids
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["layers.png", "layers.svg"]


def test_figure_of_baselines_only_and_of_another_metric(tmp_path):
    baselines = Results.from_rows([r for r in example().table.to_pylist() if r["init"] == "none"])
    assert "mfcc" in plot(baselines, tmp_path)[1].read_text()
    assert "macro F1" in plot(example(), tmp_path, metric="macro_f1")[1].read_text()
    with pytest.raises(ProbeError, match=r"'loss'.*accuracy"):
        plot(example(), tmp_path, metric="loss")


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **options):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **options)

    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'phonelayers\[report\]'"):
        plot(example(), tmp_path)
