from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from datasets import get_dataset_config_info, get_dataset_config_names, get_dataset_split_names, load_dataset

import builders
from builders import register
from builders.errors import CorpusError
from builders.register import HOME, builder_class, install, resolve
from tests.conftest import REPOSITORY
from tests.corpora import timit


def run(program: str, *arguments: object, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess[str]:
    """Run a program in a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


# As if these packages were not installed: no finder finds them.
BLOCK = """
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        missing = name.partition(".")[0] in {"torch", "torchcodec", "torchaudio", "mlx", "transformers"}
        return None if missing else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def test_works_without_torch_torchcodec_and_mlx(tmp_path):
    program = BLOCK + (
        "import builders\n"
        "from builders.audio import decode\n"
        "from datasets import load_dataset\n"
        "for streaming in (False, True):\n"
        "    table = load_dataset('builders/timit', data_dir=sys.argv[1], streaming=streaming)\n"
        "    row = next(iter(table['train']))\n"
        "    print(row['id'], len(decode(row['audio'])), row['segments'][1]['label'])\n"
        "try:\n"
        "    import torch\n"
        "except ModuleNotFoundError:\n"
        "    print('blocked')\n"
    )
    done = run(program, timit.write(tmp_path), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "FCJF0_SA1 46797 sh\n" * 2 + "blocked\n"), done.stderr


def test_import_brings_no_model_library():
    program = (
        "import sys, datasets\n"
        "before = set(sys.modules)\n"
        "import builders, builders.corpus, builders.__main__, builders.timit.timit, builders.librispeech.librispeech\n"
        "heavy = ('torch', 'mlx', 'tensorflow', 'jax', 'librosa', 'transformers', 'matplotlib', 'sklearn')\n"
        "print([name for name in heavy if name in set(sys.modules) - before])\n"
    )
    done = run(program)
    assert done.stdout == "[]\n", done.stderr


def test_install_wraps_once():
    factory = datasets.load.dataset_module_factory
    install()
    install()
    assert datasets.load.dataset_module_factory is factory
    assert datasets.inspect.dataset_module_factory is factory
    assert not hasattr(factory.__wrapped__, "knows_builders")


def test_corpora_are_folders_with_a_module_of_their_name():
    assert {"timit", "librispeech"} <= set(builders.corpora())
    assert builders.corpora() == sorted(builders.corpora())
    assert all((HOME / name / f"{name}.py").exists() for name in builders.corpora())


@pytest.mark.parametrize(
    ("path", "corpus"),
    [
        ("builders/timit", "timit"),
        ("./builders/timit", "timit"),
        ("builders/timit/", "timit"),
        ("builders/unheard_of", "unheard_of"),  # ours to complain about
        (HOME / "timit", "timit"),
        (f"{HOME}/timit/", "timit"),
        ("timit", None),
        ("csv", None),
        ("someone/builders", None),
        ("someone/builders/timit", None),
        ("hf://datasets/builders/timit", None),
        (HOME / "timit" / "timit.py", None),
        (HOME.parent, None),
        ("/builders/timit", None),
    ],
)
def test_paths_that_are_ours(path, corpus):
    assert resolve(path) == corpus


def test_symbolic_link_to_the_project_resolves(tmp_path):
    (tmp_path / "link").symlink_to(REPOSITORY)
    assert resolve(tmp_path / "link" / "builders" / "timit") == "timit"


def test_unknown_corpus_names_the_near_one_and_all():
    with pytest.raises(
        CorpusError, match=r"no corpus 'timt': did you mean builders/timit\? expected one of \[.*'timit'"
    ):
        load_dataset("builders/timt")
    with pytest.raises(CorpusError, match="there is no corpus 'zzz': expected one of"):
        builder_class("zzz")


def test_other_datasets_load_as_ever(tmp_path):
    (tmp_path / "table.csv").write_text("a,b\n1,x\n2,y\n")
    assert load_dataset(str(tmp_path), split="train")["a"][:] == [1, 2]
    assert load_dataset("csv", data_files=str(tmp_path / "table.csv"), split="train")["b"][:] == ["x", "y"]


def test_folder_called_builders_elsewhere_is_loaded_by_its_absolute_path(tmp_path):
    folder = tmp_path / "builders" / "mine"
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text("a\n7\n")
    assert load_dataset(str(folder), split="train")["a"][:] == [7]


def test_errors_of_datasets_stay_its_own(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_dataset(str(tmp_path / "nothing"))


def test_inspecting(tmp_path):
    top = timit.write(tmp_path)
    assert get_dataset_config_names("builders/timit") == ["default", "core"]
    assert datasets.inspect.get_dataset_default_config_name("builders/timit") == "default"
    assert get_dataset_split_names("builders/timit", data_dir=str(top)) == ["train", "test"]
    information = get_dataset_config_info("builders/timit", data_dir=str(top))
    assert information.homepage == "https://catalog.ldc.upenn.edu/LDC93S1"
    assert information.license.startswith("LDC")
    assert list(information.features)[:2] == ["id", "audio"]


def test_cache_has_a_name_of_ours(tmp_path):
    """A bare load_dataset("timit") of another program must not find our table."""
    table = load_dataset("builders/timit", data_dir=str(timit.write(tmp_path)), split="train")
    assert "/builders_timit/" in table.cache_files[0]["filename"]


def test_version_of_the_machinery_is_in_the_module_hash(monkeypatch):
    from builders import corpus

    before = datasets.load.dataset_module_factory("builders/timit").hash
    assert datasets.load.dataset_module_factory("./builders/timit").hash == before
    monkeypatch.setattr(corpus, "MACHINERY_VERSION", 999)
    assert datasets.load.dataset_module_factory("builders/timit").hash != before
    assert register.PREFIX == "builders"
