"""A corpus that lacks a file or a line is found out: by `verify`, or by rows that are other ones."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from datasets import load_dataset_builder

from builders.__main__ import main
from builders.corpus import CorpusBuilder, Expected
from builders.errors import CorpusError
from builders.listing import ABSENT
from builders.register import builder_class, corpora
from tests.corpora import miniatures

NAMES = [name for name in corpora() if builder_class(name).NEEDS_DATA]
PLACE = ("source_number", "position", "bytes")  # where the audio lies, not what it is

Edit = Callable[[str], str]


def drop(line: int = -1) -> Edit:
    """Return an edit that takes a line out."""

    def edit(text: str) -> str:
        lines = text.splitlines(keepends=True)
        del lines[line]
        return "".join(lines)

    return edit


def cut(pattern: str) -> Edit:
    """Return an edit that takes out what a pattern matches first."""
    return lambda text: re.sub(pattern, "", text, count=1, flags=re.DOTALL)


def swap(first: int, second: int, separator: str = "\t", *, header: bool = False) -> Edit:
    """Return an edit that exchanges two columns; the header stays, and lines that have fewer."""

    def edit(text: str) -> str:
        lines = []
        for number, line in enumerate(text.splitlines()):
            cells = line.split(separator)
            if max(first, second) < len(cells) and (number or not header):
                cells[first], cells[second] = cells[second], cells[first]
            lines.append(separator.join(cells) + "\n")
        return "".join(lines)

    return edit


class Bite(NamedTuple):
    """An edit of the one file that a pattern finds."""

    file: str
    edit: Edit


# What a corpus lists its rows in, or their texts. The rows of the others are their files' names.
LISTED = {
    "aishell1": Bite("aishell_transcript_v0.8.txt", drop()),
    "aishell4": Bite("20200616_M_R001S01C01.TextGrid", cut(r'(?<=text = ")[^"]+')),
    "ami": Bite("ES2011a.A.segments.xml", cut(r"<segment .*?</segment>\n")),
    "audioset": Bite("balanced_train_segments.csv", drop(3)),
    "common_voice": Bite("train.tsv", drop()),
    "fleurs": Bite("en_us/train.tsv", drop()),
    "flickr8k_audio": Bite("wav2capt.txt", drop()),
    "fsd50k": Bite("dev.csv", drop()),
    "hifi_tts": Bite("9017_manifest_clean_train.json", drop()),
    "libri_light": Bite("01_baum_sea_fairies_64kb.json", cut(r"\[[\d.]+, [\d.]+\], ")),
    "librispeech": Bite("84-121123.trans.txt", drop()),
    "meld": Bite("train_sent_emo.csv", drop()),
    "mls": Bite("dev/transcripts.txt", drop()),
    "mls_english": Bite("dev/transcripts.txt", drop()),
    "nsynth": Bite("nsynth-test/examples.json", cut(r'"keyboard_electronic_098-023-050": \{.*?\n    \},\s*')),
    "sep28k": Bite("SEP-28k_labels.csv", drop()),
    "speech_commands": Bite("testing_list.txt", drop()),
    "speechocean762": Bite("train/wav.scp", drop()),
    "urbansound8k": Bite("UrbanSound8K.csv", drop()),
    "vocalset": Bite("test_singers_technique.txt", drop()),
    "vocalsound": Bite("datafiles/tr.json", cut(r"\{[^{}]*\}, ")),
    "voxpopuli": Bite("asr_nl.tsv.gz", drop()),
}
# What adds to rows that are there without it: other labels, no labels.
ADDED = {
    "crema_d": Bite("summaryTable.csv", drop()),
    "free_spoken_digits": Bite("metadata.py", cut(r"'gender': 'male',?")),
    "libri_mix": Bite("max/metadata/metrics_dev_mix_both.csv", drop()),
    "libritts": Bite("84_121123.book.tsv", drop()),
    "libritts_r": Bite("84_121123.book.tsv", drop()),
    "musan": Bite("librivox/ANNOTATIONS", drop()),
    "timit": Bite("FCJF0/SA1.PHN", drop()),
    "voxceleb": Bite("vox1_meta.csv", drop()),
    "voxconverse": Bite("afjiv.rttm", drop()),
    "wham_noise": Bite("noise_meta_tr.csv", drop()),
}
NAMED = {"esc50"}  # its table says again what its files' names say
WITHOUT_TABLES = {
    "dns_noise", "frame_arrays", "labelled_folder", "musdb18", "ravdess", "spoken_words", "vgs_analysis",
}  # fmt: skip
SWAPPED = {
    "aishell1": Bite("speaker.info", swap(0, 1, " ")),
    "aishell4": Bite("20200616_M_R001S01C01.TextGrid",
                     lambda text: text.replace("001-M", "x").replace("002-F", "001-M")),
    "ami": Bite("meetings.xml", lambda text: text.replace("channel=", "c=").replace("role=", "channel=")),
    "audioset": Bite("class_labels_indices.csv", swap(1, 2, ",", header=True)),
    "common_voice": Bite("train.tsv", swap(2, 3, header=True)),
    "crema_d": Bite("VideoDemographics.csv", swap(1, 2, ",", header=True)),
    "esc50": Bite("esc50.csv", swap(0, 3, ",", header=True)),
    "fleurs": Bite("en_us/train.tsv", swap(2, 3)),
    "flickr8k_audio": Bite("wav2spk.txt", swap(0, 1, " ")),
    "free_spoken_digits": Bite("metadata.py", lambda text: text.replace("gender", "g").replace("accent", "gender")),
    "fsd50k": Bite("dev.csv", lambda text: text.replace("labels,mids", "mids,labels")),
    "hifi_tts": Bite("9017_manifest_clean_train.json",
                     lambda text: text.replace('"text":', '"t":').replace('"text_normalized":', '"text":')),
    "libri_light": Bite("01_baum_sea_fairies_64kb.json",
                        lambda text: text.replace('"snr"', '"s"').replace('"title"', '"snr"')),
    "libri_mix": Bite("max/metadata/metrics_dev_mix_both.csv", swap(1, 2, ",", header=True)),
    "librispeech": Bite("SPEAKERS.TXT", swap(0, 3, "|")),
    "libritts": Bite("60_121082.trans.tsv", swap(1, 2)),
    "libritts_r": Bite("60_121082.trans.tsv", swap(1, 2)),
    "meld": Bite("train_sent_emo.csv", lambda text: text.replace("Emotion,Sentiment", "Sentiment,Emotion")),
    "mls": Bite("metainfo.txt", swap(0, 1, "|")),
    "mls_english": Bite("metainfo.txt", swap(0, 1, "|")),
    "musan": Bite("librivox/ANNOTATIONS", swap(1, 2, " ")),
    "nsynth": Bite("nsynth-test/examples.json",
                   lambda text: text.replace('"pitch"', '"p"').replace('"velocity"', '"pitch"')),
    "sep28k": Bite("SEP-28k_labels.csv", swap(13, 14, ",", header=True)),
    "speechocean762": Bite("train/utt2spk", swap(0, 1, " ")),
    "timit": Bite("FCJF0/SA1.PHN", swap(1, 2, " ")),
    "urbansound8k": Bite("UrbanSound8K.csv", swap(4, 5, ",", header=True)),
    "vocalsound": Bite("meta/tr_meta.csv", swap(3, 4, ",", header=True)),
    "voxceleb": Bite("vox1_meta.csv", swap(1, 3, header=True)),
    "voxconverse": Bite("afjiv.rttm", swap(3, 4, " ")),
    "voxpopuli": Bite("asr_nl.tsv.gz", swap(2, 3, "|", header=True)),
    "wham_noise": Bite("noise_meta_tr.csv", swap(1, 2, ",", header=True)),
}  # fmt: skip


class Corpus:
    """A miniature whose true counts stand for the published ones."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.call = miniatures.write(name, folder)
        self.folder = Path(self.call["data_dir"])

    def builder(self) -> CorpusBuilder:
        return load_dataset_builder(f"builders/{self.name}", **self.call)

    def counts(self) -> dict[str, int]:
        """Return how many rows of each split have audio."""
        builder = self.builder()
        places = {split: builder.listing(split).column("source_number").to_pylist() for split in builder.config.splits}
        return {split: sum(place != ABSENT[0] for place in found) for split, found in places.items() if found}

    def rows(self) -> Any:
        """Return what the rows say, or the error that reading them ends in."""
        builder = self.builder()
        try:
            listings = {split: builder.listing(split).drop_columns(PLACE) for split in builder.config.splits}
        except (CorpusError, ValueError) as error:
            return str(error)
        return {split: sorted(rows.to_pylist(), key=lambda row: row["id"]) for split, rows in listings.items()}

    def verify(self) -> int:
        return main(["verify", self.name, "--data-dir", str(self.folder)])

    def apply(self, bite: Bite) -> None:
        (path,) = (path for path in self.folder.rglob("*") if str(path).endswith(f"/{bite.file}"))
        packed = path.suffix == ".gz"
        before = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode("utf-8")
        after = bite.edit(before)
        assert after != before
        path.write_bytes(gzip.compress(after.encode()) if packed else after.encode())


@pytest.fixture
def corpus(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    made = Corpus(name, tmp_path)
    kind = builder_class(name)
    config = next(config for config in kind.BUILDER_CONFIGS if config.name == made.builder().config.name)
    named = {split: made.builder().listing(split).num_rows for split in made.counts()}
    expected = {split: Expected(count, absent=named[split] - count) for split, count in made.counts().items()}
    monkeypatch.setattr(config, "splits", expected)
    if name == "common_voice":  # takes the numbers from a table of releases
        monkeypatch.setattr("builders.common_voice.common_voice.published", lambda *_: expected)
    return made


def test_every_corpus_has_its_bites():
    assert {*LISTED, *ADDED, *NAMED, *WITHOUT_TABLES} == set(NAMES)
    assert {*SWAPPED, *WITHOUT_TABLES, "vocalset", "speech_commands"} == set(NAMES)  # those two: lists of names alone


@pytest.mark.parametrize("name", NAMES)
def test_whole_miniature_is_as_published(corpus):
    assert corpus.verify() == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_recording_is_found(corpus):
    builder = corpus.builder()
    split = max(corpus.counts(), key=corpus.counts().__getitem__)
    victim = builder.listing(split).column("member")[0].as_py()  # listings begin with what is there
    next(path for path in corpus.folder.rglob("*") if str(path).endswith(f"/{victim}")).unlink()
    assert corpus.verify() == 1


@pytest.mark.parametrize("name", [name for name in NAMES if builder_class(name).FACTS.audio_columns])
def test_a_missing_stem_or_source_is_found(corpus, capsys):
    builder = corpus.builder()
    stated = [row for split in corpus.counts() for row in builder.listing(split).column("audios").to_pylist()]
    alone = {member for row in stated for _, member in row} - {
        member for split in corpus.counts() for member in builder.listing(split).column("member").to_pylist()
    }
    victim = min(alone, default=None)
    if victim is None:
        pytest.skip("its further recordings lie in the file of the row's own")
    builder.files.on_disk(victim).unlink()
    assert corpus.verify() == 1
    assert f"further recordings missing, e.g. {victim}" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "bite"), LISTED.items(), ids=LISTED)
def test_a_missing_line_is_found(corpus, bite):
    corpus.apply(bite)
    assert corpus.verify() == 1


@pytest.mark.parametrize(("name", "bite"), ADDED.items(), ids=ADDED)
def test_a_missing_line_of_what_only_adds_changes_rows(corpus, bite):
    before = corpus.rows()
    corpus.apply(bite)
    assert corpus.rows() != before


@pytest.mark.parametrize(("name", "bite"), SWAPPED.items(), ids=SWAPPED)
def test_a_swapped_column_changes_rows(corpus, bite):
    before = corpus.rows()
    corpus.apply(bite)
    assert corpus.rows() != before
