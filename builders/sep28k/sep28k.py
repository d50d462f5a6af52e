"""SEP-28k and FluencyBank: three-second clips of people who stutter, labelled by three listeners.

Source: Lea et al. (2021), https://github.com/apple/ml-stuttering-events-dataset. The tables are
published, the sound is not: its scripts fetch episodes and cut clips, as far as they are still online.
"""

from __future__ import annotations

import csv
import itertools
import logging
import re
from collections.abc import Iterator, Mapping

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance

logger = logging.getLogger(__name__)

RATE = 16_000  # starts and stops are samples at this rate
TABLES = {"sep28k": "SEP-28k", "fluencybank": "fluencybank"}
SHOWS = ("HeStutters", "HVSA", "IStutterSoWhat", "MyStutteringLife", "StrongVoices", "StutterTalk", "StutteringIsCool",
         "WomenWhoStutter", "FluencyBank")  # fmt: skip
SHOW = rf"(?:{'|'.join(SHOWS)})"
EPISODES = (".wav", ".flac", ".mp3", ".m4a", ".mp4")
POSITIVE = 2  # of three listeners

# Labels of the tables, and their columns here: how many of the three listeners gave them.
VOTES = {
    "Prolongation": "prolongation", "Block": "block", "SoundRep": "sound_repetition", "WordRep": "word_repetition",
    "Interjection": "interjection", "NoStutteredWords": "no_stuttered_words", "NaturalPause": "natural_pause",
    "Unsure": "unsure", "PoorAudioQuality": "poor_audio_quality", "DifficultToUnderstand": "difficult_to_understand",
    "Music": "music", "NoSpeech": "no_speech",
}  # fmt: skip


class Sep28k(CorpusBuilder):
    """SEP-28k, from clips or whole episodes."""

    FACTS = Facts(
        title="SEP-28k: Stuttering Events in Podcasts, with the labels of FluencyBank",
        homepage="https://github.com/apple/ml-stuttering-events-dataset",
        licence="CC BY-NC 4.0 (labels); the sound belongs to the podcasts' owners",
        private_only="the sound belongs to the podcasts' owners",
        access="SEP-28k is open, but its sound is not published: without data_dir the tables of https://github.com/"
        "apple/ml-stuttering-events-dataset are fetched, and the episodes that are still online; for FluencyBank run "
        "its download_audio.py and extract_clips.py and pass data_dir=<their folder, with *_labels.csv>",
        citation="Lea, C., Mitra, V., Joshi, A., Kajarekar, S., Bigham, J. P. (2021). SEP-28k: A Dataset for "
        "Stuttering Event Detection From Podcasts With People Who Stutter. ICASSP.",
        language="en",
        root=rf"^(?:.*?/)??(?={SHOW}/[^/]+/{SHOW}_[^/]+\.\w+$|{SHOW}/[^/]+\.\w+$|{SHOW}_[^/]+\.\w+$)"
        r"|^(?:.*/)?(?=(?:SEP-28k|fluencybank)_(?:labels|episodes)\.csv$)",
        download="https://raw.githubusercontent.com/apple/ml-stuttering-events-dataset/main/",
        archives=(Archive("SEP-28k_labels.csv"), Archive("SEP-28k_episodes.csv")),
        archive_patterns=("*sep*28k*", "*stuttering*", "clips.*", "wavs.*"),
        labels=("events",),
        own_labels={
            "show": Value("string"),
            "episode": Value("string"),  # FluencyBank's begin with zeros
            "episode_start": Value("float64"),  # where in the episode the clip lies, seconds
            "episode_end": Value("float64"),
            "episode_url": Value("string"),
            **dict.fromkeys(VOTES.values(), Value("int32")),
        },
    )
    BUILDER_CONFIGS = [
        # Episodes go offline: what is gone is quarantined, up to this share without complaint.
        CorpusConfig(name="sep28k", description="Eight podcasts.", max_bad=0.5,
                     splits={"train": Expected(28177, 23.48)}),
        CorpusConfig(name="fluencybank", description="Interviews of FluencyBank (Voices-AWS).", max_bad=0.5,
                     fetched=None,  # no open address is known
                     splits={"train": Expected(4144, 3.45)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "sep28k"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the clips of the table, episode by episode, and say which episodes are not there."""
        urls = read_urls(files, TABLES[self.config.name])
        rows = read_labels(files, TABLES[self.config.name])
        missing = []
        for (show, episode), clips in itertools.groupby(rows, key=lambda row: (row["Show"], row["EpId"])):
            found = 0
            for row in clips:
                place = find_sound(files, row)
                found += place is not None
                yield clip(row, place, urls.get((show, episode)))
            if not found:
                missing.append(f"{show}/{episode}")
        if missing:
            logger.warning("sep28k: %d episodes are not there: %s", len(missing), ", ".join(missing))

    def further(self, files: Files) -> Iterator[Archive]:
        """Yield the episodes of the table, some of which are not online any more."""
        for (show, episode), url in read_urls(files, TABLES[self.config.name]).items():
            suffix = re.search(r"\.(?:mp3|m4a|mp4|wav)(?=$|\?)", url)
            yield Archive(f"{show}/{episode}{suffix[0] if suffix else '.mp3'}", url=url, may_lack=True)


def clip(row: Mapping[str, str], place: tuple[str, bool] | None, url: str | None) -> Utterance:
    """Make an utterance of a row of the table and the place of its sound."""
    votes = {label: int(row[label]) for label in VOTES}
    start, stop = int(row["Start"]) / RATE, int(row["Stop"]) / RATE
    labels = {
        "events": [label for label, count in votes.items() if count >= POSITIVE],
        "show": row["Show"], "episode": row["EpId"], "episode_start": start, "episode_end": stop, "episode_url": url,
        **{VOTES[label]: count for label, count in votes.items()},
    }  # fmt: skip
    name, cut = place or (names_of_clip(row)[0], True)  # absent: quarantined
    part = {} if cut else {"start": start, "end": stop}
    return Utterance(identifier(row), name, labels=labels, **part)


def identifier(row: Mapping[str, str]) -> str:
    """Return the name of a clip."""
    return f"{row['Show']}_{row['EpId']}_{row['ClipId']}"


def names_of_clip(row: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that a clip can have: below show and episode, below the show, or in one folder for all."""
    name = f"{identifier(row)}.wav"
    return f"{row['Show']}/{row['EpId']}/{name}", f"{row['Show']}/{name}", name


def find_sound(files: Files, row: Mapping[str, str]) -> tuple[str, bool] | None:
    """Return the clip (and True) or the episode (and False) that holds a row's sound, None if there is neither."""
    cut = next((name for name in names_of_clip(row) if name in files), None)
    if cut is not None:
        return cut, True
    episodes = (f"{row['Show']}/{row['EpId']}{suffix}" for suffix in EPISODES)
    whole = next((name for name in episodes if name in files), None)
    return None if whole is None else (whole, False)


def read_labels(files: Files, corpus: str) -> Iterator[dict[str, str]]:
    """Read a table of labels: a blank behind each comma but those of the header.

    Show,EpId,ClipId,Start,Stop,Unsure,PoorAudioQuality,Prolongation,Block,SoundRep,WordRep,...
    HeStutters, 0, 0, 31900320, 31948320, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0
    FluencyBank, 010, 0, 88960, 136960, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0
    """
    name = f"{corpus}_labels.csv"
    return csv.DictReader(files.lines(name), skipinitialspace=True) if name in files else iter(())


def read_urls(files: Files, corpus: str) -> dict[tuple[str, str], str]:
    """Read a table of episodes where it is there: (show, episode) to address. It has no header; titles hold commas.

    FluencyBank, 010, https://media.talkbank.org/fluency/Voices-AWS/interview/46ma.mp4, FluencyBank, 010
    """
    name = f"{corpus}_episodes.csv"
    rows = (line.rsplit(", ", 3) for line in files.lines(name)) if name in files else ()
    return {(show.strip(), episode.strip()): url.strip() for _, url, show, episode in rows}
