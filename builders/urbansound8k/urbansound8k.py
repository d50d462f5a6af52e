"""UrbanSound8K: 8,732 excerpts of city sounds from Freesound, in ten classes and ten folds.

Source: Salamon et al. (2014), https://urbansounddataset.weebly.com/urbansound8k.html; the archive is
https://zenodo.org/records/1203745. Files are as they were uploaded: any rate, sample type and number of channels.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator, Mapping

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance

logger = logging.getLogger(__name__)

TABLE = "UrbanSound8K.csv"
# <Freesound id>-<class>-<occurrence>-<slice>.wav
NAME = re.compile(r"(?P<recording>\d+)-(?P<class_id>\d+)-(?P<occurrence>\d+)-(?P<slice>\d+)")
CLASSES = (
    "air_conditioner car_horn children_playing dog_bark drilling engine_idling gun_shot jackhammer siren street_music"
).split()


class UrbanSound8K(CorpusBuilder):
    """UrbanSound8K: one split with its folds, which are never to be shuffled."""

    FACTS = Facts(
        title="UrbanSound8K",
        homepage="https://urbansounddataset.weebly.com/urbansound8k.html",
        licence="CC BY-NC 3.0 (its readme; Zenodo says CC BY-NC 4.0)",
        access="UrbanSound8K downloads itself (6 GB, https://zenodo.org/records/1203745); or pass data_dir=<the "
        "archive, or the folder that holds UrbanSound8K.csv and fold1 to fold10>",
        citation="Salamon, J., Jacoby, C., Bello, J. P. (2014). A Dataset and Taxonomy for Urban Sound Research. ACM "
        "Multimedia.",
        channel="mean",
        root=rf"^(?:.*/)?(?=fold(?:10|[1-9])/[^/]+$)|^(?:.*/)?(?={re.escape(TABLE)}$)",
        download="https://zenodo.org/records/1203745/files/",
        archives=(Archive("UrbanSound8K.tar.gz", md5="9aa69802bbf37fb986f71ec1483a196e"),),
        archive_patterns=("*urbansound8k*",),
        labels=("category", "fold"),
        own_labels={
            "class_id": Value("int32"),  # 0 to 9, in the order of the classes' names
            "salience": Value("int32"),  # 1 foreground, 2 background
            "freesound_id": Value("string"),  # of the recording that the excerpt is cut from
            "occurrence": Value("int32"),  # of the sound in that recording
            "slice": Value("int32"),  # of the occurrence
            "recording_start": Value("float64"),  # seconds in that recording
            "recording_end": Value("float64"),
        },
    )
    BUILDER_CONFIGS = [CorpusConfig(name="default", splits={"train": Expected(8_732, 8.75)})]
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the excerpts of the table; a file that it does not list has no label and is named in a warning."""
        if TABLE not in files:
            return
        listed = set()
        for row in csv.DictReader(files.lines(TABLE)):
            made = excerpt(row)
            listed.add(made.audio)
            yield made
        for path in files.match(r"fold\d+/[^/]+\.(?:wav|WAV)"):
            if path[0] not in listed:
                logger.warning("urbansound8k: %s left out: %s does not list it", path[0], TABLE)


def excerpt(row: Mapping[str, str]) -> Utterance:
    """Make an utterance of a row of UrbanSound8K.csv.

    slice_file_name,fsID,start,end,salience,fold,classID,class
    100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark

    Raises
    ------
    CorpusError
        If columns are missing, or contradict the file's name or each other.
    """
    try:
        stem, start, end = row["slice_file_name"].removesuffix(".wav"), float(row["start"]), float(row["end"])
        class_id, fold, salience = int(row["classID"]), int(row["fold"]), int(row["salience"])
        name = NAME.fullmatch(stem)
        agrees = name and (row["fsID"], class_id) == (name["recording"], int(name["class_id"]))
        if not agrees or row.get("class", CLASSES[class_id]) != CLASSES[class_id]:
            raise ValueError("the columns contradict the file's name or each other")
        if not (1 <= fold <= 10 and salience in (1, 2) and 0 <= start < end):
            raise ValueError("fold, salience or times are out of their range")
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise CorpusError(f"{TABLE} has the row {dict(row)} ({error!r}): fetch it again") from None
    labels = {
        "category": CLASSES[class_id],
        "fold": fold,
        "class_id": class_id,
        "salience": salience,
        "freesound_id": name["recording"],
        "occurrence": int(name["occurrence"]),
        "slice": int(name["slice"]),
        "recording_start": start,
        "recording_end": end,
    }
    return Utterance(stem, f"fold{fold}/{stem}.wav", labels=labels)
