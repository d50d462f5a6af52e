"""What a row's label is for each training job, made of the corpus' own columns.

A function takes the columns that it needs, as Python values, and returns the label, or None for a row that has none.
What no inventory holds is an error, so that no class is lost in silence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from builders.audio import decode
from builders.compiled import librosa
from builders.emotions import emotion
from builders.errors import CorpusError
from builders.phones import fold, phone_set
from builders.schema import CORE, SAMPLING_RATE
from builders.sound_events import category_names, names

VERSION = 2  # raised when the same row begins to get another label

APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u00b4`", "'"))
INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphen, joiners, marks of direction
CJK = r"[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
BETWEEN_CJK = re.compile(rf"(?<={CJK})\s+(?={CJK})")
LONE_APOSTROPHE = re.compile(r"(?<![^\W\d_])'|'(?![^\W\d_])")

VOCAL_SOUNDS = {
    "laughter": "laughter", "sigh": "sigh", "cough": "cough", "throatclearing": "throat_clearing",
    "sneeze": "sneeze", "sniff": "sniff",
}  # fmt: skip
STUTTERING = {
    "Prolongation": "prolongation", "Block": "block", "SoundRep": "sound_repetition", "WordRep": "word_repetition",
    "Interjection": "interjection", "NoStutteredWords": "no_stuttered_words", "NaturalPause": "natural_pause",
    "Music": "music", "NoSpeech": "no_speech",
    # Judgements of the clip, not sounds in it: left out.
    "Unsure": None, "PoorAudioQuality": None, "DifficultToUnderstand": None,
}  # fmt: skip
SPOKEN = {"zh-hk": "yue"}  # a tag whose first part is not the language that one hears
NOISES = ("noise", "music", "speech")
F0_HOP = 160  # samples: the frames of log-mel features
F0_RANGE = (60.0, 1_100.0)  # Hz: from a low voice to a soprano's c'''
F0_WINDOW = 1_024  # samples: four periods of the lowest
SILENT = 1e-3  # root mean square of a stem, of 1: -60 dB
STEMS = ("vocals", "drums", "bass", "other")


def transcript(row: Mapping[str, Any]) -> str | None:
    """Return the text in the normal form of all corpora, None where nothing is left of it.

    Unicode NFKC, lower case; letters, combining marks and digits stay, an apostrophe stays between two letters, all
    else is a space; spaces are single, and there are none between Han characters or kana.
    """
    text = unicodedata.normalize("NFKC", (row["text"] or "").translate(APOSTROPHES)).lower()
    text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    kept = "".join(sign if sign == "'" or unicodedata.category(sign)[0] in "LMN" else " " for sign in text)
    words = " ".join(LONE_APOSTROPHE.sub(" ", kept).split())
    return BETWEEN_CJK.sub("", words) or None


def folded_phones(row: Mapping[str, Any]) -> list[str] | None:
    """Return the row's phones as the 39 classes; silences that follow each other, as closures do, are one."""
    name = phone_set(row["corpus"])
    folded = [fold(part["label"], name) for part in row["segments"] if part["tier"] == "phones"]
    phones = [phone for phone in folded if phone is not None]
    return [
        phone for last, phone in zip([None, *phones], phones, strict=False) if phone != "sil" or last != "sil"
    ] or None


def shared_emotion(row: Mapping[str, Any]) -> str | None:
    """Return the word that all corpora share."""
    return None if row["emotion"] is None else emotion(row["emotion"])


def f0(row: Mapping[str, Any]) -> list[float]:
    """Return the fundamental frequency of each frame of 10 ms, 0 where there is no voice [shape=(frames,), Hz].

    Frame ``t`` is centred at sample ``t * 160``, and there is one for each such sample: the clock of log-mel features.
    Probabilistic YIN, Mauch, M., Dixon, S. (2014), https://doi.org/10.1109/ICASSP.2014.6853678.
    """
    samples = decode(row["audio"])
    padded = np.pad(samples, (0, max(0, F0_WINDOW - len(samples))))
    low, high = F0_RANGE
    found, _, _ = librosa().pyin(
        padded, fmin=low, fmax=high, sr=SAMPLING_RATE, frame_length=F0_WINDOW, hop_length=F0_HOP, fill_na=0.0
    )
    return np.asarray(found[: -(-len(samples) // F0_HOP)], np.float32).tolist()


def vocal_sound(row: Mapping[str, Any]) -> list[str] | None:
    """Return the one sound of a clip of VocalSound, as a list."""
    return None if row["category"] is None else [_known(row["category"], VOCAL_SOUNDS, "vocalsound")]


def stuttering(row: Mapping[str, Any]) -> list[str] | None:
    """Return the events of a clip of SEP-28k that at least two of three listeners gave."""
    found = [_known(event, STUTTERING, "sep28k") for event in row["events"] or ()]
    return [event for event in found if event is not None] or None


def speaker(row: Mapping[str, Any]) -> str | None:
    """Return the speaker's id with the corpus' name before it: ``voxceleb/id10001``."""
    return None if row["speaker_id"] is None else f"{row['corpus'].removeprefix('builders_')}/{row['speaker_id']}"


def language(row: Mapping[str, Any]) -> str | None:
    """Return the primary language subtag: ``zh`` of ``zh-CN``; what is spoken in Hong Kong is Cantonese, ``yue``."""
    tag = row["language"] and row["language"].replace("_", "-").lower()
    return tag and SPOKEN.get(tag, tag.split("-")[0])


def sung(row: Mapping[str, Any]) -> bool | None:
    """Return whether somebody sings in a recording of VocalSet: in all but those of the technique `spoken`."""
    return None if row["technique"] is None else row["technique"] != "spoken"


def marked_sung(row: Mapping[str, Any]) -> bool | None:
    """Return what `mixture_and_stems` found."""
    return row["sings"]


def mixture_and_stems(table: pa.Table) -> pa.Table:
    """Turn songs of MUSDB18 into rows of their mixture and each of their stems, with a column `sings`.

    There is singing in the mixture and in the vocals, if these are not silent; in drums, bass and other there is none.
    A song without vocals tells nothing about its mixture: null.
    """
    rows = []
    for song in table.to_pylist():
        core = {name: song[name] for name in CORE}
        vocals = song["vocals"] and song["vocals"]["bytes"]
        sings = float(np.sqrt(np.mean(decode(song["vocals"]) ** 2))) > SILENT if vocals else None
        rows.append({**core, "sings": sings})
        for stem in STEMS:
            if song[stem] and song[stem]["bytes"]:
                found = sings if stem == "vocals" else False
                rows.append({**core, "id": f"{song['id']}.{stem}", "audio": song[stem], "sings": found})
    schema = pa.schema([*(table.schema.field(name) for name in CORE), pa.field("sings", pa.bool_())])
    return pa.Table.from_pylist(rows, schema)


def sources(*columns: str) -> Any:
    """Return the function that lists the sources of a mixture, each by its column's name; null ones are not there."""
    return _Sources(columns)


class _Sources:
    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns

    def __call__(self, row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        there = [name for name in self.columns if row[name] and row[name]["bytes"]]
        return [{"name": name, "audio": row[name]} for name in there] or None


def turns(row: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return who speaks when; a recording without any turn has no annotation."""
    found = [part for part in row["segments"] if part["tier"] == "speakers"]
    keys = ("start", "end")
    return [{"speaker": part["speaker"] or part["label"], **{key: part[key] for key in keys}} for part in found] or None


def ontology_events(row: Mapping[str, Any]) -> list[str] | None:
    """Return the names of a clip's classes in the AudioSet ontology, given the identifiers."""
    return names(row["mids"] or ()) or None


def category_event(row: Mapping[str, Any]) -> list[str] | None:
    """Return the class in the AudioSet ontology of a clip of ESC-50 or UrbanSound8K."""
    corpus = row["corpus"]
    return None if row["category"] is None else category_names(row["category"], corpus)


def noise(row: Mapping[str, Any]) -> str:
    """Return what is in a recording to be mixed in: that is said by MUSAN; the other corpora are noise."""
    return "noise"


def musan_category(row: Mapping[str, Any]) -> str | None:
    """Return MUSAN's category: noise, music or speech."""
    return None if row["category"] is None else _known(row["category"], dict(zip(NOISES, NOISES, strict=True)), "musan")


def _known(written: str, inventory: Mapping[str, str | None], corpus: str) -> str | None:
    if written not in inventory:
        raise CorpusError(f"{corpus}: unknown label {written!r}: expected one of {list(inventory)}")
    return inventory[written]
