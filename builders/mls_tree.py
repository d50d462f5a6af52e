"""The files of Multilingual LibriSpeech, the same for each language, in FLAC and in Opus."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from datasets import Value

from builders.corpus import Archive, CorpusConfig, Expected
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.lookup import Lookup

DOWNLOAD = "https://dl.fbaipublicfiles.com/mls/"
PARTS = {"train": "train", "validation": "dev", "test": "test"}
FORMATS = ("flac", "opus")  # where both are there, the lossless one is read
# Names of the configurations that train on part of the data, and the corpus' lists that they are made of.
LIMITED = {"10hr": ("9hr", "1hr"), "9hr": ("9hr",), "1hr": ("1hr",)}
CITATION = (
    "Pratap, V., Xu, Q., Sriram, A., Synnaeve, G., Collobert, R. (2020). MLS: A Large-Scale Multilingual Dataset for "
    "Speech Research. Interspeech."
)
LABELS = ("gender", "book", "subset", "fold")  # subset and fold: the limited-supervision list that has the row
OWN_LABELS = {
    "original_url": Value("string"),  # the recording that the utterance was cut from
    "original_start": Value("float64"),
    "original_end": Value("float64"),
}
# The language lies in the top folder's name, which is kept; a top folder of another name is cut off where the user
# points at it.
ROOT = (
    r"^(?:.*/)?(?=mls_[a-z]+(?:_opus)?/)"
    r"|^(?:[^/]+/)?(?=(?:train|dev|test)/(?:audio|limited_supervision|transcripts\.txt|segments\.txt))"
    r"|^[^/]+/(?=metainfo\.txt$)"
)


@dataclass
class MlsConfig(CorpusConfig):
    """A language, or the limited-supervision part of its training set.

    mls_language : str
        As the archives' names have it: ``german``.
    code : str
        BCP 47: ``de``.
    limited : sequence of str
        The lists, ``9hr`` and ``1hr``, that `train` is made of; empty is all of it.
    form : {"flac", "opus"} or None
        Which of the two to read; None is the one that is there. Fetched is Opus, which is a quarter as large.
    """

    mls_language: str = ""
    code: str = ""
    limited: Sequence[str] = ()
    form: str | None = None


def archives(language: str, flac: tuple[int | None, str], opus: tuple[int | None, str]) -> tuple[Archive, ...]:
    """Return the two published archives of a language, given size and MD5 of each."""
    return Archive(f"mls_{language}.tar.gz", *flac), Archive(f"mls_{language}_opus.tar.gz", *opus)


def configurations(
    language: str, code: str, published: dict[str, Expected], limited: dict[str, int | None], prefix: str = ""
) -> Iterator[MlsConfig]:
    """Yield a language's configurations: all of it, and with the limited-supervision lists as training set.

    published : dict of split to Expected
    limited : dict of list to its number of utterances
    prefix : str
        Before the names of the configurations, where a corpus has several languages.
    """
    common = {
        "mls_language": language, "code": code,
        "archives": [f"mls_{language}.*", f"mls_{language}_opus.*"], "fetched": [f"mls_{language}_opus.tar.gz"],
    }  # fmt: skip
    yield MlsConfig(name=prefix or "default", splits=published, **common)
    for name, lists in LIMITED.items():
        counts = [limited[part] for part in lists]
        train = Expected(None if None in counts else sum(counts), float(name.removesuffix("hr")))
        splits = {**published, "train": train}
        yield MlsConfig(name=f"{prefix}_{name}".strip("_"), splits=splits, limited=lists, **common)


def utterances(files: Files, split: str, config: MlsConfig) -> Iterator[Utterance]:
    """Yield the utterances of a split in the order of its transcripts, holding one at a time.

    transcripts.txt: 4800_10003_000000<TAB>oh my dear you must see him he expects you she answered almost gayly ...

    Raises
    ------
    CorpusError
        If the training set is limited and its lists are not there.
    """
    part = PARTS[split]
    found = find(files, config.mls_language, part, config.form)
    if found is None:
        return
    top, suffix = found
    genders = read_genders(files, top)
    handles = read_handles(files, top) if part == "train" else {}
    wanted = config.limited if part == "train" else ()
    for name in set(wanted) - {name for name, _ in handles.values()}:
        raise CorpusError(f"{config.name} needs {top}train/limited_supervision/{name}, not found in {files.path}")
    transcripts = (line.partition("\t")[::2] for line in files.lines(f"{top}{part}/transcripts.txt"))
    with Lookup(read_segments(files, f"{top}{part}/segments.txt")) as segments:
        # Behind the transcripts: what the lists have and they have not.
        for identifier, text in itertools.chain(transcripts, rest(handles)):
            subset, fold = handles.pop(identifier, (None, None))
            if wanted and subset not in wanted:
                continue
            speaker, book, _ = identifier.split("_")
            labels = {
                "gender": genders.get(speaker), "book": book, "subset": subset, "fold": fold,
                **original(segments.get(identifier)),
            }  # fmt: skip
            audio = f"{top}{part}/audio/{speaker}/{book}/{identifier}.{suffix}"
            yield Utterance(identifier, audio, text.strip() or None, speaker, config.code, labels=labels)


def rest(handles: dict[str, tuple[str, int | None]]) -> Iterator[tuple[str, str]]:
    """Yield what is left in the lists, without text, once it is asked for."""
    yield from [(identifier, "") for identifier in handles]


def find(files: Files, language: str, part: str, form: str | None) -> tuple[str, str] | None:
    """Return the top folder of a split's files, with its slash, and the suffix of its audio; None if it isn't there."""
    names = (f"mls_{language}/", f"mls_{language}_opus/", "")
    tops = [top for top in names if f"{top}{part}/transcripts.txt" in files]
    forms = (form,) if form else FORMATS
    for suffix in forms:
        for top in tops:
            if next(files.names(f"{top}{part}/audio/*.{suffix}"), None):
                return top, suffix
    # All audio is missing: each utterance says so in the quarantine.
    return next(((top, form or ("opus" if top.endswith("_opus/") else "flac")) for top in tops), None)


def read_genders(files: Files, top: str) -> dict[str, str]:
    """Read metainfo.txt where it is there: speaker to gender; a speaker has a row for each chapter.

    SPEAKER   |   GENDER   | PARTITION  |  MINUTES   |  BOOK ID   |             TITLE              |   CHAPTER
    9508    |     F      |   secret   |   9.347    |   10105    | Stephen: A Soldier of the Cross | Good Tidings ...
    """
    words = {"F": "female", "M": "male"}
    genders: dict[str, str] = {}
    name = f"{top}metainfo.txt"
    # Titles are free text, bars included: they stay in one piece.
    rows = ([cell.strip() for cell in line.split("|", 6)] for line in files.lines(name)) if name in files else ()
    for row in rows:
        if len(row) > 2 and row[1] in words and row[2] != "secret":  # no audio of those was released
            genders.setdefault(row[0], words[row[1]])
    return genders


def read_handles(files: Files, top: str) -> dict[str, tuple[str, int | None]]:
    """Read the limited-supervision lists, some 2,400 ids: id to list, and its fold, 0 to 5, within the hour."""
    folder = f"{top}train/limited_supervision/"
    handles: dict[str, tuple[str, int | None]] = {}
    for path in files.match(rf"{re.escape(folder)}(?P<list>9hr|1hr)/(?:(?P<fold>\d)/)?handles\.txt"):
        entry = (path["list"], int(path["fold"]) if path["fold"] else None)
        handles |= {line.strip(): entry for line in files.lines(path[0])}
    return handles


def read_segments(files: Files, name: str) -> Iterator[tuple[str, str]]:
    """Read a segments.txt, where it is there: id, and its URL, start and end in one piece."""
    for line in files.lines(name) if name in files else ():
        identifier, _, rest = line.partition("\t")
        yield identifier, rest


def original(segment: str | None) -> dict[str, str | float]:
    """Return the labels of a line of segments.txt: URL, start and end in seconds."""
    if segment is None:
        return {}
    url, start, end = segment.split("\t")
    return {"original_url": url, "original_start": float(start), "original_end": float(end)}
