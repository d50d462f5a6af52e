"""What an encoding costs: sums done by hand, and what a full disk is told."""

from __future__ import annotations

import shutil
from collections import namedtuple

import features  # noqa: F401  before MLX, which takes the BLAS that it finds

# isort: split
import numpy as np
import pytest
from datasets import DatasetDict, load_from_disk
from hypothesis import given
from hypothesis import strategies as st

from builders import budget as disk_budget
from builders.schema import Segment
from features import budget, encoders
from features.__main__ import main
from features.budget import Counts, SpaceError, amount, check_space, count, fitting, frames, layer_bytes, total_bytes
from features.clock import FrameClock
from features.columns import matrices
from features.plan import Plan, counts_of, duration, plan, sample
from features.step import Encode
from features.store import open_table, write_features
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise

Usage = namedtuple("Usage", "total used free")
WHISPER = FrameClock(hop=320, offset=0, field=400, padded=True)
WAV2VEC = FrameClock(hop=320, offset=200, field=400, padded=False)
TIERS = [Segment("phones", 0.0, 0.1, "a"), Segment("phones", 0.1, 0.5, "b"), Segment("words", 0.0, 0.5, "ab")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("budget") / "table"
    waves = {"a": noise(16_000, seed=1), "b": noise(8_001, seed=2), "c": noise(100, seed=3)}
    table = manifest(waves, path, {"a": TIERS, "b": TIERS[:1], "c": [Segment("phones", 0.0, 0.006, "a")]})
    shutil.rmtree(path)
    DatasetDict({"train": table.select([0, 1]), "test": table.select([2])}).save_to_disk(str(path))
    return path


@pytest.fixture
def full_disk(monkeypatch):
    def fill(free):
        monkeypatch.setattr(budget.shutil, "disk_usage", lambda path: Usage(10**12, 10**12 - free, free))

    return fill


def test_a_float16_layer_of_whisper_tiny_is_138_megabytes_an_hour():
    assert frames(np.array([3600.0]), WHISPER).tolist() == [180_000]
    assert layer_bytes(384, "float16", 180_000) == 138_240_000
    assert amount(138_240_000) == "138 MB"
    assert layer_bytes(1280, "float32", 50) == 256_000  # a second of large-v3


@given(st.integers(0, 40_000), st.sampled_from([WHISPER, WAV2VEC]))
def test_frames_of_a_duration_are_those_of_its_samples(samples, clock):
    assert frames(np.array([samples / 16_000]), clock).tolist() == [clock.frames(samples)]


def test_rows_are_those_that_encoding_writes(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "table")
    for options in ({}, {"dtype": "int8"}, {"pool": "mean"}, {"pool": "segments:phones"}):
        step = Encode("log_mel", **options)
        made = plan(str(tmp_path / "table"), step, rate=1.0)
        out = write_features(tmp_path / "table", step, out=tmp_path / str(options))
        held = open_table(tmp_path / "table", [out])
        (column,) = made.layers
        found = sum(matrices(part, column, slice(None))[1].sum() for part in held.values())
        assert made.layers[column] == (found, found * 80 * (1 if step.dtype == "int8" else 2)), options
        size = sum(file.stat().st_size for file in (tmp_path / str(options) / "data").iterdir())
        schema = 2 * 3000  # of the files: two splits
        assert size - schema <= made.bytes <= size + 3000, (options, size)


def test_counts_by_hand(folder):
    # a: 16,000 samples, 100 frames of 160; b: 8,001, 51; c: 100 samples, 1
    assert counts_of(str(folder), Encode("log_mel")) == Counts(3, 24_101 / 16_000, frame=152, utterance=3)
    assert counts_of(str(folder), Encode("mfcc", pool="centre:phones")).segment == 4
    # convolution over 6 MFCC of 160 samples: 48 frames, 23, none
    found = counts_of(str(folder), Encode("vgs", init="random", layers=["conv", "att"]))
    assert (found.frame, found.utterance) == (71, 2)
    assert counts_of(str(folder), Encode("word_cnn", init="random", layers=["logits"])).utterance == 3


def test_a_layer_of_utterances_is_counted_apart(folder):
    step = Encode("vgs", init="random", layers=["conv", "att"])
    made = plan(str(folder), step, rate=2.0, workers=3)
    assert list(made.layers.values()) == [(71, 71 * 64 * 2), (2, 2 * 2048 * 2)]
    assert made.seconds == pytest.approx(24_101 / 16_000 / 6)
    assert "about 0 s at 2.0 times real time, 3 workers" in str(made)
    # two matrices an utterance and their rows begin somewhere: 4 bytes each, and 2 % more for the rest
    assert made.bytes == int(1.02 * (71 * 128 + 2 * 4096 + 4 * (71 + 3 + 2 + 3)))


def test_what_does_not_fit_is_refused_with_what_would(folder, tmp_path, full_disk):
    counts = Counts(1, 3600.0, frame=180_000, utterance=1)
    step = Encode("whisper-tiny", init="random", dtype="float32")
    six, one = total_bytes(step.cards.values(), counts), total_bytes(list(step.cards.values())[-1:], counts)
    assert 6 * 276_480_000 < six < 1.03 * 6 * 276_480_000 and six == pytest.approx(6 * one, rel=1e-6)
    full_disk(one + 1)
    options = dict(fitting(step, counts, one + 1))
    assert list(options) == [
        "--layers norm",
        "--layers norm --dtype float16",
        "--layers norm --dtype int8",
        "--pool mean",
    ]
    assert options["--pool mean"] < 20_000
    with pytest.raises(SpaceError, match=r"1\.7 GB of features do not fit .* has 283 MB: --layers norm takes 283 MB; "):
        check_space(step, counts, tmp_path / "not" / "there" / "yet")
    full_disk(six)
    check_space(step, counts, tmp_path)
    full_disk(100)
    with pytest.raises(SpaceError, match="nothing smaller fits either"):
        check_space(step, counts, tmp_path)


def test_nothing_is_begun_on_a_full_disk(folder, tmp_path, full_disk, capsys):
    full_disk(20_000)
    assert main(["plan", str(folder), "--encoder", "log_mel", "--dtype", "float32", "--rate", "100"]) == 2
    told = capsys.readouterr()
    assert "free on the disk" in told.out and "log_mel.mel" in told.out
    assert "--dtype int8 takes" in told.err and "--pool mean takes" in told.err
    with pytest.raises(SpaceError):
        write_features(folder, Encode("log_mel"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_an_interrupted_run_has_written_counts(folder, tmp_path, full_disk):
    step = Encode("log_mel")
    write_features(folder, step, out=tmp_path / "out")
    full_disk(6_000)  # not enough to begin with, but nothing is left to write
    write_features(folder, step, out=tmp_path / "out")
    with pytest.raises(SpaceError):
        write_features(folder, step, out=tmp_path / "other")


def test_the_command_measures_a_rate(folder, capsys):
    assert main(["plan", str(folder), "--encoder", "mfcc"]) == 0
    out = capsys.readouterr().out
    assert "3 utterances" in out and "times real time" in out
    assert main(["plan", str(folder), "--encoder", "mfcc", "--rate", "0"]) == 2
    assert "expected more than 0" in capsys.readouterr().err


def test_without_durations(folder, tmp_path):
    bare = DatasetDict({name: part.remove_columns("duration") for name, part in load_from_disk(str(folder)).items()})
    bare.save_to_disk(str(tmp_path / "bare"))
    with pytest.raises(ValueError, match="no column 'duration'"):
        plan(str(tmp_path / "bare"), Encode("log_mel"), rate=1.0)
    write_features(tmp_path / "bare", Encode("log_mel"))  # encodes without a check
    with pytest.raises(ValueError, match="no column 'duration'"):
        count([bare["train"]], Encode("word_cnn", init="random"))


def test_a_sample_is_spread_over_the_table_and_about_a_minute(folder):
    table = load_from_disk(str(folder))["train"]
    assert sorted(sample(table)) == [0, 1]
    many = table.select([0] * 500)
    rows = sample(many)
    assert len(rows) == 16 and max(rows) - min(rows) > 400


@pytest.mark.parametrize(
    "seconds, told", [(0.4, "0 s"), (89, "89 s"), (120, "2 min"), (7500, "2 h 05 min"), (200_000, "2 d 7 h")]
)
def test_durations(seconds, told):
    assert duration(seconds) == told
    assert duration(Plan(Counts(seconds=seconds), {}, 0, 1.0).seconds) == told


@pytest.mark.parametrize(
    "size, told", [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1 MB"), (4e15, "4e+03 TB")]
)
def test_amounts(size, told):
    assert amount(size) == told


@pytest.mark.parametrize("name", ["log_mel", "mfcc", "whisper-tiny", "wav2vec2-base", "wavlm-base"])
def test_the_disk_budget_knows_the_shapes_of_encoders(name):
    """`builders.budget` cannot ask an encoder: it knows nothing of this package."""
    encoder = encoders.load(name, init="random" if "-" in name else "trained")
    frames, widths = disk_budget.ENCODERS[name]
    assert tuple(widths) == tuple(encoder.layers.values())
    assert frames == 16_000 / encoder.clock.hop
