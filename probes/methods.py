"""What was done, in sentences, from the columns of a results table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pandas as pd

from probes.results import ACOUSTIC, MAJORITY

# What differs from row to row; every other column is a setting.
MEASURED = {
    "encoder", "init", "layer", "layer_index", "metric", "value", "ci_low", "ci_high", "decay", "options", "spread",
    "other", "other_encoder", "other_init", "other_layer",
}  # fmt: skip
SPLITS = {
    "official": "the corpus' official splits",
    "speakers": "one split of the speakers into train, validation and test",
    "folds": "cross-validation over {folds} groups of speakers, in which each speaker is tested once",
    "utterance": "a split of the utterances of one speaker, whose voice is therefore in train and test",
    "published": "random halves as in the published code, with frames or speakers of one half in the other",
    "none": "none, nothing is trained",
}
CITATION = """@software{phonelayers,
  title = {phonelayers: encoder features per layer for speech corpora, and probes for each layer},
  version = {%s},
  year = {2026}
}"""
SOURCES = (
    "Chrupała, G., Higy, B., Alishahi, A. (2020). Analyzing analytical methods: The case of phonology in neural models "
    "of spoken language. ACL. (random weights beside trained ones, relative error reduction)",
    "Hewitt, J., Liang, P. (2019). Designing and interpreting probes with control tasks. EMNLP. (selectivity)",
    "Lee, K.-F., Hon, H.-W. (1989). Speaker-independent phone recognition using hidden Markov models."
    " IEEE TASSP 37(11). (the 39 classes)",
    "Efron, B., Tibshirani, R. (1993). An introduction to the bootstrap. Chapman & Hall. (intervals)",
)


def paragraph(frame: pd.DataFrame) -> str:
    """Return the methods of one probe and target as a paragraph.

    Parameters
    ----------
    frame : DataFrame
        Rows of a results table, of one probe and target.
    """
    said = [_what(frame), _splits(frame), _sizes(frame), _tuning(frame), _seeds(frame), _controls(frame)]
    said += ["Intervals hold 95 % of the values on test speakers resampled with replacement."] * _has(frame, "ci_low")
    said += [f"Notes: {'; '.join(notes)}."] if (notes := unique(frame, "note")) else []
    return " ".join(filter(None, said))


def settings(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return every setting with its values, and the options of the probe."""
    found = [(name, unique(frame, name)) for name in frame.columns if name not in MEASURED]
    options: dict[str, list[str]] = {}
    for text in unique(frame, "options"):
        for name, value in json.loads(text).items():
            options.setdefault(name, []).append(_shown(value))
    found += [(f"option {name}", list(dict.fromkeys(values))) for name, values in options.items()]
    found += [("decay chosen", [_shown(value) for value in sorted(unique(frame, "decay"))])]
    return [(name, _listed(values)) for name, values in found if values]


def unique(frame: pd.DataFrame, name: str) -> list[Any]:
    """Return the different values of a column in their order, without nulls and empty texts."""
    if name not in frame:
        return []
    return [value for value in frame[name].dropna().unique().tolist() if value != ""]


def _what(frame: pd.DataFrame) -> str:
    probe, target = frame.probe.iloc[0], frame.target.iloc[0]
    examples = next(iter(unique(frame, "examples")), "frames")
    classes = next(iter(unique(frame, "classes")), None)
    of = f" ({int(classes)} classes)" if classes else ""
    names = [name for name in unique(frame, "encoder") if name != MAJORITY]
    return f"The {probe} probe was run on the {examples} of each layer of {_listed(names)}, target {target}{of}."


def _splits(frame: pd.DataFrame) -> str:
    kinds = [SPLITS.get(kind, kind).format(folds=_listed(unique(frame, "folds"))) for kind in unique(frame, "split")]
    if not kinds:
        return ""
    speakers = f" ({_listed(unique(frame, 'test_speakers'))} test speakers)" if unique(frame, "test_speakers") else ""
    apart = unique(frame, "disjoint") == [True]
    end = " No speaker is in two of train, validation and test of a fold." if apart else ""
    return f"Splits: {_listed(kinds)}{speakers}, the same for every layer and encoder.{end}"


def _sizes(frame: pd.DataFrame) -> str:
    if not unique(frame, "n_test"):
        return ""
    if not unique(frame, "n_train"):
        return f"Examples: {_range(frame, 'n_test')} measured, none trained on."
    train, test = (f"{_range(frame, name)}" for name in ("n_train", "n_test"))
    return f"Examples: {train} to train on (mean over folds), {test} tested (all folds)."


def _tuning(frame: pd.DataFrame) -> str:
    if "published" in unique(frame, "split"):
        return "Hyper-parameters and epochs were chosen on the tested half, as in the published code."
    grids = {str(json.loads(text)["decays"]) for text in unique(frame, "options") if "decays" in json.loads(text)}
    grid = f" out of {_listed(sorted(grids))}" if grids else ""
    chosen = sorted(unique(frame, "decay"))
    if not chosen:
        return ""
    span = _shown(chosen[0]) if len(chosen) == 1 else f"{_shown(chosen[0])} to {_shown(chosen[-1])}"
    return (
        f"The weight decay was chosen on validation{grid} (chosen: {span}, geometric mean over folds); "
        "test examples were used once."
    )


def _seeds(frame: pd.DataFrame) -> str:
    first, several = unique(frame, "seed"), unique(frame, "seeds")
    if not first:
        return ""
    many = f", {_listed(several)} seeds from there on" if several and several != [1] else ""
    return f"Seed {_listed(first)}{many}."


def _controls(frame: pd.DataFrame) -> str:
    have = ["the majority class"] * bool((frame.encoder == MAJORITY).any())
    have += ["random weights"] * bool(frame.init.str.startswith("random").any())
    acoustic = [name for name in unique(frame[frame.init == ACOUSTIC], "encoder") if name != MAJORITY]
    have += [f"acoustic baselines ({_listed(acoustic)})"] * bool(acoustic)
    have += ["a control task"] * bool((frame.metric == "selectivity").any())
    return f"Controls: {_listed(have)}." if have else ""


def _has(frame: pd.DataFrame, name: str) -> bool:
    return bool(frame[name].notna().any())


def _range(frame: pd.DataFrame, name: str) -> str:
    values = sorted(unique(frame, name))
    return f"{values[0]:,.0f}" if len(values) == 1 else f"{values[0]:,.0f} to {values[-1]:,.0f}"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(_shown, values))


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
