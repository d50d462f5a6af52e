from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.dns_noise.dns_noise import DNSNoise, describe
from builders.errors import CorpusError, TooManyBadFilesError
from tests.corpora import dns_noise
from tests.corpora.archives import pack, tar_of
from tests.corpora.rows import by_id
from tests.corpora.sound import pack_audio, riff


def load(path: Path, *config: str, **options):
    return by_id(load_dataset("builders/dns_noise", *config, data_dir=str(path), split="train", **options))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return dns_noise.write(tmp_path / "corpus")


def test_row_by_hand(top):
    rows = load(top)
    assert sorted(rows) == sorted(dns_noise.CLIPS)
    name = "breath_spit_Freesound_validated_106245_0"
    assert rows[name] == {
        "id": name, "audio": dns_noise.samples_of(name).tolist(), "audio_path": f"noise/{name}.wav", "offset": 0.0,
        "duration": 0.1, "text": None, "speaker_id": None, "language": None, "corpus": "dns_noise", "segments": [],
        "source": {"format": "WAV/PCM_16", "sampling_rate": 16000, "channels": 1}, "subset": "freesound",
        "category": "breath_spit", "youtube_id": None, "freesound_id": "106245",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stem", "labels"),
    [
        ("zzznDcamMpw", ("audioset", None, "zzznDcamMpw", None)),
        ("---1_cCGK4M", ("audioset", None, "---1_cCGK4M", None)),
        ("_0BIkbCBg2k", ("audioset", None, "_0BIkbCBg2k", None)),
        ("door_Freesound_validated_400275_12", ("freesound", "door", None, "400275")),
        ("squeak_squeakyChair_Freesound_validated_25_1", ("freesound", "squeak_squeakyChair", None, "25")),
        (
            "copy-machine_Freesound_validated_7043__someone__a title_3",
            ("freesound", "copy-machine", None, "7043"),
        ),
        ("ten_letter", (None, None, None, None)),
        ("twelve_chars", (None, None, None, None)),
        ("élevenchars", (None, None, None, None)),
    ],
)
def test_what_names_tell(stem, labels):
    found = describe(stem)
    assert tuple(found.get(name) for name in ("subset", "category", "youtube_id", "freesound_id")) == labels


# Variants


def test_folders_and_archives_give_the_same_rows(top, tmp_path):
    expected = load(top)
    assert load(top.parent) == load(top / "noise") == expected
    for suffix in (".tar.bz2", ".tar.gz", ".zip"):
        assert load(pack(top, tmp_path / f"x{suffix}")) == expected
    published = tmp_path / "archives"
    published.mkdir()
    pack(top, published / "datasets.noise.tar.bz2")
    tar_of(published / "datasets.impulse_responses.tar.bz2", {"datasets/impulse_responses/x.wav": b""})
    assert load(published) == expected


def test_challenge_one_is_a_clone_with_clean_speech_beside_it(top, tmp_path):
    clone = dns_noise.write(tmp_path, form="interspeech2020")
    assert load(clone, "interspeech2020") == load(top)
    archive = pack(clone / "datasets", tmp_path / "datasets-interspeech2020.tar.bz2")
    assert load(archive, "interspeech2020") == load(top)


@pytest.mark.parametrize("form", ["fullband", "fullband-bare"])
def test_fullband(tmp_path, form):
    top = dns_noise.write(tmp_path, form=form)
    rows = load(top, "fullband")
    assert sorted(rows) == sorted(dns_noise.CLIPS)
    row = rows["zzznDcamMpw"]
    assert (row["source"]["sampling_rate"], row["duration"]) == (48000, 0.1)
    assert row["audio_path"] == "noise_fullband/zzznDcamMpw.wav"
    with pytest.raises(CorpusError, match="no utterances of dns_noise"):
        load(top)  # not wideband


def test_fullband_from_several_archives(tmp_path):
    expected = load(dns_noise.write(tmp_path / "folder", form="fullband-bare"), "fullband")
    archives = tmp_path / "archives" / "noise_fullband"
    archives.mkdir(parents=True)
    for number, clips in enumerate((dns_noise.YOUTUBE[:1], dns_noise.YOUTUBE[1:])):
        members = {f"noise_fullband/{clip}.wav": riff(dns_noise.samples_of(clip, 48_000), 48_000) for clip in clips}
        tar_of(archives / f"datasets_fullband.noise_fullband.audioset_00{number}.tar.bz2", members)
    members = {f"noise_fullband/{clip}.wav": riff(dns_noise.samples_of(clip, 48_000), 48_000)
               for clip in dns_noise.FREESOUND}  # fmt: skip
    tar_of(archives / "datasets_fullband.noise_fullband.freesound_000.tar.bz2", members)
    assert load(archives, "fullband") == load(archives.parent, "fullband") == expected


# Published counts


@pytest.fixture
def published(monkeypatch) -> None:
    monkeypatch.setattr(DNSNoise.BUILDER_CONFIGS[0], "splits", {"train": Expected(7, 0.7 / 3600)})


def verify(top: Path, *options: str) -> int:
    return main(["verify", "dns_noise", "--data-dir", str(top), *options])


def test_published_counts():
    found = {config.name: config.splits["train"].utterances for config in DNSNoise.BUILDER_CONFIGS}
    assert found == {"wideband": None, "interspeech2020": 54_698 + 10_604, "fullband": None}


def test_whole_miniature_is_as_published(top, published):
    assert (verify(top), verify(top, "--deep")) == (0, 0)


# It bites


def test_removed_clip_is_missed(top, published):
    (top / "noise/---1_cCGK4M.wav").unlink()
    assert verify(top) == 1
    assert sorted(load(top)) == sorted({*dns_noise.CLIPS} - {"---1_cCGK4M"})


def test_renamed_clip_shows(top):
    (top / "noise/door_Freesound_validated_400275_12.wav").rename(top / "noise/fan_Freesound_validated_400275_12.wav")
    assert load(top)["fan_Freesound_validated_400275_12"]["category"] == "fan"


def test_pointers_of_git_lfs_are_told_apart_from_bad_audio(top, tmp_path, published, caplog):
    clone = dns_noise.write(tmp_path, form="interspeech2020", pointers=True)
    with pytest.raises(TooManyBadFilesError, match="Git LFS pointer, not the recording: run `git lfs pull`"):
        load(clone, "interspeech2020")
    (top / "noise/zzznDcamMpw.wav").write_text(dns_noise.POINTER)
    assert len(load(top, max_bad=0.5)) == 6
    assert "noise/zzznDcamMpw.wav: a Git LFS pointer" in caplog.text
    assert verify(top, "--deep") == 1


def test_odd_files(top, published, caplog):
    name = "zzznDcamMpw"
    clip = dns_noise.samples_of(name)
    expected = load(top)[name]["audio"]
    for samples, subtype in (
        (np.stack([clip] * 2, axis=1), "PCM_16"),
        (np.stack([clip] * 4, axis=1), "PCM_24"),
        (clip / 32768, "FLOAT"),
    ):
        (top / f"noise/{name}.wav").write_bytes(pack_audio(samples, subtype=subtype))
        np.testing.assert_allclose(load(top)[name]["audio"], expected, atol=1)
    (top / f"noise/{name}.wav").write_bytes(pack_audio(clip / 32768, subtype="PCM_U8"))
    np.testing.assert_allclose(load(top)[name]["audio"], expected, atol=256)  # what eight bits keep
    (top / f"noise/{name}.wav").write_bytes(riff(np.zeros(0, np.int16)))
    assert len(load(top, max_bad=0.5)) == 6
    assert "no samples" in caplog.text


@pytest.mark.parametrize(("config", "count", "host"), [("wideband", 1, "dns3public"), ("fullband", 9, "dnschallenge")])
def test_what_is_fetched(monkeypatch, config, count, host):
    wanted = []

    def fetch(archives, folder):
        wanted.extend(archives)
        raise CorpusError("enough")

    monkeypatch.setattr("builders.corpus.fetch", fetch)
    with pytest.raises(CorpusError, match="enough"):
        load_dataset("builders/dns_noise", config)
    assert len(wanted) == count
    assert all(host in archive.url and archive.url.endswith(f"/{archive.name}") for archive in wanted)


def test_configuration_that_is_not_fetched_says_where_to_get_it():
    with pytest.raises(CorpusError, match=r"dns_noise needs data_dir.*git-lfs"):
        load_dataset("builders/dns_noise", "interspeech2020")


def test_folder_of_something_else_says_where_to_get_it(tmp_path):
    (tmp_path / "x.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"no utterances of dns_noise .*DNS-Challenge"):
        load(tmp_path)
