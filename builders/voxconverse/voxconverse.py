"""VoxConverse: YouTube recordings of several speakers, with who speaks when.

Source: Chung et al. (2020), annotations version 0.3 of https://github.com/joonson/voxconverse. Audio and annotations
are fetched apart and lie together in any way: they are matched by the recording's id.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.listing import Utterance
from builders.rttm import read_rttm

logger = logging.getLogger(__name__)

# dev/abjxc.rttm | dev/abjxc.wav | audio/abjxc.wav (zip of dev) | voxconverse_test_wav/aggyz.wav (zip of test)
FILE = r"(?:(?:.*/)?(?P<folder>[^/]+)/)?(?P<id>[a-z]{5})\.(?P<kind>wav|rttm)"
SPLITS = {
    "dev": "validation", "audio": "validation", "voxconverse_dev_wav": "validation",
    "test": "test", "voxconverse_test_wav": "test",
}  # fmt: skip


class VoxConverse(CorpusBuilder):
    """VoxConverse: one row a recording."""

    FACTS = Facts(
        title="VoxConverse speaker diarisation",
        homepage="https://www.robots.ox.ac.uk/~vgg/data/voxconverse/",
        licence="CC BY 4.0 (audio: copyright of the videos' owners)",
        private_only="the sound belongs to the videos' owners",
        access="VoxConverse is open: without data_dir audio is fetched from "
        "https://www.robots.ox.ac.uk/~vgg/data/voxconverse/, annotations from https://github.com/joonson/voxconverse",
        citation="Chung, J. S., Huh, J., Nagrani, A., Afouras, T., Zisserman, A. (2020). Spot the conversation: "
        "speaker diarisation in the wild. Interspeech.",
        channel="0",
        root=rf"^(?:.*/)?(?=(?:{'|'.join(SPLITS)})/[a-z]{{5}}\.)",
        download="https://www.robots.ox.ac.uk/~vgg/data/voxconverse/data/",
        archives=(
            Archive("voxconverse_dev_wav.zip",
                    sha256="e83a68b5df3bc945a3cf4544102038792ae79972753c585769e58ea677c523a8"),
            Archive("voxconverse_test_wav.zip",
                    sha256="472ebf1eaeb1dcb5c311b07a8b5c31bcedcccbf98f386d90a88cde2452da8c68"),
            Archive("voxconverse-master.zip", url="https://github.com/joonson/voxconverse/archive/master.zip"),
        ),
        archive_patterns=("voxconverse*", "dev.zip", "test.zip", "annotations.zip", "master.zip"),
        own_labels={"num_speakers": Value("int32")},
    )  # fmt: skip
    BUILDER_CONFIGS = [
        CorpusConfig(name="default", description="One row a recording, its turns in the tier `speakers`.",
                     splits={"validation": Expected(216, 20.3), "test": Expected(232, 43.5)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the recordings of a split, those of which there is audio, annotation or both."""
        # A few hundred recordings: id to kind of file to where it is.
        found: dict[str, dict[str, re.Match[str]]] = {}
        for path in files.match(FILE):
            found.setdefault(path["id"], {}).setdefault(path["kind"], path)
        for name, kinds in sorted(found.items()):
            # The annotation's folder tells the split; copies of the audio lie in any folder.
            known = kinds.get("rttm") or kinds["wav"]
            if SPLITS.get(known["folder"] or "") == split:
                # Absent audio is quarantined under the name that the zip has for it.
                absent = f"{'audio' if split == 'validation' else 'voxconverse_test_wav'}/{name}.wav"
                yield recording(files, name, kinds["wav"][0] if "wav" in kinds else absent, kinds.get("rttm"))


def recording(files: Files, name: str, audio: str, rttm: re.Match[str] | None) -> Utterance:
    """Make an utterance of a recording; its speakers' names are its own, hence made unique by its id."""
    if rttm is None:
        logger.warning("%s has no annotation: is the repository joonson/voxconverse in the folder?", audio)
        return Utterance(name, audio)
    turns = [turn._replace(speaker=f"{name}_{turn.label}") for turn in read_rttm(files.lines(rttm[0]), rttm[0])]
    return Utterance(name, audio, segments=turns, labels={"num_speakers": len({turn.speaker for turn in turns})})
