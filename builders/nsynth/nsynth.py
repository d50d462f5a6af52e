"""NSynth: 305,979 notes of four seconds from 1,006 instruments.

Source: Engel et al. (2017), https://magenta.tensorflow.org/datasets/nsynth, in the form of JSON and WAV.
"""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

from datasets import List, Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.json_entries import entries
from builders.listing import Utterance
from builders.lookup import Lookup

logger = logging.getLogger(__name__)

PARTS = {"train": "train", "validation": "valid", "test": "test"}
NOTES = tuple(f"nsynth-{part}.jsonwav.tar.gz" for part in PARTS.values())
GANSYNTH = "nsynth-gansynth_splits.csv"
# The family synth_lead holds an underscore.
NAME = re.compile(r"(?P<instrument>(?P<family>[a-z_]+)_(?P<source>[a-z]+)_\d{3})-(?P<pitch>\d{3})-(?P<velocity>\d{3})")
QUALITIES = (
    "bright dark distortion fast_decay long_release multiphonic nonlinear_env percussive reverb tempo-synced"
).split()


class NSynth(CorpusBuilder):
    """NSynth, split by instrument, or as GANSynth splits its acoustic notes."""

    FACTS = Facts(
        title="The NSynth Dataset",
        homepage="https://magenta.tensorflow.org/datasets/nsynth",
        licence="CC BY 4.0",
        access="NSynth downloads itself (25 GB, https://magenta.tensorflow.org/datasets/nsynth); or pass data_dir=<the "
        "folder of nsynth-train, nsynth-valid and nsynth-test, or of their jsonwav archives>; TFRecords are not read",
        citation="Engel, J., Resnick, C., Roberts, A., Dieleman, S., Norouzi, M., Eck, D., Simonyan, K. (2017). Neural "
        "Audio Synthesis of Musical Notes with WaveNet Autoencoders. ICML.",
        root=rf"^(?:.*/)?(?=nsynth-(?:train|valid|test)/(?:examples\.json|audio/[^/]+)$)|^(?:.*/)?(?={GANSYNTH}$)",
        download="http://download.magenta.tensorflow.org/datasets/nsynth/",
        archives=(
            Archive(NOTES[0], md5="fde6665a93865503ba598b9fac388660"),
            Archive(NOTES[1], md5="87e94a00a19b6dbc99cf6d4c0c0cae87"),
            Archive(NOTES[2], md5="5e6f8719bf7e16ad0a00d518b78af77d"),
            Archive(GANSYNTH, 2_952_153),
        ),
        labels=("subset",),
        own_labels={
            "instrument_family": Value("string"),  # bass, brass, flute, ...: 11
            "instrument_source": Value("string"),  # acoustic, electronic, synthetic
            "instrument": Value("string"),  # 1,006
            "instrument_id": Value("int32"),  # 0 to 1005
            "pitch": Value("int32"),  # MIDI, 0 to 127
            "velocity": Value("int32"),  # MIDI: 25, 50, 75, 100, 127
            "qualities": List(Value("string")),  # those of the ten that the note has
            "note": Value("int32"),  # a number of the note, not its pitch
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(
            name="default", description="Instruments of train are in no other split.", archives=NOTES,
            splits={"train": Expected(289_205, 321.34), "validation": Expected(12_678, 14.09),
                    "test": Expected(4_096, 4.55)},
        ),
        CorpusConfig(
            name="gansynth", description="Acoustic notes of pitch 24 to 84; instruments are in all splits.",
            splits={"train": Expected(60_788, 67.54), "validation": Expected(17_469, 19.41),
                    "test": Expected(8_518, 9.46)},
        ),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the notes of the split."""
        if self.config.name == "default":
            yield from read_notes(files, PARTS[split])
            return
        if GANSYNTH not in files:
            raise CorpusError(
                f"{GANSYNTH} is not in {files.path}: fetch {self.FACTS.download}{GANSYNTH} and put it there"
            )
        with Lookup((row["id"], row["split"]) for row in csv.DictReader(files.lines(GANSYNTH))) as splits:
            for part in PARTS.values():
                notes = read_notes(files, part)
                yield from (note for note in notes if splits.get(note.id) == PARTS[split])


def read_notes(files: Files, part: str) -> Iterator[Utterance]:
    """Yield the notes of ``nsynth-<part>/examples.json``; recordings that it does not list are counted in a warning."""
    listed = f"nsynth-{part}/examples.json"
    if listed not in files:
        return
    there = 0
    for name, entry in entries(files.open(listed), listed):
        made = read_note(name, entry, part)
        there += made.audio in files
        yield made
    surplus = sum(1 for _ in files.names(f"nsynth-{part}/audio/*.wav")) - there
    if surplus:
        logger.warning("nsynth: %d recordings of %s left out: examples.json does not list them", surplus, part)


def read_note(name: str, entry: Mapping[str, Any], part: str) -> Utterance:
    """Make an utterance of an entry of examples.json.

    "guitar_acoustic_001-082-050": {"note": 16629, "note_str": "guitar_acoustic_001-082-050", "instrument": 219,
     "instrument_str": "guitar_acoustic_001", "pitch": 82, "velocity": 50, "sample_rate": 16000,
     "qualities": [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "qualities_str": [], "instrument_family": 3,
     "instrument_family_str": "guitar", "instrument_source": 0, "instrument_source_str": "acoustic"}

    Raises
    ------
    CorpusError
        If it lacks something or contradicts its own name.
    """
    try:
        labels = {
            "subset": part,
            "instrument_family": entry["instrument_family_str"],
            "instrument_source": entry["instrument_source_str"],
            "instrument": entry["instrument_str"],
            "instrument_id": int(entry["instrument"]),
            "pitch": int(entry["pitch"]),
            "velocity": int(entry["velocity"]),
            "qualities": [quality for quality, has in zip(QUALITIES, entry["qualities"], strict=True) if has],
            "note": int(entry["note"]),
        }
        told = NAME.fullmatch(name)
        written = ("instrument_family", "instrument_source", "instrument", "pitch", "velocity")
        if (
            told is None
            or entry["note_str"] != name
            or sorted(entry["qualities_str"]) != sorted(labels["qualities"])
            or [labels[column] for column in written]
            != [told["family"], told["source"], told["instrument"], int(told["pitch"]), int(told["velocity"])]
        ):
            raise ValueError("it contradicts its own name")
    except (KeyError, ValueError, TypeError) as error:
        raise CorpusError(
            f"examples.json of {part}: entry {name!r} can't be used ({error!r}): fetch it again"
        ) from None
    return Utterance(name, f"nsynth-{part}/audio/{name}.wav", labels=labels)
