"""The annotations of VoxPopuli's sessions, and what a row of them or of a table of utterances becomes."""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterable, Iterator

from builders.errors import CorpusError
from builders.listing import Utterance

FIELD_LIMIT = 1 << 27  # characters: a cell of the annotations can hold the words and pauses of a whole session
ROW_LINES = 100  # a cell in quotes may go over several lines, but not over a whole file


def read_annotations(lines: Iterable[str], language: str, part: str) -> Iterator[Utterance]:
    """Read asr_<lang>.tsv.gz: an utterance is the stretches of its session that hold speech, put together.

    id_|paragraph_id|session_id|speaker_id|original_text|normed_text|decoded|start_time|end_time|cer|wer|vad|split|gender
    nl_20100210-09:06:43_4|2|20100210-0900-PLENARY-3|28117|Dank u wel.|dank u wel|...|[(25.16, 26.02)]|dev|female
    """
    for row in read_rows(lines):
        if row["split"] != part:  # some rows are of no split
            continue
        session, name = row["session_id"], f"{row['session_id']}-{row['id_']}"
        parts = [(float(start), float(end)) for start, end in ast.literal_eval(row["vad"] or "[]")]
        cells = {**row, "raw_text": row["original_text"], "normalized_text": row["normed_text"]}
        audio = f"original/{session[:4]}/{session}_original.ogg"
        made = utterance(cells, name, audio, language, session)
        made.parts = parts or [(float(row["start_time"]), float(row["end_time"]))]
        made.labels = {**made.labels, "speech": [{"start": start, "end": end} for start, end in parts]}
        yield made


def read_rows(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the rows of the annotations, cells in quotes or not: by the reading that gives as many as the header has.

    The published data were made by a reader that takes quotes for what they are in CSV; to it, a quotation that is
    never closed swallows the rows behind it.
    """
    csv.field_size_limit(FIELD_LIMIT)
    iterator = iter(lines)
    names = next(iterator, "").rstrip("\r\n").split("|")
    held: list[str] = []
    for line in iterator:
        if not held and not line.strip("\r\n"):
            continue
        held.append(line)
        quoted = list(csv.reader(held, delimiter="|"))
        readings = [
            *(quoted if len(quoted) == 1 else []),
            *([line.rstrip("\r\n").split("|")] if len(held) == 1 else []),
        ]
        row = next((cells for cells in readings if len(cells) == len(names)), None)
        if row is not None:
            yield dict(zip(names, row, strict=True))
            held = []
        elif len(held) == ROW_LINES:
            break
    if held:
        line = held[0].rstrip("\r\n")
        raise CorpusError(f"a row of the annotations does not have the {len(names)} cells of their header: {line:.80}")


def utterance(cells: dict[str, str], name: str, audio: str, language: str, session: str | None) -> Utterance:
    """Make an utterance of a row of a table (tabs between the cells).

    id raw_text normalized_text speaker_id split gender is_gold_transcript accent
    20100210-0900-PLENARY-3-nl_20100210-09:06:43_4 Dank u wel. dank u wel 28117 train female False None
    """
    accent, speaker = cells.get("accent"), cells.get("speaker_id")
    labels = {
        "gender": cells["gender"] if cells.get("gender") in ("male", "female") else None,
        "accent": accent if accent and accent != "None" else None,
        "subset": language,
        "raw_text": cells["raw_text"] or None,
        "session": session,
        "year": int(name[:4]) if name[:4].isdigit() else None,
        "is_gold_transcript": cells.get("is_gold_transcript") == "True",
    }
    speaker = speaker if speaker and speaker != "None" else None
    return Utterance(name, audio, cells["normalized_text"] or None, speaker, language[:2], labels=labels)
