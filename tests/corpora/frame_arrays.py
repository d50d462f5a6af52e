"""Miniatures of the generations of CMU 11-785's frame arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

NAMES = {
    "train-clean-100": ("103-1240-0000", "103-1240-0001", "1034-121119-0000"),
    "dev-clean": ("84-121123-0000", "84-121123-0001"),
    "test-clean": ("61-70968-0000", "61-70968-0001"),
}
LENGTHS = {"103-1240-0000": 12, "103-1240-0001": 7, "1034-121119-0000": 1, "84-121123-0000": 9, "84-121123-0001": 5,
           "61-70968-0000": 4, "61-70968-0001": 6}  # fmt: skip
ORDER = ("61-70968-0001", "61-70968-0000")  # of the tests in test_order.csv
SPEECH = ("[SIL]", "HH", "AH", "AH", "L", "OW")
FLAT_LENGTHS = {"train": (11, 4, 1), "dev": (6, 2), "test": (3, 5)}


def frames_of(name: str, width: int) -> np.ndarray:
    """Return an utterance's features [shape=(frames, width), float32]."""
    return np.random.default_rng(sum(map(ord, name))).standard_normal((LENGTHS[name], width)).astype(np.float32)


def phones_of(name: str) -> list[str]:
    """Return an utterance's phonemes, one a frame."""
    return [SPEECH[(frame // 2) % len(SPEECH)] for frame in range(LENGTHS[name])]


def write(folder: Path, *, width: int = 28) -> Path:
    """Write the folder generation: 28 MFCC and ``[SOS]`` as in Fall 2024, 13 and ``<sos>`` in Spring 2022."""
    spring = width == 13
    top = folder / ("hw1p2_student_data" if spring else "11785-hw1p2-f24")
    first, last, silence = ("<sos>", "<eos>", "SIL") if width in (13, 15) else ("[SOS]", "[EOS]", "[SIL]")
    for subset, names in NAMES.items():
        (top / subset / "mfcc").mkdir(parents=True)
        for name in names:
            np.save(top / subset / "mfcc" / f"{name}.npy", frames_of(name, width))
            if not subset.startswith("test"):
                (top / subset / "transcript").mkdir(exist_ok=True)
                spelt = [first, *(silence if phone == "[SIL]" else phone for phone in phones_of(name)), last]
                np.save(top / subset / "transcript" / f"{name}.npy", np.array(spelt))
    if spring:
        (top / "test_order.csv").write_text("file\n" + "".join(f"{name}.npy\n" for name in ORDER))
        listed = NAMES["train-clean-100"][:2]
        rows = "".join(f"{number},{name}.npy\n" for number, name in enumerate(listed))
        (top / "train_filenames_subset_8192_v2.csv").write_text(f",file\n{rows}")
    return top


def flat_frames(part: str, number: int, width: int) -> np.ndarray:
    """Return an utterance's features [shape=(frames, width), float64]."""
    return np.random.default_rng([ord(part[0]), number]).standard_normal((FLAT_LENGTHS[part][number], width))


def flat_labels(part: str, number: int, classes: int) -> np.ndarray:
    """Return an utterance's labels [shape=(frames,), int64]; the last class occurs in each part."""
    frames = np.arange(FLAT_LENGTHS[part][number])
    return classes - 1 - (frames // 2 * 5 + number) % classes


def write_flat(folder: Path, *, width: int = 40, classes: int = 71, protocol: int | None = None) -> Path:
    """Write the flat generation; `protocol` writes the pickles of another, older NumPy."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, lengths in FLAT_LENGTHS.items():
        rows = {f"{part}.npy": [flat_frames(part, number, width) for number in range(len(lengths))]}
        if part != "test":
            rows[f"{part}_labels.npy"] = [flat_labels(part, number, classes) for number in range(len(lengths))]
        for name, arrays in rows.items():
            save(folder / name, arrays, protocol)
    return folder


def save(path: Path, arrays: list[np.ndarray], protocol: int | None = None) -> None:
    """Write an array of arrays."""
    made = np.empty(len(arrays), object)
    made[:] = arrays
    if protocol is None:
        np.save(path, made, allow_pickle=True)
        return
    import pickle

    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": made.shape})
        pickle.dump(made, file, protocol=protocol)


def card_of(feature: object) -> dict:
    """Return the card that a column's type carries."""
    return json.loads(feature.id)
