"""The suite: its parts, what is done once, its tables, and the report of what it wrote."""

from __future__ import annotations

import json
import sys
from importlib import import_module

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from datasets import DatasetDict, concatenate_datasets

from probes import ProbeError, abx, probe, registry
from probes.__main__ import main
from probes.report import report
from probes.results import Results
from probes.suite import Part, merged, parts, suite
from probes.suite_state import State
from probes.suite_tables import TABLES, markdown
from tests.probes.probe_tables import clouds, speech, with_column
from tests.probes.test_probe_report import Page
from tests.probes.test_probe_results import row


@pytest.fixture(scope="module")
def table():
    """Return a table of an encoder with two layers, trained and random, and an acoustic one."""
    made, truth = speech(speakers=4, utterances=4, frames=30)
    made = made.add_column("duration", [0.6] * len(made)).add_column("gender", ["f", "m"] * (len(made) // 2))
    for init, known in (("trained", 1.0), ("random0", 0.2)):
        for index in (0, 1):
            values = clouds(truth, known=known, seed=index)
            made = with_column(made, values, encoder="net", layer=f"l{index}", init=init, index=index)
    return with_column(made, clouds(truth, known=0.5), encoder="mel", layer="mel")


UTTERANCES = {"examples": "utterances", "draws": 5}
CHOSEN = [
    Part("linear", {"control": True, "draws": 20}),
    Part("similarity", {"probe": "similarity", "draws": 20}),
    Part("rsa", {"probe": "rsa", "draws": 20}),
    Part("accent", {"examples": "utterances", "target": "accent"}),
]


@pytest.fixture(scope="module")
def written(table, tmp_path_factory):
    out, said = tmp_path_factory.mktemp("suite") / "out", []
    results, left_out = suite(table, out, chosen=CHOSEN, say=said.append)
    return out, results.to_pandas(), left_out, said


def test_parts_are_merged_and_what_cannot_be_measured_is_a_line(written):
    out, results, left_out, said = written
    assert list(results.part.unique()) == ["linear", "rsa", "similarity"]  # the order of the suite
    for name, frame in results.groupby("part"):
        alone = Results.load(out / "parts" / name / "results.parquet").to_pandas()
        pd.testing.assert_series_equal(frame.value.reset_index(drop=True), alone.value)
    assert left_out == {"accent": left_out["accent"]} and "'accent' is no column of labels" in left_out["accent"]
    assert said[3].startswith("accent: left out")
    assert "Left out: accent ('accent' is no column" in (out / "table.md").read_text()
    assert set(pyarrow.parquet.read_table(out / "confusions.parquet")["part"].to_pylist()) == {"linear"}


def test_a_finished_part_is_not_repeated_unless_something_else_is_asked(table, written, tmp_path):
    out, *_ = written
    before = {path: path.stat().st_mtime_ns for path in (out / "parts").glob("*/results.parquet")}
    said: list[str] = []
    suite(table, out, chosen=CHOSEN, say=said.append)
    assert said[:3] == [f"{name}: finished before" for name in ("linear", "similarity", "rsa")]
    assert before == {path: path.stat().st_mtime_ns for path in before}
    first = Part("linear", {"draws": 5})
    for asked, again in ((first, False), (first, True), (Part("linear", {"draws": 6}), False)):
        said.clear()
        suite(table, tmp_path, chosen=[asked], say=said.append)
        assert (said == ["linear: finished before"]) == again
    fewer = table.select(range(12))  # other rows are another table
    suite(fewer, tmp_path, chosen=[Part("linear", {"draws": 6})], say=said.append)
    assert said[-1] != "linear: finished before"


def test_other_labels_are_another_table(table, tmp_path):
    """The same ids and features with other segments or another column of labels."""
    asked, said = [Part("linear", {"draws": 5}), Part("gender", {**UTTERANCES, "target": "gender"})], []
    first = suite(table, tmp_path, chosen=asked, say=said.append)[0].to_pandas()
    cells = table["segments"][1:] + table["segments"][:1]
    moved = table.map(lambda _, n: {"segments": cells[n]}, with_indices=True, load_from_cache_file=False)
    again, fresh = (
        suite(moved, folder, chosen=asked, say=said.append)[0].to_pandas() for folder in (tmp_path, tmp_path / "new")
    )
    assert "finished before" not in "".join(said)
    pd.testing.assert_frame_equal(again, fresh)
    assert first.value.tolist() != again.value.tolist()
    said.clear()
    swapped = table.remove_columns("gender").add_column("gender", ["m", "f"] * (len(table) // 2))
    suite(swapped, tmp_path, chosen=asked, say=said.append)
    assert not any("finished before" in line for line in said)


def test_parts_of_another_table_or_with_other_settings_are_left_out(table, tmp_path):
    said: list[str] = []
    both = [Part("linear", {"draws": 5}), Part("gender", {**UTTERANCES, "target": "gender"})]
    whole, _ = suite(table, tmp_path, chosen=both, shared={"seed": 0, "folds": None}, say=said.append)
    assert set(whole.to_pandas().part) == {"linear", "gender"}
    alone, left_out = suite(table, tmp_path, chosen=both[:1], shared={"seed": 7, "folds": 3}, say=said.append)
    assert set(alone.to_pandas().part) == {"linear"} and set(alone.to_pandas().seed) == {7}
    assert said[-1].startswith("left out of the results: gender, measured on another table")
    assert set(left_out) == {"gender"} and "Left out: gender" in (tmp_path / "table.md").read_text()
    # the same settings again: both, and with features of one more layer as well
    assert set(suite(table, tmp_path, chosen=both[:1], shared={"seed": 0, "folds": None}, say=said.append)[0]
               .to_pandas().part) == {"linear", "gender"}  # fmt: skip
    more = with_column(table, [np.ones((30, 3))] * len(table), encoder="new", layer="l0")
    said.clear()
    added, _ = suite(more, tmp_path, chosen=both[:1], shared={"seed": 0, "folds": None}, say=said.append)
    assert set(added.to_pandas().part) == {"linear", "gender"} and said[0].startswith("linear: ")
    fewer = table.select(range(12))
    assert set(suite(fewer, tmp_path, chosen=both[:1], say=said.append)[0].to_pandas().part) == {"linear"}


def test_the_hash_of_a_table_is_of_its_rows_alone(table, tmp_path):
    DatasetDict(train=table).save_to_disk(str(tmp_path / "table"))
    stored = DatasetDict.load_from_disk(str(tmp_path / "table"))["train"]
    halves = concatenate_datasets([table.select(range(7)), table.select(range(7, len(table)))])
    chosen = table.select([*range(len(table))][::-1]).select([*range(len(table))][::-1])
    shared = {"encoders": ("net",), "seed": 0}
    states = [State.of(one, shared) for one in (table, stored, halves, chosen)]
    assert all(one == states[0] for one in states)
    assert State.of(table.select(range(12)), shared).table != states[0].table


def test_an_interrupted_part_is_run_again(table, tmp_path):
    asked, said = [Part("linear", {"draws": 5})], []
    suite(table, tmp_path, chosen=asked, say=said.append)
    (tmp_path / "parts" / "linear" / "asked.json").unlink()  # written last
    suite(table, tmp_path, chosen=asked, say=said.append)
    assert said[0].startswith("linear: ") and said[1].split(" in ")[0] == said[0].split(" in ")[0]


def test_tables_hold_the_results_that_the_columns_name(written):
    out, results, _, _ = written
    text = (out / "table.md").read_text()
    best = results.query("part == 'linear' and metric == 'accuracy' and init == 'trained' and layer == 'l1'").iloc[0]
    low, high = (f"{value:.3f}".removeprefix("0") for value in (best.ci_low, best.ci_high))
    line = next(line for line in text.splitlines() if line.startswith("| net | trained | l1 |"))
    assert f" {best.value:.3f} ".replace(" 0.", " .") + f"[{low}, {high}]" in line
    first = [line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("|")]
    assert first[2:4] == ["majority", "mel"]  # baselines before layers
    assert "### Representational similarity" in text and "ABX within" not in text


def test_markdown_by_hand():
    rows = [
        {**row("majority", "none", "", 0, 0.2), "part": "linear"},
        {**row("net", "trained", "b1", 1, 0.7541), "part": "linear"},
        {**row("net", "trained", "b0", 0, -0.01), "part": "linear"},
    ]
    frame = Results.from_rows(rows).to_pandas().assign(ci_low=[0.15, 0.7, np.nan], ci_high=[0.25, 1.0, np.nan])
    lines = markdown(frame).splitlines()
    assert lines[4:7] == [
        "| majority |  |  | .200 [.150, .250] |",
        "| net | trained | b0 | -.010 |",
        "| net | trained | b1 | .754 [.700, 1.000] |",
    ]


def test_every_part_that_is_listed_is_in_a_table():
    shown = {part for columns in TABLES.values() for _, part, _ in columns}
    assert {part.name for part in parts()} == shown
    assert "linear-48" not in {part.name for part in parts("words")}  # classes are of phones


def test_every_column_is_of_a_metric_that_its_part_gives(written):
    _, results, _, _ = written
    given = {part: set(frame.metric) for part, frame in results.groupby("part")} | {"abx": set(abx.METRICS)}
    named = [(part, metric) for columns in TABLES.values() for _, part, metric in columns if part in given]
    assert [one for one in named if one[1] not in given[one[0]]] == [("rsa", "global_rsa_linear")]  # an option
    assert len(named) >= 15


def test_a_further_probe_is_run_and_shown(table, tmp_path, monkeypatch):
    """What `linear` answers, under a name that is listed nowhere."""
    monkeypatch.setitem(sys.modules, "probes.straight", import_module("probes.linear"))
    for module in (sys.modules[suite.__module__], registry):
        monkeypatch.setattr(module, "probe_names", lambda: ["linear", "straight"])
    further = parts()[-1]
    assert further == Part("straight", {"target": "phones", "probe": "straight"})
    asked = [Part("linear", {"draws": 5}), Part("straight", {**further.asked, "draws": 5})]
    results, _ = suite(table, tmp_path, chosen=asked, say=lambda line: None)
    text = (tmp_path / "table.md").read_text().split("### Further probes")[1]
    assert "straight: accuracy | straight: macro f1 | straight: error reduction" in text
    frame = results.to_pandas().query("metric == 'accuracy' and init == 'trained' and layer == 'l1'")
    assert list(frame.part) == ["linear", "straight"] and frame.value.nunique() == 1
    line = next(line for line in text.splitlines() if line.startswith("| net | trained | l1 |"))
    assert f"| {frame.value.iloc[0]:.3f} [".replace(" 0.", " .") in line


def test_the_report_of_what_probes_wrote_has_heat_maps(written, tmp_path):
    out, results, _, _ = written
    files = report([out], tmp_path / "page.html")
    text = files[0].read_text(encoding="utf-8")
    Page(text)
    names = {path.name for path in files if path.suffix == ".svg"}
    kinds = {name.removesuffix(".svg").split(".", 1)[1] for name in names}
    assert {"pairs.cka", "pairs.pwcca", "map.local_rsa", "map.global_rsa", "layers.cka", "layers.local_rsa"} <= kinds
    for caption in ("linear CKA between all layers", "PWCCA between all layers", "linear CKA with phones by layer",
                    "local RSA, Pearson r of every layer", "What was answered for each class"):  # fmt: skip
        assert caption in text, caption
    svg = next(path for path in files if path.name.endswith("pairs.cka.svg")).read_text(encoding="utf-8")
    cka = results.query("metric == 'cka' and layer == 'l1' and init == 'trained' and other == 'net.l0'").value.iloc[0]
    assert f">{cka:.2f}<" in svg
    for name in ("mel mel", "net l0", "net random0 l1"):
        assert f">{name}<" in svg


def test_similarity_names_the_layer_that_it_compares_with(table):
    found = probe(table, probe="similarity", progress=False, draws=5, option={"metrics": "cka"}).to_pandas()
    between = found[found.other != "phones"]
    joined = (
        between.other_encoder + between.other_init.map({"random0": ".random0"}).fillna("") + "." + between.other_layer
    )
    assert (joined == between.other).all()
    assert found[found.other == "phones"].other_layer.isna().all()


def test_command_and_mistakes(table, tmp_path, capsys):
    DatasetDict(train=table).save_to_disk(str(tmp_path / "table"))
    command = ["suite", str(tmp_path / "table"), "--out", str(tmp_path / "out")]
    assert main([*command, "--only", "rsa", "--encoders", "mel"]) == 0
    said = capsys.readouterr().out
    assert "rsa: " in said and f"next: python -m probes report {tmp_path / 'out'}" in said
    assert json.loads((tmp_path / "out" / "parts" / "rsa" / "asked.json").read_text())["asked"]["probe"] == "rsa"
    assert main([*command, "--only", "nothing"]) == 2
    assert "unknown parts ['nothing']: expected some of ['linear'" in capsys.readouterr().err
    with pytest.raises(ProbeError, match="no part could be run"):
        suite(table, tmp_path / "none", chosen=[CHOSEN[-1]], say=lambda line: None)
    assert merged(tmp_path / "out", ["rsa"]).to_pandas().part.unique().tolist() == ["rsa"]
