"""Training a small encoder: what is learnt, what is held out, and going on after an interruption."""

from __future__ import annotations

import itertools
import json

import features  # noqa: F401  before MLX, which takes the BLAS that it finds

# isort: split
import mlx.core as mx
import numpy as np
import pytest
from datasets import DatasetDict, load_from_disk

from builders.errors import CorpusError
from features.__main__ import main
from features.encoders import load
from features.training.objective import Pairing, frames_loss, loss, recall_at_1
from features.training.pairs import Alphabet, Batch, Pairs, batches, hold_out, plain
from features.training.run import Options, Run
from features.vgs_network import Config
from tests.corpora.manifest import manifest
from tests.corpora.sound import tone

TINY = Config(conv_width=8, hidden_size=8, num_hidden_layers=1, attention_size=4, normalize=True)
WORDS = {"low": 300, "mid": 900, "high": 2700}
FAST = Options(epochs=3, batch_size=4, learning_rate=5e-3, seed=1)


def sentence(number):
    """Return three words out of three: 27 sentences."""
    names = list(WORDS)
    return [names[number // 9 % 3], names[number // 3 % 3], names[number % 3]]


def spoken(words, seed):
    draw = np.random.RandomState(seed)
    parts = [tone(WORDS[word] * draw.uniform(0.95, 1.05), draw.uniform(0.12, 0.2)) for word in words]
    return (np.concatenate(parts) * 8000 + draw.randn(sum(map(len, parts))) * 20).astype(np.int16)


def speech(folder, count=27):
    waves = {f"{chr(97 + n % 26)}{n}": spoken(sentence(n), n) for n in range(count)}
    table = manifest(waves, folder / "plain")
    texts = [" ".join(sentence(n)).title() + "." for n in range(count)]
    with_texts = table.remove_columns([c for c in ("text",) if c in table.column_names]).add_column("text", texts)
    return DatasetDict({"train": with_texts})


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return speech(tmp_path_factory.mktemp("speech"))


def losses(run):
    return [entry["loss"] for entry in run.position.history]


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(table, tmp_path):
    whole = Run(table, tmp_path / "whole", TINY, FAST)
    whole.train_on(told=list)
    first = Run(table, tmp_path / "cut", TINY, FAST)
    real, steps = first._batch, []

    def fourth_is_too_late(rows):
        real(rows)
        steps.append(rows)
        first.position.seconds = 100.0 * (len(steps) >= 8)  # in the second epoch

    first._batch = fourth_is_too_late
    told = []
    first.train_on(max_seconds=60, told=told.append)
    assert first.position.epoch == 1 and first.position.batch > 0
    assert told[-1].startswith("stopped after 100 s in epoch 2")
    again = Run(table, tmp_path / "cut", TINY, FAST)
    assert again.position == first.position
    again.train_on(told=list)
    np.testing.assert_allclose(losses(again), losses(whole), rtol=1e-4)
    weights = [load(str(tmp_path / name)).network.rnn["weight_hh_l0"] for name in ("whole", "cut")]
    np.testing.assert_allclose(np.array(weights[0]), np.array(weights[1]), atol=1e-4)


def test_losses_follow_the_seed(table, tmp_path):
    seeds = (1, 1, 2)
    found = []
    for number, seed in enumerate(seeds):
        run = Run(table, tmp_path / str(number), TINY, Options(epochs=1, batch_size=4, seed=seed))
        run.train_on(told=list)
        found.append(losses(run))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)
    assert abs(found[0][0] - found[2][0]) > 1e-4


def test_it_learns_and_loads_as_an_encoder(table, tmp_path):
    run = Run(table, tmp_path / "tones", Config(**{**vars(TINY), "hidden_size": 24}),
              Options(epochs=25, batch_size=8, learning_rate=5e-3))  # fmt: skip
    lines = []
    run.train_on(told=lines.append)
    assert len(lines) == 25 and lines[-1].startswith("epoch  25")
    assert losses(run)[-1] < 0.6 * losses(run)[0]
    encoder = load(str(tmp_path / "tones"))
    assert (encoder.name, encoder.init) == ("tones", "trained")
    wave = spoken(sentence(5), 3).astype(np.float32) / 32768
    ours = encoder.encode(wave[None], np.array([len(wave)]), ["att"])["att"][0, 0]
    batch = run.pairs.batch([5], run.alphabet)
    assert encoder.config == run.config and ours.shape == (48,)
    np.testing.assert_allclose(np.linalg.norm(np.array(run.model(batch)[0])), 1, atol=1e-5)


def test_first_weights_are_those_of_the_random_control(table, tmp_path):
    run = Run(table, tmp_path / "run", TINY, FAST)
    run._save()
    drawn = load(str(tmp_path / "run"), init="random", seed=FAST.seed)
    np.testing.assert_array_equal(
        np.array(load(str(tmp_path / "run")).network.rnn["weight_ih_l0"]), np.array(drawn.network.rnn["weight_ih_l0"])
    )


def test_a_run_begun_otherwise_and_a_folder_of_something_else(table, tmp_path):
    Run(table, tmp_path / "run", TINY, FAST)._save()
    with pytest.raises(CorpusError, match="batch_size was 4, is 8 now"):
        Run(table, tmp_path / "run", TINY, Options(batch_size=8, learning_rate=5e-3, seed=1))
    Run(table, tmp_path / "run", TINY, Options(epochs=99, batch_size=4, learning_rate=5e-3, seed=1))  # more is fine
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("")
    with pytest.raises(CorpusError, match="not a training run"):
        Run(table, tmp_path / "notes", TINY, FAST)


def test_a_state_half_written_is_not_there(table, tmp_path, monkeypatch):
    run = Run(table, tmp_path / "run", TINY, FAST)
    run._save()
    before = (tmp_path / "run" / "training.safetensors").read_bytes()

    def broken(file, *_):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(mx, "save_safetensors", broken)
    with pytest.raises(OSError, match="no space"):
        run._save()
    assert (tmp_path / "run" / "training.safetensors").read_bytes() == before
    assert {p.name for p in (tmp_path / "run").iterdir()} == {
        "training.safetensors",
        "model.safetensors",
        "config.json",
    }


def test_a_checkpoint_that_a_kill_left_behind_is_written_again(table, tmp_path):
    run = Run(table, tmp_path / "run", TINY, Options(epochs=1, batch_size=4, seed=1))
    run.train_on(told=str)
    model = tmp_path / "run" / "model.safetensors"
    trained = model.read_bytes()
    for left in (None, b"of the epoch before"):  # killed behind training.safetensors, which is written first
        model.unlink()
        if left:
            model.write_bytes(left)
        Run(table, tmp_path / "run", TINY, Options(epochs=1, batch_size=4, seed=1)).train_on(told=str)
        assert model.read_bytes() == trained


def test_no_text_is_trained_on_and_held_out():
    texts = {row: f"text {row // 3}" for row in range(90)}
    train, held = hold_out(texts)
    assert len(held) == 9 and not {texts[row] for row in train} & {texts[row] for row in held}
    longer = hold_out({row: f"text {row // 3}" for row in range(93)})[1]
    assert len(set(longer) & set(held)) >= 6  # nearly the same when the table grows


def test_batches_hold_every_utterance_once_and_depend_on_seed_and_epoch():
    rows = list(range(3, 40))
    seconds = {row: float(row % 7) for row in rows}
    found = list(batches(rows, seconds, 4, 0, 0))
    chosen = list(itertools.chain(*found))
    assert len(set(chosen)) == len(chosen) >= len(rows) - 1 and set(chosen) <= set(rows)
    assert all(1 < len(batch) <= 4 for batch in found)
    assert found == list(batches(rows, seconds, 4, 0, 0))
    assert found != list(batches(rows, seconds, 4, 0, 1)) and found != list(batches(rows, seconds, 4, 1, 0))


def test_rows_without_text_are_left_out_and_texts_are_plain(tmp_path):
    table = speech(tmp_path, 4)["train"].remove_columns("text")
    table = table.add_column("text", ["Ça va?\n«Oui»", None, "  ", "don't"])
    pairs = Pairs(table, TINY)
    assert pairs.texts == {0: "ça va oui", 3: "don't"}
    assert plain("A\u0301\u00a0b") == "\u00e1 b"
    alphabet = Alphabet(" ab")
    assert (alphabet.numbers("b z").tolist(), len(alphabet)) == ([4, 2, 1], 5)


def test_recall_counts_either_reading_of_a_text():
    eye = np.eye(3)
    assert recall_at_1(eye, np.array([0, 1, 2])) == 1.0
    assert recall_at_1(eye[[1, 0, 2]], np.array([0, 0, 2])) == 1.0
    assert recall_at_1(eye[[1, 0, 2]], np.array([0, 1, 2])) == pytest.approx(1 / 3)


def test_neighbours_do_not_move_a_vector_and_another_reading_is_no_wrong_choice(table):
    pairs, alphabet = Pairs(table["train"], TINY), Alphabet(" abcdefghijklmnopqrstuvwxyz")
    model = Pairing(TINY, len(alphabet))
    together, alone = model(pairs.batch([0, 13, 26], alphabet)), model(pairs.batch([13], alphabet))
    batch = pairs.batch([13], alphabet)
    real = (1, 1, int(batch.frames[0]))
    for many, one, count in zip(together, alone, real, strict=True):
        np.testing.assert_allclose(np.atleast_2d(many[1])[:count], np.atleast_2d(one[0])[:count], atol=1e-5)
    pairs.texts[13] = pairs.texts[0]
    twice = pairs.batch([0, 13], alphabet)
    assert twice.texts.tolist() == [0, 0]  # no other text to choose
    assert loss(model, twice).item() == pytest.approx(frames_loss(model(twice).picks, twice).item(), abs=1e-5)


def test_texts_to_be_tried_on_are_not_trained_on(table, tmp_path, capsys):
    run = Run(table, tmp_path / "run", TINY, FAST, without=["LOW low, low!", "nobody says this"])
    texts = set(run.pairs.texts.values())
    assert len(texts) == 26 and "low low low" not in texts
    assert set(run.train) | set(run.held) == set(run.pairs.texts)
    run._save()
    with pytest.raises(CorpusError, match="table was"):  # the same table, but another choice of it
        Run(table, tmp_path / "run", TINY, FAST)
    for name, part in (("all", table["train"]), ("tried", table["train"].select(range(9)))):
        DatasetDict({"train": part}).save_to_disk(str(tmp_path / name))
    command = ["train", "vgs", str(tmp_path / "all"), "--out", str(tmp_path / "ck"), "--max-seconds", "0",
               "--hidden-size", "8", "--layers", "1", "--without", str(tmp_path / "tried")]  # fmt: skip
    assert main(command) == 0
    assert "16 utterances to train on, 2 held out" in capsys.readouterr().out
    DatasetDict({"train": part.remove_columns("text")}).save_to_disk(str(tmp_path / "silent"))
    assert main([*command[:-1], str(tmp_path / "silent")]) == 2
    assert "texts to leave out" in capsys.readouterr().err


def test_frames_learn_characters(table, tmp_path):
    """Chance is the logarithm of the size of the alphabet, and the first weights are near it."""
    run = Run(table, tmp_path / "run", TINY, FAST)
    batch = run.pairs.batch(run.train[:8], run.alphabet)

    def value():
        return frames_loss(run.model(batch).picks, batch).item()

    before = value()
    for _ in range(30):
        run._batch(run.train[:8])
    assert value() < 0.7 * before


def test_a_text_that_is_too_long_for_its_utterance_teaches_nothing():
    batch = Batch(np.zeros((2, 1, 39)), np.array([2, 4]), np.array([[2, 3, 4], [2, 3, 4]], np.int32), np.array([3, 3]),
                  np.array([0, 1]))  # fmt: skip
    picks = mx.log(mx.softmax(mx.random.normal((2, 4, 6), key=mx.random.key(0)), axis=-1))
    alone = Batch(*(values[1:] for values in batch))
    assert frames_loss(picks, batch).item() == pytest.approx(frames_loss(picks[1:], alone).item(), abs=1e-6)
    none = Batch(*(values[:1] for values in batch))
    assert frames_loss(picks[:1], none).item() == 0


def test_the_command(table, tmp_path, capsys):
    table.save_to_disk(str(tmp_path / "table"))
    arguments = ["train", "vgs", str(tmp_path / "table"), "--out", str(tmp_path / "ck"), "--hidden-size", "8",
                 "--layers", "1", "--batch-size", "8"]  # fmt: skip
    assert main([*arguments, "--epochs", "1"]) == 0
    out = capsys.readouterr().out
    assert "24 utterances to train on, 3 held out" in out and "epoch   1" in out and "recall@1" in out
    assert main([*arguments, "--epochs", "2"]) == 0
    out = capsys.readouterr().out
    assert "going on after 1 epochs" in out and "epoch   2" in out and "epoch   1 " not in out
    assert json.loads((tmp_path / "ck" / "config.json").read_text())["hidden_size"] == 8
    assert main(["tables", "--encoder", str(tmp_path / "ck")]) == 2
    assert main([str(tmp_path / "table"), "--encoder", str(tmp_path / "ck"), "--layers", "rnn0", "att"]) == 0
    assert "ck.att" in capsys.readouterr().out
    empty = load_from_disk(str(tmp_path / "table"))["train"].select(range(1))
    DatasetDict({"train": empty}).save_to_disk(str(tmp_path / "one"))
    assert main(["train", "vgs", str(tmp_path / "one"), "--out", str(tmp_path / "ck2")]) == 2
    assert "1 utterances with a text" in capsys.readouterr().err
