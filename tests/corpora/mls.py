"""A miniature Multilingual LibriSpeech: any language, in FLAC or Opus."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import RATE, flac, noise, pack_audio

URL = "http://www.archive.org/download/{}/{}_64kb.mp3"
# language -> part -> utterance id -> (text, start and end in the recording, samples)
UTTERANCES = {
    "english": {
        "train": {
            "4800_10003_000000": ("oh my dear you must see him he expects you she answered almost gayly",
                                  "401.76", "417.57", 3200),
            "4800_10003_000007": ("the wheel-chair of the day-room i-i'm", "20.0", "31.25", 1601),
            "2284_9447_000012": ("\"quoted", "0.5", "10.5", 1602),
            "2284_9447_000013": ("", "10.5", "20.5", 1603),
        },
        "dev": {"1982_1551_000037": ("sign of the cross", "7.0", "17.0", 1604)},
        "test": {"9508_1240_000001": ("good tidings", "1.0", "11.0", 1605)},
    },
    "german": {
        "train": {"8699_3011_000001": ("gr\u00fc\u00dfe aus m\u00fcnchen", "5.0", "15.0", 1606),
                  "8699_3011_000002": ("und so weiter", "15.0", "25.0", 1607)},
        "dev": {"252_1800_000004": ("ja", "2.0", "12.0", 1608)},
        "test": {"1054_1599_000000": ("nein", "3.0", "13.0", 1609)},
    },
    "french": {"test": {"1474_1408_000000": ("\u00e7a va", "4.0", "14.0", 1610)}},
    "polish": {"dev": {"6892_8912_000000": ("cze\u015b\u0107", "6.0", "16.0", 1611)}},
}  # fmt: skip
METAINFO = {
    "english": """\
  SPEAKER   |   GENDER   | PARTITION  |  MINUTES   |  BOOK ID   |             TITLE              |            CHAPTER
  9508    |     F      |   secret   |   5.100    |   10105    | Stephen: A Soldier of the Cross | The Start
  9508    |     M      |   test     |   9.347    |   1240    | A | B: Title | with | bars | in it | Chapter
  4800    |     F      |   train    |   8.120    |   10003    | Some Title | Chapter 1
  4800    |     F      |   train    |   3.500    |   10003    | Some Title | Chapter 2
  1982    |     M      |   dev      |   3.500    |   1551    | Other Title | Chapter 2
  2284    |     F      |   train    |   3.500    |   9447    | Last Title | Chapter 2
  9508    |     F      |   secret   |   9.347    |   10105    | Stephen: A Soldier of the Cross | Good Tidings Out of the Desert
""",  # noqa: E501
    "german": """\
  SPEAKER   |   GENDER   | PARTITION  |  MINUTES   |  BOOK ID   |             TITLE              |            CHAPTER
  8699    |     M      |   train    |   8.120    |   3011    | Titel | Kapitel 1
  252     |     F      |   dev      |   8.120    |   1800    | Titel | Kapitel 1
  1054    |     M      |   test     |   8.120    |   1599    | Titel | Kapitel 1
""",
    "french": "SPEAKER | GENDER | PARTITION | MINUTES | BOOK ID | TITLE | CHAPTER\n"
    "1474 | F | test | 1.0 | 1408 | Titre | Un\n",
    "polish": "SPEAKER | GENDER | PARTITION | MINUTES | BOOK ID | TITLE | CHAPTER\n"
    "6892 | F | dev | 1.0 | 8912 | T | C\n",
}  # fmt: skip
HANDLES = {
    "english": {"9hr": ["4800_10003_000000"], "1hr/0": ["2284_9447_000012"], "1hr/5": ["2284_9447_000013"]},
    "german": {"9hr": ["8699_3011_000002"], "1hr/0": ["8699_3011_000001"]},
}


def samples_of(language: str, identifier: str) -> np.ndarray:
    """Return the audio of an utterance [shape=(samples,), int16]."""
    length = next(rows[identifier][3] for rows in UTTERANCES[language].values() if identifier in rows)
    return noise(length, seed=sum(map(ord, identifier)))


def write(folder: Path, language: str = "english", form: str = "flac") -> Path:
    """Write ``mls_<language>[_opus]`` below `folder` and return it."""
    top = folder / f"mls_{language}{'_opus' if form == 'opus' else ''}"
    for part, rows in UTTERANCES[language].items():
        transcripts, segments = [], []
        for identifier, (text, start, end, _) in rows.items():
            speaker, book, _ = identifier.split("_")
            path = top / part / "audio" / speaker / book / f"{identifier}.{form}"
            path.parent.mkdir(parents=True, exist_ok=True)
            pcm = samples_of(language, identifier)
            path.write_bytes(flac(pcm) if form == "flac" else pack_audio(pcm, RATE, form="OGG", subtype="OPUS"))
            transcripts.append(f"{identifier}\t{text}\n")
            segments.append(f"{identifier}\t{URL.format(book, identifier)}\t{start}\t{end}\n")
        (top / part / "transcripts.txt").write_text("".join(transcripts), encoding="utf-8")
        # Another order than the transcripts': nothing says that the two go in step.
        (top / part / "segments.txt").write_text("".join(reversed(segments)), encoding="utf-8")
    (top / "metainfo.txt").write_text(METAINFO[language], encoding="utf-8")
    for handles, names in HANDLES.get(language, {}).items():
        path = top / "train/limited_supervision" / handles / "handles.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return top
