"""The channels of VoxPopuli, speakers and interpreters alike: speech without text, and speech with its interpretation.

Source: ``get_unlabelled_data.py`` and ``get_s2s_data.py`` of https://github.com/facebookresearch/voxpopuli.
"""

from __future__ import annotations

import csv
import functools
import gzip
import logging
import re
from collections.abc import Iterator

from builders.files import Files
from builders.listing import Utterance
from builders.tsv import read_tsv
from builders.voxpopuli.annotations import read_rows

logger = logging.getLogger(__name__)

LANGUAGES = "en de fr es pl it ro hu cs nl fi hr sk sl et lt pt bg el lv mt sv da".split()
YEARS = range(2009, 2021)
WITH_TEXT = ("en", "fr", "es")  # languages whose interpretation was transcribed, in part
SUBSETS = {"10k": ("20190101", "20200801"), "100k": ("", "9")}  # plenary sessions from the first date to the second


def unlabelled(files: Files, languages: tuple[str, ...], subset: str | None) -> Iterator[Utterance]:
    """Yield the segments of the channels, cut already or as parts of a session, in the order of their table.

    unlabelled_v2.tsv.gz, tabs between the cells: event_id segment_no start end
    20190114-0900-PLENARY_en 0 12.3 41.9
    """
    is_there = functools.lru_cache(lambda folder: next(files.names(f"{folder}/*.ogg"), None) is not None)
    table = next(files.match(r"(?:.*/)?unlabelled_v2\.tsv\.gz"), None)
    skipped = 0
    for row in rows_of(files, table[0]) if table else cut_already(files):
        event, number = row["event_id"], row["segment_no"]
        language, year = event.rsplit("_", 1)[1], event[:4]
        if language not in languages or not in_subset(event, subset):
            continue
        if not is_there(f"{language}/{year}"):  # a language and a year is an archive of its own
            skipped += 1
            continue
        name, cut = f"{event}_{number}", f"{language}/{year}/{event}_{number}.ogg"
        place = {} if cut in files else {"start": float(row["start"]), "end": float(row["end"])}
        labels = {"subset": language, "session": event.rsplit("_", 1)[0], "year": int(year)}
        audio = cut if cut in files else f"{language}/{year}/{event}.ogg"
        yield Utterance(name, audio, language=language, labels=labels, **place)
    if skipped:
        logger.warning("voxpopuli: %d segments of languages and years that are not here: left out", skipped)


def in_subset(event: str, subset: str | None) -> bool:
    """Tell whether a session belongs to the subset of 10,000 or 100,000 hours; None is all 400,000."""
    first, last = SUBSETS[subset] if subset else ("", "9")
    return (subset is None or "PLENARY" in event) and first <= event[:8] < last


def cut_already(files: Files) -> Iterator[dict[str, str]]:
    """Yield what the names of segments say, where their table is not there."""
    for path in files.match(r"(?P<language>[a-z]{2})/\d{4}/(?P<event>.+_(?P=language))_(?P<number>\d+)\.ogg"):
        yield {"event_id": path["event"], "segment_no": path["number"]}


def interpreted(files: Files, target: str) -> Iterator[Utterance]:
    """Yield the interpretation into a language, with what was said; text where the interpretation was transcribed.

    s2s_en.tsv.gz, tabs between the cells: id start_time end_time (and tgt_text, in s2s_en_ref.tsv.gz)
    nl/en/s2s.tsv, made of it by the corpus' script: src_id src_text src_speaker_id tgt_id tgt_text
    """
    made = [path[0] for name in ("s2s", "s2s_ref") for path in files.match(rf"[a-z]{{2}}/{target}/{name}\.tsv")]
    texts = dict(texts_of(files, target, made))
    if made:
        rows = (row for name in made if not name.endswith("_ref.tsv") or name.replace("_ref", "") not in made
                for row in read_tsv(files.lines(name)))  # fmt: skip
        for row in rows:
            audio = f"{target}/{row['tgt_id'][:4]}/{row['tgt_id']}.ogg"
            said = (row["src_text"], row["src_speaker_id"])
            yield interpretation(row["src_id"], target, audio, texts.get(row["src_id"]), said)
        return
    tables = [found[0] for name in ("", "_ref") for found in files.match(rf"(?:.*/)?s2s_{target}{name}\.tsv\.gz")]
    said = Said(files)
    for row in rows_of(files, tables[0]) if tables else ():
        session, _, _ = parse(row["id"])
        audio = f"{target}/{session[:4]}/{session}_{target}.ogg"
        yield interpretation(
            row["id"], target, audio, texts.get(row["id"]), said.get(row["id"]),
            start=float(row["start_time"]), end=float(row["end_time"]),
        )  # fmt: skip


def interpretation(
    source: str, target: str, audio: str, text: str | None, said: tuple[str, str], **place: float
) -> Utterance:
    """Make an utterance of an interpretation, given the id of what is interpreted, its text and its speaker."""
    session, language, _ = parse(source)
    labels = {
        "subset": target, "session": session, "year": int(session[:4]), "source_id": source,
        "source_language": language, "source_text": said[0] or None,
        "source_speaker_id": said[1] if said[1] != "None" else None,
    }  # fmt: skip
    return Utterance(f"{source}-{target}", audio, text or None, language=target, labels=labels, **place)


def texts_of(files: Files, target: str, made: list[str]) -> Iterator[tuple[str, str]]:
    """Yield ids and texts of the interpretations that were transcribed, some thousands."""
    for name in made:
        if name.endswith("_ref.tsv"):
            yield from ((row["src_id"], row["tgt_text"]) for row in read_tsv(files.lines(name)))
    for found in files.match(rf"(?:.*/)?s2s_{target}_ref\.tsv\.gz"):
        yield from ((row["id"], row["tgt_text"]) for row in rows_of(files, found[0]))


class Said:
    """Text and speaker of what was interpreted, out of the annotations, a language at a time."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._language = functools.lru_cache(maxsize=None)(self._read)

    def get(self, name: str) -> tuple[str, str]:
        """Return text and speaker of an utterance, empty where its annotations are not there."""
        return self._language(parse(name)[1]).get(name, ("", "None"))

    def _read(self, language: str) -> dict[str, tuple[str, str]]:
        found = {}
        for table in self._files.match(rf"(?:.*/)?asr_{language}\.tsv\.gz"):
            with gzip.open(self._files.open(table[0]), "rt", encoding="utf-8", newline="") as lines:
                for row in read_rows(lines):
                    found[f"{row['session_id']}-{row['id_']}"] = (row["original_text"], row["speaker_id"])
        return found


def parse(name: str) -> tuple[str, str, str]:
    """Return session, language and number: ``20100210-0900-PLENARY-3-nl_20100210-09:06:43_4``."""
    found = re.fullmatch(r"(.+)-([a-z]{2})_(.+)", name)
    return (found[1], found[2], found[3]) if found else (name, "", "")


def rows_of(files: Files, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table under gzip, tabs between the cells."""
    with gzip.open(files.open(name), "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
