"""LibriTTS-R: LibriTTS with its speech restored; the same speakers, ids, texts and splits, 24 kHz.

Source: Koizumi et al. (2023), https://www.openslr.org/141. Archives are named with underscores, the folders
in them with hyphens; ``doc.tar.gz`` holds ``speakers.tsv``; a further archive lists what restoration failed on:

    LibriTTS_R/train-clean-100/103/1241/103_1241_000000_000001.wav
    libritts_r_failed_speech_restoration_examples/train-clean-100_bad_sample_list.txt
        ./train-clean-100/103/1241/103_1241_000000_000001.wav
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from datasets import Value

from builders.corpus import Archive, Facts
from builders.files import Files
from builders.libritts_tree import LABELS, OWN_LABELS, PUBLISHED, SPLITS, LibriTTSBuilder, configurations, root
from builders.listing import Utterance

FAILED = "libritts_r_failed_speech_restoration_examples"
# Hyphens: copies that were renamed like LibriTTS' archives.
SUBSETS = {subset: [f"{subset.replace('-', '_')}.*", f"{subset}.*"] for subset in PUBLISHED}
MORE = ["doc.*", f"{FAILED}.*"]


class LibriTTSR(LibriTTSBuilder):
    """LibriTTS-R."""

    FACTS = Facts(
        title="LibriTTS-R corpus",
        homepage="https://www.openslr.org/141",
        licence="CC BY 4.0",
        access="LibriTTS-R is open: fetch the archives, doc.tar.gz (genders) and the list of failed restorations "
        "from https://www.openslr.org/141 and pass data_dir=<their folder>",
        citation="Koizumi, Y., Zen, H., Karita, S., Ding, Y., Yatabe, K., Morioka, N., Bacchiani, M., Zhang, Y., "
        "Han, W., Bapna, A. (2023). LibriTTS-R: A Restored Multi-Speaker Text-to-Speech Corpus. Interspeech.",
        language="en",
        channel="mean",  # one channel
        root=root("LibriTTS_R", other="LibriTTS"),
        download="https://www.openslr.org/resources/141/",
        archives=[
            *(Archive(f"{subset.replace('-', '_')}.tar.gz") for subset in PUBLISHED),
            Archive("doc.tar.gz"),
            Archive(f"{FAILED}.tar.gz"),
        ],
        archive_patterns=[pattern for patterns in (*SUBSETS.values(), MORE) for pattern in patterns],
        labels=LABELS,
        own_labels={**OWN_LABELS, "restoration_failed": Value("bool")},  # null where the list is not there
    )
    BUILDER_CONFIGS = configurations(SUBSETS, MORE)

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield a subset's utterances, with what is known of their restoration."""
        failed = read_failed(files, SPLITS[self.config.name][split])
        for utterance in super().utterances(files, split):
            known = None if failed is None else utterance.id in failed
            yield replace(utterance, labels={**utterance.labels, "restoration_failed": known})


def read_failed(files: Files, subset: str) -> set[str] | None:
    """Return the ids that a subset's ``_bad_sample_list.txt`` names; None if the list is not there."""
    found = next(files.names(f"*{subset}_bad_sample_list.txt"), None)
    return None if found is None else {PurePosixPath(line.strip()).stem for line in files.lines(found)}
