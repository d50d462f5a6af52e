"""Speech Commands: one-second recordings of single English words, versions 0.01 and 0.02.

Source: Warden (2018), https://arxiv.org/abs/1804.03209. Read are the published archives and folders made from
them, with the official lists, and the Hub's archives of one split each (``v0.02_validation.tar.gz``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance

CORE = frozenset("yes no up down left right on off stop go".split())
SILENCE, UNKNOWN, NOISE = "_silence_", "_unknown_", "_background_noise_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}

# speech_commands_v0.02/six/0b09edd3_nohash_0.wav | six/0b09edd3_nohash_0.wav | _unknown_/bed_0b09edd3_nohash_0.wav.wav
MEMBER = r"(?P<base>(?:.*/)?)(?P<path>(?P<folder>[^/]+)/(?P<stem>[^/]+?)(?:\.wav)+)"
STEM = r"(?:(?P<word>[a-z]+)_)?(?P<speaker>[0-9a-f]+)_nohash_(?P<number>\d+)"
# The folder or archive of a part, which tells version, kind of part and, in the Hub's copy, the split.
PART = r"speech_commands_(?P<kind>test_set_)?v(?P<version>0\.0[12])|v(?P<repacked>0\.0[12])_(?P<split>[a-z]+)"

PUBLISHED = {
    "v0.01": {"train": Expected(51088), "validation": Expected(6798), "test": Expected(6835)},
    "v0.02": {"train": Expected(84843), "validation": Expected(9981), "test": Expected(11005)},
}
TEST_SETS = {"v0.01": Expected(3081), "v0.02": Expected(4890)}
ARCHIVES = (
    Archive("speech_commands_v0.02.tar.gz", 2428923189, "6b74f3901214cb2c2934e98196829835"),
    Archive("speech_commands_test_set_v0.02.tar.gz", 112563277,
            sha256="cc2a00c1147c2254e9be3fa0f779d8c17421dc349b86366567a8edfa9acd51df"),
    Archive("speech_commands_v0.01.tar.gz", None, "3cd23799cb2bbdec517f1cc028f8d43c"),
    Archive("speech_commands_test_set_v0.01.tar.gz"),
)  # fmt: skip


class SpeechCommands(CorpusBuilder):
    """Speech Commands, both versions, their 12-class test sets and their background noise."""

    FACTS = Facts(
        title="Speech Commands",
        homepage="https://arxiv.org/abs/1804.03209",
        licence="CC BY 4.0",
        access="Speech Commands is open: without data_dir it is fetched from http://download.tensorflow.org/data/",
        citation="Warden, P. (2018). Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition. "
        "arXiv:1804.03209.",
        root=r"^(?:.*/)?(?=speech_commands_(?:test_set_)?v0\.0[12]/|v0\.0[12]_(?:train|validation|test)/)",
        download="https://storage.googleapis.com/download.tensorflow.org/data/",
        archives=ARCHIVES,
        labels=("category",),
        text_gaps=True,
        own_labels={"keyword": Value("string"), "is_unknown": Value("bool"), "number": Value("int32")},
    )
    BUILDER_CONFIGS = [
        config
        for version in ("v0.02", "v0.01")
        for config in (
            CorpusConfig(name=version, description="All words, split by the official lists.",
                         splits=PUBLISHED[version],
                         archives=[f"speech_commands_{version}.*", f"{version}_*.tar.gz"]),
            CorpusConfig(name=f"{version}.test_set", description="The published test set of 12 classes.",
                         splits={"test": TEST_SETS[version]}, archives=[f"speech_commands_test_set_{version}.*"]),
            CorpusConfig(name=f"{version}.background_noise", description="The six long recordings of noise.",
                         splits={"train": Expected(6, 399 / 3600)}, archives=[f"speech_commands_{version}.*"]),
        )
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "v0.02"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the recordings of a split, out of the lists and the names of the files."""
        if self.config.name.endswith(".background_noise"):
            yield from (noise(path) for path in self._members(files) if path["folder"] == NOISE)
        elif self.config.name.endswith(".test_set"):
            yield from (word(path) for path in self._members(files))
        elif self._lists(files):
            yield from self._listed(files, split)
        else:
            members = (path for path in self._members(files) if path["folder"] != NOISE)
            yield from (word(path) for path in members if self._part(files, path)["split"] == split)

    def _listed(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield what the official lists name, file there or not; training is every file that they don't name."""
        lists = self._lists(files)
        missing = [name for part, name in LISTS.items() if part not in lists]
        if missing:
            raise CorpusError(f"{', '.join(missing)} is missing in {files.path}: it tells the splits apart")
        if split in lists:
            base = lists[split].removesuffix(LISTS[split])
            named = (re.fullmatch(MEMBER, base + line.strip()) for line in files.lines(lists[split]))
            yield from (word(path) for path in named if path)
            return
        named = {line.strip() for name in lists.values() for line in files.lines(name)}
        for path in self._members(files):
            if path["folder"] != NOISE and path["path"] not in named:
                yield word(path)

    def _lists(self, files: Files) -> dict[str, str]:
        return {
            part: found[0]
            for part, name in LISTS.items()
            for found in files.match(rf"(?P<base>(?:.*/)?){re.escape(name)}")
            if self._belongs(files, found)
        }

    def _members(self, files: Files) -> Iterator[re.Match[str]]:
        return (path for path in files.match(MEMBER) if self._belongs(files, path))

    def _belongs(self, files: Files, path: re.Match[str]) -> bool:
        """Tell whether a file is of the configuration's version and part, as far as the names of folders say."""
        part = re.search(PART, path["base"]) or re.search(PART, files.path.name)
        if part is None:
            return True
        version, kind = part["version"] or part["repacked"], self.config.name.endswith(".test_set")
        return self.config.name.startswith(f"v{version}") and bool(part["kind"]) == kind

    def _part(self, files: Files, path: re.Match[str]) -> re.Match[str]:
        """Return what the folder of a file, or the archive that holds it, says."""
        place = files.place(path[0])
        archive = files.sources[place[0]].path.name if place else ""
        found = re.search(PART, path["base"]) or re.search(PART, archive)
        if found is None or not found["split"]:
            lists = " and ".join(LISTS.values())
            raise CorpusError(f"nothing tells the split of {path[0]} in {files.path}: {lists} are missing")
        return found


def word(path: re.Match[str]) -> Utterance:
    """Make an utterance of a recording of a word: ``six/0b09edd3_nohash_0.wav``."""
    stem, folder = re.fullmatch(STEM, path["stem"]), path["folder"]
    spoken = (stem["word"] if stem else None) if folder == UNKNOWN else None if folder == SILENCE else folder
    category = folder if folder in CORE or folder == SILENCE else UNKNOWN
    labels = {
        "category": category,
        "keyword": spoken or folder,
        "is_unknown": category == UNKNOWN,
        "number": int(stem["number"]) if stem else None,
    }
    speaker = stem["speaker"] if stem else None
    language = "en" if spoken else None
    return Utterance(f"{folder}_{path['stem']}", path[0], spoken, speaker, language, labels=labels)


def noise(path: re.Match[str]) -> Utterance:
    """Make a row of a recording of noise: ``_background_noise_/running_tap.wav``."""
    labels = {"category": SILENCE, "keyword": NOISE, "is_unknown": False}
    return Utterance(f"{NOISE}_{path['stem']}", path[0], labels=labels)
