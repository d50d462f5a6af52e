"""Multilingual LibriSpeech, English: 44,700 hours of read audio books in 10.8 million utterances.

Source: Pratap et al. (2020), https://www.openslr.org/94. One archive, in FLAC or in Opus, or in parts of it:

    mls_english[_opus]/dev/transcripts.txt    4800_10003_000000<TAB>oh my dear you must see him he expects you ...
    mls_english[_opus]/dev/segments.txt       id<TAB>URL<TAB>start<TAB>end
    mls_english[_opus]/dev/audio/1982/1551/1982_1551_000037.flac
"""

from __future__ import annotations

from collections.abc import Iterator

from builders import mls_tree
from builders.corpus import CorpusBuilder, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.mls_tree import MlsConfig

PUBLISHED = {
    "train": Expected(10808037, 44659.7),
    "validation": Expected(3807, 15.75),
    "test": Expected(3769, 15.55),
}


class MlsEnglish(CorpusBuilder):
    """The English part of Multilingual LibriSpeech."""

    FACTS = Facts(
        title="Multilingual LibriSpeech (MLS), English",
        homepage="https://www.openslr.org/94",
        licence="CC BY 4.0",
        access="MLS is open: without data_dir mls_english_opus.tar.gz (651 GB) is fetched from "
        "https://dl.fbaipublicfiles.com/mls/; for FLAC (2.4 TB), or parts, pass data_dir=<their folder>",
        citation=mls_tree.CITATION,
        language="en",
        channel="mean",  # one channel
        root=mls_tree.ROOT,
        download=mls_tree.DOWNLOAD,
        archives=mls_tree.archives(
            "english", (None, "9d4249911e318c2b8dcfcfecb484d865"), (None, "60390221eec6f456611563b37f0b052c")
        ),
        labels=mls_tree.LABELS,
        text_gaps=True,  # transcripts of nothing
        own_labels=mls_tree.OWN_LABELS,
    )
    BUILDER_CONFIG_CLASS = MlsConfig
    BUILDER_CONFIGS = list(mls_tree.configurations("english", "en", PUBLISHED, {"9hr": None, "1hr": None}))
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the utterances, streaming tables of gigabytes."""
        return mls_tree.utterances(files, split, self.config)
