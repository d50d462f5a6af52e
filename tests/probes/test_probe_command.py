"""``python -m probes`` in a process of its own, on a table on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import DatasetDict

from probes.__main__ import main
from probes.results import Results
from tests.probes.probe_tables import clouds, speech, with_column

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    table, truth = speech(speakers=4, utterances=5)
    table = with_column(table, clouds(truth), encoder="net", layer="block1", init="trained")
    table = with_column(table, clouds(truth, known=0.0), encoder="net", layer="block1", init="random0")
    path = tmp_path_factory.mktemp("tables") / "toy"
    DatasetDict({"train": table}).save_to_disk(path)
    return path


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "probes", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=300)


def test_table_figure_and_what_to_try_next(folder, tmp_path):
    done = run(folder, "--tier", "phones", "--out", "results", "--save-probes", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "block1" in line)
    assert line.split()[0] == "net"
    assert float(line.split()[2]) > 0.99
    assert "4 folds over speakers" in done.stdout
    assert "results/results.parquet" in done.stdout and "results/layers.png" in done.stdout
    assert "next: python -m " in done.stdout
    assert "probing" in done.stderr  # the progress bar
    out = tmp_path / "results"
    assert {path.name for path in out.iterdir()} == {
        "results.parquet",
        "results.csv",
        "comparisons.parquet",
        "comparisons.csv",
        "confusions.parquet",
        "confusions.csv",
        "layers.png",
        "layers.svg",
        "probes",
    }
    table = Results.load(out / "results.parquet").table
    assert table.equals(Results.load(out / "results.csv").table)
    assert table.num_rows == 9


def test_options(folder, tmp_path):
    options = ["--encoders", "net", "--layers", "block1", "--silence", "drop", "--max-frames", 12, "--folds", 2]
    done = run(folder, "--out", tmp_path / "r", *options, "--no-plot", "--seed", 3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "silence dropped; at most 12 frames per utterance" in done.stdout
    assert {path.stem for path in (tmp_path / "r").iterdir()} == {"results", "comparisons", "confusions"}
    assert set(Results.load(tmp_path / "r" / "results.csv").to_pandas().seed) == {3}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--tier", "words"], "expected one of ['phones']"),
        (["--encoders", "wavlm"], "expected some of ['net']"),
        (["--phone-set", "sampa"], "expected one of ['timit61'"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(folder, tmp_path, arguments, expected):
    done = run(folder, "--out", tmp_path / "r", *arguments, cwd=tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2
    assert last.startswith("error: ") and expected in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("asked", "option", "said"),
    [
        ("linear", "decays=", "decays=: expected one or more"),
        ("linear", "decays=-1", "decays=-1.0: expected"),
        ("linear", "decays=nan", "decays=nan: expected"),
        ("global_diagnostic", "decays=", "decays=: expected one or more"),
        ("global_diagnostic", "epochs=-1", "epochs=-1: expected 0 or more"),
        ("rsa", "scopes=", "expected some of ['local', 'global']"),
        ("rsa", "pool=", "expected one of ['mean', 'linear', 'scalar']"),
        ("rsa", "frames=-5", "frames=-5: expected 0 or more"),
        ("rsa", "utterances=-1", "utterances=-1: expected 0 or more"),
        ("rsa", "epochs=0", "epochs=0: expected 1 or more"),
        ("similarity", "metrics=", "expected some of ['cka', 'pwcca']"),
        ("similarity", "frames=-5", "frames=-5: expected 0 or more"),
        ("mlp", "batch=1", "batch=1: expected at least 2"),
        ("mlp", "rate=inf", "must be above 0 and finite"),
    ],
)
def test_an_option_that_makes_no_sense_is_one_line(folder, tmp_path, capsys, asked, option, said):
    assert main([str(folder), "--out", str(tmp_path / "r"), "--probe", asked, "--option", option, "--no-plot"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ") and said in last


@pytest.mark.parametrize("inside", [False, True])
def test_out_that_is_a_file_is_one_line_before_any_work(folder, tmp_path, capsys, inside):
    (tmp_path / "file").write_text("x")
    out = tmp_path / "file" / "r" if inside else tmp_path / "file"
    for command in ([], ["suite"], ["regression"], ["words"]):
        rest = ["--target", "age"] if command == ["regression"] else []
        assert main([*command, str(folder), "--out", str(out), *rest]) == 2
        assert capsys.readouterr().err == f"error: --out {out}: {tmp_path / 'file'} is a file, expected a folder\n"


def test_no_table_and_help(tmp_path):
    done = run(tmp_path / "nothing", "--out", tmp_path / "r", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing holds no table" in done.stderr
    shown = run("--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "example: python -m probes tables/timit --tier phones --out results/timit" in shown.stdout
