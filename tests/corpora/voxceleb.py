"""A miniature VoxCeleb 1 and 2, in the layouts that go around."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import m4a, noise, riff, tone

META1 = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA.J._Buckley\tm\tIreland\tdev\n"
    "id10006\tName_Two\tm\tUSA\tdev\n"
    "id10270\tE_Three\tf\tUSA\ttest\n"
    "id10300\tE_Four\tm\tUSA\ttest\n"
)
META2 = (
    "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \n"
    "id00012 ,n000012 ,m ,dev \n"
    "id00015 ,n000015 ,f ,dev \n"
    "id00017 ,n000017 ,m ,test \n"
)
META2_NEW = (
    "VoxCeleb2 ID\tVGGFace2 ID\tName\tGender\tSet\n"
    "id00012\tn000012\tFirst_Name\tm\tdev\n"
    "id00015\tn000015\tSecond_Name\tf\tdev\n"
    "id00017\tn000017\tThird_Name\tm\ttest\n"
)
IDEN = (
    "1 id10001/1zcIwhmdeo4/00001.wav\n"
    "3 id10001/1zcIwhmdeo4/00002.wav\n"
    "1 id10006/nLEBBc9oIFs/00003.wav\n"
    "2 id10270/x6uYqmx31kE/00001.wav\n"
)
# The first line is that of the corpus.
TRIALS = {
    "veri_test": "1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav\n"
    "0 id10270/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav\n"
    "0 id10300/ize_eiCFEg0/00003.wav id10270/8jEAjG6SegY/00008.wav\n",
    "list_test_all2": "0 id10270/x6uYqmx31kE/00001.wav id10001/1zcIwhmdeo4/00001.wav\n"
    "1 id10001/1zcIwhmdeo4/00001.wav id10001/1zcIwhmdeo4/00002.wav\n",
}
# corpus -> split's folder -> path -> samples
UTTERANCES = {
    "voxceleb1": {
        "dev": {
            "id10001/1zcIwhmdeo4/00001": 1600,
            "id10001/1zcIwhmdeo4/00002": 1601,
            "id10006/nLEBBc9oIFs/00003": 1602,
        },
        "test": {
            "id10270/8jEAjG6SegY/00008": 1603,
            "id10270/x6uYqmx31kE/00001": 1604,
            "id10300/ize_eiCFEg0/00003": 1605,
        },
    },
    "voxceleb2": {
        "dev": {"id00012/21Uxsk56VDQ/00001": 8000, "id00015/0fijmz4vTVU/00001": 8001},
        "test": {"id00017/01dfn2spqyE/00001": 8002},
    },
}
LAYOUTS = ("merged", "split", "zips")


def samples_of(path: str) -> np.ndarray:
    """Return an utterance's audio [shape=(samples,), int16]; tones for VoxCeleb 2, which AAC keeps."""
    length = next(found[path] for parts in UTTERANCES.values() for found in parts.values() if path in found)
    if path.startswith("id1"):
        return noise(length, seed=sum(map(ord, path)))
    return np.round(tone(300 + 100 * int(path[5:7]) % 7, length / 16_000) * 32767).astype(np.int16)


def write(folder: Path, corpus: str = "voxceleb1", layout: str = "merged") -> Path:
    """Write a miniature to `folder`, which is returned, with its metadata.

    layout : {"merged", "split", "zips"}
        All under ``wav/`` or ``aac/``; ``dev/aac/`` and ``test/aac/``; ``dev/aac/`` and ``aac/``.
    """
    kind = {"voxceleb1": "wav", "voxceleb2": "m4a"}[corpus]
    for part, utterances in UTTERANCES[corpus].items():
        above = "" if layout == "merged" or (layout == "zips" and (part == "test" or kind == "wav")) else f"{part}/"
        for path in utterances:
            file = folder / f"{above}{'wav' if kind == 'wav' else 'aac'}" / f"{path}.{kind}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(riff(samples_of(path)) if kind == "wav" else m4a(samples_of(path)))
    return write_metadata(folder, corpus)


def write_metadata(folder: Path, corpus: str) -> Path:
    """Write the table of speakers, and for VoxCeleb 1 the lists, to `folder`, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    if corpus == "voxceleb2":
        (folder / "vox2_meta.csv").write_text(META2)
        return folder
    for name, content in {"vox1_meta.csv": META1, "iden_split.txt": IDEN}.items():
        (folder / name).write_text(content)
    for name, content in TRIALS.items():
        (folder / f"{name}.txt").write_text(content)
    return folder


def write_first_release(folder: Path) -> Path:
    """Write ``voxceleb1_wav/<name>/<video>_<number>.wav`` and the table of speakers to `folder`, which is returned."""
    for name, path in (("A.J._Buckley", "id10001/1zcIwhmdeo4/00001"), ("E_Three", "id10270/x6uYqmx31kE/00001")):
        _, video, number = path.split("/")
        file = folder / "voxceleb1_wav" / name / f"{video}_{number.zfill(7)}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(riff(samples_of(path)))
    (folder / "vox1_meta.csv").write_text(META1)
    return folder
