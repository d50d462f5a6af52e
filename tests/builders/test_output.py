"""Outputs that are no folder: an object store in memory, and a file system that can only rename."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from builders import ledger, output, runner
from builders.__main__ import main
from builders.cache import cache_dir
from builders.errors import CorpusError
from builders.prepare import prepare
from tests.builders.test_runner import ALL, WHOLE, Letters, made
from tests.corpora import timit


class Remote(MemoryFileSystem):
    """A file system where a file grows while it is written."""

    protocol = "remote"
    store: dict = {}
    pseudo_dirs = [""]
    begun: list[str] = []

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(str(path).replace("remote://", "memory://"))

    def put_file(self, lpath, rpath, **options):
        self.begun.append(rpath)
        super().put_file(lpath, rpath, **options)


@pytest.fixture(params=["memory://out/folder", "remote://out/folder"])
def address(request):
    fsspec.register_implementation("remote", Remote, clobber=True)
    yield request.param
    for kind in (MemoryFileSystem, Remote):
        kind.store.clear()
        kind.pseudo_dirs[:] = [""]
    Remote.begun.clear()


def held(address: str) -> dict[str, bytes]:
    fs, root = output.filesystem(address)
    return {path[len(root) + 1 :]: fs.cat_file(path) for path in fs.find(root)}


def test_goes_on_after_a_fault(address, tmp_path):
    job = Letters(str(tmp_path / "notes"))
    with pytest.raises(RuntimeError, match="a fault"):
        runner.run(Letters(job.notes, broken=ALL[2]), address)
    assert [name for name in held(address) if not name.startswith(".run")] == ALL[:2]
    assert ledger.Ledger(address).status()["shards"] == 2
    runner.run(job, address)
    assert {name: data.decode() for name, data in held(address).items() if name.startswith("data/")} == WHOLE
    assert [made(job).count(name) for name in ALL] == [1, 1, 2, 1, 1]
    assert not list(cache_dir("uploads").iterdir())
    assert all(name.rsplit("/", 1)[1].startswith(".") for name in Remote.begun)  # no shard grows under its name


def test_gone_or_shorter_shards_are_made_again(address, tmp_path):
    job = Letters(str(tmp_path / "notes"))
    fs, root = output.filesystem(address)
    runner.run(job, address)
    fs.rm_file(f"{root}/{ALL[3]}")
    fs.pipe_file(f"{root}/{ALL[4]}", b"short")
    runner.run(job, address)
    assert [made(job).count(name) for name in ALL] == [1, 1, 1, 2, 2]


def test_another_configuration_or_content_is_refused(address, tmp_path):
    job = Letters(str(tmp_path / "notes"))
    runner.run(job, address)
    with pytest.raises(CorpusError, match="was begun otherwise: size was 100, is 50 now"):
        runner.run(Letters(job.notes, size=50), address)
    with pytest.raises(CorpusError, match="holds folder and is not the output"):
        runner.run(job, address.rpartition("/")[0])


def test_prepare_quarantines_and_tells_its_status(address, tmp_path, capsys):
    corpus = timit.write(tmp_path / "corpus")
    next(corpus.rglob("SX*.WAV")).write_bytes(b"no audio")
    arguments = ["prepare", "timit", "--data-dir", str(corpus), "--max-bad", "0.5"]
    assert main([*arguments, "--out", address]) == 3
    assert main([*arguments, "--out", str(tmp_path / "o")]) == 3
    here = {path.name: path.read_bytes() for path in (tmp_path / "o" / "timit" / "data").iterdir()}
    there = held(f"{address}/timit")
    assert {name[5:]: data for name, data in there.items() if name.startswith("data/")} == here
    for name in ("README.md", "quarantine.jsonl"):
        assert there[name] == (tmp_path / "o" / "timit" / name).read_bytes()
    capsys.readouterr()
    assert main(["status", f"{address}/timit", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["shards"], state["quarantined"]) == (len(here), 1)


def test_what_a_killed_process_left_is_swept(address):
    left, others = (cache_dir("uploads") / f"{name}.999999999.x.part" for name in (platform.node(), "elsewhere"))
    mine = cache_dir("uploads") / f"{platform.node().replace('.', '-')}.{os.getpid()}.x.part"
    for path in (left, others, mine):
        path.write_text("half")
    fs, root = output.filesystem(address)
    with output.becoming(fs, f"{root}/new") as path:
        path.write_text("x")
    assert [path.exists() for path in (left, others, mine)] == [False, True, True]
    others.unlink()
    mine.unlink()


def test_a_listing_is_never_half_there(tmp_path, monkeypatch):
    (tmp_path / "listing").write_text("rows")

    def fails(self, source, target, **_):
        Path(target).write_text("ro")
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalFileSystem, "get_file", fails)
    with pytest.raises(KeyboardInterrupt):
        output.upload(LocalFileSystem(), tmp_path / "listing", str(tmp_path / "o" / "listing"))
    assert not list((tmp_path / "o").iterdir())


def test_a_shard_that_is_elsewhere_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "WAITS", (0,))
    monkeypatch.setattr(
        runner, "local", lambda job, tasks, out, workers: (runner.work(job, t, "memory://x") for t in tasks)
    )
    with pytest.raises(
        CorpusError, match=r"part-0\.bin was made, but is not in .*: all workers must write to one place"
    ):
        runner.run(Letters(str(tmp_path / "notes")), tmp_path / "out")


def test_relative_outputs_are_one_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ledger.Ledger("out/folder").out == str(tmp_path / "out" / "folder")


def test_a_corpus_that_another_machine_has_otherwise_is_refused(tmp_path, monkeypatch):
    corpus = timit.write(tmp_path / "corpus")
    job = {"path": "builders/timit", "name": None, "data_dir": str(corpus)}
    monkeypatch.setattr("builders.prepare.Prepare.ready", lambda self, _: (corpus / "NEW.WAV").write_bytes(b"x"))
    with pytest.raises(CorpusError, match=r"has other files in .*, or another phonelayers"):
        prepare(job, tmp_path / "o")


def test_libraries_that_are_missing_are_named(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(output, "url_to_fs", fails)
    with pytest.raises(CorpusError, match=r"s3://b/o: .* not installed: pip install 'phonelayers\[s3\]'"):
        output.filesystem("s3://b/o")
    with pytest.raises(CorpusError, match=r"x://b/o: .* not installed: Install s3fs"):
        output.filesystem("x://b/o")


def test_ray_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CorpusError, match=r"--engine ray needs Ray: pip install 'phonelayers\[ray\]'"):
        runner.run(Letters(str(tmp_path / "notes")), tmp_path / "out", engine="ray")
