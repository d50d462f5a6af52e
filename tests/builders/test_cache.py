from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from datasets import config

from builders.cache import absolute, cache_dir, digest, writing
from tests.conftest import REPOSITORY


def test_folder_of_the_environment_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("PHONELAYERS_CACHE", str(tmp_path / "cache"))
    assert cache_dir("a", "b") == tmp_path / "cache" / "a" / "b"
    assert (tmp_path / "cache" / "a" / "b").is_dir()


def test_folder_beside_the_cache_of_datasets(tmp_path, monkeypatch):
    monkeypatch.delenv("PHONELAYERS_CACHE")
    monkeypatch.setattr(config, "HF_CACHE_HOME", str(tmp_path / "huggingface"))
    assert cache_dir("indices") == tmp_path / "huggingface" / "phonelayers" / "indices"


def test_digest_is_the_same_in_every_process():
    parts = ["ä", 1, 2.5, None, ("x", 3), "\udcff"]
    program = f"from builders.cache import digest; print(digest({parts!r}))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest(parts)
    assert digest(["ab", "c"]) != digest(["a", "bc"])
    assert digest([1]) != digest(["1"])


def test_file_takes_its_name_only_when_it_is_whole(tmp_path):
    final = tmp_path / "x.txt"
    with pytest.raises(RuntimeError), writing(final) as temporary:
        temporary.write_text("half")
        assert not final.exists()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    for text in ("first", "second"):
        with writing(final) as temporary:
            temporary.write_text(text)
        assert final.read_text() == text
    assert list(tmp_path.iterdir()) == [final]


def test_threads_do_not_write_into_each_others_files(tmp_path):
    final, together = tmp_path / "x.txt", threading.Barrier(4)

    def write(text: str) -> str:
        with writing(final) as temporary:
            temporary.write_text(text)
            together.wait(60)
            return temporary.read_text()

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(write, "abcd")) == list("abcd")
    assert list(tmp_path.iterdir()) == [final] and final.read_text() in "abcd"


def test_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert absolute("corpus") == tmp_path / "corpus"
    assert absolute("~/corpus") == Path("/home/someone/corpus")
    assert absolute(Path("/data")) == Path("/data")
