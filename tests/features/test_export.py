from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Value, load_dataset
from safetensors.numpy import load_file

import builders  # noqa: F401  registers
from builders.audio import decode
from features import open_table
from features.__main__ import main
from features.card import FeatureCard, cards
from features.clock import FrameClock
from features.columns import matrices
from features.export import file_name, pick_models, write_files
from features.manifests import TableError
from features.phone_text import IPA, arpabet, ipa, ipa_of_text
from features.pickle_stream import PickleStream
from features.vgs_export import index_of, labelled, phones_of
from features.vgs_mfcc import CLOCK, vgs_mfcc
from tests.corpora.manifest import manifest
from tests.corpora.sound import noise

WHISPER = str(Path(__file__).parent / "references" / "whisper_2x32")
VGS_CONV = FrameClock(hop=320, offset=480, field=960, padded=False)


@pytest.fixture(scope="module")
def timit(tmp_path_factory, request) -> Path:
    """Four sentences of TIMIT with log-mel features and those of a small Whisper, trained and random."""
    shared = request.getfixturevalue("shared_data")
    path = tmp_path_factory.mktemp("timit") / "table"
    part = load_dataset("builders/timit", data_dir=str(shared("timit_nltk_sample")))["train"].select([0, 1, 50, 99])
    DatasetDict(train=part).save_to_disk(str(path))
    for options in (["log_mel"], [WHISPER], [WHISPER, "--init", "random"]):
        assert main([str(path), "--encoder", *options]) == 0
    return path


def export(table: Path, out: Path, kind: str, *options: str) -> int:
    return main(["export", str(table), "--format", kind, "--out", str(out), *options])


def parts(table: Dataset, column: str) -> list[np.ndarray]:
    values, lengths = matrices(table, column, slice(0, len(table)))
    return np.split(values, np.cumsum(lengths)[:-1])


def read(path: Path) -> dict:
    return pickle.loads(path.read_bytes())


# The pickles


@pytest.mark.parametrize("generation", ["file-per-layer", "six-files"])
@pytest.mark.parametrize("boundaries", ["design", "published"])
def test_vgs_round_trip(timit, tmp_path, generation, boundaries):
    out = tmp_path / "vgs"
    options = ("--trained", "whisper_2x32", "--generation", generation, "--boundaries", boundaries)
    assert export(timit, out, "vgs", *options) == 0
    table = open_table(timit)["train"]
    whole, local = read(out / "global_input.pkl"), read(out / "local_input.pkl")
    assert list(whole) == ["audio_id", "ipa", "text", "audio"]
    assert [whole[key].dtype.kind for key in whole] == ["U", "U", "U", "O"]
    assert whole["audio_id"].tolist() == table["id"]
    assert whole["text"].tolist() == table["text"]
    for row, found in zip(table, whole["audio"], strict=True):
        np.testing.assert_array_equal(found, vgs_mfcc(decode(row["audio"])))
        assert found.dtype == np.float64
    assert (list(local), local["features"].dtype, local["labels"].dtype.kind) == (["features", "labels"], "<f8", "U")
    phones = [phones_of(row, None) for row in table]
    layers = ("conv", "block1", "block2", "norm")
    for mode, prefix in (("trained", "whisper_2x32"), ("random", "whisper_2x32.random0")):
        for layer in layers:
            name = f"{mode}_{layer}" if generation == "file-per-layer" else mode
            whole, local = read(out / f"global_{name}.pkl"), read(out / f"local_{name}.pkl")
            assert list(whole) == list(local) == ([layer] if generation == "file-per-layer" else list(layers))
            stored = [part.astype(np.float32) for part in parts(table, f"{prefix}.{layer}")]
            clock = cards(table)[f"{prefix}.{layer}"].clock
            chosen = [labelled(p, clock, len(s), boundaries) for p, s in zip(phones, stored, strict=True)]
            for found, wanted in zip(whole[layer], stored, strict=True):
                np.testing.assert_array_equal(found, wanted)
                assert found.dtype == np.float32
            wanted = np.concatenate([part[numbers] for part, (numbers, _) in zip(stored, chosen, strict=True)])
            np.testing.assert_array_equal(local[layer]["features"], wanted)
            assert local[layer]["labels"].tolist() == [label for _, labels in chosen for label in labels]
    assert_read_back(out, table)


def assert_read_back(out: Path, table: Dataset) -> None:
    """Check the corpus builder's view of the pickles against the table."""
    again = load_dataset("builders/vgs_analysis", data_dir=str(out))["train"]
    names = [name for name in cards(table) if name.startswith("whisper")]
    assert sorted(names) == sorted(set(cards(again)) - {"vgs_mfcc.mfcc"})
    for name in names:
        assert cards(again)[name].clock == cards(table)[name].clock
        for found, wanted in zip(parts(again, name), parts(table, name), strict=True):
            np.testing.assert_array_equal(found, wanted.astype(np.float32))
    assert again["ipa"] == read(out / "global_input.pkl")["ipa"].tolist()
    frames = load_dataset("builders/vgs_analysis", "local", data_dir=str(out), layer="block1")["train"]
    found = np.concatenate(parts(frames, "whisper_2x32.random0.block1"))
    file = next(path for path in (out / "local_random_block1.pkl", out / "local_random.pkl") if path.exists())
    np.testing.assert_array_equal(found, read(file)["block1"]["features"])


def test_again_from_the_pickles(timit, tmp_path):
    """A table of the pickles, exported, gives the same pickles."""
    assert export(timit, tmp_path / "one", "vgs", "--trained", "whisper_2x32") == 0
    again = load_dataset("builders/vgs_analysis", data_dir=str(tmp_path / "one"))["train"]
    there = open_table(timit)["train"]
    again = again.remove_columns("segments").add_column(
        "segments", there["segments"], feature=there.features["segments"]
    )
    DatasetDict(train=again).save_to_disk(str(tmp_path / "table"))
    options = ("--trained", "whisper_2x32", "--phone-set", "timit61")
    assert export(tmp_path / "table", tmp_path / "two", "vgs", *options) == 0
    for file in (tmp_path / "one").glob("*.pkl"):
        if file.name not in ("global_input.pkl", "local_input.pkl"):  # float32 in the table
            assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_a_model_without_random_weights(timit, tmp_path, capsys):
    assert export(timit, tmp_path / "x", "vgs", "--trained", "log_mel") == 0
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == [
        "cards.json", "export.json", "global_input.pkl", "global_trained_mel.pkl", "local_input.pkl",
        "local_trained_mel.pkl",
    ]  # fmt: skip
    assert "no random weights" in capsys.readouterr().out
    assert pick_models(open_table(timit)["train"], None, None) == ("whisper_2x32", "whisper_2x32.random0")


def test_an_interrupted_run_goes_on(timit, tmp_path):
    out = tmp_path / "x"
    options = ("--trained", "whisper_2x32", "--layers", "conv", "norm")
    assert export(timit, out, "vgs", *options) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "local_trained_norm.pkl").unlink()
    kept = (out / "global_random_conv.pkl").stat().st_mtime_ns
    assert export(timit, out, "vgs", *options) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert (out / "global_random_conv.pkl").stat().st_mtime_ns == kept
    assert export(timit, out, "vgs", "--trained", "whisper_2x32") == 2  # other options


# Frames of phones


def test_design_boundaries():
    phones = [(0.0, 0.02, "sil"), (0.02, 0.045, "aa"), (0.045, 0.05, "b"), (0.06, 9.0, "k")]
    clock = FrameClock(hop=160, offset=0, field=400, padded=True)
    numbers, labels = labelled(phones, clock, 8, "design")
    assert numbers.tolist() == [0, 1, 2, 3, 4, 6, 7]  # frame 5, at 0.05, lies in a gap
    assert labels == ["sil", "sil", "aa", "aa", "aa", "k", "k"]


@pytest.mark.parametrize(
    ("clock", "frames", "wanted"),
    [
        (CLOCK, 12, [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10]),  # 0.0-0.07 and 0.07-0.1: frame 7 is in both
        # (10 ms steps - 6) // 2 + 1: -2 at 0.0, 1 at 0.07, 3 at 0.1; those before the first count from the end
        (VGS_CONV, 4, [-2, -1, 0, 1, 1, 2, 3]),
        (VGS_CONV, 3, [-2, -1, 0, 1, 1, 2]),  # the last is out of range
        (FrameClock(hop=320, offset=0, field=1040, padded=True), 9, [0, 1, 2, 3, 4, 4, 5]),
    ],
)
def test_published_boundaries(clock, frames, wanted):
    numbers, labels = labelled([(0.0, 0.07, "aa"), (0.07, 0.1, "b")], clock, frames, "published")
    assert numbers.tolist() == wanted
    first = wanted.index(index_of(0.07, clock)) + 1
    assert labels == ["aa"] * first + ["b"] * (len(wanted) - first)


@pytest.mark.parametrize("milliseconds", range(0, 400, 7))
def test_published_index_is_the_convolutions(milliseconds):
    # The length that the analysis computes for ms // 10 input frames, kernel 6 and stride 2.
    assert index_of(milliseconds / 1000 + 1e-9, VGS_CONV) == (milliseconds // 10 - 6) // 2 + 1
    assert index_of(milliseconds / 1000 + 1e-9, CLOCK) == milliseconds // 10


# Phones


def test_ipa_by_hand():
    names = [arpabet(label, "timit61") for label in "h# sh iy hv ae dcl d y axr q tcl ao zh dx pau".split()]
    assert ipa(names) == "ʃihædjɚɔʒ_"
    assert ipa(arpabet(label, "arpabet") for label in ("HH", "AH0", "L", "OW1", "sil", "")) == "həlo"
    assert ipa(arpabet(label, "espeak_ipa") for label in ("h", "ə", "l", "oʊ")) == "həlo"
    assert len(IPA) == 39


def test_texts_without_phones(tmp_path, capsys):
    table = manifest({"a1": noise(8_000, 1)}, tmp_path / "t")
    DatasetDict(train=table).save_to_disk(str(tmp_path / "table"))
    assert main([str(tmp_path / "table"), "--encoder", "log_mel"]) == 0
    try:
        import phonemizer  # noqa: F401
    except ImportError:
        assert export(tmp_path / "table", tmp_path / "x", "vgs") == 2
        assert "install phonemizer" in capsys.readouterr().err
    else:
        assert ipa_of_text("hello", "en")


# Streams


def test_pickle_stream_is_a_pickle(tmp_path):
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    with (tmp_path / "x.pkl").open("wb") as file:
        stream = PickleStream(file)
        stream.texts("ids", ["a", "ɪb", ""], 3, 2)
        with stream.matrices("mats", 2):
            stream.matrix(matrix)
            stream.matrix(np.empty((0, 3)))
        with stream.table("local"):
            with stream.rows("features", 3, np.dtype(np.float32)) as rows:
                rows.add(matrix)
                rows.add(matrix[:0])
                rows.add(matrix[::-1])
            stream.texts("labels", [], 0, 0)
        stream.close()
    found = read(tmp_path / "x.pkl")
    assert (found["ids"].dtype, found["ids"].tolist()) == ("<U2", ["a", "ɪb", ""])
    assert [part.shape for part in found["mats"]] == [(2, 3), (0, 3)]
    np.testing.assert_array_equal(found["local"]["features"], np.concatenate([matrix, matrix[::-1]]))
    assert found["local"]["features"].flags.c_contiguous
    assert found["local"]["labels"].shape == (0,)
    assert (tmp_path / "x.pkl").read_bytes()[:2] == b"\x80\x04"


# Files


@pytest.mark.parametrize("kind", ["npy", "safetensors"])
def test_files(timit, tmp_path, kind):
    out = tmp_path / "x"
    assert export(timit, out, kind, "--layers", "mel", "conv") == 0
    table = open_table(timit)["train"]
    columns = ["log_mel.mel", "whisper_2x32.conv", "whisper_2x32.random0.conv"]
    lines = [json.loads(line) for line in (out / "features.jsonl").read_text().splitlines()]
    assert {(line["id"], line["column"]) for line in lines} == {(i, c) for i in table["id"] for c in columns}
    for line in lines:
        file = out / line["file"]
        found = np.load(file) if kind == "npy" else load_file(file)[line["tensor"]]
        wanted = parts(table, line["column"])[table["id"].index(line["id"])]
        np.testing.assert_array_equal(found, wanted)
        assert (line["shape"], line["dtype"]) == (list(wanted.shape), "float16")
        card = cards(table)[line["column"]]
        assert (line["encoder"], line["layer"], line["clock"]) == (card.encoder, card.layer, card.clock.to_dict())
    assert len(list(out.rglob(f"*.{kind}"))) == len(table) * (3 if kind == "npy" else 1)


def test_files_that_are_there_stay(timit, tmp_path):
    out = tmp_path / "x"
    assert export(timit, out, "npy", "--encoders", "log_mel") == 0
    one, other, *_ = sorted(out.rglob("*.npy"))
    one.unlink()
    other.write_bytes(b"kept")
    before = (out / "features.jsonl").read_bytes()
    assert export(timit, out, "npy", "--encoders", "log_mel") == 0
    assert one.exists()
    assert other.read_bytes() == b"kept"
    assert (out / "features.jsonl").read_bytes() == before
    assert export(timit, out, "safetensors") == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("x")
    assert export(timit, tmp_path / "mine", "npy") == 2


def test_names_are_safe_and_different(tmp_path):
    names = ["a/b", "a%2Fb", "..", ".hidden", "a b", "ü", "x" * 300, "x" * 299 + "y", "C:\\x", "\n", "a\0", "~", "-a"]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert all(len(f.encode()) <= 200 and not f.startswith(".") and not set("/\\\0\n:") & set(f) for f in files)


def written(tmp_path, *ids):
    card = FeatureCard("toy", "none", "", 1, "x", 0, 2, "frame", VGS_CONV, "float32")
    kinds = Features({"id": Value("string"), "x": card.feature()})
    table = Dataset.from_dict({"id": list(ids), "x": [[[n, 0]] for n in range(len(ids))]}, features=kinds)
    path = write_files({"train": table}, {"train": {"x": card}}, tmp_path, "npy")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_ids_that_differ_in_case_only_have_files_that_do_not(tmp_path):
    lines = written(tmp_path, "a", "A", "b")
    assert [np.load(tmp_path / line["file"])[0, 0] for line in lines] == [0, 1, 2]
    assert len({line["file"].casefold() for line in lines}) == 3


def test_two_rows_of_one_id_are_refused(tmp_path):
    with pytest.raises(TableError, match=r"split 'train': 1 ids stand in several rows, such as 'a'"):
        written(tmp_path, "a", "b", "a")
    assert not (tmp_path / "features.jsonl").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("npy", "--layers", "conv9"), "no such features: the table has ['log_mel.mel'"),
        (("npy", "--split", "dev"), "has no split 'dev': expected one of ['train']"),
        (("vgs", "--trained", "wav2vec"), "the table has no features of 'wav2vec': expected one of ['log_mel'"),
        (("vgs", "--trained", "log_mel", "--layers", "x"), "log_mel has no layers ['x']: expected some of ['mel']"),
    ],
)
def test_what_is_not_there(timit, tmp_path, capsys, options, message):
    assert export(timit, tmp_path / "x", *options) == 2
    assert message in capsys.readouterr().err
