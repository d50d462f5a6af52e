"""VoxPopuli: speech in the European Parliament with transcripts, 16 languages and English with 15 accents.

Source: Wang et al. (2021), https://github.com/facebookresearch/voxpopuli. Read are the tree of the original's
scripts (``transcribed_data/<lang>/asr_<split>.tsv`` with an Ogg an utterance), the sessions with the annotations
(``raw_audios/original/<year>/*.ogg`` and ``asr_<lang>.tsv.gz``), out of which the utterances are cut, and the Hub's
``data/<lang>/asr_<split>.tsv`` with shards of WAV.
"""

from __future__ import annotations

import ast
import csv
import gzip
import re
from collections.abc import Iterable, Iterator

from datasets import List, Value

from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.hub_layout import Shards, packed_language
from builders.listing import Utterance
from builders.tsv import read_tsv

HOURS = {
    "en": 543, "de": 282, "fr": 211, "es": 166, "pl": 111, "it": 91, "ro": 89, "hu": 63, "cs": 62, "nl": 53, "hr": 43,
    "sk": 35, "fi": 27, "sl": 10, "et": 3, "lt": 2,
}  # fmt: skip
ACCENTED = "en_accented"
LANG = rf"(?:{ACCENTED}|[a-z]{{2}})"
TABLES = {"train": "train", "validation": "dev", "test": "test"}
EXPECTED = {"en": {"train": Expected(182482), "validation": Expected(1753), "test": Expected(1842)}}
SESSION = r"(.+?)-[a-z_]+_\d{8}-"  # 20100210-0900-PLENARY-3-nl_20100210-09:06:43_4
FIELD_LIMIT = 1 << 27  # characters: a cell of the annotations can hold the words and pauses of a whole session
ROW_LINES = 100  # a cell in quotes may go over several lines, but not over a whole file


def _config(name: str, description: str, languages: Iterable[str], splits: Iterable[str] = TABLES) -> CorpusConfig:
    packed = [f"{part}_part_*.tar.gz" for part in TABLES.values()]
    archives = ["original_*.tar", *packed, "voxpopuli*", *(f"{language}.tar*" for language in languages)]
    expected = {**dict.fromkeys(splits, Expected()), **EXPECTED.get(name, {})}
    return CorpusConfig(name=name, description=description, splits=expected, archives=archives)


class VoxPopuli(CorpusBuilder):
    """VoxPopuli, its transcribed part."""

    FACTS = Facts(
        title="VoxPopuli",
        homepage="https://github.com/facebookresearch/voxpopuli",
        licence="CC0 1.0 (the European Parliament's legal notice applies)",
        access="VoxPopuli is open: fetch data/<language> of https://huggingface.co/datasets/facebook/voxpopuli, or "
        "what the scripts of https://github.com/facebookresearch/voxpopuli fetch, and pass data_dir=<its folder>",
        citation="Wang, C., Riviere, M., Lee, A., Wu, A., Talnikar, C., Haziza, D., Williamson, M., Pino, J., "
        "Dupoux, E. (2021). VoxPopuli: A Large-Scale Multilingual Speech Corpus for Representation Learning, "
        "Semi-Supervised Learning and Interpretation. ACL.",
        root=rf"^(?:.*/)?(?={LANG}/(?:asr_[^/]*\.tsv(?:\.gz)?$|\d{{4}}/|(?:train|dev|test)/)|original/\d{{4}}/)",
        labels=("gender", "accent", "subset"),
        own_labels={
            "raw_text": Value("string"),  # cased and punctuated; `text` is the normalised one
            "session": Value("string"),
            "year": Value("int32"),
            "is_gold_transcript": Value("bool"),
            "speech": List({"start": Value("float64"), "end": Value("float64")}),  # where in the session, seconds
        },
    )
    BUILDER_CONFIGS = [
        _config("multilang", "All languages that are there, without the accented set.", HOURS),
        *(_config(name, f"{name}: {hours} hours.", [name]) for name, hours in HOURS.items()),
        _config(ACCENTED, "English with 15 accents, 29 hours.", [ACCENTED], ["test"]),
    ]
    DEFAULT_CONFIG_NAME = "multilang"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances of the tables of a split; of a language without any, those of the annotations."""
        part = TABLES[split]
        done = set()
        for table in list(files.match(rf"(?P<folder>(?:(?P<language>{LANG})/)?)asr_(?:train|dev|test)\.tsv")):
            language = table["language"] or self.config.name
            if self._wanted(language):
                done.add(language)
                if table[0].endswith(f"asr_{part}.tsv"):
                    yield from self._cut_already(files, table, language, part)
        for table in list(files.match(rf"(?:.*/)?asr_(?P<language>{LANG})\.tsv\.gz")):
            if self._wanted(table["language"]) and table["language"] not in done:
                with gzip.open(files.open(table[0]), "rt", encoding="utf-8", newline="") as lines:
                    yield from read_annotations(lines, table["language"], part)

    def _wanted(self, language: str) -> bool:
        return language in ((self.config.name,) if self.config.name != "multilang" else HOURS)

    def _cut_already(self, files: Files, table: re.Match[str], language: str, part: str) -> Iterator[Utterance]:
        """Yield the rows of a table whose utterances are files: ``2010/<id>.ogg`` or ``dev_part_0/<id>.wav``."""
        pattern = rf"(?P<folder>(?:(?:{language}/)?{part}/)?{part}_part_\d+/)[^/]+\.wav"
        shards = Shards(files, dict.fromkeys(found["folder"] for found in files.match(pattern)))
        for cells in read_tsv(files.lines(table[0])):
            ogg = f"{table['folder']}{cells['id'][:4]}/{cells['id']}.ogg"
            audio = ogg if ogg in files else shards.find(f"{cells['id']}.wav")
            session = re.match(SESSION, cells["id"])
            yield utterance(cells, cells["id"], audio or ogg, language, session and session[1])  # absent: quarantined

    def _open_files(self, data_dir: str | None, config_name: str | None) -> Files | None:
        folder = data_dir and str(packed_language(data_dir, config_name or ""))
        return super()._open_files(folder, config_name)


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
