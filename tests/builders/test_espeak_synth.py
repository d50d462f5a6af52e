from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from builders.errors import AudioError, CorpusError
from builders.espeak import synth
from builders.espeak.plan import VOICES, sentences
from builders.espeak.synth import CLOSURE, PAUSE, RATE, Interval, Speech, synthesise

espeakng_loader = pytest.importorskip("espeakng_loader", reason="needs the extra `synth`")

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = "A happy actor took one of the cats home, and the boy enjoyed it."
JOBS = [(TEXT, "en-us+f1"), ("Ten tired tourists.", "en+m3"), ("The harbor is large.", "en-029+m8")]

# espeak-ng as its own documentation has it, in a fresh process: samples and phoneme events to compare with.
REFERENCE = r"""
import ctypes, hashlib, json, sys
import espeakng_loader

class Event(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("unique", ctypes.c_uint), ("position", ctypes.c_int), ("length", ctypes.c_int),
                ("ms", ctypes.c_int), ("sample", ctypes.c_int), ("user", ctypes.c_void_p), ("name", ctypes.c_char * 8)]

pcm, starts = [], []

@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))
def collect(wave, count, events):
    index = 0
    while events[index].type:
        if events[index].type == 7 and events[index].name:
            starts.append(events[index].sample)
        index += 1
    if count:
        pcm.append(ctypes.string_at(wave, 2 * count))
    return 0

library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_SetSynthCallback(collect)
library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 3)
assert library.espeak_SetVoiceByName(sys.argv[2].encode()) == 0
text = sys.argv[1].replace(" ", "\u00a0").encode()
library.espeak_Synth(text, len(text) + 1, 0, 1, 0, 1, None, None)
print(json.dumps([hashlib.sha256(b"".join(pcm)).hexdigest(), starts]))
"""

BACKWARDS = """
import sys
from tests.builders.test_espeak_synth import JOBS, fingerprint
from builders.espeak.synth import synthesise
print(*[fingerprint(synthesise(*job)) for job in reversed(JOBS)])
"""

LEAVES_BEHIND = """
from builders.espeak import synth
synth.synthesise("Good bye.", "en+m3")
print(synth._server._process.pid)
"""


def fingerprint(speech: Speech) -> str:
    return hashlib.sha256(speech.samples.tobytes() + repr([speech.phones, speech.words]).encode()).hexdigest()


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return [fingerprint(synthesise(*job)) for job in JOBS]


def labels(intervals: list[Interval]) -> list[str]:
    return [interval.label for interval in intervals]


def spoken(text: str) -> list[str]:
    return text.lower().replace(".", "").replace(",", "").replace("?", "").split()


@pytest.mark.parametrize(("text", "voice"), JOBS)
def test_samples_and_starts_are_those_of_the_library(text, voice):
    digest, starts = json.loads(run(REFERENCE, text, voice))
    speech = synthesise(text, voice)
    assert hashlib.sha256(speech.samples.tobytes()).hexdigest() == digest
    assert [round(phone.start * RATE) for phone in speech.phones if phone.label != PAUSE] == starts


def test_same_bytes_again_and_in_any_order(expected):
    assert [fingerprint(synthesise(*job)) for job in reversed(JOBS)] == expected[::-1]
    assert {fingerprint(synthesise(*JOBS[0])) for _ in range(5)} == {expected[0]}


def test_same_bytes_in_a_fresh_process(expected):
    assert run(BACKWARDS).split() == expected[::-1]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_same_bytes_in_workers(expected, method):
    synthesise(*JOBS[0])  # the parent has a helper when the workers start
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.starmap(synthesise, JOBS * 2, chunksize=1)
    assert [fingerprint(speech) for speech in found] == expected * 2
    assert fingerprint(synthesise(*JOBS[1])) == expected[1]


def test_same_bytes_from_threads(expected):
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda job: fingerprint(synthesise(*job)), JOBS * 4)) == expected * 4


@pytest.mark.parametrize("voice", VOICES)
def test_phones_cover_the_audio_and_pauses_are_silent(voice):
    for text in (TEXT, *sentences()[:6]):
        speech = synthesise(text, voice)
        phones = speech.phones
        assert phones[0].start == 0
        assert phones[-1].end == len(speech.samples) / RATE
        for phone, following in itertools.pairwise(phones):
            assert phone.end == following.start
            assert PAUSE not in (phone.label, following.label) or phone.label != following.label
        for start, end, label in phones:
            part = speech.samples[round(start * RATE) : round(end * RATE)]
            assert len(part)
            assert np.any(part) == (label != PAUSE), (voice, text, label)


@pytest.mark.parametrize("voice", VOICES)
def test_no_phone_ends_in_silence(voice):
    speech = synthesise(TEXT, voice)
    tails = [speech.samples[round(p.end * RATE) - CLOSURE : round(p.end * RATE)] for p in speech.phones]
    assert all(np.any(tail) for phone, tail in zip(speech.phones, tails, strict=True) if phone.label != PAUSE)


@pytest.mark.parametrize("voice", VOICES)
def test_words_are_those_of_the_text(voice):
    for text in (TEXT, *sentences()[::20]):
        assert labels(synthesise(text, voice).words) == spoken(text)


def test_words_begin_and_end_with_their_phones():
    speech = synthesise(TEXT, "en-us+f1")
    sounding = [phone for phone in speech.phones if phone.label != PAUSE]
    assert {word.start for word in speech.words} <= {phone.start for phone in sounding}
    assert {word.end for word in speech.words} <= {phone.end for phone in sounding}
    held = [sum(word.start <= phone.start and phone.end <= word.end for word in speech.words) for phone in sounding]
    assert set(held) == {1}


def test_phones_of_a_word():
    speech = synthesise("One of the cats", "en-us+f1")
    assert labels(speech.phones) == ["w", "ʌ", "n", "ʌ", "v", "_", "ð", "ə", "_", "k", "æ", "_", "t", "s", "_"]


def test_closure_is_no_part_of_the_vowel_and_a_glide_is():
    """In "happy actor": silence before p and k, none in "y a", where espeak-ng has a glide without a name."""
    found = labels(synthesise("A happy actor", "en-us+m4").phones)
    assert found == ["ɐ", "_", "h", "æ", "_", "p", "i", "æ", "_", "k", "_", "t", "ɚ", "_"]


def test_a_name_that_fills_all_eight_bytes():
    """With stress mark, length mark and r, ˈɑːɹ leaves no room for the NUL."""
    assert "ɑːɹ" in labels(synthesise("The harbor is large.", "en-us+f1").phones)


def test_no_stress_marks():
    assert not set("ˈˌ") & set("".join(labels(synthesise(TEXT, "en+m3").phones)))


def test_samples_are_16_bit_speech():
    speech = synthesise(TEXT, "en-us+f1")
    assert speech.samples.dtype == np.int16
    assert 2 < len(speech.samples) / RATE < 6
    assert 5_000 < np.abs(speech.samples.astype(int)).max() < 32_768


@pytest.mark.parametrize("voice", ["en-us+nobody", "xx+f1", "xx", ""])
def test_unknown_voice(voice, expected):
    with pytest.raises(CorpusError, match=r"no voice '.*': expected an accent and a variant"):
        synthesise("Hello.", voice)
    assert fingerprint(synthesise(*JOBS[0])) == expected[0]


@pytest.mark.parametrize("text", ["", "   ", "...", "?!"])
def test_nothing_to_say(text):
    with pytest.raises(AudioError, match="nothing to say"):
        synthesise(text, "en-us+f1")


def test_missing_package_is_one_line(monkeypatch):
    synth._server.close()
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(CorpusError, match=r"pip install 'phonelayers\[synth\]'") as caught:
        synthesise("Hello.", "en+m3")
    assert "\n" not in str(caught.value)


def test_a_dead_helper_is_replaced(expected):
    synthesise(*JOBS[0])
    synth._server._process.kill()
    synth._server._process.wait()
    assert fingerprint(synthesise(*JOBS[1])) == expected[1]


@pytest.mark.parametrize("code", ["", "import os; os.write(1, b'\\0\\0\\0\\5{')", "raise SystemExit(3)"])
def test_a_text_that_espeak_dies_of(code, tmp_path, monkeypatch, expected):
    deadly = tmp_path / "engine.py"
    deadly.write_text(f"import sys; sys.stdin.buffer.read(1); {code}")
    synth._server.close()
    with monkeypatch.context() as patch:
        patch.setattr(synth, "ENGINE", deadly)
        with pytest.raises(AudioError, match=r"espeak-ng died of .*en\+m3"):
            synthesise(*JOBS[1])
    assert fingerprint(synthesise(*JOBS[1])) == expected[1]


def test_an_interrupted_request_is_not_answered_later(monkeypatch, expected):
    def interrupt(_pipe: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synth, "receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            synthesise(*JOBS[0])
    assert fingerprint(synthesise(*JOBS[1])) == expected[1]


def test_ctrl_c_leaves_the_helper_alone(expected):
    synthesise(*JOBS[0])
    helper = synth._server._process
    helper.send_signal(signal.SIGINT)
    assert fingerprint(synthesise(*JOBS[0])) == expected[0]
    assert synth._server._process is helper


def test_the_helper_ends_with_the_program():
    helper = int(run(LEAVES_BEHIND))
    with pytest.raises(ProcessLookupError):
        os.kill(helper, 0)


def test_the_helper_ends_when_nobody_asks_any_more():
    """The program was killed: no exit function ran, but the pipe is closed."""
    paths = [espeakng_loader.get_library_path(), espeakng_loader.get_data_path()]
    helper = subprocess.Popen([sys.executable, "-I", "-S", str(synth.ENGINE), *paths], stdin=subprocess.PIPE)
    helper.stdin.close()
    assert helper.wait(timeout=30) == 0


def test_data_under_a_long_path(tmp_path, monkeypatch, expected):
    """The library cuts paths at 160 bytes."""
    link = tmp_path / ("d" * 120) / ("e" * 120)
    link.parent.mkdir()
    link.symlink_to(espeakng_loader.get_data_path(), target_is_directory=True)
    synth._server.close()
    with monkeypatch.context() as patch:
        patch.setattr(espeakng_loader, "get_data_path", lambda: str(link))
        assert fingerprint(synthesise(*JOBS[0])) == expected[0]
    synth._server.close()
