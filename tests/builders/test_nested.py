"""Archives inside archives count as unpacked."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import pytest

from builders.errors import CorpusError, MemberError
from builders.files import Files
from builders.nested import Nested
from tests.corpora.archives import SUFFIXES, pack, tar_of


def nested(tmp_path: Path) -> Path:
    """Write ``data/wav/S1.tar.gz`` and ``data/wav/S2.tar.gz`` and a plain file; return ``data``."""
    data = tmp_path / "data"
    (data / "wav").mkdir(parents=True)
    (data / "words.txt").write_bytes(b"text")
    for speaker in ("S1", "S2"):
        members = {f"train/{speaker}/{number}.wav": f"{speaker}{number}".encode() for number in range(3)}
        tar_of(data / f"wav/{speaker}.tar.gz", {**members, "../evil": b"x", f"train/{speaker}/._x": b"x"})
    return data


INNER = {
    f"wav/train/{speaker}/{number}.wav": f"{speaker}{number}".encode()
    for speaker in ("S1", "S2")
    for number in range(3)
}
INNER["words.txt"] = b"text"


def members(path: Path) -> dict[str, bytes]:
    files = Files(path, archives=["wav/S*.tar.gz"], root=r"^(?:.*/)?(?=wav/)|^(?:.*/)?data/")
    found = {name: files.read(name) for name in files.names()}
    files.close()
    return found


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_tars_inside_count_as_unpacked(tmp_path, suffix):
    data = nested(tmp_path)
    assert members(pack(data, tmp_path / f"x{suffix}") if suffix else data) == INNER
    if not suffix:
        assert members(tmp_path) == INNER
        assert {**members(data / "wav"), "words.txt": b"text"} == INNER


def test_what_is_unpacked_already_goes_before_the_tar(tmp_path):
    data = nested(tmp_path)
    (data / "wav/train/S1").mkdir(parents=True)
    (data / "wav/train/S1/1.wav").write_bytes(b"mended")
    assert members(data) == {**INNER, "wav/train/S1/1.wav": b"mended"}


def test_tars_inside_are_read_one_after_the_other(tmp_path, monkeypatch):
    files = Files(pack(nested(tmp_path), tmp_path / "x.tar.gz"), archives=["wav/S*.tar.gz"])
    names = sorted((name for name in files.names("*.wav")), key=lambda name: files.place(name)[1])
    assert [name.split("/")[3] for name in names] == ["S1"] * 3 + ["S2"] * 3
    unpacked = []
    inflate = Nested._inflate
    monkeypatch.setattr(
        Nested, "_inflate", lambda self, tar, data: unpacked.append(tar.name) or inflate(self, tar, data)
    )
    for name in names:
        files.read(name)
    assert unpacked == ["data/wav/S1.tar.gz", "data/wav/S2.tar.gz"]
    again = pickle.loads(pickle.dumps(files))
    assert again.read(names[0]) == b"S10"
    files.close()
    again.close()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_damaged_tar_inside_is_named(tmp_path, share):
    data = nested(tmp_path)
    path = data / "wav/S2.tar.gz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CorpusError, match=r"wav/S2\.tar\.gz is damaged or truncated"):
        members(data)


def test_tar_inside_that_goes_away_is_the_members_error(tmp_path):
    data = nested(tmp_path)
    files = Files(data, archives=["wav/S*.tar.gz"])
    (name,) = files.names("*S2/1.wav")
    (data / "wav/S2.tar.gz").write_bytes(b"\x1f\x8bnothing")
    with pytest.raises(MemberError, match=r"S2/1\.wav cannot be read"):
        files.read(name)


def test_plain_and_joined_gzips_inside(tmp_path):
    data = nested(tmp_path)
    whole = gzip.decompress((data / "wav/S1.tar.gz").read_bytes())
    (data / "wav/S1.tar.gz").write_bytes(gzip.compress(whole[:700]) + gzip.compress(whole[700:]))
    (data / "wav/S2.tar.gz").write_bytes(gzip.decompress((data / "wav/S2.tar.gz").read_bytes()))
    assert members(data) == INNER
