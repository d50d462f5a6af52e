from __future__ import annotations

import itertools
import logging
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict, Features, concatenate_datasets, load_dataset

import builders  # noqa: F401  makes builders/... loadable
from builders.audio import decode, encode
from builders.phones import CLASSES39, fold
from builders.schema import CORE, manifest_features
from features.align import align, alignments
from features.align_score import phone_agreement, word_agreement
from features.aligner import BORDER, CannotAlignError, _segments, align_one, spoken_words

pytest.importorskip("pocketsphinx", reason="needs the extra `align`")
espeakng_loader = pytest.importorskip("espeakng_loader", reason="needs the extra `synth`")

FEATURES = manifest_features()
TEXT = "The calm artist parked her car in the dark yard."


def wave(text: str, voice: str = "en-us+m3") -> np.ndarray:
    import soxr

    from builders.espeak.synth import RATE, synthesise

    return soxr.resample(synthesise(text, voice).samples / 32_768, RATE, 16_000).astype(np.float32)


def row(identifier: str, text: str | None, samples: np.ndarray, **columns: object) -> dict:
    audio = {"bytes": encode(np.rint(samples * 32_768).clip(-32_768, 32_767).astype(np.int16)), "path": "x.flac"}
    made = dict.fromkeys(FEATURES)
    return {**made, "id": identifier, "audio": audio, "text": text, "duration": len(samples) / 16_000, "offset": 0.0,
            "language": "en", "corpus": "mini", "segments": [], **columns}  # fmt: skip


def segment(tier: str, start: float, end: float, label: str) -> dict:
    return {"tier": tier, "start": start, "end": end, "label": label, "speaker": None, "score": None}


def make(rows: list[dict], path: Path) -> Dataset:
    pq.write_table(pa.Table.from_pylist(rows, schema=FEATURES.arrow_schema), path)
    return Dataset.from_parquet(str(path), cache_dir=str(path.parent))


@pytest.fixture(scope="module")
def spoken() -> np.ndarray:
    return wave(TEXT)


@pytest.fixture(scope="module")
def mixed(spoken, tmp_path_factory) -> Dataset:
    """Rows that can be aligned and one of each kind that cannot, or must not."""
    half = spoken[: len(spoken) // 8]
    return make([
        row("good", TEXT, spoken),
        row("lacks", "The calm xyzzy parked her plugh.", spoken),
        row("figures", "In 1999 she parked her car.", spoken),
        row("silent", None, spoken),
        row("german", "Guten Tag", spoken, language="de"),
        row("short", TEXT, half),
        row("done", TEXT, spoken, segments=[segment("phones", 0.0, 1.0, "ah")]),
        row("british", TEXT, spoken, language="en-GB", segments=[segment("speakers", 0.0, 1.0, "A")]),
        row("unknown", TEXT, spoken, language=None, segments=[segment("words", 0.0, 1.0, "the")]),
    ], tmp_path_factory.mktemp("mixed") / "rows.parquet")  # fmt: skip


@pytest.fixture(scope="module")
def aligned(mixed) -> Dataset:
    return align(mixed)


def tier(segments: list[dict], name: str) -> list[dict]:
    return [segment for segment in segments if segment["tier"] == name]


def of(table: Dataset, identifier: str) -> dict:
    return table[table["id"][:].index(identifier)]


@pytest.mark.parametrize(("text", "words"), [
    ("She had your dark suit.", "she had your dark suit"),
    ("Don't -- I said: \"go home\"!", "don't i said go home"),
    ("It\u2019s the well-known \u201cblack\u201d cat\u2014here\u2026", "it's the well known black cat here"),
    ("the boys' 'quoted' word", "the boys' quoted word"),
    ("  SHOUTED\ttext\n", "shouted text"),
])  # fmt: skip
def test_words_of_a_text(text, words):
    assert spoken_words(text) == words.split()


@pytest.mark.parametrize(("text", "reason"), [
    (None, "no text"), ("", "no text"), (" ... ", "no text"),
    ("room 12", "figures in the text"),
    ("the xyzzy plugh xyzzy", "not in the dictionary: plugh, xyzzy"),
    ("bread & butter", "not in the dictionary: &"),
    ("gr\u00fcn", "not in the dictionary: gr\u00fcn"),
    ("the '", "not in the dictionary: "),
    ("<sil> <s>", "not in the dictionary"),
    ("your(2) car", "figures in the text"),
])  # fmt: skip
def test_texts_that_cannot_be_aligned(text, reason):
    with pytest.raises(CannotAlignError, match=f"^{reason}"):
        spoken_words(text)


def test_times_of_frames_by_hand():
    """Frames of 10 ms begin at multiples of it; the border between two lies 7.8125 ms later."""
    found = [("", 0, [("SIL", 0)]), ("she", 12, [("SH", 12), ("IY", 20)]), ("", 30, [("SIL", 30)])]
    made = _segments(found, 0.355)
    assert [(s.tier, s.label) for s in made] == [
        ("phones", "SIL"), ("phones", "SH"), ("phones", "IY"), ("phones", "SIL"), ("words", "she"),
    ]  # fmt: skip
    times = [0.0, 0.1278125, 0.2078125, 0.3078125, 0.1278125]
    assert [s.start for s in made] == pytest.approx(times, abs=1e-6)
    assert [s.end for s in made] == pytest.approx([*times[1:4], 0.355, 0.3078125], abs=1e-6)
    assert pytest.approx((0.025625 - 0.010) / 2) == BORDER


def test_no_time_lies_behind_the_end():
    last = _segments([("a", 0, [("AH", 0)]), ("", 30, [("SIL", 30)])], 0.303)
    assert max(s.end for s in last) == max(s.start for s in last) == 0.303


def test_tiers_of_one_utterance(spoken):
    made = align_one(spoken, TEXT)
    phones = [s for s in made if s.tier == "phones"]
    words = [s for s in made if s.tier == "words"]
    assert phones[0].start == 0
    assert phones[-1].end == len(spoken) / 16_000
    assert all(one.end == other.start for one, other in itertools.pairwise(phones))
    assert all(s.start < s.end for s in made)
    assert [word.label for word in words] == TEXT.lower().strip(".").split()
    assert {word.start for word in words} <= {phone.start for phone in phones}
    assert {fold(phone.label, "arpabet") for phone in phones} <= set(CLASSES39)
    inside = [p.label for p in phones if words[1].start <= p.start < words[1].end]
    assert inside == ["K", "AA", "M"]  # "calm", as CMU's dictionary has it


def test_boundaries_of_synthetic_speech_are_found():
    """espeak-ng tells where its words begin."""
    from builders.espeak.plan import sentences
    from builders.espeak.synth import synthesise

    pairs = []
    for text in sentences()[:20]:
        truth = [segment("words", *word) for word in synthesise(text, "en-us+m3").words]
        pairs.append((truth, [s._asdict() for s in align_one(wave(text), text)]))
    found = word_agreement(pairs)
    assert found.coverage == 1
    assert found.within_50 > 0.8
    assert abs(found.median) < 0.015


def test_which_rows_get_tiers(mixed, aligned):
    assert aligned["id"][:] == mixed["id"][:]
    has = [identifier for identifier in mixed["id"] if tier(of(aligned, identifier)["segments"], "words")]
    assert has == ["good", "british", "unknown"]
    assert of(aligned, "good")["segments"] == [s._asdict() for s in align_one(decode(mixed[0]["audio"]), TEXT)]


def test_other_rows_stay_as_they_are(mixed, aligned):
    for identifier in ("lacks", "figures", "silent", "german", "short", "done"):
        assert of(aligned, identifier) == of(mixed, identifier)


def test_other_tiers_stay_and_own_ones_are_replaced(mixed, aligned):
    british = of(aligned, "british")["segments"]
    assert tier(british, "speakers") == of(mixed, "british")["segments"]
    words = tier(of(aligned, "unknown")["segments"], "words")
    assert [word["label"] for word in words] == TEXT.lower().strip(".").split()


def test_columns_and_other_cells_stay(mixed, aligned):
    assert aligned.features == mixed.features
    assert aligned.column_names == mixed.column_names
    assert aligned.remove_columns("segments").to_list() == mixed.remove_columns("segments").to_list()


def test_reasons(mixed):
    made = alignments(mixed)
    assert made.column_names == ["id", "segments", "skipped"]
    reasons = dict(zip(made["id"], made["skipped"], strict=True))
    assert reasons == {
        "good": None, "british": None, "unknown": None,
        "lacks": "not in the dictionary: plugh, xyzzy", "figures": "figures in the text", "silent": "no text",
        "german": "language de", "short": "text does not fit the audio", "done": "has phones",
    }  # fmt: skip


def test_summary_in_one_line(mixed, caplog):
    with caplog.at_level(logging.WARNING, "features.align"):
        align(mixed)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("aligned 3 of 9 utterances; not: 1 not in the dictionary, 1 figures in the text, 1 no text")
    assert "(lacks, figures, silent, german, short, ...)" in line
    assert "\n" not in line


def test_summary_when_all_is_well(mixed, caplog):
    with caplog.at_level(logging.WARNING, "features.align"):
        align(mixed.select([0]))
    assert [record.getMessage() for record in caplog.records] == ["aligned 1 of 1 utterances"]


def test_result_does_not_depend_on_what_came_before(mixed, aligned):
    order = list(range(len(mixed)))[::-1]
    backwards = align(mixed.select(order))
    assert backwards.to_list() == [aligned[number] for number in order]


def test_two_processes_give_the_same(mixed, aligned):
    assert align(mixed, num_proc=2).to_list() == aligned.to_list()


def test_a_stream_gives_the_same(mixed, aligned):
    stream = align(mixed.to_iterable_dataset())
    assert stream.features == mixed.features
    assert list(stream) == aligned.to_list()


def test_every_split(mixed, aligned):
    made = align(DatasetDict({"train": mixed, "test": mixed.select([0])}))
    assert made["train"].to_list() == aligned.to_list()
    assert made["test"].to_list() == aligned.select([0]).to_list()


def test_a_table_in_another_format(mixed, aligned):
    assert align(mixed.with_format("arrow")).with_format(None).to_list() == aligned.to_list()


def test_second_call_comes_from_the_cache(mixed, monkeypatch):
    first = alignments(mixed)
    monkeypatch.setattr("features.align.align_one", None)  # a call would fail
    second = alignments(mixed)
    assert second.cache_files == first.cache_files
    assert second.to_list() == first.to_list()


def test_another_output_version_is_no_cache_hit(mixed, monkeypatch):
    first = alignments(mixed)
    monkeypatch.setattr("features.align.ALIGN_VERSION", 99)
    assert alignments(mixed).cache_files != first.cache_files


def test_a_table_without_texts(mixed):
    with pytest.raises(ValueError, match=r"no column 'text', only \['id'"):
        align(mixed.remove_columns("text"))


def test_missing_package_is_one_line(mixed, monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(ImportError, match=r"pip install 'phonelayers\[align\]'"):
        align(mixed)


def gold_and_ours(path: Path, rows: slice) -> list[tuple[list, list]]:
    table = load_dataset("builders/timit", data_dir=str(path), split="train")
    table = table.select(range(len(table))[rows])
    empty = Dataset.from_dict({"segments": [[]] * len(table)}, features=table.select_columns("segments").features)
    made = align(concatenate_datasets([table.remove_columns("segments"), empty], axis=1))
    return list(zip(table["segments"], made["segments"], strict=True))


def check_quality(pairs: list[tuple[list, list]], *, slack: float) -> None:
    words = word_agreement(pairs)
    assert words.coverage == 1.0  # no utterance fails
    assert words.within_20 > 0.60 - slack
    assert words.within_50 > 0.88 - slack
    phones = phone_agreement(pairs, reference_set="timit61", scored="matches")
    assert phones.coverage > 0.87 - slack
    assert phones.within_20 > 0.73 - slack
    assert phones.within_50 > 0.94 - slack
    assert abs(phones.median) < 0.003  # the border rule leaves no shift


def test_boundaries_of_timit(shared_data):
    check_quality(gold_and_ours(shared_data("timit_nltk_sample"), slice(None, None, 5)), slack=0.10)


@pytest.mark.slow
def test_boundaries_of_the_whole_sample(shared_data):
    check_quality(gold_and_ours(shared_data("timit_nltk_sample"), slice(None)), slack=0.0)


def test_tables_and_utterances_without_anything_to_align():
    empty = Dataset.from_dict({name: [] for name in CORE}, features=Features(CORE))
    assert align(empty).features == empty.features
    assert alignments(empty).column_names == ["id", "segments", "skipped"]
    with pytest.raises(CannotAlignError, match="no audio"):
        align_one(np.zeros(0, np.float32), "yes")
