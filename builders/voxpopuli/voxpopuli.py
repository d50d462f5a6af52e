"""VoxPopuli: speech in the European Parliament, in 16 languages with transcripts and in 23 without, and interpreted.

Source: Wang et al. (2021), https://github.com/facebookresearch/voxpopuli. Read are the tree of the original's
scripts (``transcribed_data/<lang>/asr_<split>.tsv`` with an Ogg an utterance), the sessions with the annotations
(``raw_audios/original/<year>/*.ogg`` and ``asr_<lang>.tsv.gz``), out of which the utterances are cut, and the Hub's
``data/<lang>/asr_<split>.tsv`` with shards of WAV.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator

from datasets import List, Value
from huggingface_hub import hf_hub_url

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.hub_layout import Shards
from builders.listing import Utterance
from builders.tsv import read_tsv
from builders.voxpopuli import channels
from builders.voxpopuli.annotations import read_annotations, utterance

HOURS = {
    "en": 543, "de": 282, "fr": 211, "es": 166, "pl": 111, "it": 91, "ro": 89, "hu": 63, "cs": 62, "nl": 53, "hr": 43,
    "sk": 35, "fi": 27, "sl": 10, "et": 3, "lt": 2,
}  # fmt: skip
ACCENTED = "en_accented"
LANG = rf"(?:{ACCENTED}|[a-z]{{2}})"
TABLES = {"train": "train", "validation": "dev", "test": "test"}
EXPECTED = {"en": {"train": Expected(182482), "validation": Expected(1753), "test": Expected(1842)}}
SESSION = r"(.+?)-[a-z_]+_\d{8}-"  # 20100210-0900-PLENARY-3-nl_20100210-09:06:43_4
# A revision of the Hub's copy that holds tables and archives: the newest holds Parquet.
REVISION = "4ca6fb6d6bb37af66991d05974e6abcadd4b181e"
ORIGINAL = "https://dl.fbaipublicfiles.com/voxpopuli/"


def _hub(name: str) -> Archive:
    return Archive(name, url=hf_hub_url("facebook/voxpopuli", f"data/{name}", repo_type="dataset", revision=REVISION))


def _archives() -> Iterator[Archive]:
    yield _hub("n_files.json")
    yield from (_hub(f"{language}/asr_{part}.tsv") for language in HOURS for part in TABLES.values())
    yield _hub(f"{ACCENTED}/asr_test.tsv")
    tables = {
        "unlabelled_v2.tsv.gz": "annotations/",
        **{f"asr_{language}.tsv.gz": "annotations/asr/" for language in HOURS},
        **{f"s2s_{language}.tsv.gz": "annotations/s2s/" for language in channels.LANGUAGES},
        **{f"s2s_{language}_ref.tsv.gz": "annotations/s2s/" for language in channels.WITH_TEXT},
        **{f"{language}_{year}{more}.tar": "audios/" for language in channels.LANGUAGES for year in channels.YEARS
           for more in ("", "_2")},
    }  # fmt: skip
    yield from (Archive(name, url=f"{ORIGINAL}{folder}{name}") for name, folder in tables.items())


def _config(name: str, description: str, languages: Iterable[str], splits: Iterable[str] = TABLES) -> CorpusConfig:
    archives = ["original_*.tar", "voxpopuli*", *(f"{language}.tar*" for language in languages)]
    expected = {**dict.fromkeys(splits, Expected()), **EXPECTED.get(name, {})}
    fetched = ["n_files.json", *(f"{language}/*.tsv" for language in languages)]
    return CorpusConfig(name=name, description=description, splits=expected, archives=archives, fetched=fetched)


def _channels() -> Iterator[CorpusConfig]:
    """Yield the configurations without transcripts: of a language, of a subset, of an interpretation."""
    splits = {"train": Expected()}
    for name in (None, *channels.SUBSETS, *channels.LANGUAGES):
        which = name if name in channels.LANGUAGES else "??"
        years = {"10k": ("2019", "2020"), "100k": ("20??",)}.get(name or "", ("*",))  # *_2.tar: what came with v2
        yield CorpusConfig(
            name=f"unlabelled_{name}" if name else "unlabelled", splits=splits,
            description="Channels of speakers and interpreters without text" + (f": {name}." if name else "."),
            archives=["unlabelled_v2.tsv.gz", *(f"{which}_{year}.tar" for year in years)],
        )  # fmt: skip
    for language in channels.LANGUAGES:
        yield CorpusConfig(
            name=f"s2s_{language}", splits=splits, description=f"Speeches with their interpretation into {language}.",
            archives=[f"{language}_20??.tar", f"s2s_{language}*.tsv.gz", "asr_??.tsv.gz"],
        )  # fmt: skip


class VoxPopuli(CorpusBuilder):
    """VoxPopuli."""

    FACTS = Facts(
        title="VoxPopuli",
        homepage="https://github.com/facebookresearch/voxpopuli",
        licence="CC0 1.0 (the European Parliament's legal notice applies)",
        access="VoxPopuli is open: without data_dir a language is fetched from https://huggingface.co/datasets/"
        "facebook/voxpopuli, what has no transcripts from https://dl.fbaipublicfiles.com/voxpopuli; "
        "what https://github.com/facebookresearch/voxpopuli fetches is read as well: pass data_dir=<its folder>",
        citation="Wang, C., Riviere, M., Lee, A., Wu, A., Talnikar, C., Haziza, D., Williamson, M., Pino, J., "
        "Dupoux, E. (2021). VoxPopuli: A Large-Scale Multilingual Speech Corpus for Representation Learning, "
        "Semi-Supervised Learning and Interpretation. ACL.",
        root=rf"^(?:.*/)?(?={LANG}/(?:asr_[^/]*\.tsv(?:\.gz)?$|\d{{4}}/|(?:train|dev|test)/)|original/\d{{4}}/"
        r"|[a-z]{2}/[a-z]{2}/s2s(?:_ref)?\.tsv$)",
        archives=tuple(_archives()),
        placed=tuple(f"{part}_part_*.tar.gz" for part in TABLES.values()),
        labels=("gender", "accent", "subset"),
        text_gaps=True,
        own_labels={
            "raw_text": Value("string"),  # cased and punctuated; `text` is the normalised one
            "session": Value("string"),
            "year": Value("int32"),
            "is_gold_transcript": Value("bool"),
            "source_id": Value("string"),  # of what is interpreted, as are the next
            "source_language": Value("string"),
            "source_text": Value("string"),
            "source_speaker_id": Value("string"),
            "speech": List({"start": Value("float64"), "end": Value("float64")}),  # where in the session, seconds
        },
    )
    BUILDER_CONFIGS = [
        _config("multilang", "All languages that are there, without the accented set.", HOURS),
        *(_config(name, f"{name}: {hours} hours.", [name]) for name, hours in HOURS.items()),
        _config(ACCENTED, "English with 15 accents, 29 hours.", [ACCENTED], ["test"]),
        *_channels(),
    ]
    DEFAULT_CONFIG_NAME = "multilang"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances of the tables of a split; of a language without any, those of the annotations."""
        kind, _, which = self.config.name.partition("_")
        if kind == "unlabelled":
            languages = (which,) if which in channels.LANGUAGES else tuple(channels.LANGUAGES)
            yield from channels.unlabelled(files, languages, which if which in channels.SUBSETS else None)
            return
        if kind == "s2s":
            yield from channels.interpreted(files, which)
            return
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

    def further(self, files: Files) -> Iterator[Archive]:
        """Yield the archives of the Hub's copy: n_files.json says how many a language and a split have.

        {"nl": {"train": 5, "dev": 1, "test": 1}, ...}
        """
        if self.config.name.startswith(("unlabelled", "s2s")):
            return
        for language, parts in json.loads(files.read_text("n_files.json")).items():
            if self._wanted(language):
                for part, count in parts.items():
                    yield from (_hub(f"{language}/{part}/{part}_part_{n}.tar.gz") for n in range(count))

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
