from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_from_disk

from builders import startup
from builders.__main__ import EXAMPLES, main
from builders.register import corpora
from tests.conftest import REPOSITORY
from tests.corpora import librispeech, timit


@pytest.fixture
def timit_dir(tmp_path: Path) -> Path:
    return timit.write(tmp_path)


def test_list_names_every_corpus_and_whether_it_is_on(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(startup, "site_packages", lambda: tmp_path)
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in corpora():
        assert any(line.startswith(name) for line in out.splitlines())
    assert "timit61" in out and "arpabet" in out
    assert "in every program: off (python -m builders enable)" in out
    assert main(["enable"]) == 0
    assert str(tmp_path) in capsys.readouterr().out
    main(["list"])
    assert "in every program: on" in capsys.readouterr().out
    assert (main(["disable"]), main(["disable"])) == (0, 0)
    assert capsys.readouterr().out == "off\nwas off already\n"


def test_show_gives_configurations_and_counts(capsys):
    assert main(["show", "librispeech"]) == 0
    out = capsys.readouterr().out
    assert "train.clean.360" in out and "104014" in out and "https://www.openslr.org/12" in out
    assert main(["show", "timit"]) == 0
    out = capsys.readouterr().out
    assert "core" in out and "192" in out and "1680" in out


def test_load_reports_and_writes_a_table(timit_dir, tmp_path, capsys):
    out = tmp_path / "tables" / "timit"
    out.parent.mkdir()
    assert main(["load", "timit", "--data-dir", str(timit_dir), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "published" in printed and "4620" in printed
    assert f"next: python -m features {out}" in printed
    table = load_from_disk(str(out))
    assert {split: len(part) for split, part in table.items()} == {"train": 3, "test": 4}
    assert [path.name for path in out.parent.iterdir()] == ["timit"]


@pytest.mark.parametrize("command", [["prepare"], ["manifest"], ["manifest", "--audio", "wav"], ["load"]])
def test_a_place_that_cannot_be_made_is_one_line(timit_dir, capsys, decoded, command):
    name, *more = command
    if more:
        more += ["--audio-dir", "/dev/null/a"]
    assert main([name, "timit", "--data-dir", str(timit_dir), "--out", "/dev/null/x/y", *more]) == 2
    (error,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "/dev/null" in error
    assert not decoded  # it is said before the work


def test_load_one_split_of_a_configuration(timit_dir, tmp_path, capsys):
    out = tmp_path / "core"
    arguments = ["load", "timit", "core", "--data-dir", str(timit_dir), "--split", "test", "--out", str(out)]
    assert main(arguments) == 0
    assert {split: sorted(part["id"]) for split, part in load_from_disk(str(out)).items()} == {
        "test": ["MDAB0_SX139", "MGRT0_SI1450"]
    }


def test_load_with_an_option(tmp_path, capsys):
    top = librispeech.write(tmp_path)
    grids = librispeech.write_alignments(tmp_path / "grids")
    out = tmp_path / "out"
    arguments = ["load", "librispeech", "dev-clean", "--data-dir", str(top), "--out", str(out)]
    assert main([*arguments, "--option", f"alignments={grids}"]) == 0
    assert load_from_disk(str(out))["validation"][0]["segments"]


def test_quarantined_recordings_are_status_3_also_from_the_cache(timit_dir, tmp_path, capsys):
    (timit_dir / "TEST/DR1/MDAB0/SA2.WAV").write_bytes(b"")
    arguments = ["load", "timit", "--data-dir", str(timit_dir), "--max-bad", "0.5"]
    assert main(arguments) == 3
    assert "quarantined: " in capsys.readouterr().err
    out = tmp_path / "out"
    assert main([*arguments, "--out", str(out)]) == 3
    assert len(load_from_disk(str(out))["test"]) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "timt"], "there is no corpus 'timt': did you mean builders/timit?"),
        (["load", "timit"], "timit needs data_dir"),
        (["load", "timit", "--data-dir", "nowhere"], "nowhere does not exist"),
        (["load", "timit", "--data-dir", ".", "--out", "here"], "here exists already"),
        (["load", "timit", "--data-dir", "TIMIT", "--split", "dev"], "no split 'dev' here: expected one of"),
        (["load", "timit", "cor", "--data-dir", "TIMIT"], "'cor' not found"),
        (["load", "timit", "--data-dir", "TIMIT", "--option", "speed=2"], "speed"),
    ],
)
def test_bad_input_is_status_2_and_one_line(timit_dir, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    assert main(arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]


def test_too_many_bad_recordings_are_status_2_and_write_nothing(timit_dir, tmp_path, capsys):
    (timit_dir / "TEST/DR1/MDAB0/SA2.WAV").write_bytes(b"")
    out = tmp_path / "out"
    assert main(["load", "timit", "--data-dir", str(timit_dir), "--out", str(out)]) == 2
    assert "1 of 4 recordings are bad" in capsys.readouterr().err
    assert not out.exists()


def test_interrupted_writing_leaves_no_table(timit_dir, tmp_path, monkeypatch, capsys):
    from datasets import DatasetDict

    def fail(self, path):
        Path(path).mkdir()
        raise OSError("disk full")

    monkeypatch.setattr(DatasetDict, "save_to_disk", fail)
    assert main(["load", "timit", "--data-dir", str(timit_dir), "--out", str(tmp_path / "out")]) == 2
    assert "error: disk full" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["TIMIT"]


@pytest.mark.parametrize("command", EXAMPLES)
def test_help_has_an_example(capsys, command):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert f"example: python -m builders {command}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("arguments", [[], ["dance"], ["load"]])
def test_wrong_usage_is_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as done:
        main(arguments)
    assert done.value.code == 2


def test_the_command_as_a_process(timit_dir):
    def status(*arguments: object) -> int:
        command = [sys.executable, "-m", "builders", *map(str, arguments)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False).returncode

    assert status("load", "timit", "--data-dir", timit_dir) == 0
    assert status("show", "nothing") == 2
    (timit_dir / "TEST/DR1/MDAB0/SA2.WAV").write_bytes(b"")
    assert status("load", "timit", "--data-dir", timit_dir, "--max-bad", 0.5) == 3
