"""A saved probe on other tables: runs by hand, round trips through frames, the command, refusals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict, load_from_disk

from features.clock import FrameClock
from probes import ProbeError, probe
from probes.__main__ import main
from probes.apply import apply, load, runs
from probes.examples import Examples
from probes.frames import frame_table
from tests.probes.probe_tables import PHONES, WAV2VEC, WHISPER, clouds, manifest, segment, speech, with_column

REPOSITORY = Path(__file__).resolve().parents[2]


def labelled(seed=0, speakers=4, **options):
    table, truth = speech(speakers=speakers, utterances=5, seed=seed)
    table = table.add_column("duration", [1.2] * len(table))
    return with_column(table, clouds(truth, seed=seed), encoder="net", layer="top", init="trained", **options), truth


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probes")
    table, _ = labelled()
    probe(table, folds=2, save_probes=folder / "linear", progress=False, draws=5)
    options = {"context": 1, "hidden": (16,), "epochs": 4, "batch": 64, "rate": 1e-2}
    probe(table, folds=2, probe="context", option=options, save_probes=folder / "context", progress=False, draws=5)
    probe(table, folds=2, examples="segments", save_probes=folder / "segments", progress=False, draws=5)
    return folder


def test_runs_by_hand():
    # centres at 0, 20, 40, 60, 80 ms: boundaries at 30 and 70 ms, the utterance ends at 85 ms
    found = runs(["a", "a", "b", "b", "a"], WHISPER, 0.085)
    assert [(one["start"], one["end"], one["label"]) for one in found] == [
        (0.0, pytest.approx(0.03), "a"),
        (pytest.approx(0.03), pytest.approx(0.07), "b"),
        (pytest.approx(0.07), 0.085, "a"),
    ]
    # frames end half a hop behind the last centre: 12.5 + 20 + 10 ms
    (one,) = runs(["a", "a"], WAV2VEC, 1.0)
    assert (one["start"], one["end"]) == (0.0, pytest.approx(0.0425))
    assert runs(["a"], FrameClock(160, 0, 400, True), None)[0]["end"] == pytest.approx(0.005)
    assert runs([], WHISPER, 1.0) == []


@pytest.mark.parametrize("kind", ["linear", "context"])
def test_answers_on_another_table_read_back_frame_by_frame(saved, kind):
    table, truth = labelled(seed=1)
    trained = load(saved / kind / "net.top.fold0")
    done = apply(trained, table, name="said")
    assert done.column_names == ["id", "speaker_id", "corpus", "segments", "sentence_type", "duration"]
    again = with_column(done, [np.zeros((60, 2))] * len(done))
    frames = frame_table(again, "toy.l0", tier="said")
    assert len(frames.labels) == 20 * 60  # each frame has an answer
    said = [frames.classes[code] for code in frames.labels]
    right = np.concatenate(truth)
    assert np.mean([PHONES[c] == one for c, one in zip(right, said, strict=True)]) > (0.99 if kind == "linear" else 0.9)
    # and what the file itself says of each frame is what the tier says
    found = Examples().table(table, "net.top", np.arange(20), context=True)
    own = trained.predict(found.values) if kind == "linear" else trained.answer(found, np.arange(1200))
    assert [trained.classes[code] for code in own] == said
    before = [one for one in table[3]["segments"] if one["tier"] == "phones"]
    assert [one for one in done[3]["segments"] if one["tier"] == "phones"] == before
    twice = apply(
        trained, with_column(done, clouds(truth, seed=1), encoder="net", layer="top", init="trained"), name="said"
    )
    assert twice[3]["segments"] == done[3]["segments"]  # replaced, not added


def test_segments_keep_their_bounds(saved):
    table, _ = labelled(seed=2)
    done = apply(load(saved / "segments" / "net.top.fold0"), table, name="said")
    for row in (0, 11):
        tiers = [[s for s in done[row]["segments"] if s["tier"] == tier] for tier in ("phones", "said")]
        bounds = [[(s["start"], s["end"]) for s in tier] for tier in tiers]
        assert np.allclose(bounds[0], bounds[1], rtol=0, atol=1e-9)
        assert [s["label"] for s in tiers[0]] == [s["label"] for s in tiers[1]]


def test_utterances_get_a_column(tmp_path):
    table, _ = speech(speakers=6, utterances=4)
    gender = np.repeat(["f", "m"] * 3, 4)
    values = [np.eye(4)[[0 if who == "f" else 1]] * 5 + np.zeros((9, 4)) for who in gender]
    table = with_column(table.add_column("gender", list(gender)), values)
    probe(table, examples="utterances", target="gender", folds=6, save_probes=tmp_path, progress=False, draws=5)
    bare = manifest([{"id": "x", "speaker_id": None}, {"id": "y", "speaker_id": None}, {"id": "z", "speaker_id": None}])
    other = with_column(bare, [values[4], np.zeros((0, 4)), values[0]])
    done = apply(load(tmp_path / "toy.l0.fold0"), other, name="heard")
    assert done["heard"][:] == ["m", None, "f"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"clock": WAV2VEC}, "clock FrameClock.*hop=320, offset=200.*where the probe is for"),
        ({"revision": "other"}, "net.top: the table's features differ, revision other where the probe is for "),
        ({"version": 2}, "version 2 where the probe is for 1"),
    ],
)
def test_features_that_differ_are_refused(saved, changes, expected):
    table, _ = labelled(speakers=1, **changes)
    with pytest.raises(ProbeError, match=expected) as caught:
        apply(load(saved / "linear" / "net.top.fold0"), table, name="said")
    assert "\n" not in str(caught.value)


def test_other_encoders_and_layers_are_refused(saved):
    table, truth = speech(speakers=1)
    table = with_column(table, clouds(truth), encoder="net", layer="low", init="trained")
    with pytest.raises(ProbeError, match=r"no features 'net.top', which the probe is for: it has \['net.low'\]"):
        apply(load(saved / "linear" / "net.top.fold0"), table, name="said")
    with pytest.raises(ProbeError, match=r"no probe at .*none: expected none.json"):
        load(saved / "none")


def command(*arguments):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    line = [sys.executable, "-m", "probes", "apply", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=300)


def test_the_command(saved, tmp_path):
    table, _ = labelled(seed=3)
    DatasetDict({"train": table, "test": table}).save_to_disk(tmp_path / "in")
    done = command(saved / "linear" / "net.top.fold1", tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "40 utterances with the tier 'net.top.fold1'" in done.stdout
    written = load_from_disk(tmp_path / "out")
    assert set(written) == {"train", "test"}
    assert "net.top.fold1" in {one["tier"] for one in written["test"][0]["segments"]}
    other, _ = labelled(seed=3, clock=WAV2VEC)
    DatasetDict({"train": other}).save_to_disk(tmp_path / "other")
    for wrong, out, message in [
        (tmp_path / "other", tmp_path / "x", "error: net.top: the table's features differ, clock"),
        (tmp_path / "in", tmp_path / "in", "is the table itself"),
    ]:
        done = command(saved / "linear" / "net.top.fold1", wrong, "--out", out)
        assert done.returncode == 2 and message in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "x").exists()


def occurring(seed, count=60):
    """Return a table of utterances in which each of three phones occurs or not, and which."""
    draw = np.random.default_rng(seed)
    occurs = draw.random((count, 3)) < 0.5
    occurs[:, 0] |= ~occurs.any(axis=1)
    rows, values = [], []
    for number, there in enumerate(occurs):
        classes = np.repeat(np.flatnonzero(there), 2)
        spans = [segment(0.06 * i, 0.06 * (i + 1), PHONES[c]) for i, c in enumerate(classes)]
        rows.append({"id": f"u{number}", "speaker_id": f"s{number % 4}", "segments": spans})
        values.append(6 * np.eye(3)[np.repeat(classes, 3)] + 0.1 * draw.normal(size=(3 * len(classes), 3)))
    return with_column(manifest(rows), values, encoder="net", layer="top", init="trained"), occurs, values


@pytest.mark.parametrize("pool", ["mean", "linear"])
def test_a_global_diagnostic_says_which_phones_occur(pool, tmp_path, capsys):
    table, _, _ = occurring(0)
    options = {"folds": 2, "save_probes": tmp_path / "probes", "progress": False, "draws": 2}
    probe(table, probe="global_diagnostic", option={"pool": pool, "epochs": 60}, **options)
    other, occurs, values = occurring(1)
    trained = load(tmp_path / "probes" / "net.top.fold0")
    done = apply(trained, other, name="said")
    names = np.array(trained.classes)
    assert sorted(names) == sorted(PHONES[:3])
    columns = [PHONES.index(name) for name in names]
    answered = np.array([[name in row for name in names] for row in done["said"]])
    assert (answered == occurs[:, columns]).mean() > {"mean": 0.95, "linear": 0.85}[pool]
    chances = np.array([[row[name] for name in names] for row in done["said.probabilities"]])
    np.testing.assert_array_equal(chances >= 0.5, answered)
    if pool == "mean":  # logistic regression on the means, by hand
        weights, bias = (np.asarray(trained.parameters[name]) for name in ("weights", "bias"))
        means = np.stack([one.astype(np.float16).astype(float).mean(axis=0) for one in values])
        np.testing.assert_allclose(chances, 1 / (1 + np.exp(-means @ weights - bias)), atol=1e-5)
    DatasetDict(all=other).save_to_disk(str(tmp_path / "table"))
    command = ["apply", str(tmp_path / "probes" / "net.top.fold0"), str(tmp_path / "table"), "--name", "said"]
    assert main([*command, "--out", str(tmp_path / "new")]) == 0
    assert "'said' and 'said.probabilities'" in capsys.readouterr().out
    assert load_from_disk(str(tmp_path / "new"))["all"]["said"] == done["said"]


def test_utterances_without_frames_get_no_answer(tmp_path):
    table, _, values = occurring(0)
    probe(table, probe="global_diagnostic", folds=2, save_probes=tmp_path, progress=False, draws=2)
    plain = table.remove_columns("net.top")
    empty = with_column(plain, [values[0][:0], *values[1:]], encoder="net", layer="top", init="trained")
    done = apply(load(tmp_path / "net.top.fold0"), empty, name="said")
    assert done["said"][0] is None and done["said.probabilities"][0] is None
    assert all(done["said"][1:])


@pytest.mark.parametrize("kind", ["linear", "context", "occurs"])
def test_a_file_that_is_missing_or_cut_short_is_one_line(kind, saved, tmp_path, capsys):
    name, folder = ("net.top.fold0", tmp_path / "probes")
    if kind == "occurs":
        probe(occurring(0)[0], probe="global_diagnostic", folds=2, save_probes=folder, progress=False, draws=2)
    else:
        shutil.copytree(saved / kind, folder)
    file = folder / f"{name}.safetensors"
    whole = file.read_bytes()
    for left, said in (
        (whole[:-8], "is damaged"),
        (whole[:5], "is damaged"),
        (b"", "is damaged"),
        (None, "no net.top"),
    ):
        file.unlink() if left is None else file.write_bytes(left)
        assert main(["apply", str(folder / name), str(tmp_path / "none"), "--out", str(tmp_path / "new")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and said in error and error.count("\n") == 1


def test_what_cannot_be_applied_is_named(tmp_path):
    (tmp_path / "x.json").write_text('{"probe": "rsa"}')
    with pytest.raises(ProbeError, match=r"'rsa', which cannot be applied: expected one of .*'linear'"):
        load(tmp_path / "x")
