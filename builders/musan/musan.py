"""MUSAN: music, speech and noise, free of licence fees, to train detectors with and to mix into speech.

Source: Snyder, Chen, Povey (2015), https://arxiv.org/abs/1510.08484, https://www.openslr.org/17::

    musan/music/fma/music-fma-0000.wav, musan/music/fma/ANNOTATIONS, musan/noise/sound-bible/noise-sound-bible-0001.wav
    musan_split/music/fma/music-fma-0000/00000.wav                         copies that are cut into 5 s
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from datasets import List, Value

from builders.corpus import Archive, CorpusBuilder, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.windows import WindowConfig, cut

logger = logging.getLogger(__name__)

COUNTS = {"music": 660, "speech": 426, "noise": 930}
SOURCES = r"(?P<category>music|speech|noise)/(?P<source>[^/]+)"
FILE = rf"(?P<folder>{SOURCES})/(?P<stem>[^/]+)(?:/(?P<part>\d+))?\.(?:wav|flac)"
GENDERS = {"f": "female", "m": "male"}
LANGUAGES = {
    "arabic": "ar", "chinese": "zh", "czech": "cs", "danish": "da", "dutch": "nl", "english": "en", "finnish": "fi",
    "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hungarian": "hu", "indonesian": "id",
    "italian": "it", "japanese": "ja", "korean": "ko", "latin": "la", "mandarin": "zh", "norwegian": "no",
    "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "spanish": "es", "swedish": "sv",
    "tagalog": "tl", "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip


def _configs() -> Iterator[WindowConfig]:
    for name, utterances in (("musan", sum(COUNTS.values())), *COUNTS.items()):
        hours = 109.0 if name == "musan" else None
        for suffix, window in (("", None), ("-30s", 30.0)):
            expected = Expected(None if window else utterances, hours)
            yield WindowConfig(name=f"{name}{suffix}", splits={"train": expected}, window=window)


class Musan(CorpusBuilder):
    """MUSAN, all of it or one category, whole recordings or windows."""

    FACTS = Facts(
        title="MUSAN: A Music, Speech, and Noise Corpus",
        homepage="https://www.openslr.org/17",
        licence="CC BY 4.0; each file CC or public domain, see LICENSE in its folder",
        access="MUSAN downloads itself (11 GB); or fetch https://www.openslr.org/resources/17/musan.tar.gz and pass "
        "data_dir=<its folder, the archive or what it holds>",
        citation="Snyder, D., Chen, G., Povey, D. (2015). MUSAN: A Music, Speech, and Noise Corpus. arXiv:1510.08484.",
        root=rf"^(?:.*?/)??(?={SOURCES}/(?:[^/]+/\d+\.(?:wav|flac)|[^/]+)$)",
        download="https://www.openslr.org/resources/17/",
        archives=(Archive("musan.tar.gz", 11_086_114_085, "0c472d4fc0c5141eca47ad1ffeb2a7df"),),
        archive_patterns=("musan*",),
        labels=("gender", "category", "subset"),
        own_labels={
            "genres": List(Value("string")),  # of music; so are the next three
            "has_vocals": Value("bool"),
            "artist": Value("string"),
            "composer": Value("string"),
            "language_name": Value("string"),  # of speech
            "background": Value("bool"),  # of noise: is it going on all the time?
        },
    )
    BUILDER_CONFIG_CLASS = WindowConfig
    BUILDER_CONFIGS = list(_configs())
    DEFAULT_CONFIG_NAME = "musan"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the recordings of the configuration's categories, cut where it says so."""
        wanted = self.config.name.removesuffix("-30s")
        categories = tuple(COUNTS) if wanted == "musan" else (wanted,)
        return cut(recordings(files, categories), files, self.config.window)


def recordings(files: Files, categories: tuple[str, ...]) -> Iterator[Utterance]:
    """Yield the recordings that are there, then those that only the annotations name, which are quarantined."""
    known = {folder: read_annotations(files, folder) for folder in folders(files, categories)}
    # In the order of the archive: windows take a look at each header.
    there = (path for path in files.match(FILE) if path["category"] in categories)
    seen = set()
    for path in sorted(there, key=lambda path: files.place(path[0]) or ()):
        stem, annotations = path["stem"], known.get(path["folder"], {})
        seen.add(stem)
        labels = {"category": path["category"], "subset": path["source"], **annotations.get(stem, {})}
        if path["category"] == "noise" and annotations:
            labels.setdefault("background", False)
        identifier = f"{stem}_{path['part']}" if path["part"] else stem
        yield recording(identifier, path[0], labels)
    for folder, annotations in known.items():
        category, source = folder.split("/")
        for stem in sorted(annotations.keys() - seen):
            labels = {"category": category, "subset": source, **annotations[stem]}
            yield recording(stem, f"{folder}/{stem}.wav", labels)


def recording(identifier: str, member: str, labels: dict[str, Any]) -> Utterance:
    """Make an utterance; the language is that of the annotation, and English of the US government's hearings."""
    name = labels.get("language_name") or ("english" if labels["subset"] == "us-gov" else None)
    return Utterance(identifier, member, language=LANGUAGES.get(name or ""), labels=labels)


def folders(files: Files, categories: tuple[str, ...]) -> list[str]:
    """Return the folders of the categories that have annotations, e.g. ``music/fma``."""
    found = files.match(rf"(?P<folder>{SOURCES})/ANNOTATIONS")
    return [path["folder"] for path in found if path["category"] in categories]


def read_annotations(files: Files, folder: str) -> dict[str, dict[str, Any]]:
    """Read the ANNOTATIONS of a folder: recording to labels. Of noise they list those of the background.

    music-fma-0097 pop,electronica Y Quiet_Music_for_Tiny_Robots
    music-hd-0001 westernart,romantic N <artist> <composer>
    speech-librivox-0097 f german
    noise-free-sound-0007
    """
    category = folder.split("/")[0]
    found = {}
    for line in files.lines(f"{folder}/ANNOTATIONS"):
        stem, *rest = line.split() or [""]
        if category != "music" and not stem.startswith(f"{category}-"):  # noise has a headline
            logger.info("%s/ANNOTATIONS: %r names no recording", folder, line)
            continue
        if category == "music":
            found[stem] = _music(rest)
        elif category == "speech":
            gender, language = [*rest, None, None][:2]
            found[stem] = {"gender": GENDERS.get(gender or ""), "language_name": language and language.lower()}
        else:
            found[stem] = {"background": True}
    return found


def _music(fields: list[str]) -> dict[str, Any]:
    genres, vocals, artist, composer = [*fields, None, None, None, None][:4]
    return {
        "genres": genres.split(",") if genres else None,
        "has_vocals": {"Y": True, "N": False}.get(vocals or ""),
        "artist": artist,
        "composer": composer,
    }
