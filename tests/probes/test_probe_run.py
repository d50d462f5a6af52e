"""A table in, results out: known answers, controls, protocols, and the lines that users get."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import DatasetDict

from probes import ProbeError, Results, probe
from probes.linear import LinearProbe
from tests.probes.probe_tables import WAV2VEC, clouds, manifest, segment, speech, with_column


def value(results: Results, metric: str = "accuracy", **where):
    frame = results.to_pandas().query("metric == @metric")
    for name, wanted in where.items():
        frame = frame[frame[name] == wanted]
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.fixture(scope="module")
def table():
    """Six speakers; layers that show the class always, in 60 % of the frames, and never."""
    table, truth = speech(speakers=6, utterances=8)
    table = with_column(table, clouds(truth, known=1.0), encoder="net", layer="top", init="trained", index=2)
    table = with_column(table, clouds(truth, known=0.6), encoder="net", layer="mid", init="trained", index=1)
    return with_column(table, clouds(truth, known=0.0), encoder="net", layer="top", init="random7", index=2)


@pytest.fixture(scope="module")
def results(table):
    return probe(table, progress=False, draws=200)


def test_known_answers(results):
    majority = value(results, encoder="majority")
    assert majority.value == pytest.approx(0.4, abs=0.03)
    assert value(results, layer="top", init="trained").value > 0.99
    # The rule is right in the 60 % and, where the values point anywhere, for one class in four.
    assert value(results, layer="mid").value == pytest.approx(0.6 + 0.4 / 4, abs=0.04)
    assert value(results, init="random7").value == pytest.approx(majority.value, abs=0.02)
    assert value(results, "error_reduction", init="random7").value == pytest.approx(0, abs=0.04)
    assert value(results, "error_reduction", encoder="majority").value == 0
    assert value(results, "macro_f1", layer="top", init="trained").value > 0.99


def test_rows_and_intervals(results):
    frame = results.to_pandas()
    assert frame.encoder.tolist() == ["majority"] * 3 + ["net"] * 9
    assert frame.layer.tolist()[3::3] == ["mid", "top", "top"]  # by the place of the layer, encoder by encoder
    assert frame.init.tolist()[3::3] == ["trained", "trained", "random7"]
    own = frame[frame.encoder == "net"]
    assert ((own.ci_low <= own.value) & (own.value <= own.ci_high)).all()
    top = value(results, layer="mid")
    assert (top.split, top.folds, top.test_speakers, top.n_test, top.disjoint) == ("folds", 5, 6, 6 * 8 * 60, True)
    assert (top.probe, top.target, top.clock, top.classes, top.seed) == ("linear", "phones", "320+0", 39, 0)
    assert own.decay.between(1e-5, 1).all()


def test_the_same_table_gives_the_same_results_whatever_the_order_of_rows(table, results):
    order = np.random.default_rng(0).permutation(len(table))
    shuffled = probe(table.select(order), layers=["mid"], progress=False, draws=200)
    assert value(shuffled, layer="mid").value == pytest.approx(value(results, layer="mid").value, abs=0.004)
    again = probe(table, layers=["mid"], progress=False, draws=200)
    assert value(again, layer="mid").equals(value(results, layer="mid"))


def test_official_splits_of_a_dataset_dict(table):
    voices = table["speaker_id"][:]
    test = [i for i, name in enumerate(voices) if name in ("s1", "s4")]
    train = [i for i in range(len(table)) if i not in test]
    parts = DatasetDict({"train.a": table.select(train), "test": table.select(test), "other": table.select([0])})
    found = value(probe(parts, layers=["mid"], progress=False, draws=50), layer="mid")
    assert (found.split, found.folds, found.test_speakers, found.n_test) == ("official", 1, 2, 2 * 8 * 60)
    assert "validation: a tenth of the train speakers" in found.note
    only = probe(DatasetDict({"train": table}), layers=["mid"], progress=False, draws=50)
    assert value(only, layer="mid").split == "folds"


def test_intervals_come_from_speakers_not_from_frames():
    # The rule holds for every frame of three speakers and for none of the other three: an interval over
    # utterances or frames would be narrow, one over six speakers spans most of the scale.
    table, truth = speech(speakers=6, utterances=8)
    heard, unheard = clouds(truth, known=1.0), clouds(truth, known=0.0)
    values = [(heard if row < 24 else unheard)[row] for row in range(48)]
    found = value(probe(with_column(table, values), progress=False), encoder="toy")
    assert "utterances" not in found.note
    assert found.ci_high - found.ci_low > 0.4


def test_one_speaker_is_flagged_and_its_interval_is_over_utterances():
    table, truth = speech(speakers=1, utterances=20)
    found = value(probe(with_column(table, clouds(truth, known=0.6)), progress=False, draws=100), encoder="toy")
    assert (found.split, found.disjoint, found.test_speakers) == ("utterance", False, 1)
    assert "one speaker" in found.note and "interval over utterances" in found.note
    assert found.ci_low < found.value < found.ci_high


def test_sa_sentences_are_left_out_by_default():
    table, truth = speech(speakers=4, utterances=6, sentence_types=["SX", "SI", "SA"])
    table = with_column(table, clouds(truth))
    without, with_sa = (value(probe(table, keep_sa=k, progress=False, draws=10), encoder="toy") for k in (False, True))
    assert (without.n_test, with_sa.n_test) == (4 * 4 * 60, 4 * 6 * 60)
    assert ("SA sentences left out" in without.note, "SA" in with_sa.note) == (True, False)


def test_options_reach_the_frames():
    table, truth = speech(speakers=4, utterances=6)
    table = with_column(table, clouds(truth))
    found = value(probe(table, silence="drop", max_frames=10, folds=2, progress=False, draws=10), encoder="toy")
    assert (found.classes, found.n_test, found.folds) == (38, 4 * 6 * 10, 2)
    assert "silence dropped; at most 10 frames per utterance" in found.note


def test_each_clock_has_its_majority():
    table, truth = speech(speakers=4, utterances=4)
    table = with_column(table, clouds(truth))
    table = with_column(table, [one[:59] for one in clouds(truth)], encoder="w2v", clock=WAV2VEC)
    found = probe(table, progress=False, draws=10)
    assert found.to_pandas().query("encoder == 'majority'").clock.unique().tolist() == ["320+0", "320+200"]


def test_probes_are_saved_and_answer_as_they_did(table, results, tmp_path):
    probe(table, layers=["mid"], save_probes=tmp_path, progress=False, draws=10)
    saved = LinearProbe.load(tmp_path / "net.mid.fold3")
    assert (saved.details["column"], saved.details["fold"], saved.details["split"]) == ("net.mid", 3, "folds")
    assert len(list(tmp_path.glob("*.safetensors"))) == 5
    assert saved.classes[saved.predict(np.array([[6, 0, 0, 0, 0, 0, 0, 0]]))[0]] == "aa"


def test_each_mistake_is_one_line_with_a_remedy(table):
    bare, _ = speech(speakers=3)
    for wrong, options, expected in [
        (bare, {}, r"no frame features: run `python -m features TABLE --encoder log_mel`"),
        (table, {"tier": "words"}, r"'words': expected one of \['phones'\]"),
        (table, {"encoders": ["hubert"]}, r"features of \['hubert'\]: expected some of \['net'\]"),
        (table, {"layers": ["low"]}, r"features of \['low'\]: expected some of \['mid', 'top'\]"),
        (table, {"probe": "mpl"}, r"'mpl': expected one of \[.*'linear'"),
        (table, {"folds": 9}, "expected 2 to 6"),
        (table.select([]), {}, "no rows"),
        (table.remove_columns("speaker_id"), {}, "speaker_id"),
        (table.remove_columns("segments"), {}, "no column 'segments'"),
        (table.to_iterable_dataset(), {}, "without streaming"),
    ]:
        with pytest.raises(ProbeError, match=expected) as caught:
            probe(wrong, progress=False, **options)
        assert "\n" not in str(caught.value)


def test_an_empty_tier_and_a_strange_label_say_what_to_do():
    rows = [{"id": f"u{n}", "speaker_id": f"s{n}", "segments": []} for n in range(3)]
    values = [np.ones((4, 2))] * 3
    with pytest.raises(ProbeError, match="forced alignment"):
        probe(with_column(manifest(rows), values), progress=False)
    for row in rows:
        row["segments"] = [segment(0, 1, "ʒ")]
    with pytest.raises(ProbeError, match=r"'timit'.*'ʒ'.*phone set"):
        probe(with_column(manifest(rows), values), progress=False)
    table, truth = speech(speakers=3)
    values = clouds(truth)
    values[0][0, 0] = np.nan
    with pytest.raises(ProbeError, match=r"^toy\.l0 holds values that are not finite"):
        probe(with_column(table, values), progress=False)
