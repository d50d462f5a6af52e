"""A miniature VoxPopuli in the layouts that go around."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.corpora.sound import noise, pack_audio, riff

RATE = 16_000
ANNOTATIONS = (
    "id_ paragraph_id session_id speaker_id original_text normed_text decoded start_time end_time cer wer vad split"
    " gender"
).split()
MANIFEST = "id raw_text normalized_text speaker_id split gender is_gold_transcript accent".split()
SESSIONS = {"20100210-0900-PLENARY-3": 40_000, "20180704-0900-PLENARY": 24_000}  # samples


class Row(NamedTuple):
    """An utterance of the miniature; `vad` are the stretches of its session that hold speech, seconds."""

    id: str
    session: str
    speaker: str
    raw: str
    normed: str
    vad: tuple[tuple[float, float], ...]
    split: str
    gender: str
    gold: str = "False"
    accent: str = "None"

    @property
    def name(self) -> str:
        """The name of the utterance's file."""
        return f"{self.session}-{self.id}"


FIRST, SECOND = SESSIONS
ROWS = {
    "nl": (
        Row("nl_20100210-09:06:43_4", FIRST, "28117", "Dank u wel, voorzitter.", "dank u wel voorzitter",
            ((0.25, 0.75), (1.0, 1.125), (1.5, 1.75)), "train", "female"),
        Row("nl_20100210-09:07:43_0", FIRST, "None", '"Ja" zei hij | en zweeg.', "ja zei hij en zweeg",
            ((1.75, 2.25),), "train", "None"),
        Row("nl_20180704-09:00:01_2", SECOND, "5729", "", "", ((0.125, 0.375),), "train", "male"),
        Row("nl_20180704-09:00:01_3", SECOND, "5729", "Stilte.", "stilte", ((0.5, 0.625),), "", "male"),
        Row("nl_20180704-09:10:01_0", SECOND, "5730", "Goed.", "goed", ((0.625, 1.0),), "dev", "male", "True"),
        Row("nl_20180704-09:20:01_0", SECOND, "5731", "Nee.", "nee", ((1.0, 1.25), (1.375, 1.5)), "test", "female"),
    ),
    "en_accented": (
        Row("en_20180704-09:00:01_7", SECOND, "124728", "Thank you.", "thank you", ((0.25, 0.5),), "test", "male",
            "False", "en_nl"),
    ),
}  # fmt: skip


def session_of(session: str) -> np.ndarray:
    """Return what a session was encoded from [shape=(samples,), int16]."""
    return noise(SESSIONS[session], seed=SESSIONS[session])


def samples_of(row: Row) -> np.ndarray:
    """Return an utterance: the stretches with speech, put together [shape=(samples,), int16]."""
    session = session_of(row.session)
    return np.concatenate([session[round(start * RATE) : round(end * RATE)] for start, end in row.vad])


def write_raw(folder: Path, *, quoted: bool = True, newer: bool = True) -> Path:
    """Write ``raw_audios/original/<year>/`` and ``asr_<lang>.tsv.gz`` and return the folder.

    quoted : bool
        Whether cells that hold a quotation mark or the delimiter are in quotes.
    newer : bool
        Whether the annotations have the columns that were added later.
    """
    for session in SESSIONS:
        place = folder / "raw_audios" / "original" / session[:4]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{session}_original.ogg").write_bytes(_ogg(session_of(session)))
    for language, rows in ROWS.items():
        with gzip.open(folder / f"asr_{language}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write("|".join([*ANNOTATIONS, *(["is_gold_transcript", "accent"] if newer else [])]) + "\n")
            file.writelines(annotation(row, quoted=quoted, newer=newer) + "\n" for row in rows)
    return folder


def annotation(row: Row, *, quoted: bool = True, newer: bool = True) -> str:
    """Return a line of the annotations."""
    cells = [row.id, "2", row.session, row.speaker, row.raw, row.normed, row.normed, str(row.vad[0][0]),
             str(row.vad[-1][1] + 0.125), "0.0", "0.0", str(list(row.vad)), row.split, row.gender,
             *([row.gold, row.accent] if newer else [])]  # fmt: skip
    if quoted:
        cells = ['"' + cell.replace('"', '""') + '"' if {'"', "|"} & set(cell) else cell for cell in cells]
    else:
        cells = [cell.replace("|", "/") for cell in cells]
    return "|".join(cells)


def write_processed(folder: Path) -> Path:
    """Write ``transcribed_data/<lang>/`` as the original's scripts do, and return the folder."""
    write_raw(folder)
    for language, rows in ROWS.items():
        top = folder / "transcribed_data" / language
        top.mkdir(parents=True)
        (folder / f"asr_{language}.tsv.gz").rename(top / f"asr_{language}.tsv.gz")
        for row in rows:
            if row.split:
                (top / row.name[:4]).mkdir(exist_ok=True)
                (top / row.name[:4] / f"{row.name}.ogg").write_bytes(_ogg(samples_of(row)))
        _write_tables(top, rows)
    shutil.rmtree(folder / "raw_audios")
    return folder


def write_hub(folder: Path) -> Path:
    """Write ``data/<lang>/`` as the Hub has it, its shards unpacked, and return the folder."""
    for language, rows in ROWS.items():
        top = folder / "data" / language
        for number, row in enumerate(row for row in rows if row.split):
            part = f"{row.split}_part_{number % 2 if row.split == 'train' else 0}"
            (top / row.split / part).mkdir(parents=True, exist_ok=True)
            (top / row.split / part / f"{row.name}.wav").write_bytes(riff(samples_of(row)))
        _write_tables(top, rows)
    (folder / "data" / "n_files.json").write_text(
        '{"nl": {"train": 2, "dev": 1, "test": 1}, "en_accented": {"test": 1}}', encoding="utf-8"
    )
    return folder


def _write_tables(top: Path, rows: tuple[Row, ...]) -> None:
    for split in dict.fromkeys(row.split for row in rows if row.split):
        lines = ["\t".join(MANIFEST)]
        for row in rows:
            if row.split == split:
                cells = (row.name, row.raw, row.normed, row.speaker, split, row.gender, row.gold, row.accent)
                lines.append("\t".join(cells))
        (top / f"asr_{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _ogg(samples: np.ndarray) -> bytes:
    return pack_audio(samples, RATE, form="OGG", subtype="VORBIS")


# Channels: event_id segment_no start end
UNLABELLED = (
    ("20180704-0900-PLENARY_nl", "0", "0.125", "0.5"),
    ("20180704-0900-PLENARY_nl", "1", "0.75", "1.25"),
    ("20190114-1700-PLENARY_en", "0", "0.25", "1.0"),
    ("20190115-1500-ENVI_en", "3", "0.0", "0.5"),  # a committee
    ("20100210-0900-PLENARY-3_de", "0", "0.0", "0.5"),  # of a language and year that is not there
)
# Interpretation into English of utterances in Dutch: id, start, end, text where it was transcribed
INTERPRETED = (
    ("20180704-0900-PLENARY-nl_20180704-09:10:01_0", "0.5", "1.0", "Good."),
    ("20180704-0900-PLENARY-nl_20180704-09:20:01_0", "1.0", "1.375", None),
)


def channel_of(event: str) -> np.ndarray:
    """Return what a channel was encoded from [shape=(24000,), int16]."""
    return noise(24_000, seed=sum(map(ord, event)))


def write_channels(folder: Path, *, cut: bool = False) -> Path:
    """Write channels with their tables, whole or cut as the original's scripts do, and return the folder."""
    segments = [(*row[:2], float(row[2]), float(row[3])) for row in UNLABELLED if not row[0].endswith("_de")]
    spoken = [("20180704-0900-PLENARY_en", source, float(start), float(end)) for source, start, end, _ in INTERPRETED]
    for event, number, start, end in (*segments, *spoken):
        language, year = event.rsplit("_", 1)[1], event[:4]
        ours = (event, number) in [row[:2] for row in segments]
        name, place = f"{event}.ogg", folder / "raw_audios" / language / year
        sound = channel_of(event)
        if cut:
            target = f"{number.split('-nl_')[0]}-en_{number.split('-nl_')[-1]}"
            name = f"{event}_{number}.ogg" if ours else f"{target}.ogg"
            place = folder / ("unlabelled_data" if ours else "transcribed_data/nl") / language / year
            sound = sound[round(start * RATE) : round(end * RATE)]
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(_ogg(sound))
    _gz(folder / "unlabelled_v2.tsv.gz", "event_id segment_no start end".split(), UNLABELLED)
    texts = {f"{row.session}-{row.id}": (row.raw, row.speaker) for row in ROWS["nl"]}
    if cut:
        rows = [(source, *texts[source], source.replace("-nl_", "-en_"), "") for source, *_ in INTERPRETED]
        both = [(*row[:4], text) for row, (*_, text) in zip(rows, INTERPRETED, strict=True) if text]
        for name, lines in (("s2s", rows), ("s2s_ref", both)):
            header = ("src_id", "src_text", "src_speaker_id", "tgt_id", "tgt_text")
            text = "".join("\t".join(line) + "\n" for line in (header, *lines))
            (folder / f"transcribed_data/nl/en/{name}.tsv").write_text(text, encoding="utf-8")
        return folder
    _gz(folder / "s2s_en.tsv.gz", ("id", "start_time", "end_time"), [row[:3] for row in INTERPRETED])
    _gz(folder / "s2s_en_ref.tsv.gz", ("id", "start_time", "end_time", "tgt_text"), [r for r in INTERPRETED if r[3]])
    with gzip.open(folder / "asr_nl.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("|".join(ANNOTATIONS) + "\n")
        file.writelines(annotation(row, newer=False) + "\n" for row in ROWS["nl"])
    return folder


def _gz(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines("\t".join(row) + "\n" for row in (header, *rows))
