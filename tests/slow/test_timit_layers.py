"""The whole way on real speech with real weights: the figures that the literature and earlier runs lead us to expect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from datasets import load_dataset

import features
import probes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def accuracies(shared_data: Callable[[str], Path]) -> pd.Series:
    table = load_dataset("builders/timit", data_dir=str(shared_data("timit_nltk_sample")))["train"]
    whisper = str(shared_data("whisper_tiny_en"))
    table = features.encode(table, "log_mel")
    table = features.encode(table, "mfcc")
    table = features.encode(table, whisper, layers=["conv", "block3", "norm"])
    table = features.encode(table, whisper, layers=["conv", "block3", "norm"], init="random")
    found = probes.probe(table, tier="phones", progress=False).to_pandas()
    found = found[found["metric"] == "accuracy"]
    return found.set_index(["encoder", "init", "layer"])["value"]


def test_trained_layers_lie_near_an_independent_linear_probe(accuracies: pd.Series) -> None:
    # scikit-learn on another split of the same speakers: conv .574, block3 .787, norm .776
    for layer, expected in {"conv": 0.574, "block3": 0.787, "norm": 0.776}.items():
        assert accuracies["whisper_tiny_en", "trained", layer] == pytest.approx(expected, abs=0.04), layer


def test_random_layers_lie_near_an_independent_linear_probe(accuracies: pd.Series) -> None:
    # another draw of the weights: conv .478, block3 .379, norm .372
    for layer, expected in {"conv": 0.478, "block3": 0.379, "norm": 0.372}.items():
        assert accuracies["whisper_tiny_en", "random0", layer] == pytest.approx(expected, abs=0.05), layer


def test_acoustic_baselines_lie_where_single_frames_do(accuracies: pd.Series) -> None:
    # MFCC, single frame: .40 (41 phones, CPC) to .46 (course benchmark) on LibriSpeech, .51 (61 classes) on TIMIT;
    # log-mel .487 on this sample by scikit-learn.
    assert 0.42 < accuracies["log_mel", "none", "mel"] < 0.55
    assert 0.42 < accuracies["mfcc", "none", "mfcc"] < 0.62
