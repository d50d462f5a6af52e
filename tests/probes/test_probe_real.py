"""Real speech: the TIMIT sample, MFCC, against scikit-learn on the same frames."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import load_dataset
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import builders  # noqa: F401  makes the corpus known to load_dataset
import features
from probes import probe
from probes.frames import frame_table
from probes.linear import fit
from probes.splits import make_splits
from probes.tables import counted_rows, plain


@pytest.fixture(scope="module")
def table(shared_data):
    timit = load_dataset("builders/timit", data_dir=str(shared_data("timit_nltk_sample")), split="train")
    return features.encode(timit, "mfcc")


def test_accuracy_equals_scikit_learn_within_half_a_point(table):
    rows, note = counted_rows(table, "phones", keep_sa=False)
    assert (len(rows), note) == (80, "SA sentences left out")
    frames = frame_table(table, "mfcc.mfcc", rows=rows, max_frames=80)
    fold = make_splits([plain(table, "id")[r] for r in rows], [plain(table, "speaker_id")[r] for r in rows]).folds[0]
    train, validation, test = (
        np.isin(frames.utterance, rows[part]) for part in (fold.train, fold.validation, fold.test)
    )
    ours = fit(frames, np.flatnonzero(train), np.flatnonzero(validation), refit=False)
    scaler = StandardScaler().fit(frames.values[train].astype(np.float64))
    peer = LogisticRegression(C=1 / (ours.decay * train.sum()), max_iter=2000)
    peer.fit(scaler.transform(frames.values[train].astype(np.float64)), frames.labels[train])
    theirs = peer.score(scaler.transform(frames.values[test].astype(np.float64)), frames.labels[test])
    assert (ours.predict(frames.values[test]) == frames.labels[test]).mean() == pytest.approx(theirs, abs=0.005)


def test_mfcc_lie_where_published_figures_do(table):
    results = probe(table, max_frames=60, progress=False).to_pandas().query("metric == 'accuracy'").set_index("encoder")
    # Single MFCC frames: 39.7 % (41 classes, LibriSpeech, van den Oord 2018), 45.8 % (NTU ML2022 HW2, 41 classes).
    assert 0.38 < results.value["mfcc"] < 0.55
    assert 0.20 < results.value["majority"] < 0.27  # silence and closures
    assert results.ci_low["mfcc"] > results.value["majority"]
    assert (results.split["mfcc"], results.folds["mfcc"], results.test_speakers["mfcc"]) == ("folds", 5, 10)
