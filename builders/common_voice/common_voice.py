"""Common Voice: sentences read and validated by volunteers in more than a hundred languages.

Source: Ardila et al. (2020), https://commonvoice.mozilla.org. Read are all releases, whatever columns their tables
have: 1 to 4 have no folder above ``clips/``, 5 and later ``cv-corpus-<release>/<locale>/``, delta releases lack the
splits, copies on the Hub have ``transcript/<locale>/<split>.tsv`` and ``audio/<locale>/<split>/*.tar``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from datasets import List, Value

from builders.common_voice.published import LOCALES, published
from builders.corpus import CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.hub_layout import Shards
from builders.listing import Utterance
from builders.tsv import read_tsv

LOCALE = r"[a-z]{2,3}(?:-[A-Za-z]+)?"
TABLE = r"(?P<folder>(?:.*/)?){part}\.tsv"
TABLES = {"train": "train", "validation": "dev", "test": "test"}
# Tables that overlap with the splits, and with each other where they are of several releases.
BUCKETS = {"validated": "at least two votes, most of them up: the three splits and more",
           "invalidated": "voted down", "other": "not enough votes yet"}  # fmt: skip
# An archive without a folder that tells its language: cv-corpus-4_tr.tar, tr.tar.gz.
FLAT = rf"(?:cv-corpus-[^/]*_)?({'|'.join(LOCALES)})\.(?:tar|tgz|zip).*"
GENDERS = {
    "male": "male", "male_masculine": "male", "female": "female", "female_feminine": "female", "other": "other",
    "transgender": "other", "non-binary": "other", "intersex": "other",
}  # fmt: skip


@dataclass
class CommonVoiceConfig(CorpusConfig):
    """A choice of tables.

    locale : str or None
        The language to read, where there are several; None stands for all.
    """

    locale: str | None = None


def _config(name: str, description: str, splits: tuple[str, ...], locale: str | None = None) -> CommonVoiceConfig:
    archives = [f"cv-corpus-*[-_]{locale}.*", f"{locale}.tar*", f"audio/{locale}/*.tar"] if locale else ()
    expected = dict.fromkeys(splits, Expected())
    return CommonVoiceConfig(name=name, description=description, splits=expected, archives=archives, locale=locale)


class CommonVoice(CorpusBuilder):
    """Common Voice, any release."""

    FACTS = Facts(
        title="Common Voice",
        homepage="https://commonvoice.mozilla.org",
        licence="CC0 1.0",
        access="Common Voice is free but asks for an account (https://datacollective.mozillafoundation.org): pass "
        "data_dir=<a release's folder or archive>; delta releases have validated, invalidated and other only",
        citation="Ardila, R., Branson, M., Davis, K., Henretty, M., Kohler, M., Meyer, J., Morais, R., Saunders, L., "
        "Tyers, F. M., Weber, G. (2020). Common Voice: A Massively-Multilingual Speech Corpus. LREC.",
        root=rf"^(?:.*/)?(?=cv-corpus-[^/]*/)|^(?:.*/)?(?=(?:audio|transcript)/{LOCALE}/)"
        rf"|^(?:.*/)?(?={LOCALE}/(?:clips/|\w+\.tsv$))",
        archive_patterns=("cv-corpus-*", "audio/*/*.tar", *(f"{locale}.tar*" for locale in LOCALES)),
        labels=("gender", "age", "accent"),
        own_labels={
            "gender_raw": Value("string"),  # as the release has it
            "variant": Value("string"),
            "locale": Value("string"),
            "segment": Value("string"),
            "sentence_id": Value("string"),
            "sentence_domain": List(Value("string")),
            "up_votes": Value("int32"),
            "down_votes": Value("int32"),
        },
    )
    BUILDER_CONFIG_CLASS = CommonVoiceConfig
    BUILDER_CONFIGS = [
        _config("default", "The splits, of every language that is there.", tuple(TABLES)),
        *(_config(name, f"Clips of {name}.tsv: {meaning}.", (name,)) for name, meaning in BUCKETS.items()),
        *(_config(locale, f"The splits of {locale}.", tuple(TABLES), locale) for locale in LOCALES),
    ]
    DEFAULT_CONFIG_NAME = "default"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = published(*self._release(self.files))
        self.config.splits = {split: known.get(split, Expected()) for split in self.config.splits}

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips of a table, those of which there is no file included."""
        flat = [source.path.name for source in files.sources if re.fullmatch(FLAT, source.path.name, re.IGNORECASE)]
        part = TABLES.get(split, split)
        tables = list(files.match(TABLE.format(part=part)))
        if len(flat) > 1 and not all(table["folder"] for table in tables):
            raise CorpusError(f"{', '.join(flat)} have no folders that tell them apart: pass one of them as data_dir")
        for table in tables:
            folder = language_of(table["folder"], files.path.name)
            if folder and self.config.locale and folder[1] != self.config.locale:
                continue
            shards = self._shards(files, table["folder"], part)
            for cells in read_tsv(files.lines(table[0])):
                locale = self._locale(cells, folder, flat)
                if self.config.locale in (None, locale):
                    yield clip(cells, locale, shards)

    def _shards(self, files: Files, folder: str, part: str) -> Shards:
        """Return where the clips of a table lie: ``clips/``, or the Hub's shards of a language and split."""
        clips = Shards(files, [f"{folder}clips/"])
        hub = re.fullmatch(r"(?P<top>(?:.*/)?)transcript/(?P<locale>[^/]+)/", folder)
        if hub:
            pattern = rf"(?P<folder>{re.escape(hub['top'])}audio/{hub['locale']}/{part}/(?:[^/]+/)?)[^/]+\.mp3"
            clips.folders += sorted({found["folder"] for found in files.match(pattern)})
        return clips

    def _locale(self, cells: dict[str, str], folder: re.Match[str] | None, flat: list[str]) -> str | None:
        """Return the language of a clip: from its row, its name, the configuration, its folder, its archive."""
        named = re.match(rf"common_voice_({LOCALE})_", cells["path"])
        archive = re.fullmatch(FLAT, flat[0], re.IGNORECASE) if len(flat) == 1 else None
        found = [named, folder, archive]
        known = [cells.get("locale"), named and named[1], self.config.locale, *(match and match[1] for match in found)]
        return next(filter(None, known), None)

    def _release(self, files: Files) -> tuple[str, str]:
        """Return release and locale, as far as the names of folders and archives tell."""
        names = [next(files.names("cv-corpus-*.tsv"), ""), *(source.path.name for source in files.sources)]
        found = (re.search(r"cv-corpus-(\d+(?:\.\d+)?)(?!.*-delta)", name) for name in [*names, str(files.path)])
        release = next(filter(None, found), None)
        tables = files.match(rf"(?:.*/)?(?P<locale>{LOCALE})/(?:validated|train)\.tsv")
        locales = [self.config.locale] if self.config.locale else [table["locale"] for table in tables]
        return release[1] if release else "", locales[0] if len(set(locales)) == 1 else ""


def language_of(folder: str, corpus: str) -> re.Match[str] | None:
    """Return what the folder of a table says of its language, given the name of the corpus' own folder."""
    found = re.search(rf"(?:^|/|cv-corpus-[^/]*_)({LOCALE})/$", folder)
    if found is None or folder == "cv/" == f"{corpus}/":  # Chuvash, or Common Voice
        return None
    return found if found[1] in LOCALES or "cv-corpus-" in folder else None


def clip(cells: dict[str, str], locale: str | None, shards: Shards) -> Utterance:
    """Make an utterance of a row of a table; which columns it has depends on the release (tabs between them).

    client_id path sentence up_votes down_votes age gender accents variant locale segment
    43936e1b8.. common_voice_ta_37342302.mp3 அதன்படி மறுநாள் .. 3 0 twenties male Normal tamil,Pothu tamil  ta
    """
    name = cells["path"].rsplit("/", 1)[-1]
    name = name if name.endswith(".mp3") else f"{name}.mp3"  # the first releases leave it out
    votes = {column: int(cells[column]) for column in ("up_votes", "down_votes") if cells.get(column)}
    domains = cells.get("sentence_domain")
    labels = {
        "gender": GENDERS.get(cells.get("gender", "")),
        "age": cells.get("age") or None,
        "accent": cells.get("accents") or cells.get("accent") or None,
        "gender_raw": cells.get("gender") or None,
        "sentence_domain": [domain.strip() for domain in domains.split(",")] if domains else None,
        "locale": locale,
        **{column: cells.get(column) or None for column in ("variant", "segment", "sentence_id")},
        **votes,
    }
    audio = shards.find(name) or f"{shards.folders[0]}{name}"  # absent: quarantined
    speaker, text = cells.get("client_id") or None, cells.get("sentence") or None
    return Utterance(name.removesuffix(".mp3"), audio, text, speaker, bcp47(locale), labels=labels)


def bcp47(locale: str | None) -> str | None:
    """Return a locale with its region in capitals: ``nan-tw`` is nan-TW, ``rm-sursilv`` stays."""
    language, _, region = (locale or "").partition("-")
    return f"{language}-{region.upper()}" if len(region) == 2 else locale
