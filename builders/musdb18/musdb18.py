"""MUSDB18: 150 songs, each a mixture and its vocals, drums, bass and all other sound.

Source: Rafii et al. (2017, 2019), https://sigsep.github.io/datasets/musdb.html. MUSDB18 has a song in one MP4 of
five sound streams (``train/A Classic Education - NightOwl.stem.mp4``), MUSDB18-HQ in five files
(``train/A Classic Education - NightOwl/vocals.wav``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

# In the order of the streams, behind the mixture
STEMS = ("drums", "bass", "other", "vocals")
WAVES = "|".join(("mixture", *STEMS))
SONG = rf"(?P<part>train|test)/(?P<song>[^/]+?)(?:(?P<mp4>\.stem\.mp4)|/(?:{WAVES})\.wav)"
VALIDATION = frozenset(
    (
        "ANiMAL - Rockshow", "Actions - One Minute Smile", "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims", "Fergessen - Nos Palpitants", "James May - On The Line",
        "Johnny Lokke - Promises & Lies", "Leaf - Summerghost", "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave", "Skelpolu - Human Mistakes", "Traffic Experiment - Sirens",
        "Triviul - Angelsaint", "Young Griffo - Pennies",
    )
)  # fmt: skip
FULL = ("musdb18hq.zip", "musdb18.zip")
SAMPLE = "MUSDB18-7-STEMS.zip"


class Musdb18(CorpusBuilder):
    """MUSDB18 and MUSDB18-HQ: a row is a song, its stems are further audio columns."""

    FACTS = Facts(
        title="MUSDB18 and MUSDB18-HQ",
        homepage="https://sigsep.github.io/datasets/musdb.html",
        licence="for education and research only; most songs CC BY-NC-SA",
        private_only="its songs are for education and research, each under terms of its own",
        access="MUSDB18-HQ downloads itself (23 GB, https://zenodo.org/records/3338373); for MUSDB18 fetch musdb18.zip "
        "from https://zenodo.org/records/1117372 and pass data_dir=<its folder, or where train and test are>",
        citation="Rafii, Z., Liutkus, A., Stöter, F.-R., Mimilakis, S. I., Bittner, R. (2019). MUSDB18-HQ - an "
        "uncompressed version of MUSDB18.",
        channel="mean",
        root=rf"^(?:.*/)?(?={SONG}$)",
        archives=(
            Archive("musdb18hq.zip", 22_656_664_047, "12d4f2ecd55245a4688754dd76363103",
                    "https://zenodo.org/records/3338373/files/musdb18hq.zip"),
            Archive(SAMPLE, 147_209_385, "dc2bdfac5b46ce742bd60009866758a5",
                    "https://zenodo.org/records/3270814/files/MUSDB18-7-STEMS.zip"),
        ),
        labels=("subset",),
        own_labels={"artist": Value("string"), "title": Value("string")},
        audio_columns=("vocals", "drums", "bass", "other"),
    )  # fmt: skip
    BUILDER_CONFIGS = [
        CorpusConfig(name="default", description="14 of the songs for training are for validation.", archives=FULL,
                     splits={"train": Expected(86), "validation": Expected(14), "test": Expected(50)}),
        CorpusConfig(name="train100", description="All 100 songs for training in one split.", archives=FULL,
                     splits={"train": Expected(100), "test": Expected(50)}),
        CorpusConfig(name="sample", description="Seven seconds of 144 songs.", archives=(SAMPLE,),
                     splits={"train": Expected(), "validation": Expected(), "test": Expected()}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the songs of a split, from WAV where a song is there in both forms."""
        found = files.match(SONG)
        for (part, song, mp4), _ in itertools.groupby(found, key=lambda path: path.group("part", "song", "mp4")):
            if self._split(part, song) == split and not (mp4 and f"{part}/{song}/mixture.wav" in files):
                yield _song(part, song, bool(mp4))

    def _split(self, part: str, song: str) -> str:
        held_out = part == "train" and song in VALIDATION and "validation" in self.config.splits
        return "validation" if held_out else part


def _song(part: str, song: str, mp4: bool) -> Utterance:
    artist, _, title = song.partition(" - ")  # the title may hold another hyphen
    labels = {"subset": part, "artist": artist, "title": title or None}
    if mp4:
        member = f"{part}/{song}.stem.mp4"
        streams = {stem: number for number, stem in enumerate(STEMS, 1)}
        return Utterance(song, member, labels=labels, audios=dict.fromkeys(STEMS, member), streams=streams)
    # All five are stated, whichever are there: what is missing is missed.
    audios = {stem: f"{part}/{song}/{stem}.wav" for stem in STEMS}
    return Utterance(song, f"{part}/{song}/mixture.wav", labels=labels, audios=audios)
