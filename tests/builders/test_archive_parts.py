"""Archives in parts: cut anywhere, and zips that were split."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from builders.archives import open_source
from builders.errors import CorpusError, MemberError
from builders.files import Files
from tests.builders.test_archives import contents
from tests.corpora.archives import CONTENT, SUFFIXES, pack, split_zip, zip_of


def split(archive: Path, count: int, name: str) -> Path:
    """Cut an archive into parts ``<name>aa``, ``<name>ab``, ... in a folder of their own; return the first."""
    data = archive.read_bytes()
    size = -(-len(data) // count)
    folder = archive.parent / "parts"
    folder.mkdir()
    for number in range(count):
        (folder / f"{name}a{chr(97 + number)}").write_bytes(data[number * size : (number + 1) * size])
    return folder / f"{name}aa"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["corpus{}.part", "vox1_dev_wav_part"])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_parts_are_one_archive(folder, tmp_path, suffix, name, count):
    archive = pack(folder, tmp_path / f"corpus{suffix}")
    first = split(archive, count, name.format(suffix))
    assert contents(first) == contents(archive)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_missing_parts(folder, tmp_path, suffix):
    first = split(pack(folder, tmp_path / f"corpus{suffix}"), 4, f"corpus{suffix}.part")
    first.with_name(f"corpus{suffix}.partad").unlink()
    with pytest.raises(CorpusError, match="is damaged or truncated"):
        contents(first)
    first.with_name(f"corpus{suffix}.partab").unlink()
    with pytest.raises(CorpusError, match=r"partab is missing, corpus.*\.partac is there: fetch it"):
        contents(first)


def test_fingerprint_covers_all_parts(folder, tmp_path):
    first = split(pack(folder, tmp_path / "corpus.zip"), 3, "corpus.zip.part")
    before = open_source(first).fingerprint()
    last = first.with_name("corpus.zip.partac")
    os.utime(last, ns=(1, 1))
    assert open_source(first).fingerprint() != before


def test_parts_in_a_folder_are_found_by_the_first(folder, tmp_path):
    first = split(pack(folder, tmp_path / "corpus.tar.gz"), 3, "vox1_dev_wav_part")
    files = Files(first.parent, archives=["vox1_dev_wav_partaa"])
    assert len(files.sources) == 2  # the folder and the archive
    assert files.read("top/a/b/two.bin") == CONTENT["a/b/two.bin"]
    files.close()


# Split zips

SPANNING = {"a.bin": bytes(range(256)) * 8, "b/c.bin": bytes(reversed(range(256))) * 8, "d.txt": b"d"}


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("cuts", [1, 2, 3, 5, 9])
def test_split_zip_is_one_archive(tmp_path, cuts, compression):
    archive = tmp_path / "FSD50K.dev_audio.zip"
    with zipfile.ZipFile(archive, "w", compression) as packed:
        for name, data in SPANNING.items():
            packed.writestr(name, data)
    size = archive.stat().st_size
    split_zip(archive, [size * number // (cuts + 1) for number in range(1, cuts + 1)])
    assert len(list(tmp_path.iterdir())) == cuts + 1
    assert contents(archive) == SPANNING
    source = open_source(archive)
    positions = [member.position for member in source.scan()]
    assert positions == sorted(positions)
    assert positions[0] == 4  # behind the marker
    source.close()


@pytest.mark.parametrize("behind", [0, 10, 21])
def test_split_zip_whose_directory_is_cut(tmp_path, behind):
    archive = zip_of(tmp_path / "c.zip", SPANNING)
    directory = archive.read_bytes().index(b"PK\x01\x02") + 4
    split_zip(archive, [700, directory + behind])
    assert contents(archive) == SPANNING


@pytest.mark.skipif(shutil.which("zip") is None, reason="no `zip` here")
def test_split_zip_of_the_zip_command(tmp_path):
    members = {"a.bin": os.urandom(150_000), "b.bin": os.urandom(90_000), "c.txt": b"c"}
    for name, data in members.items():
        (tmp_path / name).write_bytes(data)
    subprocess.run(["zip", "-q", "-s", "64k", "c.zip", *members], cwd=tmp_path, check=True)
    assert len(list(tmp_path.glob("c.z*"))) == 4
    assert contents(tmp_path / "c.zip") == members


def test_split_zip_of_which_a_part_is_missing(tmp_path):
    archive = split_zip(zip_of(tmp_path / "c.zip", SPANNING), [1000, 2000])
    before = open_source(archive).fingerprint()
    os.utime(tmp_path / "c.z02", ns=(1, 1))
    assert open_source(archive).fingerprint() != before
    (tmp_path / "c.z02").rename(tmp_path / "c.Z02")
    assert contents(archive) == SPANNING
    (tmp_path / "c.Z02").unlink()
    with pytest.raises(CorpusError, match=r"c\.zip is the last of 3 parts, and c\.z02 is not beside it: fetch"):
        contents(archive)


def test_damaged_part_of_a_split_zip_is_the_members_error(tmp_path):
    archive = split_zip(zip_of(tmp_path / "c.zip", SPANNING), [1000, 2000])
    source = open_source(archive)
    members = {member.name: member for member in source.scan()}
    source.close()
    part = tmp_path / "c.z02"
    part.write_bytes(bytes(len(part.read_bytes())))
    with pytest.raises(MemberError, match=r"a\.bin cannot be read"):
        source.open(members["a.bin"])
    assert source.open(members["d.txt"]).read() == b"d"
    source.close()
