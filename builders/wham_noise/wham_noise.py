"""WHAM! noise: bars, restaurants, streets and parks through two microphones, without intelligible speech.

Source: Wichern et al. (2019), https://arxiv.org/abs/1907.01160. Clips are named after the mixture of WSJ0-2mix that
they go with; the high-resolution release holds the recordings that they were cut from::

    wham_noise/cv/40pc020b_0.52421_409c021e_-0.52421.wav, wham_noise/metadata/noise_meta_cv.csv
    high_res_wham/audio/<recording>.wav, high_res_wham/high_res_metadata.csv
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.windows import WindowConfig, cut

logger = logging.getLogger(__name__)

SUBSETS = {"train": "tr", "validation": "cv", "test": "tt"}
HIGH_RES = {"train": "train", "validation": "valid", "test": "test"}
HIGH_RES_TABLE = "high_res_metadata.csv"
SPED = re.compile(r".*sp(?:08|12)")  # copies at other speeds, which LibriMix makes beside the clips
COLUMNS = (
    "Noise Band", "File ID", "L to R Width (cm)", "Reverberation Level", "Location ID", "Location Day ID",
)  # fmt: skip
LEVELS = {"l": "low", "m": "medium", "h": "high"}
BUCKET = "https://my-bucket-a8b4b49c25c811ee9a7e8bba05fa24c7.s3.amazonaws.com/"
PUBLISHED = {"train": Expected(20_000), "validation": Expected(5_000, 14.65), "test": Expected(3_000, 9.0)}


@dataclass
class WhamConfig(WindowConfig):
    """A form of WHAM! noise.

    channel : {"0", "1", "mean"}
        Left microphone, right microphone, or both. The two stand some 17 cm apart: their mean is comb-filtered.
    """

    channel: str = "0"


class WhamNoise(CorpusBuilder):
    """WHAM! noise: the 16 kHz clips, or the 48 kHz recordings that they come from."""

    FACTS = Facts(
        title="WHAM! noise",
        homepage="http://wham.whisper.ai",
        licence="CC BY-NC 4.0",
        access=f"WHAM! noise downloads itself (17 GB; high_res: 76 GB); or fetch {BUCKET}wham_noise.zip and pass "
        "data_dir=<its folder, the zip or what it holds>",
        citation="Wichern, G., et al. (2019). WHAM!: Extending Speech Separation to Noisy Environments. Interspeech.",
        channel="0",  # as LibriMix takes it
        root=rf"^(?:.*/)?(?=(?:tr|cv|tt|audio)/[^/]+$)|^(?:.*/)?(?=metadata/[^/]+$|{re.escape(HIGH_RES_TABLE)}$)",
        download=BUCKET,
        archives=(Archive("wham_noise.zip"), Archive("high_res_wham.zip")),
        labels=("subset",),
        own_labels={
            "noise_band": Value("int32"),  # 0 (very quiet) to 3 (very loud)
            "reverberation": Value("string"),  # low, medium, high, as someone heard it
            "microphone_distance": Value("float64"),  # cm
            "file_id": Value("string"),  # the recording that the clip is cut from
            "location_id": Value("string"),
            "location_day_id": Value("string"),
        },
    )
    BUILDER_CONFIG_CLASS = WhamConfig
    BUILDER_CONFIGS = [
        WhamConfig(name="wham", description="16 kHz clips, left microphone.", splits=PUBLISHED,
                   archives=["wham_noise*"]),
        WhamConfig(name="wham-mean", description="16 kHz clips, mean of both microphones.", splits=PUBLISHED,
                   archives=["wham_noise*"], channel="mean"),
        WhamConfig(name="high_res", description="Whole recordings, 48 kHz.", splits=dict.fromkeys(SUBSETS, Expected()),
                   archives=["high_res_wham*"]),
        WhamConfig(name="high_res-30s", description="The same, cut to 30 s.",
                   splits=dict.fromkeys(SUBSETS, Expected()), archives=["high_res_wham*"], window=30.0),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "wham"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips or recordings of a split, cut where the configuration says so."""
        find = recordings if self.config.name.startswith("high_res") else clips
        for utterance in cut(find(files, split), files, self.config.window):
            utterance.channel = str(self.config.channel)
            yield utterance


def clips(files: Files, split: str) -> Iterator[Utterance]:
    """Yield the clips that the table of the split lists, then those that only lie there."""
    subset = SUBSETS[split]
    name = f"metadata/noise_meta_{subset}.csv"
    table = {row["utterance_id"].removesuffix(".wav"): describe(row) for row in read_table(files, name)}
    there = [path["stem"] for path in files.match(rf"{subset}/(?P<stem>[^/]+)\.wav")]
    sped = sum(stem not in table and SPED.fullmatch(stem) is not None for stem in there)
    if sped:
        logger.warning("wham_noise: %d files of %s left out: copies at other speeds that LibriMix made", sped, subset)
    for stem in dict.fromkeys((*table, *there)):
        if stem in table or not SPED.fullmatch(stem):
            labels = {"subset": subset, **table.get(stem, {})}
            yield Utterance(f"{subset}/{stem}", f"{subset}/{stem}.wav", labels=labels)


def recordings(files: Files, split: str) -> Iterator[Utterance]:
    """Yield the whole recordings of a split.

    Read are the columns ``Filename``, ``WHAM! Split`` (Train, Valid, Test) and, where they are there, those that
    the tables of the clips have too.
    """
    for row in read_table(files, HIGH_RES_TABLE):
        if row["WHAM! Split"].strip().lower() == HIGH_RES[split]:
            name = row["Filename"].strip().rsplit("/", 1)[-1]
            labels = {"subset": SUBSETS[split], **describe(row)}
            yield Utterance(name.removesuffix(".wav"), f"audio/{name}", labels=labels)


def describe(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the labels of a row of one of the tables.

    utterance_id,Noise Band,File ID,L to R Width (cm),Reverberation Level,Location ID,Location Day ID
    """
    found = {name: (row.get(name) or "").strip() or None for name in COLUMNS}
    width = re.match(r"\d+(?:\.\d+)?", found["L to R Width (cm)"] or "")  # a number, or one and a remark
    band = found["Noise Band"]
    return {
        "noise_band": int(float(band)) if band else None,
        "reverberation": LEVELS.get((found["Reverberation Level"] or "").lower()),
        "microphone_distance": float(width[0]) if width else None,
        "file_id": found["File ID"],
        "location_id": found["Location ID"],
        "location_day_id": found["Location Day ID"],
    }


def read_table(files: Files, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table; none where the copy lacks it."""
    return csv.DictReader(files.lines(name)) if name in files else iter(())
