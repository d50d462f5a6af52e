"""Pickled checkpoints: the tensors that torch saved, and nothing that a pickle might want to run."""

from __future__ import annotations

import collections
import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from features import torch_file
from features.encoders import load
from features.errors import CheckpointError
from features.torch_file import read_tensors

REFERENCES = Path(__file__).parent / "references"
HUBERT = REFERENCES / "hubert_2x32"


def archive(path, pickled, **storages):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickled)
        for key, values in storages.items():
            file.writestr(f"archive/data/{key[1:]}", values)
    return path


class Call:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def refused(path):
    with pytest.raises(CheckpointError) as caught:
        read_tensors(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    return str(caught.value)


def test_tensors_of_every_type_and_layout_are_those_that_torch_saved():
    ours, expected = read_tensors(REFERENCES / "tensors.bin"), np.load(REFERENCES / "tensors.npz")
    assert set(ours) == set(expected)
    for name, value in ours.items():
        assert value.dtype == expected[name].dtype, name
        np.testing.assert_array_equal(value, expected[name])


@pytest.mark.parametrize(
    "function, arguments",
    [
        (os.system, ("touch {marker}",)), (eval, ("open('{marker}', 'w')",)), (os.mkdir, ("{marker}",)),
        (io.open, ("{marker}", "w")), (getattr, (np, "load")), (collections.Counter, ("abc",)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_something_is_refused_before_it_does(tmp_path, function, arguments, protocol):
    marker = tmp_path / "marker"
    arguments = [a.format(marker=marker) if isinstance(a, str) else a.__name__ for a in arguments]
    pickled = pickle.dumps({"weight": Call(function, *arguments)}, protocol)
    path = archive(tmp_path / "pytorch_model.bin", pickled)
    assert "which is not admitted" in refused(path)
    assert not marker.exists()
    # The same bytes do run with an unpickler that admits everything: the test tests something.
    if function is os.mkdir:
        pickle.loads(pickled)
        assert marker.exists()


def test_names_with_dots_do_not_reach_past_the_list(tmp_path):
    pickled = b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93."
    assert "collections.OrderedDict.__init__, which is not admitted" in refused(archive(tmp_path / "a.bin", pickled))


def test_a_tensor_outside_of_its_storage_is_refused(tmp_path):
    good = (REFERENCES / "tensors.bin").read_bytes()
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        names = file.namelist()
        first = next(name for name in names if name.endswith("data/0"))
        short = {name: file.read(name)[: 8 if name == first else None] for name in names}
    with zipfile.ZipFile(tmp_path / "short.bin", "w") as file:
        for name, content in short.items():
            file.writestr(name, content)
    assert "storage 0 has 2 values, expected 24" in refused(tmp_path / "short.bin")


@pytest.mark.parametrize(
    "size, stride, expected",
    [((1 << 40,), (0,), "more values"), ((2,), (2,), "ends behind"), ((2,), (-1,), "not describ")],
)
def test_a_tensor_that_its_storage_cannot_hold_is_refused(size, stride, expected):
    storage = torch_file.Storage(np.zeros(2, np.float32), False)
    with pytest.raises(pickle.UnpicklingError, match=expected):
        torch_file.ADMITTED["torch._utils", "_rebuild_tensor_v2"](storage, 0, size, stride, False, None)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."])
def test_files_that_are_no_archives(tmp_path, content):
    (tmp_path / "old.bin").write_bytes(content)
    assert "not a file that torch 1.6 or newer saved" in refused(tmp_path / "old.bin")


@pytest.mark.parametrize("pickled", [b"", b".", b"\x80\x02K\x01.", b"\x80\x02]q\x00.", b"\x80\x02X\xff"])
def test_pickles_that_hold_no_state_dict(tmp_path, pickled):
    refused(archive(tmp_path / "odd.bin", pickled))


def test_an_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "other.bin", "w") as file:
        file.writestr("readme", "nothing")
    assert "without data.pkl" in refused(tmp_path / "other.bin")


def test_a_checkpoint_with_a_pickle_that_calls_is_not_loaded(tmp_path):
    folder = shutil.copytree(HUBERT, tmp_path / "copy")
    archive(folder / "pytorch_model.bin", pickle.dumps(Call(os.system, f"touch {tmp_path}/marker")))
    with pytest.raises(CheckpointError, match="which is not admitted"):
        load(str(folder))
    assert not (tmp_path / "marker").exists()


def test_sharded_pickles(tmp_path):
    folder = shutil.copytree(HUBERT, tmp_path / "copy")
    whole = load(str(folder)).encode(np.ones((1, 4000), np.float32), np.array([4000]), ["block2"])["block2"]
    (folder / "pytorch_model.bin").rename(folder / "pytorch_model-00001-of-00001.bin")
    names = dict.fromkeys(read_tensors(HUBERT / "pytorch_model.bin"), "pytorch_model-00001-of-00001.bin")
    (folder / "pytorch_model.bin.index.json").write_text(f'{{"weight_map": {names}}}'.replace("'", '"'))
    again = load(str(folder)).encode(np.ones((1, 4000), np.float32), np.array([4000]), ["block2"])["block2"]
    np.testing.assert_array_equal(again, whole)
    (folder / "pytorch_model-00001-of-00001.bin").unlink()
    with pytest.raises(
        CheckpointError, match=r"pytorch_model-00001-of-00001.bin: missing, but pytorch_model.bin.index"
    ):
        load(str(folder))
