"""Rows made of several stretches, of one channel, and with further audio columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from builders.audio import decode
from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from tests.corpora.sound import stem_mp4

RATE = 16_000
RAMP = np.arange(4 * RATE, dtype=np.int16) // 4  # every sample tells where it was


class Mixture(CorpusBuilder):
    """A corpus of one recording with a stem."""

    FACTS = Facts("t", "h", "l", "a", "c", channel="1", audio_columns=("bass", "drums"))
    BUILDER_CONFIGS = [CorpusConfig(name="default", splits={"train": Expected()})]

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        yield Utterance("whole", "mix.wav", audios={"bass": "bass.wav"})
        yield Utterance("parts", "mix.wav", parts=[(3.0, 3.5), (1.0, 1.25)])
        yield Utterance("left", "mix.wav", channel="0", start=1.0, end=2.0, audios={"bass": "bass.wav"})
        yield Utterance("no stem", "mix.wav", audios={"drums": "drums.wav"})


@pytest.fixture
def table(tmp_path: Path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    sf.write(folder / "mix.wav", np.stack([RAMP, -RAMP], axis=1), RATE, subtype="PCM_16")
    sf.write(folder / "bass.wav", RAMP // 2, RATE, subtype="PCM_16")
    builder = Mixture(data_dir=str(folder), max_bad=0.5, cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    rows = {row["id"]: row for row in builder.as_dataset("train")}
    return builder, rows


def pcm(cell) -> np.ndarray:
    return np.rint(decode(cell) * 32_768).astype(np.int16)


def test_parts_are_put_together_in_their_order(table):
    row = table[1]["parts"]
    expected = np.concatenate([-RAMP[3 * RATE : 3 * RATE + RATE // 2], -RAMP[RATE : RATE + RATE // 4]])
    assert np.array_equal(pcm(row["audio"]), expected)
    assert (row["offset"], row["duration"]) == (3.0, 0.75)


def test_row_overrides_the_channel_of_the_corpus(table):
    assert np.array_equal(pcm(table[1]["whole"]["audio"]), -RAMP)
    assert np.array_equal(pcm(table[1]["left"]["audio"]), RAMP[RATE : 2 * RATE])


def test_further_audio_is_cut_like_the_row_and_null_where_there_is_none(table):
    rows = table[1]
    assert np.array_equal(pcm(rows["whole"]["bass"]), RAMP // 2)
    assert np.array_equal(pcm(rows["left"]["bass"]), (RAMP // 2)[RATE : 2 * RATE])
    assert rows["parts"]["bass"] is rows["whole"]["drums"] is None


def test_further_audio_out_of_the_streams_of_one_member(tmp_path):
    class Stems(Mixture):
        def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
            both = {"bass": "mix.mp4", "drums": "mix.mp4"}
            yield Utterance("song", "mix.mp4", audios=both, streams={"bass": 2}, channel="mean")
            yield Utterance("part", "mix.mp4", audios=both, streams={"bass": 1}, channel="mean", end=0.25)

    folder = tmp_path / "corpus"
    folder.mkdir()
    sounds = [np.full((RATE, 2), level, np.int16) for level in (9000, 6000, 3000)]
    (folder / "mix.mp4").write_bytes(stem_mp4(sounds, RATE))
    builder = Stems(data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    found = {
        row["id"]: {name: np.median(pcm(row[name])) for name in ("audio", "bass", "drums")}
        for row in builder.as_dataset("train")
    }
    assert found["song"] == pytest.approx({"audio": 9000, "bass": 3000, "drums": 9000}, rel=0.02)
    assert found["part"] == pytest.approx({"audio": 9000, "bass": 6000, "drums": 9000}, rel=0.02)


def test_missing_stem_puts_the_row_into_quarantine(table):
    builder, rows = table
    assert sorted(rows) == ["left", "parts", "whole"]
    assert "drums.wav is listed" in builder.quarantine_file("train").read_text()


def test_long_recording_is_read_once_for_all_its_rows(tmp_path, monkeypatch):
    folder = tmp_path / "corpus"
    folder.mkdir()
    sf.write(folder / "mix.wav", np.stack([RAMP, -RAMP], axis=1), RATE, subtype="PCM_16")

    class Session(Mixture):
        def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
            for second in range(4):
                yield Utterance(str(second), "mix.wav", start=float(second), end=second + 1.0)

    reads: list[str] = []
    read = Files.read
    monkeypatch.setattr(Files, "read", lambda files, name: reads.append(name) or read(files, name))
    builder = Session(data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    assert reads == ["mix.wav"]
    assert [row["id"] for row in builder.as_dataset("train")] == ["0", "1", "2", "3"]
