"""Flickr8k Audio Captions: 40,000 captions of 8,000 photographs, read aloud by 183 people.

Source: Harwath & Glass (2015), https://groups.csail.mit.edu/sls/downloads/flickraudio/. The archive holds
sound, speakers and which caption is read; texts and splits come with the Flickr8k texts, or with Karpathy's
``dataset.json``; times of words and phones with the ``fa.json`` of Chrupała, Higy & Alishahi (2020).

    1000268201_693b08cb0e_0.wav 1000268201_693b08cb0e.jpg #0           wav2capt.txt
    1000268201_693b08cb0e_0.wav 35                                     wav2spk.txt
    1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress ...        Flickr8k.token.txt
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.schema import Segment

# Wherever a copy keeps them, the metadata files have their bare names here; librispeech/fa.json is another corpus'.
ROOT = (
    r"^(?!(?:.*/)?librispeech/)(?:.*/)?(?=(?:wavs/[^/]+|wav2capt\.txt|wav2spk\.txt|Flickr8k\.token\.txt"
    r"|Flickr_8k\.(?:train|dev|test)Images\.txt|dataset(?:_flickr8k|_multilingual)?\.json|fa\.json)$)"
)
SPLITS = {"train": ("train", "train"), "validation": ("dev", "val"), "test": ("test", "test")}


class Caption(NamedTuple):
    """What is known of one caption of a photograph."""

    text: str | None = None
    japanese: str | None = None


class Flickr8kAudio(CorpusBuilder):
    """Flickr8k Audio Captions."""

    FACTS = Facts(
        title="Flickr8k Audio Caption Corpus",
        homepage="https://groups.csail.mit.edu/sls/downloads/flickraudio/",
        licence="audio CC BY-SA; captions and photographs: terms of Flickr8k",
        access="the audio is open: fetch flickr_audio.tar.gz from "
        "https://groups.csail.mit.edu/sls/downloads/flickraudio/ and, for texts and splits, Flickr8k_text.zip (a form) "
        "or Karpathy's dataset.json; pass data_dir=<their folder>",
        citation="Harwath, D., Glass, J. (2015). Deep multimodal semantic embeddings for speech and images. ASRU.",
        language="en",
        phone_set="arpabet",
        root=ROOT,
        archives=(Archive("flickr_audio.tar.gz", md5="9d078f1f150c26e864aa64d1d733779a"),),
        archive_patterns=("Flickr8k_text.zip", "caption_datasets.zip"),
        own_labels={
            "image": Value("string"),  # file name of the photograph
            "caption_index": Value("int32"),  # 0 to 4
            "text_ja": Value("string"),
            "fully_aligned": Value("bool"),  # every word was found in the sound and is in the aligner's lexicon
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="default", description="The official splits.",
                     splits={"train": Expected(30_000), "validation": Expected(5_000), "test": Expected(5_000)}),
        CorpusConfig(name="all", description="All recordings, with texts where there are any.",
                     splits={"train": Expected(40_000)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the captions of a split, those that were aligned first.

        The corpus is closed, 40,000 captions: these tables stay small whatever the copy.
        """
        images = None if self.config.name == "all" else read_split(files, split)
        captions = read_captions(files)
        speakers = dict(line.split()[:2] for line in _lines(files, "wav2spk.txt"))
        wanted: dict[str, tuple[str, int]] = {}
        for line in _lines(files, "wav2capt.txt"):
            wav, image, index = line.split()
            if images is None or image in images:
                wanted[wav] = (image, int(index.removeprefix("#")))
        if images is None:
            wanted |= {
                wav: ("", 0) for path in files.names("wavs/*.wav") if (wav := path.removeprefix("wavs/")) not in wanted
            }
        for wav, alignment in itertools.chain(read_alignments(files), zip(list(wanted), itertools.repeat(None))):
            if wav in wanted:
                image, index = wanted.pop(wav)
                yield _utterance(wav, image, index, captions.get((image, index)), speakers.get(wav), alignment)


def _utterance(
    wav: str, image: str, index: int, caption: Caption | None, speaker: str | None, alignment: Mapping[str, Any] | None
) -> Utterance:
    text, japanese = caption or Caption(alignment and alignment.get("transcript"))
    labels = {
        "image": image or None,
        "caption_index": index if image else None,
        "text_ja": japanese,
        "fully_aligned": None if alignment is None else fully_aligned(alignment),
    }
    segments = () if alignment is None else list(aligned(alignment))
    return Utterance(wav.removesuffix(".wav"), f"wavs/{wav}", text, speaker, segments=segments, labels=labels)


def read_split(files: Files, split: str) -> set[str]:
    """Return the photographs of a split, from the lists of Flickr8k or from ``dataset.json``."""
    flickr, karpathy = SPLITS[split]
    names = {line.strip() for line in _lines(files, f"Flickr_8k.{flickr}Images.txt")}
    return names or {image["filename"] for image in _images(files) if image["split"] == karpathy}


def read_captions(files: Files) -> dict[tuple[str, int], Caption]:
    """Return the captions by photograph and index.

    1000268201_693b08cb0e.jpg#0<TAB>A child in a pink dress is climbing up a set of stairs in an entry way .
    """
    captions = {}
    for line in _lines(files, "Flickr8k.token.txt"):
        key, _, text = line.partition("\t")
        image, _, index = key.rpartition("#")
        captions[image, int(index)] = Caption(text.strip())
    for image in _images(files):
        for index, sentence in enumerate(image["sentences"]):
            if sentence:  # a caption that was taken out is null
                raw = Caption(sentence.get("raw", "").strip() or None, sentence.get("raw_jp"))
                captions[image["filename"], index] = raw
    return captions


def read_alignments(files: Files) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield recording and alignment out of ``fa.json``, one object a line."""
    for line in _lines(files, "fa.json"):
        alignment = json.loads(line)
        yield alignment["audiopath"].rsplit("/", 1)[-1], alignment


def fully_aligned(alignment: Mapping[str, Any]) -> bool:
    """Say whether an utterance passes the filter of Chrupała, Higy & Alishahi (2020)."""
    return all(word.get("case") == "success" and word.get("alignedWord") != "<unk>" for word in alignment["words"])


def aligned(alignment: Mapping[str, Any]) -> Iterator[Segment]:
    """Yield the words that were found, and their phones: durations one after the other from the word's start."""
    for word in alignment["words"]:
        if word.get("case") != "success":
            continue
        yield Segment("words", word["start"], word["end"], word["word"])
        ends = itertools.accumulate((phone["duration"] for phone in word["phones"]), initial=word["start"])
        for phone, (start, end) in zip(word["phones"], itertools.pairwise(ends), strict=True):
            yield Segment("phones", start, end, phone["phone"].split("_")[0])


def _images(files: Files) -> list[dict[str, Any]]:
    names = ("dataset_multilingual.json", "dataset.json", "dataset_flickr8k.json")
    found = next((name for name in names if name in files), None)
    return json.loads(files.read_text(found))["images"] if found else []


def _lines(files: Files, name: str) -> Iterator[str]:
    return files.lines(name) if name in files else iter(())
