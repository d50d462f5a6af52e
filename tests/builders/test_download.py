"""Open corpora fetch their archives; checked against a server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.download import Archive, fetch
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.register import builder_class
from tests.corpora.archives import tar_of
from tests.corpora.sound import noise, riff

CONTENT = bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    content = CONTENT
    ranges: list[str | None]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.path != "/c.tar":
            self.send_error(404)
            return
        content = self.server.content
        first = int(wanted.removeprefix("bytes=").rstrip("-").split("-")[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        self.wfile.write(content[first:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.ranges = []
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


def test_other_checksum_is_refused_and_nothing_has_the_final_name(server, tmp_path):
    with pytest.raises(CorpusError, match=r"c\.tar has MD5 \w+, expected 0123"):
        fetch([archive_on(server, md5="0123")], tmp_path)
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize(("name", "config", "address"), [
    ("librispeech", "mini", "https://www.openslr.org/resources/31/train-clean-5.tar.gz"),
    ("libritts", "dev-clean", "https://www.openslr.org/resources/60/dev-clean.tar.gz"),
    ("aishell1", "default", "https://www.openslr.org/resources/33/data_aishell.tgz"),
    ("timit", "default", None),
])  # fmt: skip
def test_addresses_of_real_corpora(name, config, address):
    kind = builder_class(name)
    found = [archive.url for archive in object.__new__(kind)._remote(config)]  # the constructor would fetch
    assert (address in found) if address else found == []
