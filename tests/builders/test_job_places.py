"""Where the corpora of a job are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from datasets import Features

from builders.__main__ import main
from builders.dataset_card import card
from builders.errors import CorpusError
from builders.job_list import JOBS
from builders.job_places import find, is_prepared
from builders.schema import CORE
from builders.training_jobs import load_job
from tests.corpora import jobs, timit
from tests.corpora.archives import tar_of


def source(job: str, corpus: str):
    return next(source for source in JOBS[job].sources if source.corpus == corpus)


def names(root: Path, job: str, corpus: str) -> list[tuple[str, str, str]]:
    return [(place.name, place.config, place.form) for place in find(root, source(job, corpus))]


def fake(folder: Path) -> None:
    """Make a folder look like a prepared data set."""
    (folder / "data").mkdir(parents=True)
    (folder / "data/train-00000-of-00001.parquet").touch()
    (folder / "README.md").touch()


def test_all_configurations_that_do_not_overlap(tmp_path):
    for name in ("mls", "mls-fr", "mls-de_10hr"):
        fake(tmp_path / name)
    assert names(tmp_path, "ctc_asr", "mls") == [("mls", "de", "prepared"), ("mls-fr", "fr", "prepared")]


def test_the_first_group_wins(tmp_path):
    for name in ("librispeech-clean", "librispeech-train-clean-100"):
        fake(tmp_path / name)
    assert names(tmp_path, "ctc_asr", "librispeech") == [("librispeech-clean", "clean", "prepared")]
    fake(tmp_path / "librispeech")
    assert names(tmp_path, "ctc_asr", "librispeech") == [("librispeech", "all", "prepared")]


def test_a_prepared_default_is_not_what_another_configuration_would_be(tmp_path):
    fake(tmp_path / "ami")  # turns, not meetings
    assert names(tmp_path, "diarization", "ami") == []
    fake(tmp_path / "ami-sdm_meetings")
    assert names(tmp_path, "diarization", "ami") == [("ami-sdm_meetings", "sdm_meetings", "prepared")]


def test_raw_is_read_in_the_configuration_of_the_job(tmp_path):
    (tmp_path / "ami").mkdir()
    (tmp_path / "mls-pl").mkdir()
    (tmp_path / "mls").mkdir()
    assert names(tmp_path, "diarization", "ami") == [("ami", "mix_meetings", "raw")]
    assert names(tmp_path, "ctc_asr", "mls") == [("mls", "de", "raw"), ("mls-pl", "pl", "raw")]


def test_an_archive(tmp_path):
    corpus = timit.write(tmp_path / "corpus")
    members = {str(path.relative_to(corpus)): path.read_bytes() for path in corpus.rglob("*") if path.is_file()}
    (tmp_path / "root").mkdir()
    tar_of(tmp_path / "root/timit.tar", members)
    rows = list(load_job("phone_recognition", tmp_path / "root"))
    assert rows
    assert {row["corpus"] for row in rows} == {"timit"}


def test_an_unfinished_run_is_not_read(tmp_path, caplog):
    (tmp_path / "timit/.run").mkdir(parents=True)
    (tmp_path / "timit/data").mkdir()
    assert not is_prepared(tmp_path / "timit")
    assert names(tmp_path, "phone_recognition", "timit") == []
    with pytest.raises(Exception, match=r"timit \(timit is not finished\)"):
        load_job("phone_recognition", tmp_path)


@pytest.mark.parametrize(("lost", "said"), [
    ("train-00001-of-00003", "has 2 shards of train, expected 3: copy it whole"),
    ("test-00000-of-00001", "has no shards of test, which its card names"),
])  # fmt: skip
def test_a_half_copied_data_set_is_an_error(tmp_path, lost, said):
    folder = tmp_path / "timit"
    (folder / "data").mkdir(parents=True)
    splits = {"train": (3, 0), "test": (1, 0)}
    (folder / "README.md").write_text(card("TIMIT", Features(CORE), splits, "text"))
    for name in [*(f"train-{number:05d}-of-00003" for number in range(3)), "test-00000-of-00001"]:
        (folder / f"data/{name}.parquet").touch()
    assert is_prepared(folder)
    (folder / f"data/{lost}.parquet").unlink()
    with pytest.raises(CorpusError, match=said):
        load_job("phone_recognition", tmp_path)


def test_shards_of_two_runs_in_one_folder_are_an_error(tmp_path):
    fake(tmp_path / "timit")
    (tmp_path / "timit/data/train-00000-of-00002.parquet").touch()
    with pytest.raises(CorpusError, match=r"has 2 shards of train, expected 1 and 2"):
        is_prepared(tmp_path / "timit")


def test_the_command_lists_jobs(tmp_path, capsys):
    jobs.write_raw(tmp_path, ("esc50",))
    assert main(["jobs", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "esc50 (raw)" in told
    assert all(job in told for job in JOBS)
    assert main(["jobs"]) == 0
    assert "esc50" in capsys.readouterr().out
