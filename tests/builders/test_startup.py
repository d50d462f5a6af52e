from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from builders.startup import HOOK, disable, enable, enabled
from tests.corpora import timit

LOAD = "from datasets import load_dataset; print(len(load_dataset('builders/timit', data_dir='TIMIT', split='train')))"


class Environment:
    """A virtual environment that sees what this one has installed, this project excepted."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(with_pip=False, symlinks=True).create(folder / "env")
        self.python = folder / "env" / "bin" / "python"
        (self.site,) = (folder / "env").glob("lib/*/site-packages")
        # A folder named in a .pth file: .pth files in that folder, of editable installs too, are not read.
        (self.site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        self.folder = folder

    def run(self, program: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment["HF_HUB_OFFLINE"] = "1"  # where the path is not ours, the Hub would be asked
        return subprocess.run(
            [self.python, "-c", program],
            cwd=self.folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    timit.write(tmp_path)
    return Environment(tmp_path)


def test_on_and_off(environment):
    assert environment.run(LOAD).returncode != 0
    assert not enabled(environment.site)
    assert enable(environment.site) == environment.site
    assert enabled(environment.site)
    done = environment.run(LOAD)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert disable(environment.site)
    assert not enabled(environment.site)
    assert environment.run(LOAD).returncode != 0
    assert not disable(environment.site)
    assert [path.name for path in environment.site.glob(f"{HOOK}*")] == []


def test_costs_nothing_until_datasets_is_imported(environment):
    enable(environment.site)
    program = (
        "import sys\n"
        "heavy = ('builders', 'datasets', 'numpy', 'pyarrow', 'importlib.metadata', 'typing', 'pathlib', 'sqlite3')\n"
        "print([name for name in heavy if name in sys.modules], any('phonelayers' in name for name in sys.modules))\n"
        "import json, csv, email\n"
        "print('builders' in sys.modules)\n"
    )
    done = environment.run(program)
    assert (done.stdout, done.stderr) == ("[] True\nFalse\n", "")


@pytest.mark.parametrize(
    "first",
    ["import datasets.load", "from datasets.inspect import get_dataset_config_names", "import datasets, datasets"],
)
def test_any_first_import_of_datasets(environment, first):
    enable(environment.site)
    done = environment.run(f"{first}\nimport datasets\nprint(datasets.get_dataset_config_names('builders/timit'))")
    assert done.stdout == "['default', 'core']\n", done.stderr


def test_environment_without_datasets(environment):
    enable(environment.site)
    (environment.site / "dependencies.pth").unlink()
    done = environment.run("import datasets")
    assert "ModuleNotFoundError: No module named 'datasets'" in done.stderr
    assert environment.run("print('well')").stdout == "well\n"


def test_project_that_was_removed_does_not_break_programs(environment):
    enable(environment.site)
    hook = environment.site / f"{HOOK}.py"
    here = Path(__file__).resolve().parents[2]
    hook.write_text(hook.read_text().replace(repr(str(here)), repr("/nowhere")))
    done = environment.run("import datasets; print('well')")
    assert (done.returncode, done.stdout) == (0, "well\n")
    assert "phonelayers is not there any more: remove" in done.stderr
    assert str(hook) in done.stderr


def test_foreign_package_called_builders_is_left_alone(environment):
    """A program with a `builders` of its own keeps it."""
    enable(environment.site)
    (environment.folder / "builders.py").write_text("mine = True\n")
    done = environment.run("import datasets, builders; print(builders.mine)")
    assert done.stdout == "True\n", done.stderr
