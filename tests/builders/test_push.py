"""Uploading to the Hub, with its own client, against a server on this machine that speaks its protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from builders.prepare import prepare
from tests.corpora import librispeech, timit
from tests.hub_server import TOKEN, Hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    yield server
    server.close()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> dict[str, Path]:
    """An open corpus and one that may not be given on."""
    top = tmp_path_factory.mktemp("prepared")
    for name, module in (("librispeech", librispeech), ("timit", timit)):
        corpus = module.write(top / name)
        prepare({"path": f"builders/{name}", "name": None, "data_dir": str(corpus)}, top / "o" / name)
    return {name: top / "o" / name for name in ("librispeech", "timit")}


def python(hub: Hub, home: Path, *arguments: str, token: str | None = TOKEN) -> subprocess.CompletedProcess:
    environment = {**os.environ, **hub.environment(str(home), token)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def push(hub: Hub, home: Path, folder: Path, *options: str) -> subprocess.CompletedProcess:
    return python(hub, home, "-m", "builders", "push", str(folder), "--repo", "lab/set", *options)


READ = """
import json
from datasets import load_dataset
splits = load_dataset("lab/set", streaming=True)
short = lambda row: {**row, "audio": len(row["audio"]["bytes"])}
print(json.dumps({split: list(map(short, part)) for split, part in splits.items()}))
"""


def rows(folder: Path) -> dict[str, Any]:
    table = load_dataset(str(folder))
    return {split: [{**row, "audio": len(row["audio"]["bytes"])} for row in part] for split, part in table.items()}


def test_what_is_uploaded_reads_back_as_a_stream(hub, prepared, tmp_path):
    done = push(hub, tmp_path, prepared["librispeech"])
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.url}/datasets/lab/set"
    repository = hub.repositories["lab/set"]
    assert repository.private
    files = {str(path.relative_to(prepared["librispeech"])) for path in prepared["librispeech"].glob("*/*.parquet")}
    assert {path for path in repository.files if path.endswith(".parquet")} == files
    assert not [path for path in repository.files if ".run" in path]
    assert repository.commits[-1] == "Upload README.md"
    read = python(hub, tmp_path, "-c", READ)
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout.splitlines()[-1]) == rows(prepared["librispeech"])
    assert python(hub, tmp_path / "stranger", "-c", READ, token=None).returncode != 0  # it is private


def test_a_dropped_connection_is_tried_again(hub, prepared, tmp_path):
    hub.refuse = lambda number: "drop" if number == 2 else None
    done = push(hub, tmp_path, prepared["librispeech"])
    assert done.returncode == 0, done.stderr
    assert len(hub.uploads) == len(set(hub.uploads)) == len(list(prepared["librispeech"].glob("*/*.parquet")))


def test_a_broken_upload_goes_on_where_it_was(hub, prepared, tmp_path):
    hub.refuse = lambda number: "refuse" if number == 3 else None
    broken = push(hub, tmp_path, prepared["librispeech"])
    assert broken.returncode == 2
    assert "give the same command again" in broken.stderr
    assert len(broken.stderr.strip().splitlines()[-1]) < 600
    sent = list(hub.uploads)
    hub.refuse = lambda number: None
    done = push(hub, tmp_path, prepared["librispeech"])
    assert done.returncode == 0, done.stderr
    assert hub.uploads[: len(sent)] == sent
    assert len(hub.uploads) == len(set(hub.uploads))  # nothing was sent twice
    assert "README.md" in hub.repositories["lab/set"].files
    before = hub.attempts
    assert push(hub, tmp_path, prepared["librispeech"]).returncode == 0
    assert hub.attempts == before


def test_the_shards_of_an_earlier_upload_go_with_the_new_card(hub, prepared, tmp_path):
    assert push(hub, tmp_path, prepared["librispeech"]).returncode == 0
    files = hub.repositories["lab/set"].files
    held = next(name for name in files if name.endswith(".parquet"))
    split = held.removeprefix("data/").rsplit("-", 3)[0]
    old = {f"data/{split}-{number:05d}-of-00097.parquet" for number in range(2)}  # as `prepare` once cut it
    old.add(f"data/{split}-00000-of-00001-0123abcd.parquet")  # and as `datasets` once named it
    others = {"data/notes.txt", f"other/{split}-00000-of-00097.parquet", "plan.md"}
    files.update(dict.fromkeys([*old, *others], files[held]))
    done = push(hub, tmp_path, prepared["librispeech"])
    assert done.returncode == 0, done.stderr
    assert not old & set(files)
    assert others <= set(files)
    assert hub.repositories["lab/set"].commits[-1] == "Upload README.md, remove 3 files of an earlier upload"
    read = python(hub, tmp_path, "-c", READ)
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout.splitlines()[-1]) == rows(prepared["librispeech"])


def test_another_data_set_does_not_take_the_place_of_one(hub, prepared, tmp_path):
    assert push(hub, tmp_path, prepared["librispeech"]).returncode == 0
    held = dict(hub.repositories["lab/set"].files)
    done = push(hub, tmp_path, prepared["timit"])
    assert done.returncode == 2
    assert "lab/set holds 'LibriSpeech" in done.stderr and "choose another --repo" in done.stderr
    assert hub.repositories["lab/set"].files == held


def test_a_configuration_with_other_splits_does_not_take_the_place_of_one(hub, prepared, tmp_path):
    part = tmp_path / "part"
    corpus = prepared["librispeech"].parents[1] / "librispeech"
    prepare({"path": "builders/librispeech", "name": "dev-clean", "data_dir": str(corpus)}, part)
    assert push(hub, tmp_path, prepared["librispeech"]).returncode == 0
    done = push(hub, tmp_path, part)
    assert done.returncode == 2 and "too, which" in done.stderr and "train.clean.100" in done.stderr


def test_results_beside_a_data_set_leave_it(hub, prepared, tmp_path):
    assert push(hub, tmp_path, prepared["librispeech"]).returncode == 0
    shards = {name for name in hub.repositories["lab/set"].files if name.endswith(".parquet")}
    results = tmp_path / "results"
    results.mkdir()
    (results / "results.csv").write_text("encoder,value\nlog_mel,1\n")
    assert push(hub, tmp_path, results).returncode == 0
    assert shards | {"results.csv"} <= set(hub.repositories["lab/set"].files)


def test_what_the_licence_forbids_is_not_made_public(hub, prepared, tmp_path):
    refused = push(hub, tmp_path, prepared["timit"], "--public")
    assert refused.returncode == 2
    assert "LDC User Agreement allows no redistribution" in refused.stderr
    assert not hub.repositories
    assert push(hub, tmp_path, prepared["timit"]).returncode == 0
    assert hub.repositories["lab/set"].private


def test_told_again_it_is(hub, prepared, tmp_path):
    assert push(hub, tmp_path, prepared["timit"], "--public", "--i-have-the-right-to-publish").returncode == 0
    assert not hub.repositories["lab/set"].private


def test_an_open_corpus_may_be_public(hub, prepared, tmp_path):
    assert push(hub, tmp_path, prepared["librispeech"], "--public").returncode == 0
    assert not hub.repositories["lab/set"].private
    refused = push(hub, tmp_path, prepared["timit"])
    assert refused.returncode == 2
    assert "is there already and is public" in refused.stderr


def test_no_token_is_one_clear_line(hub, prepared, tmp_path):
    done = python(hub, tmp_path, "-m", "builders", "push", str(prepared["timit"]), "--repo", "lab/set", token=None)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "lab/set" in done.stderr


@pytest.mark.parametrize("word", ["token", "home"])
def test_private_words_stop_it(hub, tmp_path, word):
    results = tmp_path / "results"
    results.mkdir()
    secret = {"token": TOKEN, "home": f"{Path.home()}/experiments/a"}[word]
    (results / "results.csv").write_text(f"encoder,value\n{secret},1\n")
    done = push(hub, tmp_path, results)
    assert done.returncode == 2
    assert "results.csv holds" in done.stderr
    assert "nothing was uploaded" in done.stderr
    assert not hub.repositories


def test_results_are_uploaded(hub, tmp_path):
    results = tmp_path / "results"
    results.mkdir()
    (results / "results.csv").write_text("encoder,value\nlog_mel,1\n")
    assert push(hub, tmp_path, results).returncode == 0
    assert hub.repositories["lab/set"].files["results.csv"][0].startswith(b"encoder")


@pytest.mark.parametrize(("name", "said"), [("state.json", "table of save_to_disk"), ("", "holds nothing to upload")])
def test_what_cannot_be_uploaded(hub, tmp_path, name, said):
    folder = tmp_path / "folder"
    folder.mkdir()
    if name:
        (folder / name).write_text("{}")
    done = push(hub, tmp_path, folder)
    assert done.returncode == 2
    assert said in done.stderr


def test_an_unfinished_run_is_not_uploaded(hub, prepared, tmp_path):
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(prepared["librispeech"], folder)
    next((folder / ".run" / "shards").iterdir()).unlink()
    done = push(hub, tmp_path, folder)
    assert done.returncode == 2
    assert "is not finished" in done.stderr


PUSH_TO_HUB = """
import sys, builders
from datasets import load_dataset
stream = sys.argv[2] == "stream"
ds = load_dataset("builders/librispeech", data_dir=sys.argv[1], split="validation.clean", streaming=stream)
ds.push_to_hub("lab/set", private=True, split="train")
"""


@pytest.mark.parametrize("form", ["table", "stream"])
def test_push_to_hub_of_datasets_works(hub, tmp_path, form):
    corpus = librispeech.write(tmp_path / "corpus")
    (split, wanted), *_ = load_dataset("builders/librispeech", data_dir=str(corpus)).items()
    script = PUSH_TO_HUB.replace("validation.clean", split)
    done = python(hub, tmp_path, "-c", script, str(corpus), form)
    assert done.returncode == 0, done.stderr
    read = python(hub, tmp_path, "-c", READ)
    assert read.returncode == 0, read.stderr
    (found,) = json.loads(read.stdout.splitlines()[-1]).values()
    assert [row["id"] for row in found] == wanted["id"]


def test_corpora_of_other_peoples_sound_stay_private():
    from builders.register import builder_class, corpora

    closed = {name for name in corpora() if builder_class(name).FACTS.private_only}
    assert {"timit", "voxceleb", "voxconverse", "audioset", "meld", "sep28k", "musdb18"} <= closed
    assert not closed & {"librispeech", "mls_english", "common_voice", "fsd50k", "nsynth"}
