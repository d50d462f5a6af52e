"""Sizes of archives as the pages of their publishers tell them: rounded, and in units that are not always clear.

They serve where a corpus' own facts hold no exact number of bytes: to tell a whole archive from a broken download.
"""

from __future__ import annotations

from collections.abc import Iterable

from builders.download import Archive

ROUNDED = 0.92  # "35 GB" may be 34.6 GB, and GiB are 7 % larger than GB
GB = 1_000_000_000
SIZES = {
    "aishell1": {"data_aishell.tgz": 15 * GB, "resource_aishell.tgz": 1_200_000},
    "flickr8k_audio": {"flickr_audio.tar.gz": 4_200_000_000},
    "fsd50k": {"FSD50K.dev_audio.zip": 24 * GB},  # its six parts together
    "hifi_tts": {"hi_fi_tts_v0.tar.gz": 41 * GB},
    "libri_light": {
        "small.tar": 35 * GB, "medium.tar": 321 * GB, "large.tar": 3050 * GB, "duplicate.tar": 274 * GB,
        "librispeech_finetuning.tgz": 600_000_000,
    },
    "libritts_r": {
        "dev_clean.tar.gz": 1_300_000_000, "train_clean_100.tar.gz": 8_100_000_000, "train_clean_360.tar.gz": 28 * GB,
        "train_other_500.tar.gz": 46 * GB,
    },
    "meld": {"MELD.Raw.tar.gz": 10_878_146_150},
    "mls": {
        "mls_german_opus.tar.gz": 29 * GB, "mls_dutch_opus.tar.gz": 23 * GB, "mls_french_opus.tar.gz": 16 * GB,
        "mls_spanish_opus.tar.gz": 14 * GB, "mls_italian_opus.tar.gz": 3_800_000_000,
        "mls_portuguese_opus.tar.gz": 2_500_000_000, "mls_polish_opus.tar.gz": 1_600_000_000,
    },
    "mls_english": {"mls_english.tar.gz": 2400 * GB, "mls_english_opus.tar.gz": 698 * GB},
    "musdb18": {"musdb18.zip": 4_700_000_000},
    "nsynth": {
        "nsynth-train.jsonwav.tar.gz": 22_500_000_000, "nsynth-valid.jsonwav.tar.gz": GB,
        "nsynth-test.jsonwav.tar.gz": 350_000_000,
    },
    "urbansound8k": {"UrbanSound8K.tar.gz": 6 * GB},
    "wham_noise": {"wham_noise.zip": 17 * GB, "high_res_wham.zip": 76 * GB},
}  # fmt: skip


def least(corpus: str, name: str, archives: Iterable[Archive]) -> int | None:
    """Return the bytes that a whole archive of a corpus has at least, None where nobody published them."""
    exact = [archive.size for archive in archives if archive.name == name and archive.size is not None]
    rounded = [int(size * ROUNDED) for known, size in SIZES.get(corpus, {}).items() if known == name]
    return min(exact, default=None) if exact else min(rounded, default=None)


def published(corpus: str, name: str, archives: Iterable[Archive]) -> int | None:
    """Return the published bytes of an archive, rounded where only that is known."""
    exact = (archive.size for archive in archives if archive.name == name and archive.size is not None)
    return next(exact, None) or SIZES.get(corpus, {}).get(name)
