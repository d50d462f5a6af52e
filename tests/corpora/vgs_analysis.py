"""Miniatures of the VGS phoneme analysis' files, both generations."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np

IDS = ("1000268201_693b08cb0e_0.wav", "1000268201_693b08cb0e_1.wav", "1001773457_577c3a7d70_0.wav")
TEXTS = ("a child in pink", "a girl going in", "a black dog")
IPA = ("ətʃaɪldɪnpɪŋk", "əɡɚl", "əblækdɔɡ")
FRAMES = (30, 21, 16)
WIDTHS = {"conv": 64, "rnn0": 6, "rnn1": 6}
MODES = ("trained", "random")
LABELS = np.array(["ah", "ch", "ay", "sil"])


def of_layer(frames: int) -> int:
    """Return the frames behind the convolution."""
    return (frames - 6) // 2 + 1


def values(name: str, number: int, frames: int, width: int, dtype: str = "float32") -> np.ndarray:
    """Return some activations [shape=(frames, width)]."""
    seed = [sum(map(ord, name)), number]
    return np.random.default_rng(seed).standard_normal((frames, width)).astype(dtype)


def ragged(arrays: list[np.ndarray]) -> np.ndarray:
    """Return an array of arrays."""
    made = np.empty(len(arrays), object)
    made[:] = arrays
    return made


def tables(frames: tuple[int, ...] = FRAMES) -> dict[str, Any]:
    """Return the content of the older generation's six files, by name."""
    audio = [values("audio", number, count, 39, "float64") for number, count in enumerate(frames)]
    made: dict[str, Any] = {
        "global_input": {"audio_id": np.array(IDS), "ipa": np.array(IPA), "text": np.array(TEXTS),
                         "audio": ragged(audio)},
        "local_input": local("input", 2_500, 39),
    }  # fmt: skip
    for mode in MODES:
        made[f"global_{mode}"] = {
            layer: ragged([values(mode + layer, n, of_layer(count), width) for n, count in enumerate(frames)])
            for layer, width in WIDTHS.items()
        } | {"att": values(f"{mode}att", 0, len(IDS), 8)}
        made[f"local_{mode}"] = {layer: local(mode + layer, 1_200, width) for layer, width in WIDTHS.items()}
    return made


def local(name: str, count: int, width: int) -> dict[str, np.ndarray]:
    """Return labelled frames."""
    return {"features": values(name, 9, count, width), "labels": LABELS[np.arange(count) // 7 % len(LABELS)]}


def write(folder: Path, *, per_layer: bool = True, protocol: int = 4) -> Path:
    """Write the newer or the older generation."""
    top = folder / "rnn-vgs"
    top.mkdir(parents=True)
    for name, table in tables().items():
        if per_layer and "input" not in name:
            for layer, arrays in table.items():
                (top / f"{name}_{layer}.pkl").write_bytes(pickle.dumps({layer: arrays}, protocol))
        else:
            (top / f"{name}.pkl").write_bytes(pickle.dumps(table, protocol))
    return top


def write_alignments(top: Path) -> None:
    """Write ``fa.json`` of the first utterance."""
    words = [{"case": "success", "alignedWord": "a", "start": 0.03, "phones": [{"phone": "ah_S", "duration": 0.05}]},
             {"case": "success", "alignedWord": "child", "start": 0.1, "phones": [
                 {"phone": "ch_B", "duration": 0.04}, {"phone": "ay_I", "duration": 0.06}]},
             {"case": "not-found-in-audio", "word": "in"}]  # fmt: skip
    line = {"audiopath": f"flickr_audio/wavs/{IDS[0]}", "transcript": TEXTS[0], "words": words}
    (top / "fa.json").write_text(json.dumps(line) + "\n")
