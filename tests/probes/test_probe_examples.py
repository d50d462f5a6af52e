"""Segments, centre frames and utterances worked out by hand, and labels of columns through the splits."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import DatasetDict

from features.columns import matrices
from probes import ProbeError, probe
from probes.examples import Examples
from probes.frames import triphones
from tests.probes.probe_tables import PHONES, WAV2VEC, clouds, manifest, segment, speech, with_column

# Frame centres at 0, 20, 40, ... ms: aa holds frames 0 to 2, s 3 to 6, the short b none, sil 7 and 8.
SEGMENTS = [
    segment(0.0, 0.06, "aa"),
    segment(0.06, 0.125, "s"),
    segment(0.125, 0.13, "b"),
    segment(0.13, 0.17, "h#"),
    segment(0.0, 0.17, "word", tier="words"),
]


def ramp(rows=1, **options):
    """Return utterances whose frame t of utterance u has the values (t + 100 u, 1)."""
    table = manifest([{"id": f"u{u}", "speaker_id": f"s{u}", "segments": SEGMENTS} for u in range(rows)])
    values = [np.stack([np.arange(9) + 100 * u, np.ones(9)], axis=1) for u in range(rows)]
    return with_column(table, values, dtype="float32", **options)


def gathered(table, kind, column="toy.l0", rows=None, **options):
    rows = np.arange(len(table)) if rows is None else rows
    found = Examples(kind, **options).table(table, column, rows)
    return found, [found.classes[code] for code in found.labels]


def test_means_and_centres_of_segments():
    found, labels = gathered(ramp(2), "segments")
    assert labels == ["aa", "s", "sil"] * 2
    assert found.values[:, 0].tolist() == [1.0, 4.5, 7.5, 101.0, 104.5, 107.5]
    assert found.utterance.tolist() == [0, 0, 0, 1, 1, 1]
    # middles at 30, 92.5 and 150 ms, between frames 1 and 2, nearest to 5 (100 ms), between 7 and 8
    found, labels = gathered(ramp(2), "centres", rows=np.array([1]))
    assert labels == ["aa", "s", "sil"]
    assert found.values[:, 0].tolist() == [101.0, 105.0, 107.0]


def test_segments_of_other_inventories_and_without_silence():
    assert gathered(ramp(), "segments", inventory="broad")[1] == ["vowel", "fricative", "silence"]
    assert gathered(ramp(), "segments", inventory="61")[1] == ["aa", "s", "h#"]
    found, labels = gathered(ramp(), "segments", inventory="61", silence="drop")
    assert labels == ["aa", "s"] and not {"h#", "pau", "epi", "bcl"} & set(found.classes) and "q" in found.classes
    assert len(gathered(ramp(), "frames", inventory="48", silence="drop")[0].classes) == 48 - 4


def test_segments_equal_what_the_encoder_pools():
    # Pooled while encoding: a row for each segment in the order of the column, NaN where it holds no frame.
    table = manifest([{"id": "u", "speaker_id": "s", "segments": [SEGMENTS[1], SEGMENTS[2], SEGMENTS[0]]}])
    rows = np.array([[4.5, 1], [np.nan, np.nan], [1.0, 1]])
    table = with_column(table, [rows], axis="segment", pool="segments:phones", dtype="float32")
    found, labels = gathered(table, "segments", column=table.column_names[-1])
    assert labels == ["s", "aa"]
    assert found.values[:, 0].tolist() == [4.5, 1.0]


def test_means_of_utterances_and_their_labels():
    table = ramp(3).add_column("emotion", ["sad", None, "glad"])
    found, labels = gathered(table, "utterances", rows=np.array([0, 2]), target="emotion")
    assert found.values[:, 0].tolist() == [4.0, 204.0]
    assert labels == ["sad", "glad"] and found.classes == ("glad", "sad")


def test_context_keeps_all_frames_and_knows_the_labelled_ones():
    table = ramp(3, clock=WAV2VEC)  # centres at 12.5 ms + 20 t: frame 8 at 172.5 ms lies behind the last segment
    found = Examples(max_frames=2).table(table, "toy.l0", np.array([0, 2]), context=True)
    assert np.array_equal(found.values, np.concatenate([np.asarray(table[u]["toy.l0"]) for u in range(3)]))
    assert found.spans.tolist() == [[0, 9], [9, 18], [18, 27]]
    assert len(found.labels) == 4 and found.utterance.tolist() == [0, 0, 2, 2]
    plain = Examples(max_frames=2).table(table, "toy.l0", np.array([0, 2]))
    assert np.array_equal(found.take(np.arange(4)), plain.values)
    assert np.array_equal(found.labels, plain.labels)


def test_triphones():
    # a b a | a b a b: the b between two a is one type in both utterances, the a differ by their neighbours
    types = triphones(np.array([0, 1, 0, 0, 1, 0, 1]), np.array([0, 0, 0, 1, 1, 1, 1]))
    assert types[1] == types[4] != types[6]
    assert types[0] == types[3] != types[2]
    assert len(set(types.tolist())) == 5
    assert len(triphones(np.zeros(0, dtype=int), np.zeros(0, dtype=int))) == 0


def voices(speakers=6, utterances=8, known=1.0):
    """Return utterances whose mean gives their speaker away, and a layer that gives nothing away."""
    table, truth = speech(speakers=speakers, utterances=utterances)
    gender = np.repeat(np.arange(speakers) % 2, utterances)
    table = table.add_column("gender", [("female", "male")[g] for g in gender])
    draw = np.random.default_rng(5)
    who, noise = np.repeat(np.arange(speakers), utterances), draw.normal(size=(len(table), 60, 8))
    values = noise + 4 * known * np.eye(8)[who][:, None] + 6 * known * np.eye(8)[6 + gender][:, None]
    table = with_column(table, list(values), encoder="net")
    return with_column(table, list(noise), encoder="noise"), truth


def accuracy(results, encoder):
    return results.to_pandas().query("metric == 'accuracy' and encoder == @encoder").iloc[0]


def test_speakers_are_told_apart_by_utterances_of_all_of_them():
    table, _ = voices()
    found = accuracy(probe(table, examples="utterances", target="speaker_id", progress=False, draws=50), "net")
    assert found.value == 1.0
    assert (found.split, found.disjoint, found.classes, found.n_test, found.folds) == ("utterance", False, 6, 48, 5)
    assert "each speaker's utterances are in train and test" in found.note
    assert (found.examples, found.target) == ("utterances", "speaker_id") and not isinstance(found.inventory, str)
    # Official parts that share no speaker can't test this either; parts that do are used as they are.
    parts = DatasetDict({"train": table.select(range(40)), "test": table.select(range(40, 48))})
    assert accuracy(probe(parts, examples="utterances", target="speaker_id", progress=False), "net").folds == 5
    even, odd = (table.select(range(start, 48, 2)) for start in (0, 1))
    shared = probe(
        DatasetDict({"train": even, "test": odd}), examples="utterances", target="speaker_id", progress=False
    )
    assert (accuracy(shared, "net").split, accuracy(shared, "net").value) == ("official", 1.0)
    dealt = probe(
        DatasetDict({"train": even, "test": odd}), examples="utterances", target="speaker_id", folds=3, progress=False
    )
    assert (accuracy(dealt, "net").split, accuracy(dealt, "net").folds, accuracy(dealt, "net").value) == (
        "utterance", 3, 1.0,
    )  # fmt: skip


@pytest.mark.parametrize("asked", [{}, {"probe": "mixing", "option": {"epochs": 2}}])
def test_a_pooled_column_beside_the_frames_of_its_layer_is_left_out(asked):
    table, _ = voices()
    plain = {"examples": "utterances", "target": "gender", "progress": False, "draws": 5, "encoders": ["net"], **asked}
    frames, lengths = matrices(table, "net.l0", slice(0, len(table)))
    means = [part.mean(axis=0, keepdims=True) for part in np.split(frames, np.cumsum(lengths)[:-1])]
    both = with_column(table, means, encoder="net", axis="utterance", pool="mean")
    found, alone = (probe(one, **plain) for one in (both, table))
    assert found.to_pandas().value.tolist() == alone.to_pandas().value.tolist()
    assert found.to_pandas().note.str.contains("pooled columns left out where the frames are there (net.mean.l0)",
                                               regex=False).all()  # fmt: skip
    only = probe(both.remove_columns("net.l0"), **plain).to_pandas()
    assert "net" in set(only.encoder) and not only.note.str.contains("left out").any()


def test_gender_is_learnt_from_other_speakers():
    table, _ = voices()
    found = probe(table, examples="utterances", target="gender", control=True, progress=False, draws=50)
    own = accuracy(found, "net")
    assert own.value == 1.0 and own.disjoint and own.split == "folds"
    assert accuracy(found, "noise").value < 0.8
    # Labels that speakers were dealt say nothing about others: what is left of accuracy is selectivity.
    control = found.to_pandas().query("encoder == 'net' and metric == 'selectivity'").iloc[0]
    assert control.value > 0.2


def test_segments_through_the_whole_run():
    table, truth = speech(speakers=4, utterances=6)
    table = with_column(table, clouds(truth, known=0.6))
    for kind in ("segments", "centres"):
        found = accuracy(probe(table, examples=kind, progress=False, draws=20), "toy")
        assert found.n_test == 4 * 6 * 20 and found.examples == kind
        # of three frames the mean tells more than the middle one
        assert found.value > 0.8 if kind == "segments" else found.value == pytest.approx(0.7, abs=0.06)


def test_mistakes_are_one_line():
    table, truth = speech(speakers=3)
    table = with_column(table, clouds(truth)).add_column("emotion", ["sad"] * len(table))
    for options, expected in [
        ({"examples": "utterances"}, r"'phones' is no column of labels: expected one of \['emotion', .*'speaker_id'"),
        ({"examples": "words"}, r"expected one of \['frames', 'segments', 'centres', 'utterances'\]"),
        ({"examples": "segments", "max_frames": 3}, "max_frames is for frames, not for segments"),
        ({"examples": "utterances", "target": "emotion", "classes": "48"}, "for frames and segments"),
        ({"classes": "40"}, r"expected one of \['61', '48', '39', 'broad'\]"),
        ({"target": "words", "classes": "48"}, "for the tier 'phones'"),
        ({"target": "words", "examples": "segments"}, r"expected one of \['phones'\]"),
    ]:
        with pytest.raises(ProbeError, match=expected) as caught:
            probe(table, progress=False, **options)
        assert "\n" not in str(caught.value)


def test_phones_of_the_table_are_all_in_the_inventories():
    assert set(PHONES) <= set(Examples().labeller().classes)
