"""MLP, MLP with context, and mixed layers: windows by hand, what only they can learn, saving, options."""

from __future__ import annotations

import json

import numpy as np
import pytest

from probes import ProbeError, probe
from probes.context import ContextProbe, windows
from probes.examples import Examples
from probes.frames import FrameTable
from probes.mixing import fit as fit_mixing
from probes.mlp import fit as fit_mlp
from probes.network import NetworkProbe, moments
from probes.options import checked, options_of, read
from probes.outcome import answers
from tests.probes.probe_tables import clouds, speech, with_column

FAST = {"epochs": 6, "batch": 64}


def rings(count=1200, classes=2, seed=0):
    """Return frames of two classes, one around the other: no plane parts them."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, count)
    angle = draw.uniform(0, 2 * np.pi, count)
    radius = 1 + 2 * labels + 0.2 * draw.normal(size=count)
    values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
    who = np.arange(count) % 4
    return FrameTable(values, labels, who, who, ("in", "out"), tuple("abcd"))


def parts(table):
    return tuple(np.flatnonzero(mask) for mask in (table.speaker < 2, table.speaker == 2, table.speaker == 3))


def hit(trained, table, which):
    return (answers(trained, table, which) == table.labels[which]).mean()


def test_hidden_layers_learn_what_no_plane_parts():
    table = rings()
    train, validation, test = parts(table)
    for activation, batch_norm in [("relu", True), ("gelu", False)]:
        trained = fit_mlp(
            table, train, validation, hidden=(32,), activation=activation, batch_norm=batch_norm, epochs=20, rate=1e-2
        )
        assert hit(trained, table, test) > 0.98
    assert hit(fit_mlp(table, train, validation, hidden=(), dropout=0.0, epochs=5), table, test) < 0.65


def test_seeds_repeat_and_a_saved_probe_answers_the_same(tmp_path):
    table = rings(400)
    train, validation, test = parts(table)
    options = {"hidden": (16, 8), "epochs": 3, "details": {"column": "toy.l0"}}
    first, again, other = (fit_mlp(table, train, validation, seed=seed, **options) for seed in (1, 1, 2))
    logits = [np.asarray(one.model(first.model.layers[0].weight[:5, :])) for one in (first, again, other)]
    assert np.array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])
    first.save(tmp_path / "a" / "probe")
    loaded = NetworkProbe.load(tmp_path / "a" / "probe")
    assert np.array_equal(loaded.predict(table.values[test]), first.predict(table.values[test]))
    assert (loaded.classes, loaded.details["column"]) == (("in", "out"), "toy.l0")
    with pytest.raises(ProbeError, match="expects"):
        loaded.predict(np.zeros((3, 5)))


def hand_made():
    """Return two utterances of 3 and 2 frames of width 2, all but the second frame labelled."""
    values = np.array([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50]], dtype=np.float32)
    place = np.array([0, 2, 3, 4])
    spans = np.array([[0, 0], [0, 3], [3, 5]])  # the table's first row is not looked at
    utterance = np.array([1, 1, 2, 2])
    return FrameTable(values, np.array([0, 1, 0, 1]), utterance, utterance, ("a", "b"), (), None, place, spans)


def test_windows_by_hand():
    table = hand_made()
    zero, one = np.zeros(2, np.float32), np.ones(2, np.float32)
    found = windows(table, np.arange(4), 1, zero, one)
    assert found.tolist() == [
        [0, 0, 1, 10, 2, 20],  # the unlabelled frame is part of the window
        [2, 20, 3, 30, 0, 0],  # the next utterance is not
        [0, 0, 4, 40, 5, 50],
        [4, 40, 5, 50, 0, 0],
    ]
    wide = windows(table, np.array([3]), 3, zero, one)
    assert wide.tolist() == [[0, 0, 0, 0, 4, 40, 5, 50, 0, 0, 0, 0, 0, 0]]
    scaled = windows(table, np.array([1]), 1, np.array([1, 10], np.float32), np.array([2, 5], np.float32))
    assert scaled.tolist() == [[0.5, 2, 1, 4, 0, 0]]  # padding is zero after standardisation
    assert windows(table, np.array([2]), 0, zero, one).tolist() == [[4, 40]]
    mean, scale = moments(table, np.array([0, 1]))
    assert mean.tolist() == [2, 20] and scale.tolist() == [1, 10]  # of labelled train frames: 1 and 3


def test_windows_equal_padding_each_utterance_by_itself():
    table, truth = speech(speakers=2, utterances=3)
    values = clouds(truth)
    found = Examples().table(with_column(table, values, dtype="float32"), "toy.l0", np.arange(6), context=True)
    own = windows(found, np.arange(len(found.labels)), 4, np.zeros(8, np.float32), np.ones(8, np.float32))
    for row, matrix in enumerate(values):
        padded = np.pad(matrix.astype(np.float32), ((4, 4), (0, 0)))
        expected = [padded[t : t + 9].ravel() for t in range(len(matrix))]
        assert np.array_equal(own[found.utterance == row], expected)


def test_context_finds_what_stands_beside_the_frame(tmp_path):
    # The label of a frame is shown two frames later only.
    table, truth = speech(speakers=4, utterances=6)
    shifted = [np.roll(classes, 2) for classes in truth]
    table = with_column(table, clouds(shifted, width=4))
    options = {"hidden": (32,), "context": 2, **FAST, "rate": 1e-2}
    found = probe(
        table, probe="context", option=options, folds=2, max_frames=40, save_probes=tmp_path, progress=False, draws=20
    )
    alone = probe(table, probe="mlp", option={"hidden": (32,), **FAST}, folds=2, progress=False, draws=20)
    best, least = (r.to_pandas().query("metric == 'accuracy' and encoder == 'toy'").iloc[0] for r in (found, alone))
    assert best.value > 0.9 > least.value + 0.1
    assert best.n_test == 4 * 6 * 40
    kept = json.loads(best.options)
    assert (kept["context"], kept["hidden"], kept["dropout"]) == (2, [32], 0.25) and 1 <= kept["epoch"] <= 6
    loaded = ContextProbe.load(tmp_path / "toy.l0.fold1")
    assert (loaded.settings["context"], loaded.details["card"]["layer"]) == (2, "l0")
    with pytest.raises(ProbeError, match="needs examples='frames'"):
        probe(table, probe="context", examples="segments", progress=False)


def test_mixing_puts_its_weight_on_the_layer_that_knows():
    table, truth = speech(speakers=4, utterances=6)
    for place, (layer, known) in enumerate([("low", 0.0), ("mid", 1.0), ("top", 0.0)]):
        values = clouds(truth, known=known, seed=place)
        table = with_column(table, values, encoder="net", layer=layer, init="trained", index=place)
    found = probe(table, probe="mixing", option={"epochs": 15, "batch": 64, "rate": 1e-2}, progress=False, draws=20)
    frame = found.to_pandas()
    weights = frame[frame.metric == "weight"]
    assert weights.layer.tolist() == ["low", "mid", "top"]
    assert weights.value.sum() == pytest.approx(1, abs=1e-5)
    assert weights.value.iloc[1] > 0.6
    own = frame.query("metric == 'accuracy' and encoder == 'net'")
    assert own.layer.tolist() == ["all"] and own.value.item() > 0.95
    assert "all" in str(found)


def test_mixing_needs_layers_of_one_width():
    table, truth = speech(speakers=3)
    for layer, width in (("low", 8), ("top", 9)):
        table = with_column(table, clouds(truth, width=width), layer=layer)
    with pytest.raises(ProbeError, match=r"different widths.*'low': 8, 'top': 9.*--layers"):
        probe(table, probe="mixing", progress=False)
    with pytest.raises(ProbeError, match="mixes layers"):
        fit_mixing(rings(100), *parts(rings(100))[:2])


def test_options_are_read_by_their_defaults():
    assert read(["hidden=512,256", "rate=0.01"]) == {"hidden": "512,256", "rate": "0.01"}
    text = {"hidden": "512,256", "rate": "0.01", "batch_norm": "false", "epochs": "3", "activation": "gelu"}
    expected = {"hidden": (512, 256), "rate": 0.01, "batch_norm": False, "epochs": 3, "activation": "gelu"}
    assert checked("mlp", fit_mlp, text) == expected
    assert checked("mlp", fit_mlp, {"hidden": ""}) == {"hidden": ()}
    assert not {"seed", "details", "table"} & set(options_of(fit_mlp))
    for wrong, message in [
        ({"width": "3"}, r"no option 'width': expected some of \['activation', 'batch'"),
        ({"epochs": "many"}, "epochs=many: expected a value like 40"),
        ({"batch_norm": "maybe"}, "like True"),
    ]:
        with pytest.raises(ProbeError, match=message):
            checked("mlp", fit_mlp, wrong)
    with pytest.raises(ProbeError, match="name=value"):
        read(["hidden"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "tanh"}, r"'tanh': expected one of \['relu', 'gelu'\]"),
        ({"dropout": 1.0}, "dropout"),
        ({"hidden": (0,)}, "widths above 0"),
        ({"epochs": 0}, "above 0"),
    ],
)
def test_options_that_make_no_sense(options, message):
    table = rings(100)
    with pytest.raises(ProbeError, match=message):
        fit_mlp(table, *parts(table)[:2], **options)
