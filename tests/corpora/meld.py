"""A miniature MELD."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from tests.corpora.sound import m4a, noise, riff, tone

RATE = 48_000
HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
TABLES = {
    "train": (
        "1,also I was the point person on my company’s transition from the KL-5 to GR-6 system.,Chandler,neutral,"
        'neutral,0,0,8,21,"00:16:16,059","00:16:21,731"',
        '2,You must\'ve had your hands full.,The Interviewer,neutral,neutral,0,1,8,21,"00:16:21,940","00:16:23,442"',
        '3,"That I did. That I did.",Chandler,joy,positive,0,2,8,21,"0:16:23,442","0:16:26,389"',
        '4,"Oh, no-no-no, see, that-that clock’s a little fast",Ross,neutral,neutral,125,3,4,18,'
        '"00:02:42,287","00:02:48,021"',
    ),
    "dev": (
        '1,"Oh my God, he’s lost it. He’s totally lost it.",Phoebe,sadness,negative,0,0,4,7,'
        '"00:20:57,256","00:21:00,049"',
        '1153,Did they tell you anything?,Phoebe,neutral,neutral,110,7,6,11,"00:07:11,764","00:07:13,890"',
    ),
    "test": (
        "1,Why do all you’re coffee mugs have numbers on the bottom?,Mark,surprise,positive,0,0,3,19,"
        '"00:14:38,127","00:14:40,378"',
        '1508,Oh my God.,Rachel,surprise,negative,155,3,3,15,"0:12:32,632","0:12:32,632"',
    ),
}
DYADIC_HEADER = (
    "Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Old_Dialogue_ID,Old_Utterance_ID,Season,Episode,"
    "StartTime,EndTime"
)
DYADIC = {
    "train": (
        'You must\'ve had your hands full.,The Interviewer,neutral,neutral,0,0,0,1,8,21,"00:16:21,940","00:16:23,442"',
        '"That I did. That I did.",Chandler,joy,positive,0,1,0,2,8,21,"0:16:23,442","0:16:26,389"',
        '"That I did. That I did.",Chandler,joy,positive,1,0,0,2,8,21,"0:16:23,442","0:16:26,389"',
    ),
    "dev": (
        '"Oh my God, he’s lost it. He’s totally lost it.",Phoebe,sadness,negative,0,0,0,0,4,7,'
        '"00:20:57,256","00:21:00,049"',
    ),
    "test": (
        "Why do all you’re coffee mugs have numbers on the bottom?,Mark,surprise,positive,0,0,0,0,3,19,"
        '"00:14:38,127","00:14:40,378"',
    ),
}
FOLDERS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
# dev dia110_utt7 is missing in the corpus; other clips are in no table
CLIPS = {
    "train": ("dia0_utt0", "dia0_utt1", "dia0_utt2", "dia125_utt3"),
    "dev": ("dia0_utt0", "dia66_utt9"),
    "test": ("dia0_utt0", "dia155_utt3", "dia108_utt2", "final_videos_testdia101_utt0"),
}
CORRUPT = "dia125_utt3"


def samples_of(part: str, stem: str) -> np.ndarray:
    """Return the sound of a clip [shape=(4800,), int16, 48 kHz]."""
    return noise(4800, seed=sum(map(ord, part + stem)))


def write(folder: Path, *, sound: str = "wav", layout: str = "nested", encoding: str = "utf-8") -> Path:
    """Write the miniature as `folder`/MELD.Raw and return that.

    sound : {"wav", "mp4", "both"}
        Sound files, the videos (tones, since AAC changes noise), or sound files beside videos that are broken.
    layout : {"nested", "flat", "packed", "audio"}
        ``train/train_splits``; ``train_splits``; ``train.tar.gz`` with them; ``audio/train``.
    encoding : str
        Of the tables.
    """
    top = folder / "MELD.Raw"
    for part, stems in CLIPS.items():
        above = {"flat": ".", "audio": "audio"}.get(layout, part)
        clips = top / above / (part if layout == "audio" else FOLDERS[part])
        clips.mkdir(parents=True)
        for stem in stems:
            _write_clip(clips, part, stem, sound)
        (clips / "._dia0_utt0.mp4").write_bytes(b"\0\5\x16\7")
        tables = top / part if part == "train" and layout in ("nested", "packed") else top
        _write_table(tables / f"{part}_sent_emo.csv", HEADER, TABLES[part], encoding)
        _write_table(top / f"data/MELD_Dyadic/{part}_sent_emo_dya.csv", DYADIC_HEADER, DYADIC[part], encoding)
        if layout == "packed":
            pack_part(top, part)
    (top / "README.txt").write_text("MELD")
    return top


def pack_part(top: Path, part: str) -> None:
    """Put what is in the folder of a part into ``<part>.tar.gz``."""
    with tarfile.open(top / f"{part}.tar.gz", "w:gz") as packed:
        for path in sorted((top / part).rglob("*")):
            if path.is_file():
                packed.add(path, path.relative_to(top / part))
                path.unlink()


def _write_clip(folder: Path, part: str, stem: str, sound: str) -> None:
    if sound in ("wav", "both"):
        data = b"RIFF" if stem == CORRUPT else riff(samples_of(part, stem), RATE)
        (folder / f"{stem}.wav").write_bytes(data)
    if sound == "both":
        (folder / f"{stem}.mp4").write_bytes(b"not read")
    if sound == "mp4":
        wave = (32767 * tone(440, 0.5, RATE)).astype(np.int16)
        data = m4a(wave, RATE)
        (folder / f"{stem}.mp4").write_bytes(data[: len(data) // 2] if stem == CORRUPT else data)


def _write_table(path: Path, header: str, rows: tuple[str, ...], encoding: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows)) + "\n", encoding=encoding)
