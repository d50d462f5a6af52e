"""Activations of spoken language models with phonemes, as the VGS phoneme analysis keeps them in pickles.

Chrupała, Higy, Alishahi (2020), ACL: https://github.com/gchrupala/analyzing-analytical-methods, ``datafiles.md``.
The older generation has one file for all layers (``global_trained.pkl``), the newer one a file per layer
(``global_trained_conv.pkl``); ``global_input.pkl`` and ``local_input.pkl`` are those of both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from datasets import Array2D, Value

from builders.corpus import CorpusConfig, Expected, Facts
from builders.errors import AudioError, CorpusError
from builders.files import Files
from builders.frames import FrameBuilder, frame_feature, matrix, runs
from builders.listing import Utterance
from builders.pickles import Stored, index_pickle
from builders.schema import SAMPLING_RATE, Segment
from builders.vgs_analysis.clocks import INPUT, Clock, layer_clock

FILE = re.compile(r"(?P<scope>global|local)_(?P<mode>input|trained|random)(?:_(?P<layer>.+))?\.pkl")
MODES = ("trained", "random")
ROWS = "global_input.pkl"  # says which utterances there are
BLOCK = 1_000  # frames in a row of the configuration `local`
INPUT_ENCODER = "vgs_mfcc"  # 12 cepstra and log energy with differences: not the MFCC of librosa
INPUT_LAYER = "mfcc"


@dataclass
class VgsAnalysisConfig(CorpusConfig):
    """What a row is, and what the files don't say.

    layer : str
        Of the configuration `local`: ``mfcc``, ``conv``, ``rnn0``, ... Each has frames of its own.
    encoder : str
        Name of the model, which columns begin with.
    seed : int
        That the random weights were drawn with.
    """

    splits: Mapping[str, Expected] = field(default_factory=lambda: {"train": Expected()})
    layer: str = INPUT_LAYER
    encoder: str = "vgs"
    seed: int = 666


class Place(NamedTuple):
    """Where a column's arrays are: the file, the keys down to them, the column's type, the model's weights."""

    member: str
    keys: tuple[str, ...]
    feature: Array2D
    mode: str


class VgsAnalysis(FrameBuilder):
    """Utterances with the activations of each layer, or labelled frames of one layer."""

    FACTS = Facts(
        title="VGS phoneme analysis: activations of trained and random models with phonemes",
        homepage="https://github.com/gchrupala/analyzing-analytical-methods",
        licence="code MIT; of the data: that of the recordings (Flickr Audio Captions: research use)",
        access="take data/out/<model> of the analysis, or make one with `python -m features export --format vgs`, and "
        "pass data_dir=<folder or archive>",
        citation="Chrupała, G., Higy, B., Alishahi, A. (2020). Analyzing analytical methods: The case of phonology in "
        "neural models of spoken language. ACL 2020.",
        language="en",
        phone_set="arpabet",
        root=r"^(?:.*?/)??(?=(?:global|local)_(?:input|trained|random)[^/]*\.pkl$|downsampling_factors\.(?:pkl|json)$"
        r"|fa\.json$|cards\.json$)",
        archive_patterns=("*vgs*.zip", "*vgs*.tar.gz", "*rnn-asr*.zip", "*analytical*.zip", "*analytical*.tar.gz"),
        own_labels={"ipa": Value("string"), "number": Value("int32")},
    )
    BUILDER_CONFIG_CLASS = VgsAnalysisConfig
    BUILDER_CONFIGS = [
        VgsAnalysisConfig(name="global", description="One row an utterance, a column per layer and model."),
        VgsAnalysisConfig(name="local", description="Labelled frames of one layer, 1,000 a row."),
    ]
    DEFAULT_CONFIG_NAME = "global"

    def frame_columns(self) -> dict[str, Array2D]:
        """Return one column per layer and model of what is there."""
        return {name: place.feature for name, place in self._places().items()}

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield utterances in the order of the files, or blocks of frames."""
        yield from self._global() if self.config.name == "global" else self._local()

    def cells(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the matrices of a row, and the phonemes that come with them."""
        places = self._places()
        if row["number"] is None:  # what could not be listed
            self._texts_of_all()
        if self.config.name == "local":
            return self._block(row, places)
        found = {name: self._utterance(place, row["number"]) for name, place in places.items()}
        (name, frames), *_ = found.items()
        hop = _clock(places[name].feature).hop
        return {"audio": None, "duration": len(frames) * hop / SAMPLING_RATE, "source": None, **found}

    # Utterances

    def _global(self) -> Iterator[Utterance]:
        if ROWS not in self.files:
            return
        try:
            texts = self._texts_of_all()
        except AudioError:
            yield Utterance("global_input", ROWS)  # bad: is read again, and quarantined
            return
        aligned = _alignments(self.files)
        for number, name in enumerate(texts["audio_id"]):
            text, ipa = (texts[key][number] if key in texts else None for key in ("text", "ipa"))
            yield Utterance(
                name, ROWS, text, segments=aligned.get(name) or aligned.get(f"{name}.wav", ()),
                labels={"ipa": ipa, "number": number},
            )  # fmt: skip

    def _texts_of_all(self) -> dict[str, list[str]]:
        """Return names, IPA and texts of the utterances, as many as each layer has.

        Raises
        ------
        AudioError
            If the file cannot be read, or a layer has others.
        """
        found = self._indexed(ROWS)
        if not isinstance(found, dict) or "audio_id" not in found:
            raise AudioError(f"{ROWS} has no audio_id")
        texts = {
            key: [str(text) for text in self._open_array(ROWS, found[key]).tolist()]
            for key in ("audio_id", "ipa", "text")
            if key in found
        }
        count = len(texts["audio_id"])
        lengths = {f"{ROWS}: {key}": len(each) for key, each in texts.items()}
        lengths |= {f"{place.member}: {place.keys[0]}": len(self._at(place)) for place in self._places().values()}
        for name, there in lengths.items():
            if there != count:
                raise AudioError(f"{name} has {there} utterances, {ROWS} {count}")
        return texts

    def _utterance(self, place: Place, number: int) -> np.ndarray:
        found = self._at(place)
        if isinstance(found, Stored):  # utterances of one length, or one vector each
            values = self._open_array(place.member, found, number, number + 1)
            values = values[0] if values.ndim == 3 else values
        else:
            values = np.asarray(self._open_array(place.member, found[number]), np.float32)
            values = values[None] if values.ndim == 1 else values
        return matrix(values, place.feature.shape[1], f"{place.member}: utterance {number}")

    # Frames

    def _local(self) -> Iterator[Utterance]:
        places = self._places()
        place = next(iter(places.values()))
        counts = {p.member: len(self._at(p)) for p in places.values()}
        if len(set(counts.values())) > 1:
            raise CorpusError(f"as many frames are expected in each: {counts}; one file alone can be read")
        for number in range(-(-counts[place.member] // BLOCK)):
            yield Utterance(f"{self.config.layer}-{number:06d}", place.member, labels={"number": number})

    def _block(self, row: Mapping[str, Any], places: Mapping[str, Place]) -> dict[str, Any]:
        first, last = row["number"] * BLOCK, (row["number"] + 1) * BLOCK
        found, labels = {}, None
        for name, place in places.items():
            values = self._open_array(place.member, self._at(place), first, last)
            found[name] = matrix(values, place.feature.shape[1], place.member)
            own = self._open_array(place.member, self._at(place, "labels"), first, last)
            if len(own) != len(values) or (labels is not None and not np.array_equal(labels, own)):
                raise AudioError(f"{place.member}: other labels for the frames from {first} on")
            labels = own
        hop = _clock(next(iter(places.values())).feature).hop
        segments = [segment._asdict() for segment in runs(labels, "phones", hop)]
        return {"audio": None, "duration": len(labels) * hop / SAMPLING_RATE, "source": None, "segments": segments,
                **found}  # fmt: skip

    # Files

    def _places(self) -> dict[str, Place]:
        if "_found" not in self.__dict__:
            self._found = dict(self._find())
        return self._found

    def _find(self) -> Iterator[tuple[str, Place]]:
        scope = self.config.name
        members = [found for name in self.files.names(f"{scope}_*.pkl") if (found := FILE.fullmatch(name))]
        members.sort(key=lambda found: (("input", *MODES).index(found["mode"]), self._order(found["layer"] or "")))
        if not members:
            raise self._nothing_found()
        seen: set[tuple[str, str]] = set()
        for found in members:
            try:
                places = [self._place(found, layer, keys) for layer, keys in self._layers(found, seen).items()]
            except AudioError as error:
                if found[0] != ROWS:  # it is not known which columns there would be
                    raise CorpusError(str(error)) from None
                continue  # said of the rows
            yield from ((_column(place.feature), place) for place in places)
        if not seen and scope == "local":
            raise CorpusError(f"no layer {self.config.layer!r} in {[found[0] for found in members]}")

    def _layers(self, found: re.Match[str], seen: set[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
        """Return the keys of the arrays of each layer in a file that is wanted and not `seen` in another."""
        tail = ("features",) if found["scope"] == "local" else ()
        content = self._indexed(found[0])
        if not isinstance(content, dict) or not content:
            raise AudioError(f"{found[0]} holds no dict of layers")
        if found["mode"] == "input":
            keys = {INPUT_LAYER: tail or ("audio",)}
        else:
            keys = {layer: (layer, *tail) for layer in content}
        wanted = {
            layer: where
            for layer, where in keys.items()
            if (found["mode"], layer) not in seen and (found["scope"] == "global" or layer == self.config.layer)
        }
        seen |= {(found["mode"], layer) for layer in wanted}
        return wanted

    def _place(self, found: re.Match[str], layer: str, keys: tuple[str, ...]) -> Place:
        mode, whole = found["mode"], found["scope"] == "global"
        arrays = self._at(Place(found[0], keys, None, mode))
        regular = isinstance(arrays, Stored) or (isinstance(arrays, np.ndarray) and arrays.dtype != object)
        shape = arrays.shape if regular else np.shape(arrays[0]) if len(arrays) else ()
        shape = arrays[0].shape if not regular and isinstance(arrays[0], Stored) else shape
        if len(shape) < 2:
            raise CorpusError(f"{found[0]}: {'/'.join(keys)} holds no matrices of frames")
        known = self._cards().get(f"{mode}/{layer}", {})
        clock = INPUT if mode == "input" else layer_clock(layer, self._factors())
        clock = Clock(**known["clock"]) if known else clock
        if not whole:  # frames follow each other in the file, not in time
            clock = Clock(clock.hop, clock.hop // 2, clock.hop)
        stated = {
            "encoder": INPUT_ENCODER if mode == "input" else self.config.encoder, "layer": layer,
            "init": {"input": "none", "random": f"random{self.config.seed}"}.get(mode, mode),
            "index": self._order(layer)[0], "revision": "", "version": 1,
        }  # fmt: skip
        feature = frame_feature(
            **{name: known.get(name, value) for name, value in stated.items()}, **clock._asdict(), width=int(shape[-1]),
            axis="utterance" if whole and regular and len(shape) == 2 else "frame",
        )  # fmt: skip
        return Place(found[0], keys, feature, mode)

    def _order(self, layer: str) -> tuple[int, str]:
        """Return what sorts layers from the input on: convolutions, the others by name, the pooled ones last."""
        factors = self._factors()
        if factors is not None:
            return (list(factors).index(layer) if layer in factors else len(factors)), layer
        number = re.search(r"\d+$", layer)
        place = 0 if layer == "conv" else 999 if layer == "att" else 1 + int(number[0]) if number else 500
        return place, layer

    def _at(self, place: Place, last: str = "") -> Any:
        found = self._indexed(place.member)
        for key in (*place.keys[:-1], last or place.keys[-1]):
            if not isinstance(found, dict) or key not in found:
                raise AudioError(f"{place.member} has no {key!r}")
            found = found[key]
        return found

    def _indexed(self, member: str) -> Any:
        kept = self.__dict__.setdefault("_index", {})
        if member not in kept:
            size = (self.files.place(member) or (0, 0, 0))[2]
            with self.files.open(member) as file:
                try:
                    kept[member] = index_pickle(file, size, member)
                except (CorpusError, OSError) as error:
                    raise AudioError(str(error)) from None
        return kept[member]

    def _factors(self) -> Mapping[str, Any] | None:
        for name in ("downsampling_factors.pkl", "downsampling_factors.json"):
            if name in self.files:
                return self._indexed(name) if name.endswith(".pkl") else json.loads(self.files.read_text(name))
        return None

    def _cards(self) -> dict[str, Any]:
        """Return what our export says of the layers, by ``<trained|random|input>/<layer>``; empty for other files."""
        return json.loads(self.files.read_text("cards.json")) if "cards.json" in self.files else {}


def _clock(feature: Array2D) -> Clock:
    return Clock(**json.loads(feature.id)["clock"])


def _column(feature: Array2D) -> str:
    card = json.loads(feature.id)
    init = f".{card['init']}" if card["init"].startswith("random") else ""
    return f"{card['encoder']}{init}.{card['layer']}"


def _alignments(files: Files) -> dict[str, Sequence[Segment]]:
    """Read ``fa.json`` where it is there: audio's name to words and phones.

    {"audiopath": "flickr_audio/wavs/1000268201_693b08cb0e_0.wav", "transcript": "a child in pink", "words":
    [{"case": "success", "alignedWord": "a", "start": 0.31, "phones": [{"phone": "ah_S", "duration": 0.05}]}, ...]}
    """
    if "fa.json" not in files:
        return {}
    found = {}
    for line in files.lines("fa.json"):
        item = json.loads(line)
        found[item["audiopath"].rsplit("/", 1)[-1]] = list(_words(item["words"]))
    return found


def _words(words: Sequence[Mapping[str, Any]]) -> Iterator[Segment]:
    for word in words:
        if word.get("case", "success") != "success" or "start" not in word:
            continue
        start = word["start"]
        for phone in word.get("phones", ()):
            end = start + phone["duration"]
            label = phone["phone"].split("_")[0]
            if label != "oov":
                yield Segment("phones", start, end, label)
            start = end
        yield Segment("words", word["start"], start, word.get("alignedWord") or word.get("word", ""))
