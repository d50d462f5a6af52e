"""A miniature of LibriMix as its scripts generate it, with the metadata of its repository."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

FIRST = "3536-8226-0026_1673-143397-0009"  # the example of the metadata
SECOND = "84-121123-0001_174-84280-0001"
# subset -> mixtures; source -> (sex, samples at 16 kHz)
MIXTURES = {"dev": (FIRST, SECOND), "train-100": ("103-1240-0000_1034-121119-0005",)}
SOURCES = {
    "3536-8226-0026": ("F", 3200), "1673-143397-0009": ("F", 1600),
    "84-121123-0001": ("F", 1000), "174-84280-0001": ("M", 2000),
    "103-1240-0000": ("F", 1200), "1034-121119-0005": ("M", 1400), "19-198-0000": ("F", 1500),
}  # fmt: skip
TEXTS = {"3536-8226-0026": "HE WAS A MAN", "1673-143397-0009": "THE KING", "84-121123-0001": "BUT IN LESS THAN"}
NOISE = "cv/20oo0109_0.72115_01ua010r_-0.72115.wav"
GAINS = ("0.7925878276419455", "0.2142791008161834", "0.5", "1.1114428047969456")


def source(name: str, number: int, length: int) -> np.ndarray:
    """Return a source as it is in a mixture [shape=(length,), int16]: cut, or filled up with zeros."""
    made = np.zeros(length, np.int16)
    sound = noise(SOURCES[name][1], seed=number) // 4
    made[: min(length, len(sound))] = sound[:length]
    return made


def parts(mixture: str, mode: str = "max", rate: int = 16_000) -> dict[str, np.ndarray]:
    """Return the files of a mixture by folder."""
    names = mixture.split("_")
    length = (max if mode == "max" else min)(SOURCES[name][1] for name in names) * rate // 16_000
    made = {f"s{number}": source(name, number, length) for number, name in enumerate(names, 1)}
    made["noise"] = noise(length, seed=9) // 8
    made["mix_clean"] = sum(made[f"s{number}"] for number in range(1, len(names) + 1))
    made["mix_both"] = made["mix_clean"] + made["noise"]
    made["mix_single"] = made["s1"] + made["noise"]
    return made


def write(folder: Path, *, modes: tuple[str, ...] = ("max", "min"), tables: bool = True, noisy: bool = True) -> Path:
    """Write ``Libri2Mix`` below `folder` and return it.

    tables : bool
        Write the tables of the generated files, with their absolute paths.
    noisy : bool
        Write the mixtures with noise and the noise.
    """
    top = folder / "Libri2Mix"
    for mode in modes:
        for subset, mixtures in MIXTURES.items():
            for mixture in mixtures:
                for kind, samples in parts(mixture, mode).items():
                    if noisy or kind in ("s1", "s2", "mix_clean"):
                        _write(top / f"wav16k/{mode}/{subset}/{kind}/{mixture}.wav", riff(samples))
            for mix in ("mix_clean", "mix_both", "mix_single") if tables else ():
                _tables(top / f"wav16k/{mode}", subset, mix, mixtures, mode)
    for mixture in MIXTURES["dev"]:
        for kind, samples in parts(mixture, "min", 8_000).items():
            _write(top / f"wav8k/min/dev/{kind}/{mixture}.wav", riff(samples, 8_000))
    return top


def write_three(folder: Path) -> Path:
    """Write a mixture of three below `folder` and return its top folder."""
    mixture = "103-1240-0000_1034-121119-0005_19-198-0000"
    for kind, samples in parts(mixture, "min").items():
        _write(folder / f"Libri3Mix/wav16k/min/train-100/{kind}/{mixture}.wav", riff(samples))
    return folder / "Libri3Mix"


def write_metadata(folder: Path) -> Path:
    """Write the repository's ``metadata`` below `folder` and return it."""
    top = folder / "metadata"
    for subset, mixtures in MIXTURES.items():
        clean = {"dev": "dev-clean", "train-100": "train-clean-100"}[subset]
        rows, info = [], []
        for mixture in mixtures:
            first, second = mixture.split("_")
            paths = [f"{clean}/{name.rsplit('-', 1)[0].replace('-', '/')}/{name}.flac" for name in (first, second)]
            rows.append(f"{mixture},{paths[0]},{GAINS[0]},{paths[1]},{GAINS[1]},{NOISE},{GAINS[3]}")
            sexes = [(name.split("-")[0], SOURCES[name][0]) for name in (first, second)]
            info.append(mixture + "".join(f",{speaker}.0,{sex}" for speaker, sex in sexes))
        head = "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain,noise_path,noise_gain"
        _lines(top / f"Libri2Mix/libri2mix_{clean}.csv", [head, *rows])
        head = "mixture_ID,speaker_1_ID,speaker_1_sex,speaker_2_ID,speaker_2_sex"
        _lines(top / f"Libri2Mix/libri2mix_{clean}_info.csv", [head, *info])
        names = [name for mixture in mixtures for name in mixture.split("_")]
        _lines(top / f"LibriSpeech/{clean}.csv", ["speaker_ID,sex,subset,length,origin_path", *(
            f"{name.split('-')[0]},{SOURCES[name][0]},{clean},{SOURCES[name][1]},"
            f"{clean}/{name.rsplit('-', 1)[0].replace('-', '/')}/{name}.flac" for name in names
        )])  # fmt: skip
    return top


def write_librispeech(folder: Path) -> Path:
    """Write the transcripts of LibriSpeech below `folder` and return its top folder."""
    for name, text in TEXTS.items():
        stem = name.rsplit("-", 1)[0]
        path = folder / f"LibriSpeech/dev-clean/{stem.replace('-', '/')}/{stem}.trans.txt"
        _lines(path, [f"{name} {text}"])
    return folder / "LibriSpeech"


def _tables(folder: Path, subset: str, mix: str, mixtures: tuple[str, ...], mode: str) -> None:
    kinds = {"mix_clean": ("s1", "s2"), "mix_both": ("s1", "s2", "noise"), "mix_single": ("s1", "noise")}[mix]
    columns = [{"s1": "source_1", "s2": "source_2"}.get(kind, kind) for kind in kinds]
    place = f"/export/somebody/Libri2Mix/wav16k/{mode}/{subset}"
    rows = [
        ",".join([name, *(f"{place}/{kind}/{name}.wav" for kind in (mix, *kinds)), str(len(parts(name, mode)["s1"]))])
        for name in mixtures
    ]
    head = ",".join(["mixture_ID", "mixture_path", *(f"{column}_path" for column in columns), "length"])
    _lines(folder / f"metadata/mixture_{subset}_{mix}.csv", [head, *rows])
    metrics = [",".join([name, *(str(1.5 * number) for number in range(1, len(kinds) + 1))]) for name in mixtures]
    head = ",".join(["mixture_ID", *(f"{column}_SNR" for column in columns)])
    _lines(folder / f"metadata/metrics_{subset}_{mix}.csv", [head, *metrics])


def _lines(path: Path, lines: list[str]) -> None:
    _write(path, "".join(f"{line}\n" for line in lines).encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
