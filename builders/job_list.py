"""The twelve training jobs: what each is trained on, and what its label is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import Features, List, Value

from builders import job_labels as labels
from builders import sound_events
from builders.emotions import SPELLINGS
from builders.job_places import Source
from builders.phones import CLASSES39
from builders.schema import CORE

STRING, STRINGS = Value("string"), List(Value("string"))
LOCALES = ("*", "!default", "!validated", "!invalidated", "!other")
SUBSETS = (("all",), ("clean", "other"), ("train-*", "dev-*", "test-*"))


@dataclass(frozen=True)
class Job:
    """A task.

    label : str
        What the label is, in words.
    kind : datasets feature
        The label column's type, the same for all corpora.
    sources : sequence of Source
    classes : sequence of str
        The inventory that labels come from; empty where it is open.
    """

    label: str
    kind: Any
    sources: Sequence[Source]
    classes: Sequence[str] = ()

    @property
    def features(self) -> Features:
        """The columns of the job's table."""
        return Features({**CORE, "label": self.kind})


def _sources(label: Any, needs: Sequence[str], corpora: Mapping[str, Sequence[Sequence[str]]]) -> list[Source]:
    return [Source(corpus, label, needs, configs) for corpus, configs in corpora.items()]


MUSDB18 = (("default",), ("train100",), ("sample",))
LIBRI_MIX = tuple(
    tuple(f"libri{speakers}mix-16k-{form}" for speakers in (2, 3))
    for form in ("max-both", "min-both", "max-clean", "min-clean")
)
SOURCE = {"name": STRING, "audio": CORE["audio"]}
TURN = {"speaker": STRING, "start": Value("float64"), "end": Value("float64")}

JOBS: dict[str, Job] = {
    "ctc_asr": Job("text in one normal form", STRING, _sources(labels.transcript, ["text"], {
        "mls": [["??"]], "librispeech": [*SUBSETS, ["mini"]], "libritts": SUBSETS, "aishell1": [["default"]],
        "common_voice": [["default"], LOCALES], "voxpopuli": [["multilang"], ["??"]],
    })),
    "phone_recognition": Job("39 folded phones", STRINGS, [
        Source("timit", labels.folded_phones, ["segments", "corpus"], [["default"], ["core"]]),
        Source("librispeech", labels.folded_phones, ["segments", "corpus"], [*SUBSETS, ["mini"]],
               beside={"alignments": "librispeech-alignments"}),
    ], CLASSES39),
    "emotion": Job("one of eight emotions", STRING, _sources(labels.shared_emotion, ["emotion"], {
        "ravdess": [["speech"], ["all"], ["song"], ["video_speech"]], "crema_d": [["wav"], ["mp3"]],
        "meld": [["default"], ["dyadic"]],
    }), tuple(SPELLINGS)),
    "pitch": Job("F0 in Hz for each 10 ms, 0 where unvoiced", List(Value("float32")), _sources(labels.f0, ["audio"], {
        "libritts": SUBSETS, "vocalset": [["default"], ["technique10"]],
    })),
    "paralinguistics": Job("sounds of the voice", STRINGS, [
        Source("vocalsound", labels.vocal_sound, ["category"], [["16k"], ["44k"]]),
        Source("sep28k", labels.stuttering, ["events"], [["sep28k", "fluencybank"]]),
    ], tuple(filter(None, [*labels.VOCAL_SOUNDS.values(), *labels.STUTTERING.values()]))),
    "speaker_embedding": Job("corpus/speaker", STRING, _sources(labels.speaker, ["speaker_id", "corpus"], {
        "voxceleb": [["voxceleb1", "voxceleb2"], ["voxceleb1_identification"]], "librispeech": [*SUBSETS, ["mini"]],
        "aishell1": [["default"]],
    })),
    "language_identification": Job("primary language subtag", STRING, _sources(labels.language, ["language"], {
        "fleurs": [["all"], ["*_*"]], "mls": [["??"]], "common_voice": [["default"], LOCALES],
    })),
    "singing_detection": Job("whether somebody sings", Value("bool"), [
        Source("vocalset", labels.sung, ["technique"], [["default"], ["technique10"]]),
        Source("musdb18", labels.marked_sung, ["sings"], MUSDB18, rows=labels.mixture_and_stems,
               extra={"sings": Value("bool")}),
    ]),
    "source_separation": Job("the sources, by name", List(SOURCE), [
        Source("musdb18", labels.sources(*labels.STEMS), labels.STEMS, MUSDB18),
        Source("libri_mix", labels.sources("source1", "source2", "source3", "noise"),
               ["source1", "source2", "source3", "noise"], LIBRI_MIX),
    ]),
    "diarization": Job("who speaks from when to when", List(TURN), [
        # Its development set is what there is to train on; hence it validates nothing.
        Source("voxconverse", labels.turns, ["segments"], splits={"train": "validation", "validation": ""}),
        Source("aishell4", labels.turns, ["segments"], [["sessions"]]),
        Source("ami", labels.turns, ["segments"], [["mix_meetings"], ["sdm_meetings"]]),
    ]),
    "sound_events": Job("names of the AudioSet ontology", STRINGS, [
        Source("fsd50k", labels.ontology_events, ["mids"]),
        Source("esc50", labels.category_event, ["category", "corpus"], [["esc50"], ["esc10"]]),
        Source("urbansound8k", labels.category_event, ["category", "corpus"]),
        Source("audioset", labels.ontology_events, ["mids"], [["full"], ["balanced", "unbalanced"], ["strong"]]),
    ], tuple(sound_events.ontology().values())),
    "noise_augmentation": Job("noise, music or speech to mix in", STRING, [
        Source("musan", labels.musan_category, ["category"],
               [["musan"], ["musan-30s"], labels.NOISES, ["noise-30s", "music-30s", "speech-30s"]]),
        Source("wham_noise", labels.noise, [], [["wham"], ["wham-mean"], ["high_res-30s"], ["high_res"]]),
        Source("dns_noise", labels.noise, [], [["wideband"], ["fullband"], ["interspeech2020"]]),
    ], labels.NOISES),
}  # fmt: skip
