"""All layers in one pass over the table: the same results as layer by layer, within a budget of memory."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.card import cards
from probes import ProbeError, frames, layers, outcome, probe
from probes.examples import Examples
from probes.frames import FrameTable, frame_tables
from probes.layers import portions
from tests.probes.probe_tables import WAV2VEC, clouds, speech, with_column

NAMES = ("conv", "low", "mid", "top")
COLUMN = 20 * 60 * (8 * 2 + 4)  # bytes of 20 utterances of 60 frames, float16, 8 wide, and where each frame starts


@pytest.fixture(scope="module")
def table():
    table, truth = speech(speakers=5, utterances=4)
    for index, name in enumerate(NAMES):
        values = clouds(truth, known=0.3 + 0.2 * index, seed=index)
        table = with_column(table, values, encoder="net", layer=name, index=index)
    return table


def results(table, **options) -> pd.DataFrame:
    return probe(table, progress=False, draws=50, **options).to_pandas()


def same(one: FrameTable, other: FrameTable) -> None:
    for name in ("values", "labels", "utterance", "speaker", "types", "place", "spans"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert (one.classes, one.speakers) == (other.classes, other.speakers)


@pytest.fixture
def read(monkeypatch):
    """The columns of each pass over the table."""
    passes, tables = [], Examples.tables

    def counted(self, dataset, columns, *given, **options):
        passes.append(list(columns))
        return tables(self, dataset, columns, *given, **options)

    monkeypatch.setattr(Examples, "tables", counted)
    return passes


@pytest.mark.parametrize(
    "options",
    [{"control": True}, {"max_frames": 20}, {"examples": "segments"}, {"protocol": "published"}],
    ids=lambda options: "-".join(options),
)
def test_one_pass_gives_what_layer_by_layer_gives(table, options, read):
    together = results(table, **options)
    assert read == [[f"net.{name}" for name in NAMES]]
    alone = [results(table, layers=[name], **options) for name in NAMES]
    own = pd.concat([alone[0].query("encoder == 'majority'"), *(one.query("encoder == 'net'") for one in alone)])
    pd.testing.assert_frame_equal(together, own.reset_index(drop=True))
    assert together.query("metric == 'accuracy' and encoder == 'net'").value.nunique() == 4  # the layers differ


@pytest.mark.parametrize("columns, expected", [(2.5, [2, 2]), (1.9, [1, 1, 1, 1]), (0, [1, 1, 1, 1]), (3.5, [3, 1])])
def test_layers_beyond_the_budget_go_in_several_passes_with_equal_results(table, columns, expected, read, monkeypatch):
    whole = results(table, control=True)
    monkeypatch.setattr(layers, "budget", lambda: columns * COLUMN)
    read.clear()
    pd.testing.assert_frame_equal(results(table, control=True), whole)
    assert [len(part) for part in read] == expected


def test_what_follows_from_the_manifest_is_found_once_for_all_layers(table, monkeypatch):
    counted = []
    for module, name in [(frames, "_labels"), (outcome, "control_table"), (outcome, "_groups")]:
        given = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, name=name, given=given: (counted.append(name), given(*a))[1])
    results(table, control=True)
    assert sorted(counted) == ["_groups", "_labels", "control_table"]  # one batch of rows, four layers


def test_columns_of_one_pass_share_their_labels_and_equal_those_gathered_alone(table):
    for options in ({}, {"context": True}, {"max_frames": 7, "rows": np.array([1, 4, 19])}):
        found = frame_tables(table, ["net.low", "net.top"], **options)
        assert found[0].labels is found[1].labels
        same(found[1], frames.frame_table(table, "net.top", **options))
        assert not np.array_equal(found[0].values, found[1].values)


def test_columns_of_other_lengths_keep_their_own_examples(table):
    _, truth = speech(speakers=5, utterances=4)
    short = [values[:-2] for values in clouds(truth, seed=9)]
    table = with_column(table, short, encoder="net", layer="short", index=9)
    names = ["net.top", "net.short", "net.low"]
    for context in (False, True):
        for name, found in zip(names, frame_tables(table, names, context=context), strict=True):
            same(found, frames.frame_table(table, name, context=context))
            assert len(found.labels) == len(table) * (58 if name == "net.short" else 60)


def test_a_pass_holds_one_clock_and_counts_the_rows_that_are_left(table, monkeypatch):
    _, truth = speech(speakers=5, utterances=4)
    table = with_column(table, [one[:59] for one in clouds(truth)], encoder="w2v", clock=WAV2VEC)
    known = cards(table)
    assert portions(table, known, Examples()) == [[f"net.{name}" for name in NAMES], ["w2v.l0"]]
    monkeypatch.setattr(layers, "budget", lambda: 1.5 * COLUMN)
    assert [len(part) for part in portions(table, known, Examples())] == [1, 1, 1, 1, 1]
    few = table.select(range(0, len(table), 4))
    assert [len(part) for part in portions(few, known, Examples())] == [4, 1]
    with pytest.raises(ProbeError, match="different clocks"):
        frame_tables(table, ["net.top", "w2v.l0"])


def test_the_mixture_of_layers_reads_in_passes_as_well(table, read, monkeypatch):
    option = {"epochs": 1}
    whole = results(table, probe="mixing", option=option, folds=2)
    monkeypatch.setattr(layers, "budget", lambda: 0)
    read.clear()
    pd.testing.assert_frame_equal(results(table, probe="mixing", option=option, folds=2), whole)
    assert read == [[f"net.{name}"] for name in NAMES]
