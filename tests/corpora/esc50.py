"""A miniature ESC-50."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

RATE = 44_100
HEADER = "filename,fold,target,category,esc10,src_file,take"
OLD_HEADER = "filename,fold,category,category_name,esc10,src_file,take"
LINES = (  # of the published table
    "1-100032-A-0.wav,1,0,dog,True,100032,A",
    "1-100038-A-14.wav,1,14,chirping_birds,False,100038,A",
    "2-100648-A-43.wav,2,43,car_horn,False,100648,A",
    "3-103051-C-19.wav,3,19,thunderstorm,False,103051,C",
    "4-156993-A-19.wav,4,19,thunderstorm,False,156993,A",
    "5-156999-C-19.wav,5,19,thunderstorm,False,156999,C",
    "5-9032-A-0.wav,5,0,dog,True,9032,A",
)
CLIPS = tuple(line.split(",")[0].removesuffix(".wav") for line in LINES)


def samples_of(clip: str) -> np.ndarray:
    """Return the audio of a clip [shape=(4410,), int16, 44.1 kHz]; the second half is the zeros of the padding."""
    return np.r_[noise(2205, seed=sum(map(ord, clip))), np.zeros(2205, np.int16)]


def write(folder: Path, *, form: str = "master", flags: tuple[str, str] = ("True", "False")) -> Path:
    """Write the miniature as `folder`/ESC-50-master and return that.

    form : {"master", "old", "audio"}
        The repository; its first version, with the table beside the folder of clips; the clips alone.
    flags : words for true and false
        Copies that went through a spreadsheet have TRUE and FALSE.
    """
    top = folder / "ESC-50-master"
    (top / "audio").mkdir(parents=True)
    for clip in CLIPS:
        (top / f"audio/{clip}.wav").write_bytes(riff(samples_of(clip), RATE))
    if form == "audio":
        return top
    (top / "README.md").write_text("# ESC-50")
    lines = [OLD_HEADER if form == "old" else HEADER, *LINES]
    text = "\n".join(lines).replace("True", flags[0]).replace("False", flags[1]) + "\n"
    table = top / ("esc50.csv" if form == "old" else "meta/esc50.csv")
    table.parent.mkdir(exist_ok=True)
    table.write_text(text)
    if form == "master":
        (top / "meta/esc50-human.xlsx").write_bytes(b"PK")
        (top / "tests").mkdir()
        (top / "tests/test_dataset.py").write_text("import audioread\n")
    return top
