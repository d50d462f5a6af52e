from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.ami.ami import timed
from builders.ami.meetings import described, split_of
from builders.audio import decode
from builders.errors import CorpusError
from builders.nxt import Token
from builders.rttm import read_rttm
from tests.corpora import ami
from tests.corpora.archives import SUFFIXES, pack
from tests.corpora.references import lhotse_rows

PARTS = {"train": "train", "validation": "dev", "test": "test"}


def load(path: Path, config: str = "ihm", **options):
    return load_dataset("builders/ami", config, data_dir=str(path), **options)


def facts(tables) -> dict[str, list[dict]]:
    """Return the rows by split, by id, without their audio."""
    return {
        split: sorted(({k: v for k, v in row.items() if k != "audio"} for row in table), key=lambda row: row["id"])
        for split, table in tables.items()
    }


def tier(row: dict, name: str) -> list[tuple]:
    return [(s["start"], s["end"], s["label"], s["speaker"]) for s in row["segments"] if s["tier"] == name]


def pcm(row: dict) -> np.ndarray:
    return np.rint(decode(row["audio"]) * 32768).astype(np.int16)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return ami.write(tmp_path / "ami", meetings=["ES2011a", "IS1009a", "ES2010d"])


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Path:
    return ami.write(tmp_path_factory.mktemp("all") / "ami")


# Turns


def test_turns_by_hand(home):
    rows = {row["id"]: row for row in facts(load(home))["validation"]}
    assert sorted(rows) == [
        f"ES2011a.{name}" for name in ("A.sync.12", "A.sync.3", "A.sync.8", "B.sync.14", "B.sync.5")
    ]
    assert rows["ES2011a.A.sync.8"] == {
        "id": "ES2011a.A.sync.8", "audio_path": "ES2011a.Headset-1.wav", "offset": 1.955, "duration": 1.145,
        "text": "The rem X_M_L_ café?", "speaker_id": "FEE041", "language": "en", "corpus": "ami",
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1},
        "gender": "female", "age": "23", "native_language": "English", "role": "PM", "meeting": "ES2011a",
        "site": "Edinburgh", "category": "scenario", "num_speakers": None,
        "segments": [
            {"tier": name, "start": start, "end": end, "label": label, "speaker": None, "score": None}
            for name, start, end, label in (
                ("words", 0.045, 0.295, "The"), ("words", 0.295, 0.545, "rem"), ("events", 0.545, 0.645, "disfmarker"),
                ("words", 0.645, 1.045, "X_M_L_"),
            )
        ],
    }  # fmt: skip
    assert [(rows[name]["text"], rows[name]["offset"]) for name in sorted(rows)] == [
        ("", 4.0), ("Okay.", 0.408), ("The rem X_M_L_ café?", 1.955), ("Bye", 5.5), ("Mm-hmm, yeah", 1.1),
    ]  # fmt: skip
    assert tier(rows["ES2011a.A.sync.12"], "events") == [(0.0, 0.5, "cough", None)]
    assert rows["ES2011a.B.sync.14"]["duration"] == 0.5  # the turn ends at 6.5 s, the recording at 6
    known = rows["ES2011a.B.sync.5"]
    assert (known["speaker_id"], known["gender"], known["age"], known["native_language"], known["role"]) == (
        "MEO042", "male", "31", "French", "ID",
    )  # fmt: skip


@pytest.mark.parametrize(("config", "stream"), [("ihm", None), ("sdm", "Array1-01"), ("mix", "Mix-Headset")])
def test_audio_is_that_of_the_microphone(home, config, stream):
    for row in load(home, config, split="validation"):
        named = stream or {"A": "Headset-1", "B": "Headset-0"}[row["id"].split(".")[1]]
        first = round(row["offset"] * 16_000)
        expected = ami.samples_of("ES2011a", named)[first : first + round(row["duration"] * 16_000)]
        np.testing.assert_array_equal(pcm(row), expected)


def test_headsets_with_two_equal_channels(home):
    rows = list(load(home, split="train"))
    assert {row["meeting"] for row in rows} == {ami.STEREO}
    assert {row["source"]["channels"] for row in rows} == {2}
    (row,) = (row for row in rows if row["id"].endswith("A.sync.12"))
    np.testing.assert_array_equal(pcm(row), ami.samples_of(ami.STEREO, "Headset-0")[64_000:72_000])


def test_what_only_the_letters_of_ids_say(everything):
    rows = {row["speaker_id"]: row for row in facts(load(everything))["test"]}
    assert (rows["MEE071"]["gender"], rows["MEE071"]["native_language"], rows["MEE071"]["age"]) == (
        "male",
        "English",
        None,
    )
    assert (rows["FEO072"]["gender"], rows["FEO072"]["native_language"], rows["FEO072"]["role"]) == (
        "female",
        None,
        None,
    )
    assert (rows["MEE071"]["category"], rows["MID001"]["site"]) == ("natural", "Idiap")
    assert described("MTD009PM") == {"gender": "male", "native_language": "Dutch"}
    assert described("ES2011a_A") == {}


def test_participant_without_a_name(home):
    path = next(home.rglob("meetings.xml"))
    path.write_text(path.read_text().replace(' global_name="MEO042"', ""))
    rows = {row["id"]: row for row in facts(load(home))["validation"]}
    assert (rows["ES2011a.B.sync.5"]["speaker_id"], rows["ES2011a.B.sync.5"]["gender"]) == ("ES2011a_B", None)


# Meetings


@pytest.mark.parametrize(("config", "stream"), [("sdm_meetings", "Array1-01"), ("mix_meetings", "Mix-Headset")])
def test_meetings_by_hand(home, config, stream):
    (row,) = load(home, config, split="validation")
    assert (row["id"], row["audio_path"], row["duration"]) == ("ES2011a", f"ES2011a.{stream}.wav", 6.0)
    assert (row["text"], row["speaker_id"], row["gender"], row["num_speakers"]) == (None, None, None, 2)
    assert tier(row, "speakers") == [
        (0.408, 1.55, "FEE041", "FEE041"), (1.1, 1.75, "MEO042", "MEO042"), (1.955, 3.1, "FEE041", "FEE041"),
        (4.0, 4.5, "FEE041", "FEE041"), (5.5, 6.5, "MEO042", "MEO042"),
    ]  # fmt: skip
    assert [(start, text) for start, _, text, _ in tier(row, "turns")] == [
        (0.408, "Okay."), (1.1, "Mm-hmm, yeah"), (1.955, "The rem X_M_L_ café?"), (4.0, ""), (5.5, "Bye"),
    ]  # fmt: skip
    assert tier(row, "words")[:2] == [(0.42, 0.99, "Okay", "FEE041"), (1.1, 1.4, "Mm-hmm", "MEO042")]
    assert [label for _, _, label, _ in tier(row, "events")] == ["laugh", "disfmarker", "cough"]
    np.testing.assert_array_equal(pcm(row), ami.samples_of("ES2011a", stream))


# Splits and layouts


def meetings_of(tables) -> dict[str, list[str]]:
    return {split: sorted(set(table["meeting"])) for split, table in tables.items()}


def test_partitions(everything):
    assert meetings_of(load(everything, "mix_meetings")) == {
        "train": ["ES2010d", "ES2014a", "IS1003b"], "validation": ["ES2011a"], "test": ["EN2002a", "IS1009a"],
    }  # fmt: skip
    assert meetings_of(load(everything, "mix_meetings", partition="full-corpus"))["test"] == [
        "EN2002a",
        "ES2014a",
        "IS1009a",
    ]
    assert meetings_of(load(everything, "mix_meetings", partition="scenario-only"))["test"] == ["ES2014a", "IS1009a"]
    with pytest.raises(CorpusError, match=r"unknown partition 'asr': expected one of \['full-corpus-asr'"):
        load(everything, "mix_meetings", partition="asr")


def test_meetings_without_the_array_are_left_out_where_it_is_needed(everything):
    assert meetings_of(load(everything, "sdm"))["train"] == ["ES2010d", "ES2014a"]
    assert meetings_of(load(everything, "ihm"))["train"] == ["ES2010d", "ES2014a", "IS1003b"]


@pytest.mark.parametrize("layout", ["lhotse", "kaldi", "flat"])
@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_layouts_and_archives_give_the_same_rows(home, tmp_path, layout, suffix):
    other = ami.write(tmp_path / layout, layout, ["ES2011a", "IS1009a", "ES2010d"])
    path = pack(other, tmp_path / f"x{suffix}") if suffix else other
    assert facts(load(path)) == facts(load(home))


def test_annotations_as_fetched(home, tmp_path):
    expected = facts(load(home))
    annotations = (home / "ami_public_manual_1.6.2").rename(tmp_path / "out")
    pack(annotations, home / "ami_public_manual_1.6.2.zip")
    assert facts(load(home)) == expected


# What is missing or broken


def test_meetings_without_any_recording_are_counted(home, caplog):
    for path in home.rglob("IS1009a.*.wav"):
        path.unlink()
    assert list(load(home)) == ["train", "validation"]
    assert "test: no recording of 1 meetings is there: left out" in caplog.text


def test_missing_headset_is_quarantined(home, caplog):
    next(home.rglob("ES2011a.Headset-0.wav")).unlink()
    assert {row["speaker_id"] for row in facts(load(home, max_bad=0.5))["validation"]} == {"FEE041"}
    assert "ES2011a.Headset-0.wav is listed in the metadata, but there is no such file" in caplog.text


def test_bites(home, caplog):
    expected = facts(load(home))["validation"]
    words = next(home.rglob("ES2011a.A.words.xml"))
    segments = next(home.rglob("ES2011a.A.segments.xml"))
    kept = words.read_bytes()
    words.write_bytes(kept.replace(b'starttime="0.42" endtime="0.99"', b'endtime="0.42" starttime="0.99"'))
    assert facts(load(home))["validation"] != expected
    words.write_bytes(kept.replace(b"ES2011a.A.words9", b"ES2011a.A.words99"))
    with pytest.raises(
        CorpusError, match=r"ES2011a\.A\.segments\.xml refers to ES2011a\.A\.words3\.\.ES2011a\.A\.words9, which"
    ):
        load(home)
    words.write_bytes(kept[:-20])
    with pytest.raises(CorpusError, match=r"words/ES2011a\.A\.words\.xml is no XML .*fetch it again"):
        load(home)
    words.write_bytes(kept)
    segments.unlink()
    assert {row["speaker_id"] for row in facts(load(home))["validation"]} == {"MEO042"}
    assert "ES2011a.A.segments.xml is not there: no turns of this speaker" in caplog.text


def test_without_annotations(home):
    for path in home.rglob("*.xml"):
        path.unlink()
    with pytest.raises(CorpusError, match=r"no utterances of ami \(ihm: train, validation, test\).*AMI is open: "):
        load(home)


# Independent readers


def words_of(rows: list[tuple[str, list]]) -> dict[str, list[tuple]]:
    found = defaultdict(list)
    for speaker, words in rows:
        found[speaker] += [(round(start, 4), round(end, 4), label) for start, end, label in words]
    return {speaker: sorted(words) for speaker, words in found.items()}


@pytest.mark.parametrize(("config", "microphone"), [("ihm", "ihm"), ("sdm", "sdm"), ("mix", "ihm-mix")])
@pytest.mark.parametrize("split", PARTS)
def test_the_same_words_as_lhotse(everything, config, microphone, split):
    rows = facts(load(everything, config))[split]
    theirs = lhotse_rows.load("ami")[f"{microphone}.{PARTS[split]}"]
    # Difference 1: lhotse leaves out the headsets of ES2010d, since they have two channels.
    rows = [row for row in rows if config != "ihm" or row["meeting"] != ami.STEREO]
    assert sorted({row["meeting"] for row in rows}) == [row["id"] for row in theirs["recordings"]]
    ours = words_of(
        (row["speaker_id"], [(row["offset"] + s, row["offset"] + e, label) for s, e, label, _ in tier(row, "words")])
        for row in rows
    )
    # 2: its rows end at full stops and at the first and last word; so words are compared, not rows. 3: punctuation and
    # words without times are in no row of it, nor are turns without words.
    assert ours == words_of(
        (row["speaker"], [(start, start + length, word) for start, length, word in row.get("words", ())])
        for row in theirs["supervisions"]
    )
    genders = {row["speaker"]: {"M": "male", "F": "female"}[row["gender"]] for row in theirs["supervisions"]}
    assert genders == {row["speaker_id"]: row["gender"] for row in rows}


def test_validation_meetings_are_those_of_the_published_list(shared_data):
    listed = (shared_data("ami_rttm") / "lists/dev.meetings.txt").read_text().split()
    assert len(listed) == 18
    assert {split_of(meeting, "full-corpus-asr") for meeting in listed} == {"validation"}


def test_turns_of_a_real_meeting_come_back(shared_data, tmp_path):
    path = shared_data("ami_rttm") / "only_words/rttms/dev/ES2011a.rttm"
    turns = list(read_rttm(path.read_text().splitlines(), path.name))
    names = sorted({turn.label for turn in turns})
    ami.write(tmp_path, meetings=["ES2011a"])
    top = tmp_path / "ami_public_manual_1.6.2"
    agents = {f"{chr(65 + number)}": (number, name, "PM") for number, name in enumerate(names)}
    ami.save(top, "corpusResources/meetings.xml", ami.meetings_xml({"ES2011a": agents}))
    for agent, (_, name, _) in agents.items():
        spoken = [(number, turn) for number, turn in enumerate(turns) if turn.label == name]
        words = "".join(f'<w nite:id="w{n}" starttime="{t.start}" endtime="{t.end}">x</w>\n' for n, t in spoken)
        parts = "".join(
            f'<segment nite:id="ES2011a.sync.{n}" transcriber_start="{t.start}" transcriber_end="{t.end}">'
            f'<nite:child href="ES2011a.{agent}.words.xml#id(w{n})"/></segment>\n'
            for n, t in spoken
        )
        ami.save(top, f"words/ES2011a.{agent}.words.xml", words)
        ami.save(top, f"segments/ES2011a.{agent}.segments.xml", parts)
    (row,) = load(tmp_path, "mix_meetings", split="validation")
    expected = sorted((turn.start, turn.end, turn.label, turn.label) for turn in turns)
    assert sorted(tier(row, "speakers")) == expected
    assert sorted((start, end, name, name) for start, end, _, name in tier(row, "words")) == expected
    assert row["num_speakers"] == 4


def test_words_outside_a_turn_or_without_length_have_no_segment():
    times = {"before": (1.0, 1.2), "cut": (1.9, 2.5), "reversed": (3.0, 2.5), "too": (3.9, 4.2), "behind": (5.0, 5.2)}
    tokens = [Token("", "w", start, end, word, False) for word, (start, end) in times.items()]
    assert [(s.start, s.end, s.label) for s in timed(tokens, 2.0, 4.0)] == [(0.0, 0.5, "cut"), (1.9, 2.0, "too")]
