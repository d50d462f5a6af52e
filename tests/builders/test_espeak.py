from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np
import pytest
from datasets import Dataset, load_dataset, load_dataset_builder

import builders  # noqa: F401  makes builders/espeak loadable
from builders.audio import decode
from builders.cache import digest
from builders.errors import CorpusError
from builders.espeak import plan as plan_module
from builders.espeak.plan import VOICES, accent, fingerprint, gender, plan, sentences
from builders.espeak.synth import PAUSE, RATE, synthesise
from builders.phones import CLASSES39, fold, fold_table

pytest.importorskip("espeakng_loader", reason="needs the extra `synth`")

ACCENTS = {accent(voice): voice for voice in VOICES}  # one voice of each
MANY = 26


@pytest.fixture(scope="module")
def table() -> Dataset:
    return load_dataset("builders/espeak", utterances=MANY, split="train")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


def test_sentences_are_short_plain_and_different():
    assert 280 <= len(sentences()) <= 350
    assert len({sentence.lower() for sentence in sentences()}) == len(sentences())
    for sentence in sentences():
        assert re.fullmatch(r"[A-Z][A-Za-z, ]+[.?]", sentence), sentence
        assert 4 <= len(sentence.split()) <= 12, sentence


def test_sentences_hold_every_phone_many_times_by_the_dictionary():
    """The reference is CMU's dictionary, which pocketsphinx carries; so all sentences can be aligned too."""
    pocketsphinx = pytest.importorskip("pocketsphinx", reason="needs the extra `align`")
    look_up = pocketsphinx.Decoder(samprate=16000, lm=None, loglevel="FATAL").lookup_word
    spelt = {word: look_up(word) for sentence in sentences() for word in words(sentence)}
    assert [word for word, phones in spelt.items() if phones is None] == []
    counts = Counter(phone for sentence in sentences() for word in words(sentence) for phone in spelt[word].split())
    assert len(counts) == 39
    assert {phone: count for phone, count in counts.items() if count < 30} == {}


def check_labels(texts: tuple[str, ...]) -> set[str | None]:
    """Return the classes of all phones; every voice of an accent has the same."""
    found = set()
    for voice in ACCENTS.values():
        for text in texts:
            speech = synthesise(text, voice)
            assert [word.label for word in speech.words] == words(text), (voice, text)
            found |= {fold(phone.label, "espeak_ipa") for phone in speech.phones}
    return found


def test_every_label_folds():
    """Each accent reads the sentences that have its rarest labels, and some more."""
    rare = ("tired", "jury", "kitten", "early", "theories", "year", "her", "which", "path")
    chosen = tuple(s for s in sentences() if any(word in words(s) for word in rare))
    assert check_labels((*chosen, *sentences()[::30])) == set(CLASSES39)


@pytest.mark.slow
def test_every_label_of_every_sentence_folds():
    assert check_labels(sentences()) == set(CLASSES39)


def test_fold_table_leads_to_the_classes_and_deletes_nothing():
    assert set(fold_table("espeak_ipa").values()) == set(CLASSES39)
    assert fold(PAUSE, "espeak_ipa") == "sil"


@pytest.mark.parametrize("utterances", [1, 11, 12, 13, 240, 3732])
def test_plan_deals_evenly(utterances):
    readings = plan(utterances, 0)
    assert len(readings) == utterances
    counts = Counter(reading.voice for reading in readings)
    assert max(counts.values()) - min(counts.get(voice, 0) for voice in VOICES) <= 1
    assert len({reading.id for reading in readings}) == utterances
    assert len({(reading.voice, reading.text) for reading in readings}) == utterances


def test_plan_that_takes_everything_reads_every_sentence_with_every_voice():
    everything = plan(len(VOICES) * len(sentences()), 3)
    assert {(r.voice, r.text) for r in everything} == set(itertools.product(VOICES, sentences()))


def test_plan_keeps_its_beginning_and_follows_the_seed():
    assert plan(500, 7)[:100] == plan(100, 7)
    assert [r.text for r in plan(100, 7)] != [r.text for r in plan(100, 8)]
    assert [(r.id, r.voice) for r in plan(100, 7)] == [(r.id, r.voice) for r in plan(100, 8)]
    assert plan(13, 0)[0].id == "en-us+f1-0000"
    assert plan(13, 0)[12].id == "en-us+f1-0001"


def test_plan_is_the_same_in_every_release():
    """Raise FACTS.version together with this: tables that were made before are others."""
    assert digest(plan(240, 0)) == "9cb63284cf38b18d"


@pytest.mark.parametrize("utterances", [0, -1, 3733, "many", 2.5, None])
def test_plan_refuses(utterances):
    with pytest.raises(CorpusError, match=r"expected a number from 1 to 3732"):
        plan(utterances, 0)


def test_voices_have_a_gender_and_an_accent():
    assert Counter(VOICES.values()) == {"female": 6, "male": 6}
    assert Counter(accent(voice) for voice in VOICES) == dict.fromkeys(ACCENTS, 2)
    assert gender("en-us+f1") == "female"
    with pytest.raises(CorpusError, match="expected one of"):
        gender("en-us+f9")


def test_voices_can_be_told_apart():
    """Mean spectrum and pitch range of one half of a voice's sentences are nearest to its other half."""
    import librosa

    def portrait(voice: str, texts: tuple[str, ...]) -> np.ndarray:
        waves = [synthesise(text, voice).samples / 32_768 for text in texts]
        mfcc = librosa.feature.mfcc(y=np.concatenate(waves), sr=RATE, n_mfcc=20)[1:]
        return np.concatenate([mfcc.mean(axis=1), mfcc.std(axis=1)])

    halves = [np.array([portrait(voice, sentences()[first:24:2]) for voice in VOICES]) for first in (0, 1)]
    scale = halves[0].std(axis=0)
    distance = np.abs((halves[0][:, None] - halves[1][None]) / scale).mean(axis=-1)
    assert distance.argmin(axis=1).tolist() == list(range(len(VOICES)))


def test_rows(table):
    assert table["id"][:] == [reading.id for reading in plan(MANY, 0)]
    for row, reading in zip(table, plan(MANY, 0), strict=True):
        assert (row["text"], row["speaker_id"]) == (reading.text, reading.voice)
        assert (row["gender"], row["accent"]) == (gender(reading.voice), accent(reading.voice))
        assert (row["language"], row["corpus"], row["offset"]) == ("en", "espeak", 0)
        assert row["source"] == {"format": "espeak-ng", "sampling_rate": RATE, "channels": 1}


def test_segments_cover_the_normalised_audio(table):
    for row in table:
        samples = decode(row["audio"])
        assert row["duration"] == len(samples) / 16_000
        phones = [segment for segment in row["segments"] if segment["tier"] == "phones"]
        assert phones[0]["start"] == 0
        assert abs(phones[-1]["end"] - row["duration"]) <= 1 / 16_000
        assert all(one["end"] == other["start"] for one, other in itertools.pairwise(phones))
        spoken = [segment["label"] for segment in row["segments"] if segment["tier"] == "words"]
        assert spoken == words(row["text"])


def test_pauses_stay_silent_at_16_khz(table):
    """The resampler's ringing reaches a little way into a pause; the inner part must be silent."""
    quiet, loud = [], []
    for row in table:
        samples = decode(row["audio"])
        for segment in row["segments"]:
            first, last = round(segment["start"] * 16_000) + 48, round(segment["end"] * 16_000) - 48
            if segment["tier"] == "phones" and last > first:
                (quiet if segment["label"] == PAUSE else loud).append(np.sqrt(np.mean(samples[first:last] ** 2)))
    assert len(quiet) > 100
    assert max(quiet) < 0.001
    assert np.quantile(loud, 0.01) > 0.005


def test_same_rows_from_two_processes_and_from_a_stream(table):
    again = load_dataset("builders/espeak", utterances=MANY, split="train", num_proc=2, seed=0,
                         download_mode="force_redownload")  # fmt: skip
    stream = load_dataset("builders/espeak", utterances=MANY, split="train", streaming=True)
    assert again.to_list() == table.to_list()
    assert list(stream) == table.to_list()


def test_more_utterances_and_another_seed_are_other_tables(table):
    more = load_dataset("builders/espeak", utterances=MANY + 1, split="train")
    assert more.select(range(MANY)).to_list() == table.to_list()
    other = load_dataset("builders/espeak", utterances=MANY, seed=1, split="train")
    assert other["text"][:] != table["text"][:]


def test_another_release_of_espeak_is_another_table(monkeypatch):
    before = load_dataset_builder("builders/espeak", utterances=2).cache_dir
    assert load_dataset_builder("builders/espeak", utterances=2).cache_dir == before
    known = fingerprint()
    monkeypatch.setattr(plan_module, "version", lambda _: "99.0")
    assert fingerprint() != known
    assert load_dataset_builder("builders/espeak", utterances=2).cache_dir != before


@pytest.mark.parametrize("utterances", [0, 100_000])
def test_wrong_number_is_one_line(utterances):
    with pytest.raises(CorpusError, match=r"^espeak can't make utterances=\d+: expected a number") as caught:
        load_dataset("builders/espeak", utterances=utterances)
    assert "\n" not in str(caught.value)
