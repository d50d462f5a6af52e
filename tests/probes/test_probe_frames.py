"""Frame labels worked out by hand, and what leaves a frame out."""

from __future__ import annotations

import numpy as np
import pytest

from builders.phones import CLASSES39
from probes import ProbeError
from probes.frames import frame_table
from probes.segments import labelled_rows
from tests.probes.probe_tables import WAV2VEC, WHISPER, card, clouds, manifest, segment, speech, with_column


def labels(table, column="toy.l0", **options):
    frames = frame_table(table, column, **options)
    return [frames.classes[code] for code in frames.labels]


def utterance(segments, frames, **options):
    """Return a table of one row whose values are the frame numbers."""
    table = manifest([{"id": "u", "speaker_id": "s", "segments": segments}])
    return with_column(table, [np.arange(frames)[:, None] * np.ones((1, 2))], **options)


def test_boundary_on_a_frame_centre_hop_320_offset_0():
    # Centres at 0, 320, 640, 960 samples. The boundary at 640 belongs to the later segment.
    table = utterance([segment(0, 640 / 16000, "aa"), segment(640 / 16000, 960 / 16000, "s")], 4)
    assert labels(table) == ["aa", "aa", "s"]  # frame 3, at 960 samples, lies behind the end
    shifted = utterance([segment(0, 641 / 16000, "aa"), segment(641 / 16000, 961 / 16000, "s")], 4)
    assert labels(shifted) == ["aa", "aa", "aa", "s"]
    before = utterance([segment(0, 639 / 16000, "aa"), segment(639 / 16000, 960 / 16000, "s")], 4)
    assert labels(before) == ["aa", "aa", "s"]


def test_boundary_on_a_frame_centre_hop_320_offset_200_unpadded():
    # 1360 samples: frames at 200, 520, 840, 1160, the fields [0, 400) to [960, 1360) inside the utterance.
    assert WAV2VEC.frames(1360) == 4
    assert WAV2VEC.frames(1359) == 3
    on = [segment(0, 520 / 16000, "aa"), segment(520 / 16000, 1160 / 16000, "s"), segment(1160 / 16000, 1, "b")]
    assert labels(utterance(on, 4, clock=WAV2VEC)) == ["aa", "s", "s", "b"]
    late = [segment(0, 521 / 16000, "aa"), segment(521 / 16000, 1161 / 16000, "s"), segment(1161 / 16000, 1, "b")]
    assert labels(utterance(late, 4, clock=WAV2VEC)) == ["aa", "aa", "s", "s"]


def test_gaps_and_the_glottal_stop_have_no_frames_and_values_stay_with_their_labels():
    table = utterance([segment(0.02, 0.04, "aa"), segment(0.06, 0.08, "q"), segment(0.08, 0.12, "sh")], 7)
    frames = frame_table(table, "toy.l0")
    assert [frames.classes[code] for code in frames.labels] == ["aa", "sh", "sh"]
    assert frames.values[:, 0].tolist() == [1, 4, 5]
    assert frames.values.dtype == np.float16


def test_phones_are_folded_by_the_corpus_or_by_the_phone_set():
    segments = [segment(0, 0.02, "h#"), segment(0.02, 0.04, "ix"), segment(0.04, 0.06, "zh")]
    assert labels(utterance(segments, 3)) == ["sil", "ih", "sh"]
    arpabet = [segment(0, 0.02, "AA1"), segment(0.02, 0.04, "SIL"), segment(0.04, 0.06, "ER0")]
    assert labels(utterance(arpabet, 3), phone_set="arpabet") == ["aa", "sil", "er"]
    with pytest.raises(ProbeError, match=r"AA1.*pass the phone set.*arpabet"):
        labels(utterance(arpabet, 3))
    with pytest.raises(ProbeError, match=r"sampa.*expected one of.*timit61"):
        labels(utterance(segments, 3), phone_set="sampa")


def test_silence_is_kept_or_dropped_with_its_class():
    table = utterance([segment(0, 0.02, "pau"), segment(0.02, 0.06, "aa"), segment(0.06, 0.08, "tcl")], 4)
    assert labels(table) == ["sil", "aa", "aa", "sil"]
    dropped = frame_table(table, "toy.l0", silence="drop")
    assert [dropped.classes[code] for code in dropped.labels] == ["aa", "aa"]
    assert (len(dropped.classes), set(CLASSES39) - set(dropped.classes)) == (38, {"sil"})
    with pytest.raises(ProbeError, match="expected one of"):
        frame_table(table, "toy.l0", silence="maybe")


def test_other_tiers_are_taken_as_they_are_with_sorted_classes():
    names = ["laugh", "sigh", "sigh", "cough"]
    table = utterance([segment(0.02 * n, 0.02 * n + 0.02, name, "events") for n, name in enumerate(names)], 4)
    frames = frame_table(table, "toy.l0", tier="events")
    assert frames.classes == ("cough", "laugh", "sigh")
    assert [frames.classes[code] for code in frames.labels] == names


def test_utterances_speakers_and_an_utterance_without_frames():
    rows = [{"id": f"u{n}", "speaker_id": s, "segments": [segment(0, 1, "aa")]} for n, s in enumerate(["b", "a", None])]
    table = with_column(manifest(rows), [np.ones((n, 2)) for n in (2, 0, 3)])
    frames = frame_table(table, "toy.l0")
    assert frames.utterance.tolist() == [0, 0, 2, 2, 2]
    assert [frames.speakers[code] for code in frames.speaker] == ["b", "b", "unknown", "unknown", "unknown"]


def test_equals_the_truth_over_many_batches_shuffled_rows_and_a_choice_of_rows():
    table, truth = speech(speakers=20, utterances=8)  # 160 rows, three batches
    table = with_column(table, clouds(truth))
    order = np.random.default_rng(1).permutation(len(table))
    frames = frame_table(table.select(order), "toy.l0")
    assert [frames.classes[code] for code in frames.labels] == [
        ("aa", "b", "s", "sil")[code] for row in order for code in truth[row]
    ]
    some = frame_table(table, "toy.l0", rows=np.array([3, 70, 159]))
    assert np.unique(some.utterance).tolist() == [3, 70, 159]
    assert np.array_equal(some.values, frame_table(table, "toy.l0").values[np.isin(frames.utterance, [3, 70, 159])])


def test_max_frames_draws_the_same_moments_for_every_column_and_order_of_rows():
    table, truth = speech()
    numbers = [np.arange(len(classes))[:, None] * np.ones((1, 2)) for classes in truth]
    table = with_column(with_column(table, numbers), clouds(truth), layer="l1")
    few = frame_table(table, "toy.l0", max_frames=7)
    other = frame_table(table, "toy.l1", max_frames=7)
    assert np.bincount(few.utterance).tolist() == [7] * len(table)
    assert np.array_equal(few.labels, other.labels)
    backward = frame_table(table.select(range(len(table))[::-1]), "toy.l0", max_frames=7)
    chosen = few.values[:, 0].reshape(len(table), 7)
    assert np.array_equal(backward.values[:, 0].reshape(len(table), 7)[::-1], chosen)
    assert len({tuple(row) for row in chosen.tolist()}) == len(table)  # each utterance its own
    assert (np.diff(chosen, axis=1) > 0).all()  # in the order of time
    assert not np.array_equal(frame_table(table, "toy.l0", max_frames=7, seed=1).values, few.values)
    everything = frame_table(table, "toy.l0", max_frames=1000)
    assert np.array_equal(everything.values, frame_table(table, "toy.l0").values)


def test_max_frames_draws_evenly_over_time():
    table, truth = speech(speakers=40, utterances=10)
    numbers = [np.arange(len(classes))[:, None] * np.ones((1, 2)) for classes in truth]
    drawn = frame_table(with_column(table, numbers), "toy.l0", max_frames=15).values[:, 0]
    counts = np.bincount(drawn.astype(int), minlength=60)  # 400 utterances x 15 of 60: 100 expected, deviation 8.7
    assert counts.min() > 65
    assert counts.max() < 135


def test_labelled_rows_are_those_with_a_segment_of_the_tier():
    rows = [[], [segment(0, 1, "aa")], [segment(0, 1, "hello", "words")], [segment(1, 1, "aa")], [segment(0, 1, "s")]]
    table = manifest([{"id": str(n), "speaker_id": "s", "segments": found} for n, found in enumerate(rows)])
    assert labelled_rows(table, "phones").tolist() == [False, True, False, False, True]  # one without length holds none


def test_errors_say_what_is_missing_and_what_there_is():
    table = utterance([segment(0, 1, "aa"), segment(0, 1, "hello", "words")], 3)
    with pytest.raises(ProbeError, match=r"'toy.l9'.*expected one of \['toy.l0'\]"):
        frame_table(table, "toy.l9")
    with pytest.raises(ProbeError, match="segments"):
        frame_table(table.remove_columns("segments"), "toy.l0")
    with pytest.raises(ProbeError, match="at least 1"):
        frame_table(table, "toy.l0", max_frames=0)
    with pytest.raises(ProbeError, match=r"'syllables'.*expected one of \['phones', 'words'\]"):
        labelled_rows(table, "syllables")
    with pytest.raises(ProbeError, match="forced alignment"):
        labelled_rows(utterance([], 3), "phones")
    with pytest.raises(ProbeError, match="no frame lies in"):
        frame_table(utterance([segment(5, 6, "aa")], 3), "toy.l0")
    with pytest.raises(ProbeError, match="axis token"):
        frame_table(utterance([segment(0, 1, "aa")], 3, axis="token"), "toy.l0")
    many = [segment(n * 0.02, n * 0.02 + 0.02, f"word{n}", "words") for n in range(300)]
    with pytest.raises(ProbeError, match=r"300 labels.*at most 200"):
        frame_table(utterance(many, 300), "toy.l0", tier="words")


def test_the_clocks_of_the_tests_are_those_of_the_encoders():
    assert (WHISPER.hop, WHISPER.offset, WHISPER.padded) == (320, 0, True)
    assert card().clock == WHISPER
