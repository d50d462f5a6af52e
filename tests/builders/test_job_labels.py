"""Labels of training jobs: one normal form, one inventory, nothing unmapped."""

from __future__ import annotations

import numpy as np
import pytest

from builders import job_labels as labels
from builders.audio import encode
from builders.errors import CorpusError
from builders.esc50.esc50 import CATEGORIES as ESC50
from builders.sound_events import CATEGORIES, category_names, names, ontology
from builders.urbansound8k.urbansound8k import CLASSES as URBANSOUND8K


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("MISTER QUILTER'S", "mister quilter's"),
        ("“Don’t—stop,” she said; 'tis I.", "don't stop she said tis i"),
        ("L’homme d’été", "l'homme d'été"),
        ("we're  9 o'clock-ish", "we're 9 o'clock ish"),
        ("而对楼市 成交，Ａ股 OK", "而对楼市成交 a股 ok"),
        ("हिन्दी में", "हिन्दी में"),
        ("über\u00adall", "überall"),
        ("u\u0308ber", "über"),
        ("...", None),
        ("", None),
        (None, None),
    ],
)
def test_one_normal_form(text, wanted):
    found = labels.transcript({"text": text})
    assert found == wanted
    assert found is None or labels.transcript({"text": found}) == found


def segment(label: str, tier: str = "phones", **more) -> dict:
    return {"tier": tier, "start": 0.0, "end": 1.0, "label": label, "speaker": None, "score": None, **more}


def test_phones_are_folded_and_silence_is_one():
    parts = [segment(label) for label in ("h#", "sh", "ix", "kcl", "pau", "k", "q", "s", "s", "h#")]
    row = {"corpus": "timit", "segments": [*parts, segment("she", "words")]}
    assert labels.folded_phones(row) == ["sil", "sh", "ih", "sil", "k", "s", "s", "sil"]
    assert labels.folded_phones({"corpus": "librispeech", "segments": [segment("OW1"), segment("spn")]}) == ["ow"]
    assert labels.folded_phones({"corpus": "timit", "segments": []}) is None
    with pytest.raises(CorpusError, match="'xx' is not in the phone set"):
        labels.folded_phones({"corpus": "timit", "segments": [segment("xx")]})


def tone(seconds: float, pitch: float) -> dict:
    time = np.arange(round(seconds * 16_000)) / 16_000
    wave = sum(np.sin(2 * np.pi * pitch * harmonic * time) / harmonic for harmonic in range(1, 6))
    return {"audio": {"bytes": encode((6000 * wave).astype(np.int16)), "path": "a.flac"}}


@pytest.mark.parametrize("pitch", [110.0, 440.0])
def test_f0_of_a_tone(pitch):
    found = np.array(labels.f0(tone(0.5, pitch)))
    assert len(found) == 50
    middle = found[5:-5]
    assert np.abs(1200 * np.log2(middle / pitch)).max() < 15  # cents


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (160, 1), (161, 2), (1024, 7)])
def test_f0_of_short_silence(samples, frames):
    cell = {"audio": {"bytes": encode(np.zeros(samples, np.int16)), "path": "a.flac"}}
    assert labels.f0(cell) == [0.0] * frames


def test_two_of_three_listeners():
    assert labels.stuttering({"events": ["SoundRep", "PoorAudioQuality"]}) == ["sound_repetition"]
    assert labels.stuttering({"events": ["Unsure"]}) is None
    assert labels.stuttering({"events": []}) is None
    with pytest.raises(CorpusError, match="sep28k: unknown label 'Hum'"):
        labels.stuttering({"events": ["Hum"]})


def test_primary_language():
    assert [labels.language({"language": code}) for code in ("zh-CN", "zh-HK", "de", "nan-tw", None)] == [
        "zh",
        "yue",
        "de",
        "nan",
        None,
    ]


def test_turns_name_their_speakers():
    row = {
        "segments": [segment("spk1", "speakers", speaker="a_spk1"), segment("hello", "words"), segment("x", "speakers")]
    }
    assert [turn["speaker"] for turn in labels.turns(row)] == ["a_spk1", "x"]
    assert labels.turns({"segments": [segment("hello", "words")]}) is None


def test_every_class_is_mapped_to_the_ontology():
    known = set(ontology().values())
    assert len(ontology()) == len(known) == 632
    assert set(CATEGORIES["esc50"]) == set(ESC50)
    assert set(CATEGORIES["urbansound8k"]) == set(URBANSOUND8K)
    for corpus, table in CATEGORIES.items():
        assert {name for category in table for name in category_names(category, corpus)} <= known


def test_the_computer_mouse_is_no_animal():
    assert category_names("mouse_click", "esc50") == ["Clicking"]


def test_identifiers_have_names():
    assert names(["/m/09x0r", "/m/0k4j", "/m/09x0r"]) == ["Speech", "Car"]
    with pytest.raises(CorpusError, match="has the identifier '/m/nothing'"):
        names(["/m/nothing"])


def test_spoken_technique_is_no_singing():
    techniques = {"belt": True, "vocal_fry": True, "spoken": False, None: None}
    assert {name: labels.sung({"technique": name}) for name in techniques} == techniques
