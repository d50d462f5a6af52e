from __future__ import annotations

import os
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from datasets import load_dataset, load_dataset_builder

import builders  # noqa: F401  registers
from builders.__main__ import main
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.register import builder_class
from builders.vgs_analysis.clocks import layer_clock
from features import cards
from features.columns import matrices
from probes.frames import frame_table
from tests.corpora import vgs_analysis as vgs
from tests.corpora.archives import SUFFIXES, pack


def load(path: Path, *config: str, **options):
    return load_dataset("builders/vgs_analysis", *config, data_dir=str(path), **options)["train"]


def column(table, name: str) -> list[np.ndarray]:
    values, lengths = matrices(table, name, slice(0, len(table)))
    return np.split(values, np.cumsum(lengths)[:-1])


def assert_same(table, frames: tuple[int, ...] = vgs.FRAMES) -> None:
    """Check each number of the global table against the miniature."""
    wanted = vgs.tables(frames)
    names = {"vgs_mfcc.mfcc": wanted["global_input"]["audio"]}
    for mode, prefix in (("trained", "vgs"), ("random", "vgs.random666")):
        names |= {f"{prefix}.{layer}": arrays for layer, arrays in wanted[f"global_{mode}"].items()}
    assert list(cards(table)) == list(names)
    for name, arrays in names.items():
        for number, found in enumerate(column(table, name)):
            np.testing.assert_array_equal(found, np.atleast_2d(arrays[number]).astype(np.float32), err_msg=name)


@pytest.mark.parametrize("per_layer", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
def test_both_generations(tmp_path, per_layer, protocol):
    table = load(vgs.write(tmp_path, per_layer=per_layer, protocol=protocol))
    assert_same(table)
    assert table["text"] == list(vgs.TEXTS)
    assert table["ipa"] == list(vgs.IPA)


def test_row_by_hand(tmp_path):
    top = vgs.write(tmp_path)
    vgs.write_alignments(top)
    row = {name: value for name, value in load(top)[0].items() if "." not in name}
    spoken = [("phones", 0.03, 0.08, "ah"), ("words", 0.03, 0.08, "a"), ("phones", 0.1, 0.14, "ch"),
              ("phones", 0.14, 0.2, "ay"), ("words", 0.1, 0.2, "child")]  # fmt: skip
    found = [(s["tier"], s["start"], pytest.approx(s["end"]), s["label"]) for s in row.pop("segments")]
    assert found == spoken
    assert row == {
        "id": "1000268201_693b08cb0e_0.wav", "audio": None, "audio_path": "global_input.pkl", "offset": 0.0,
        "duration": 0.3, "text": "a child in pink", "speaker_id": None, "language": "en", "corpus": "vgs_analysis",
        "source": None, "ipa": vgs.IPA[0], "number": 0,
    }  # fmt: skip


def test_a_probe_can_use_it(tmp_path):
    top = vgs.write(tmp_path)
    vgs.write_alignments(top)
    table = frame_table(load(top), "vgs.conv")
    # Centres at 0.03, 0.05, 0.07 (ah), 0.11, 0.13 (ch), 0.15, 0.17, 0.19 (ay)
    assert [table.classes[code] for code in table.labels] == ["ah"] * 3 + ["ch"] * 2 + ["ay"] * 3
    np.testing.assert_array_equal(table.values, vgs.values("trainedconv", 0, 13, 64)[[0, 1, 2, 4, 5, 6, 7, 8]])
    frames = frame_table(load(top, "local", layer="rnn0"), "vgs.random666.rnn0")
    assert frames.values.shape == (1_200, 6)


def test_cards_tell_the_convolution(tmp_path):
    known = cards(load(vgs.write(tmp_path)))
    clocks = {name: (c.clock.hop, c.clock.offset, c.axis) for name, c in known.items() if "random" not in name}
    assert clocks == {"vgs_mfcc.mfcc": (160, 80, "frame"), "vgs.conv": (320, 480, "frame"),
                      "vgs.rnn0": (320, 480, "frame"), "vgs.rnn1": (320, 480, "frame"),
                      "vgs.att": (320, 480, "utterance")}  # fmt: skip
    assert [c.index for c in known.values()][1:4] == [0, 1, 2]
    for frames in vgs.FRAMES:
        assert known["vgs.conv"].clock.frames(frames * 160) == vgs.of_layer(frames)


def test_factors_of_another_model(tmp_path):
    from collections import OrderedDict

    half = {"pad": 1, "ksize": 3, "stride": 2}
    factors = OrderedDict(conv1=half, conv2=half, transf0=None)
    top = vgs.write(tmp_path)
    for mode in vgs.MODES:
        for layer in ("conv", "rnn0", "rnn1", "att"):
            (top / f"global_{mode}_{layer}.pkl").unlink()
        arrays = {"transf0": vgs.ragged([np.zeros((4, 5), np.float32)] * 3)}
        (top / f"global_{mode}_transf0.pkl").write_bytes(pickle.dumps(arrays, protocol=4))
    (top / "downsampling_factors.pkl").write_bytes(pickle.dumps(factors, protocol=4))
    card = cards(load(top))["vgs.transf0"]
    assert (card.clock.hop, card.clock.offset, card.index) == (640, 80, 2)
    assert layer_clock("conv1", factors)[:2] == (320, 80)


@pytest.mark.parametrize("form", ["list", "3-D", "object 3-D"])
def test_utterances_of_one_length(tmp_path, form):
    top = vgs.write(tmp_path)
    frames = (20, 20, 20)
    whole = {name: table for name, table in vgs.tables(frames).items() if name.startswith("global")}
    for name, table in whole.items():
        for key, arrays in table.items():
            if arrays.dtype == object:
                table[key] = list(arrays) if form == "list" else np.stack(list(arrays))
        if "input" in name:
            (top / f"{name}.pkl").write_bytes(pickle.dumps(table, protocol=4))
        for layer, arrays in table.items() if "input" not in name else ():
            (top / f"{name}_{layer}.pkl").write_bytes(pickle.dumps({layer: arrays}, protocol=4))
    if form == "object 3-D":  # what np.array(list, dtype=object) gives
        arrays = np.stack(list(vgs.tables(frames)["global_trained"]["rnn0"])).astype(object)
        (top / "global_trained_rnn0.pkl").write_bytes(pickle.dumps({"rnn0": arrays}, protocol=4))
    assert_same(load(top), frames)


@pytest.mark.parametrize("per_layer", [True, False])
@pytest.mark.parametrize("layer", ["mfcc", "conv", "rnn1"])
def test_local_frames(tmp_path, per_layer, layer):
    table = load(vgs.write(tmp_path, per_layer=per_layer), "local", layer=layer)
    wanted = vgs.tables()
    sources = {"vgs_mfcc.mfcc": wanted["local_input"]} if layer == "mfcc" else {
        "vgs." + layer: wanted["local_trained"][layer], f"vgs.random666.{layer}": wanted["local_random"][layer]
    }  # fmt: skip
    assert list(cards(table)) == list(sources)
    for name, arrays in sources.items():
        found = frame_table(table, name)
        np.testing.assert_array_equal(found.values, arrays["features"].astype(np.float32))
        assert [found.classes[code] for code in found.labels] == arrays["labels"].tolist()
    hop = 160 if layer == "mfcc" else 320
    count = len(arrays["labels"])
    assert table["duration"] == [min(1_000, count - first) * hop / 16_000 for first in range(0, count, 1_000)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archives_give_the_same(tmp_path, suffix):
    assert_same(load(pack(vgs.write(tmp_path), tmp_path / f"vgs{suffix}")))


# What is wrong


class Harm:
    def __init__(self, *made):
        self.made = made

    def __reduce__(self):
        return self.made


DEEP = b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."
CLAIM = b"\x80\x04}\x8c\x05audio\x8e" + (10 << 30).to_bytes(8, "little") + b"xs."  # ten gigabytes that are not there
MEMO = b"\x80\x04}r" + b"\xff\xff\xff\x7f" + b"."  # a table of two thousand million places
SHARED = (
    b"\x80\x04]B" + (1 << 22).to_bytes(4, "little") + b"\0" * (1 << 22) + b"\x940("
    + 400 * (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01J\0\0\x40\0\x85"
               b"cnumpy\ndtype\n\x8c\x02u1\x89\x88\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89h\0tb")
    + b"e."
)  # 1.6 gigabytes out of the same four megabytes  # fmt: skip


@pytest.mark.parametrize("name", ["global_input.pkl", "global_random_rnn0.pkl"])
@pytest.mark.parametrize("attack", ["system", "deep", "claim", "memo", "shared"])
def test_harmful_pickles(tmp_path, name, attack):
    top = vgs.write(tmp_path)
    marker = tmp_path / "harmed"
    system = pickle.dumps({"audio_id": Harm(os.system, (f"touch {marker}",))}, protocol=4)
    data = {"system": system, "deep": DEEP, "claim": CLAIM, "memo": MEMO, "shared": SHARED}[attack]
    (top / name).write_bytes(data)
    tracemalloc.start()
    with pytest.raises(CorpusError) as caught:
        load(top)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    assert peak < 50_000_000


def test_torch_tensors_are_refused(tmp_path):
    top = vgs.write(tmp_path)
    (top / "global_trained_conv.pkl").write_bytes(b"\x80\x04}\x8c\x04convctorch._utils\n_rebuild_tensor_v2\n)Rs.")
    with pytest.raises(CorpusError, match=r"global_trained_conv\.pkl: the pickle names torch\._utils\._rebuild_tensor"):
        load(top)


def test_large_arrays_are_not_held(tmp_path):
    top = tmp_path / "x"
    top.mkdir()
    table = {"features": np.zeros((100_000, 64), np.float32), "labels": np.full(100_000, "ah")}
    for mode in vgs.MODES:
        (top / f"local_{mode}_conv.pkl").write_bytes(pickle.dumps({"conv": table}, protocol=4))
    builder = load_dataset_builder("builders/vgs_analysis", "local", data_dir=str(top), layer="conv")
    tracemalloc.start()
    row = builder.listing("train").slice(7, 1).to_pylist()[0]
    assert builder.cells(row)["vgs.conv"].shape == (1_000, 64)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000  # the file has 26 MB
    tracemalloc.stop()


def test_other_utterances_in_a_layer(tmp_path):
    top = vgs.write(tmp_path)
    arrays = vgs.tables()["global_random"]["rnn0"][:2]
    (top / "global_random_rnn0.pkl").write_bytes(pickle.dumps({"rnn0": arrays}, protocol=4))
    with pytest.raises(CorpusError, match=r"global_random_rnn0\.pkl: rnn0 has 2 utterances, global_input\.pkl 3"):
        load(top)


def test_a_layer_that_is_not_there(tmp_path):
    with pytest.raises(CorpusError, match="no layer 'rnn7'"):
        load(vgs.write(tmp_path), "local", layer="rnn7")


@pytest.mark.parametrize("change", ["none", "row", "column", "file"])
def test_verify_bites(tmp_path, monkeypatch, change, capsys):
    top = vgs.write(tmp_path)
    config = builder_class("vgs_analysis").BUILDER_CONFIGS[0]
    monkeypatch.setattr(config, "splits", {"train": Expected(3, 0.67 / 3600)})
    table = vgs.tables()["global_input"]
    if change == "row":
        table = {key: values[:2] for key, values in table.items()}
    if change == "column":
        table = {**table, "audio": table["text"], "text": table["audio"]}
    (top / "global_input.pkl").write_bytes(pickle.dumps(table, protocol=4))
    if change == "file":
        (top / "global_input.pkl").unlink()
    status = main(["verify", "vgs_analysis", "--data-dir", str(top), "--deep"])
    assert status == (0 if change == "none" else 2), capsys.readouterr()
