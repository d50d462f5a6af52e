"""RAVDESS: 24 actors say and sing two sentences in eight emotions.

Source: Livingstone & Russo (2018), https://zenodo.org/records/1188976. There is no metadata file:
seven numbers in a file's name tell all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.emotions import emotion
from builders.files import Files
from builders.listing import Utterance

# Actor_12/03-01-06-01-02-01-12.wav: modality, vocal channel, emotion, intensity, statement, repetition, actor
NAME = (
    r"(?P<modality>0[123])-(?P<vocal>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])"
    r"-(?P<statement>0[12])-(?P<repetition>0[12])-(?P<actor>[012]\d)"
)
PATH = rf"(?:Actor_\d\d/)?(?P<stem>{NAME})\.(?P<suffix>wav|flac|mp3|mp4|m4a)"

MODALITIES = {"01": "audio-video", "02": "video-only", "03": "audio-only"}
CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = {
    "01": "neutral", "02": "calm", "03": "happy", "04": "sad",
    "05": "angry", "06": "fearful", "07": "disgust", "08": "surprised",
}  # fmt: skip
INTENSITIES = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door", "02": "Dogs are sitting by the door"}

# configuration: modality, vocal channels, recordings, archives
CONFIGS = {
    "speech": ("03", ("01",), 1440, ["Audio_Speech_Actors*"]),
    "song": ("03", ("02",), 1012, ["Audio_Song_Actors*"]),
    "all": ("03", ("01", "02"), 2452, ["Audio_S*_Actors*"]),
    "video_speech": ("01", ("01",), 1440, ["Video_Speech_Actor_*"]),
    "video_song": ("01", ("02",), 1012, ["Video_Song_Actor_*"]),
}


class Ravdess(CorpusBuilder):
    """RAVDESS, from its audio or from its video files."""

    FACTS = Facts(
        title="Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)",
        homepage="https://zenodo.org/records/1188976",
        licence="CC BY-NC-SA 4.0",
        access="RAVDESS is open: without data_dir it is fetched from https://zenodo.org/records/1188976",
        citation="Livingstone, S. R., Russo, F. A. (2018). The Ryerson Audio-Visual Database of Emotional Speech and "
        "Song (RAVDESS). PLoS ONE 13(5): e0196391.",
        language="en",
        channel="0",  # six files are stereo; left and right are the same in those that are speech
        # Copies hold the tree twice, as Actor_01/... and audio_speech_actors_01-24/Actor_01/...: one name for both
        root=rf"^(?:.*?/)??(?=(?:Actor_\d\d/)?{NAME}\.\w+$)",
        download="https://zenodo.org/records/1188976/files/",
        archives=(
            Archive("Audio_Speech_Actors_01-24.zip", 208468073, "bc696df654c87fed845eb13823edef8a"),
            Archive("Audio_Song_Actors_01-24.zip", 225505317, "5411230427d67a21e18aa4d466e6d1b9"),
            *(Archive(f"Video_Speech_Actor_{actor:02}.zip") for actor in range(1, 25)),
            *(Archive(f"Video_Song_Actor_{actor:02}.zip") for actor in range(1, 25) if actor != 18),  # who did not sing
        ),
        archive_patterns=("*ravdess*", "Audio_S*_Actors*", "Video_S*_Actor_*"),
        labels=("gender", "emotion"),
        own_labels={
            "emotion_code": Value("string"),  # 01 to 08
            "intensity": Value("string"),  # normal, strong
            "statement": Value("string"),  # 01, 02
            "repetition": Value("int32"),  # 1, 2
            "vocal_channel": Value("string"),  # speech, song
            "modality": Value("string"),  # audio-only, audio-video
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name=name, splits={"train": Expected(count)}, archives=["*ravdess*", *archives])
        for name, (_, _, count, archives) in CONFIGS.items()
    ]
    DEFAULT_CONFIG_NAME = "speech"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the recordings: their names say what they are; files without sound (modality 02) are not listed."""
        modality, channels, *_ = CONFIGS[self.config.name]
        for path in files.match(PATH):
            if path["modality"] == modality and path["vocal"] in channels:
                yield recording(path)


def recording(path: re.Match[str]) -> Utterance:
    """Make an utterance of a file's name; actors with odd numbers are men."""
    labels = {
        "gender": "male" if int(path["actor"]) % 2 else "female",
        "emotion": emotion(EMOTIONS[path["emotion"]]),
        "emotion_code": path["emotion"],
        "intensity": INTENSITIES[path["intensity"]],
        "statement": path["statement"],
        "repetition": int(path["repetition"]),
        "vocal_channel": CHANNELS[path["vocal"]],
        "modality": MODALITIES[path["modality"]],
    }
    return Utterance(path["stem"], path[0], STATEMENTS[path["statement"]], f"Actor_{path['actor']}", labels=labels)
