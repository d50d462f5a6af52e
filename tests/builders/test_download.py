"""Open corpora fetch their archives; checked against a server on this machine."""

from __future__ import annotations

import fnmatch
import hashlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from datasets import load_dataset
from huggingface_hub import constants

from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.download import Archive, fetch
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.register import builder_class, corpora
from builders.voxpopuli.voxpopuli import REVISION
from tests.corpora import ami, crema_d, fleurs, sep28k, voxconverse, voxpopuli
from tests.corpora.archives import pack, tar_of
from tests.corpora.sound import noise, riff

CONTENT = bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    content = CONTENT
    ranges: list[str | None]
    files: dict[str, bytes]  # what there is besides c.tar
    go_on: threading.Event | None = None  # the first answer stops half-way until then, or until the second request


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        content = {"/c.tar": self.server.content, **self.server.files}.get(self.path)
        if content is None:
            self.send_error(404)
            return
        first = int(wanted.removeprefix("bytes=").rstrip("-").split("-")[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        half = (first + len(content)) // 2
        self.wfile.write(content[first:half])
        if self.server.go_on is not None:
            if len(self.server.ranges) > 1:
                self.server.go_on.set()
            self.server.go_on.wait(60)
        self.wfile.write(content[half:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.ranges, server.files = [], {}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def archive_on(server: Server, name: str = "c.tar", **facts) -> Archive:
    return Archive(name, url=f"http://127.0.0.1:{server.server_port}/{name}", **facts)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def test_archive_is_fetched_once_and_checked(server, tmp_path):
    archive = archive_on(server, size=len(CONTENT), md5=md5(CONTENT))
    fetch([archive], tmp_path)
    fetch([archive], tmp_path)
    assert (tmp_path / "c.tar").read_bytes() == CONTENT
    assert server.ranges == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["c.tar"]


def test_interrupted_download_goes_on(server, tmp_path):
    (tmp_path / "c.tar.part").write_bytes(CONTENT[:70_000])
    fetch([archive_on(server, size=len(CONTENT), md5=md5(CONTENT))], tmp_path)
    assert (tmp_path / "c.tar").read_bytes() == CONTENT
    assert server.ranges == ["bytes=70000-"]


FETCH = """
import sys
from pathlib import Path
from builders.download import Archive, fetch
fetch([Archive("c.tar", url=sys.argv[1], md5=sys.argv[2] or None)], Path(sys.argv[3]))
"""


@pytest.mark.parametrize("checksum", ["", md5(CONTENT)], ids=["unchecked", "checked"])
def test_processes_that_want_the_same_file_wait_for_each_other(server, tmp_path, checksum):
    server.go_on = threading.Event()
    command = [sys.executable, "-c", FETCH, archive_on(server).url, checksum, str(tmp_path)]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as other,
    ):
        for process in (one, other):  # whichever came second says so
            threading.Thread(target=go_on_when_told, args=(process, server.go_on), daemon=True).start()
        assert (one.wait(120), other.wait(120)) == (0, 0)
    assert (tmp_path / "c.tar").read_bytes() == CONTENT
    assert server.ranges == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["c.tar"]


def go_on_when_told(process: subprocess.Popen, go_on: threading.Event) -> None:
    for line in process.stderr:
        if "is being fetched by another process" in line:
            go_on.set()


def test_a_disk_without_locks_is_no_obstacle(server, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr("builders.download.FileLock.acquire", refuse)
    fetch([archive_on(server, size=len(CONTENT), md5=md5(CONTENT))], tmp_path)
    assert (tmp_path / "c.tar").read_bytes() == CONTENT


def test_other_checksum_is_refused_and_nothing_has_the_final_name(server, tmp_path):
    with pytest.raises(CorpusError, match=r"c\.tar has MD5 \w+, expected 0123"):
        fetch([archive_on(server, md5="0123")], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sha256_and_size_are_checked(server, tmp_path):
    fetch([archive_on(server, sha256=hashlib.sha256(CONTENT).hexdigest())], tmp_path / "right")
    for facts, message in (({"sha256": "4567"}, r"has SHA-256 \w+, expected 4567"), ({"size": 5}, "has size 102400")):
        with pytest.raises(CorpusError, match=message):
            fetch([archive_on(server, **facts)], tmp_path / "wrong")
    assert list((tmp_path / "wrong").iterdir()) == []


def test_files_of_more_than_fifty_gigabytes_are_fetched(server, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", 100)
    fetch([archive_on(server, size=len(CONTENT))], tmp_path)
    assert (tmp_path / "c.tar").read_bytes() == CONTENT


def test_files_in_folders_of_which_some_lack(server, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between its tries
    server.files = {"/a.wav": b"one"}
    here = Archive("x/y/a.wav", url=archive_on(server, "a.wav").url, may_lack=True)
    lacks = Archive("x/b.wav", url=archive_on(server, "b.wav").url, may_lack=True)
    fetch([here, lacks], tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == ["x/y/a.wav"]
    assert "b.wav cannot be fetched" in caplog.text
    fetch([here, lacks], tmp_path)  # tried again, no more
    with pytest.raises(CorpusError, match=r"none of the 1 files can be fetched"):
        fetch([lacks], tmp_path)
    for url in ("http://127.0.0.1:9/gone.mp3", "ftp://127.0.0.1/a.mp3"):
        fetch([here, Archive("c.wav", url=url, may_lack=True)], tmp_path)


def test_names_do_not_leave_the_folder(server, tmp_path):
    for name in ("../c.tar", "/tmp/c.tar"):
        with pytest.raises(CorpusError, match="points out of the folder"):
            fetch([Archive(name, url=archive_on(server).url)], tmp_path)


def test_missing_archive_is_one_line_that_names_the_address(server, tmp_path):
    with pytest.raises(CorpusError, match=r"http://127\.0\.0\.1:\d+/gone\.tar cannot be fetched .* pass data_dir"):
        fetch([archive_on(server, "gone.tar")], tmp_path)
    assert not (tmp_path / "gone.tar").exists()


def test_larger_than_the_disk_is_said_before_anything_is_fetched(server, tmp_path):
    with pytest.raises(CorpusError, match=r"needs 1000000\.0 GB"):
        fetch([archive_on(server, size=10**15)], tmp_path)
    assert server.ranges == []


def test_offline_is_respected(server, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CorpusError, match="HF_HUB_OFFLINE"):
        fetch([archive_on(server)], tmp_path)


def test_corpus_without_data_dir_comes_from_its_address(server, tmp_path):
    wave = noise(8_000)
    server.content = tar_of(tmp_path / "made.tar", {"top/a.wav": riff(wave)}).read_bytes()

    class Open(CorpusBuilder):
        FACTS = Facts("t", "h", "l", "a", "c", archives=(archive_on(server),), root="^top/")
        BUILDER_CONFIGS = [CorpusConfig(name="default", splits={"train": Expected()})]
        DEFAULT_CONFIG_NAME = "default"

        def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
            yield from (Utterance(Path(name).stem, name) for name in files.names("*.wav"))

    builder = Open(cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    (row,) = builder.as_dataset("train")
    assert (row["id"], row["audio_path"], row["duration"]) == ("a", "a.wav", 0.5)


def test_address_of_the_corpus_and_patterns_of_the_configuration(server, tmp_path):
    server.content = tar_of(tmp_path / "made.tar", {"top/a.wav": riff(noise(8_000))}).read_bytes()

    class Open(CorpusBuilder):
        FACTS = Facts("t", "h", "l", "a", "c", archives=(Archive("c.tar"), Archive("d.tar")), root="^top/",
                      download=f"http://127.0.0.1:{server.server_port}/", version=2)  # fmt: skip
        BUILDER_CONFIGS = [CorpusConfig(name="default", splits={"train": Expected()}, archives=["c.*"])]
        DEFAULT_CONFIG_NAME = "default"

        def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
            yield from (Utterance(Path(name).stem, name) for name in files.names("*.wav"))

    builder = Open(cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare()
    assert [row["id"] for row in builder.as_dataset("train")] == ["a"]  # d.tar, which is not there, is not asked for


# Addresses of the corpora

OPEN = (
    "aishell1 aishell4 ami crema_d dns_noise esc50 fleurs free_spoken_digits fsd50k hifi_tts libri_light "
    "librispeech libritts libritts_r mls mls_english musan musdb18 nsynth ravdess sep28k speech_commands "
    "speechocean762 urbansound8k vocalset vocalsound voxconverse voxpopuli wham_noise"
).split()
ASK = {
    "crema_d": {"mp3"},
    "dns_noise": {"interspeech2020"},
    "sep28k": {"fluencybank"},
}  # configurations of theirs that no address is known for


def remote(name: str, config: str | None = None) -> list[Archive]:
    return object.__new__(builder_class(name))._remote(config)  # the constructor would fetch


@pytest.mark.parametrize(("name", "config", "addresses"), [
    ("librispeech", "mini", ["https://www.openslr.org/resources/31/train-clean-5.tar.gz",
                             "https://www.openslr.org/resources/31/dev-clean-2.tar.gz"]),
    ("libritts", "dev-clean", ["https://www.openslr.org/resources/60/dev-clean.tar.gz"]),
    ("aishell1", "default", ["https://www.openslr.org/resources/33/data_aishell.tgz",
                             "https://www.openslr.org/resources/33/resource_aishell.tgz"]),
    ("mls", "pl_1hr", ["https://dl.fbaipublicfiles.com/mls/mls_polish_opus.tar.gz"]),
    ("fleurs", "nb_no", ["https://storage.googleapis.com/xtreme_translations/FLEURS102/nb_no.tar.gz"]),
    ("vocalset", None, ["https://zenodo.org/records/1442513/files/VocalSet1-2.zip"]),
    ("ravdess", "song", ["https://zenodo.org/records/1188976/files/Audio_Song_Actors_01-24.zip"]),
    ("libri_light", "10min", ["https://dl.fbaipublicfiles.com/librilight/data/librispeech_finetuning.tgz"]),
    ("speech_commands", "v0.01.test_set",
     ["https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_test_set_v0.01.tar.gz"]),
    ("timit", "default", []),
    ("crema_d", "mp3", []),
])  # fmt: skip
def test_addresses_of_real_corpora(name, config, addresses):
    assert sorted(archive.url for archive in remote(name, config)) == sorted(addresses)


def test_corpora_that_fetch_themselves():
    assert [name for name in corpora() if builder_class(name).NEEDS_DATA and remote(name)] == OPEN


@pytest.mark.parametrize("name", OPEN)
def test_each_configuration_has_archives_with_an_address(name):
    builder = builder_class(name)
    names = [archive.name for archive in builder.FACTS.archives]
    assert len(set(names)) == len(names)
    for config in builder.BUILDER_CONFIGS:
        if config.name in ASK.get(name, ()):
            assert not remote(name, config.name)
            continue
        wanted = remote(name, config.name)
        assert wanted
        assert all(urlsplit(archive.url).scheme in ("http", "https") for archive in wanted)
        for pattern in config.fetched:
            assert any(fnmatch.fnmatch(archive.name, pattern) for archive in wanted), (config.name, pattern)


# The corpora that are fetched in two steps, or from several places: address (without its host) to content


def crema_d_remote(top: Path) -> dict[str, bytes]:
    raw, media = "/CheyneyComputerScience/CREMA-D/master/", "/media/CheyneyComputerScience/CREMA-D/master/"
    tables = {raw + path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*.csv")}
    return tables | {media + path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*.wav")}


def ami_remote(top: Path) -> dict[str, bytes]:
    manual = pack(top / "ami_public_manual_1.6.2", top.parent / "manual.zip").read_bytes()
    waves = {
        f"/ami/AMICorpusMirror/amicorpus/{path.name.split('.')[0]}/audio/{path.name}": path.read_bytes()
        for path in top.rglob("*.wav")
    }
    return {"/ami/AMICorpusAnnotations/ami_public_manual_1.6.2.zip": manual, **waves}


def sep28k_remote(top: Path) -> dict[str, bytes]:
    above = "/apple/ml-stuttering-events-dataset/main/"
    table = (top / "SEP-28k_episodes.csv").read_text()
    rows = [line.rsplit(", ", 3) for line in table.splitlines()]
    sounds = {urlsplit(url).path: (top / f"wavs/{show}/{episode}.wav").read_bytes() for _, url, show, episode in rows}
    return {above + path.name: path.read_bytes() for path in top.glob("*.csv")} | sounds


def voxpopuli_remote(top: Path) -> dict[str, bytes]:
    above = f"/datasets/facebook/voxpopuli/resolve/{REVISION}/"
    for shard in sorted(top.glob("data/*/*/*_part_*")):
        pack(shard, shard.with_name(f"{shard.name}.tar.gz"))
    found = [*top.rglob("*.json"), *top.rglob("*.tsv"), *top.rglob("*.tar.gz")]
    return {above + path.relative_to(top).as_posix(): path.read_bytes() for path in found}


def fleurs_remote(top: Path) -> dict[str, bytes]:
    archive = pack(top / "en_us", top.parent / "en_us.tar.gz")
    return {"/xtreme_translations/FLEURS102/en_us.tar.gz": archive.read_bytes()}


def voxconverse_remote(top: Path) -> dict[str, bytes]:
    zips = {"audio": "dev", "voxconverse_test_wav": "test"}
    return {
        **{f"/~vgg/data/voxconverse/data/voxconverse_{part}_wav.zip":
           pack(top / folder, top.parent / f"{part}.zip").read_bytes() for folder, part in zips.items()},
        "/joonson/voxconverse/archive/master.zip":
            pack(top / "voxconverse-master", top.parent / "master.zip").read_bytes(),
    }  # fmt: skip


@pytest.mark.parametrize(("name", "config", "write", "contents"), [
    ("ami", "ihm", ami.write, ami_remote),
    ("ami", "sdm_meetings", ami.write, ami_remote),
    ("crema_d", "wav", crema_d.write, crema_d_remote),
    ("fleurs", "en_us", fleurs.write, fleurs_remote),
    ("sep28k", "sep28k", lambda folder: sep28k.write(folder, form="episodes"), sep28k_remote),
    ("voxconverse", "default", voxconverse.write, voxconverse_remote),
    ("voxpopuli", "nl", voxpopuli.write_hub, voxpopuli_remote),
    ("voxpopuli", "en_accented", voxpopuli.write_hub, voxpopuli_remote),
])  # fmt: skip
def test_corpus_fetches_itself(name, config, write, contents, server, tmp_path, monkeypatch):
    top = write(tmp_path / "corpus")
    expected = load_dataset(f"builders/{name}", config, data_dir=str(top))
    server.files = contents(top)

    def here(archive: Archive) -> Archive:  # sizes and checksums are those of the real ones
        url = f"http://127.0.0.1:{server.server_port}{urlsplit(archive.url).path}"
        return replace(archive, url=url, size=None, md5=None, sha256=None)

    monkeypatch.setenv("PHONELAYERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("builders.corpus.fetch", lambda archives, to: fetch([here(one) for one in archives], to))
    found = load_dataset(f"builders/{name}", config, cache_dir=str(tmp_path / "tables"))
    lacks = {"HeStutters_1_0"}  # of SEP-28k, whose table of episodes has no address for it

    def facts(table) -> dict[str, list]:
        columns = ("id", "text", "speaker_id", "segments", "duration", "audio")
        rows = {split: sorted(zip(*(part[column] for column in columns), strict=True)) for split, part in table.items()}
        return {split: [row for row in part if row[0] not in lacks] for split, part in rows.items()}

    assert facts(found) == facts(expected)
    if name == "voxpopuli":
        other = {"nl": "en_accented", "en_accented": "/nl/"}[config]
        assert not [path for path in (tmp_path / "cache/downloads").rglob("*") if f"{other}" in str(path)]
