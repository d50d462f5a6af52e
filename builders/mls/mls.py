"""Multilingual LibriSpeech without its English: read audio books in seven languages, one configuration each.

Source: Pratap et al. (2020), https://www.openslr.org/94. Each language is an archive, in FLAC or in Opus:

    mls_german[_opus]/{train,dev,test}/transcripts.txt    <speaker>_<book>_<number><TAB>text
    mls_german[_opus]/{train,dev,test}/segments.txt       id<TAB>URL<TAB>start<TAB>end
    mls_german[_opus]/metainfo.txt                        SPEAKER | GENDER | PARTITION | MINUTES | BOOK ID | ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from builders import mls_tree
from builders.corpus import CorpusBuilder, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance
from builders.mls_tree import MlsConfig

# code: name, (FLAC's size, MD5), Opus' MD5, utterances of train, validation, test, of the 9 h and 1 h lists, hours
LANGUAGES = {
    "de": ("german", (122944886305, "91ac982bf63869307f1b8950dfb7c776"), "b24a9dfd3a8dd1aeabc1341982cc4775",
           (469942, 3469, 3394, 2194, 241), (1966.5, 14.28, 14.29)),
    "nl": ("dutch", (92158429530, "6b171a16baff0108efd320b1ad65b9d1"), "96658c55ef85993a56cf2efbf6f83f57",
           (374287, 3095, 3075, 2153, 234), (1554.2, 12.76, 12.76)),
    "fr": ("french", (64474642518, "4172e807697259bff9ad63661aecabf6"), "b4716b2fd4f67b07c17c6b2a6068641f",
           (258213, 2416, 2426, 2167, 241), (1076.6, 10.07, 10.07)),
    "es": ("spanish", (53296894035, "6c34698dd522dde28fdc43309e9cc1ac"), "a2c4b0ff02a71f10ddb21beffbe640ce",
           (220701, 2408, 2385, 2110, 233), (917.7, 9.99, 10.00)),
    "it": ("italian", (15395281399, "dc77f5805aecc7182aa20786032e5dc1"), "ca5a74d7e97cc62635022719e0ef529d",
           (59623, 1248, 1262, 2173, 240), (247.4, 5.18, 5.27)),
    "pt": ("portuguese", (9982803818, "12d54613fae75ae5fb1d55836408f3ee"), "4dbd6cbdda61268e5d26c4117b0bf769",
           (37533, 826, 871, 2116, 236), (161.0, 3.64, 3.74)),
    "pl": ("polish", (6609569551, "ce1a1278006cc373c9d1cb6dbfc03d47"), "21f83647876c61566c96fdc6298a7b65",
           (25043, 512, 520, 2173, 238), (103.7, 2.08, 2.14)),
}  # fmt: skip


def _configurations() -> Iterator[MlsConfig]:
    for code, (name, _, _, counts, hours) in LANGUAGES.items():
        published = {split: Expected(*both) for split, *both in zip(mls_tree.PARTS, counts, hours, strict=False)}
        limited = {"9hr": counts[3], "1hr": counts[4]}
        yield from mls_tree.configurations(name, code, published, limited, prefix=code)
    yield MlsConfig(
        name="all", description="All seven languages, those that are there.", splits=_sums(),
        archives=[f"mls_{name}{form}.*" for name, *_ in LANGUAGES.values() for form in ("", "_opus")],
    )  # fmt: skip


def _sums() -> dict[str, Expected]:
    counts, hours = (zip(*(language[place] for language in LANGUAGES.values()), strict=True) for place in (3, 4))
    sums = zip(mls_tree.PARTS, map(sum, counts), map(sum, hours), strict=False)
    return {split: Expected(number, round(length, 2)) for split, number, length in sums}


class Mls(CorpusBuilder):
    """Multilingual LibriSpeech in German, Dutch, French, Spanish, Italian, Portuguese and Polish."""

    FACTS = Facts(
        title="Multilingual LibriSpeech (MLS), the seven languages beside English",
        homepage="https://www.openslr.org/94",
        licence="CC BY 4.0",
        access="MLS is open: without data_dir a language's Opus archive is fetched from "
        "https://dl.fbaipublicfiles.com/mls/; for FLAC fetch e.g. mls_polish.tar.gz and pass data_dir=<its folder>",
        citation=mls_tree.CITATION,
        channel="mean",  # one channel
        root=mls_tree.ROOT,
        download=mls_tree.DOWNLOAD,
        archives=[
            archive
            for name, flac, opus, *_ in LANGUAGES.values()
            for archive in mls_tree.archives(name, flac, (None, opus))
        ],
        labels=mls_tree.LABELS,
        own_labels=mls_tree.OWN_LABELS,
    )
    BUILDER_CONFIG_CLASS = MlsConfig
    BUILDER_CONFIGS = list(_configurations())
    DEFAULT_CONFIG_NAME = "de"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances of the configuration's language, or of all."""
        if self.config.name != "all":
            yield from mls_tree.utterances(files, split, self.config)
            return
        if f"{mls_tree.PARTS[split]}/transcripts.txt" in files:
            raise CorpusError(f"{files.path} does not say which language it is of: name its folder mls_<language>")
        for config in self.BUILDER_CONFIGS:
            if config.name in LANGUAGES:
                yield from mls_tree.utterances(files, split, replace(config, form=self.config.form))
