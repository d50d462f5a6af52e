"""LibriTTS: 585 hours of read English audio books at 24 kHz, cut into sentences, in cased and punctuated text.

Source: Zen et al. (2019), https://www.openslr.org/60. A chapter's folder holds

    84_121123_000007_000001.wav  ...000001.original.txt  ...000001.normalized.txt
    84_121123.trans.tsv          84_121123_000007_000001<TAB>Maximilian.<TAB>Maximilian.
    84_121123.book.tsv           as .trans.tsv, all sentences of the chapter; the last column is the SNR
"""

from __future__ import annotations

from builders.corpus import Archive, Facts
from builders.libritts_tree import LABELS, OWN_LABELS, LibriTTSBuilder, configurations, root

ARCHIVES = {
    "dev-clean": Archive("dev-clean.tar.gz", 1291469655, "0c3076c1e5245bb3f0af7d82087ee207"),
    "dev-other": Archive("dev-other.tar.gz", 924804676, "815555d8d75995782ac3ccd7f047213d"),
    "test-clean": Archive("test-clean.tar.gz", 1230670113, "7bed3bdb047c4c197f1ad3bc412db59f"),
    "test-other": Archive("test-other.tar.gz", 964502297, "ae3258249472a13b5abef2a816f733e4"),
    "train-clean-100": Archive("train-clean-100.tar.gz", 7723686890, "4a8c202b78fe1bc0c47916a98f3a2ea8"),
    "train-clean-360": Archive("train-clean-360.tar.gz", 27504073644, "a84ef10ddade5fd25df69596a2767b2d"),
    "train-other-500": Archive("train-other-500.tar.gz", 44565031479, "7b181dd5ace343a5f38427999684aa6f"),
}


class LibriTTS(LibriTTSBuilder):
    """LibriTTS."""

    FACTS = Facts(
        title="LibriTTS corpus",
        homepage="https://www.openslr.org/60",
        licence="CC BY 4.0",
        access="LibriTTS is open: fetch it from https://www.openslr.org/60 and pass data_dir=<their folder>",
        citation="Zen, H., Dang, V., Clark, R., Zhang, Y., Weiss, R. J., Jia, Y., Chen, Z., Wu, Y. (2019). LibriTTS: "
        "A Corpus Derived from LibriSpeech for Text-to-Speech. Interspeech.",
        language="en",
        channel="mean",  # one channel
        root=root("LibriTTS", other="LibriTTS_R"),
        download="https://www.openslr.org/resources/60/",
        archives=tuple(ARCHIVES.values()),
        labels=LABELS,
        own_labels=OWN_LABELS,
    )
    BUILDER_CONFIGS = configurations({subset: [f"{subset}.*"] for subset in ARCHIVES})
