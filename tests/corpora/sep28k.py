"""A miniature SEP-28k with FluencyBank."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

HEADER = (
    "Show,EpId,ClipId,Start,Stop,Unsure,PoorAudioQuality,Prolongation,Block,SoundRep,WordRep,DifficultToUnderstand,"
    "Interjection,NoStutteredWords,NaturalPause,Music,NoSpeech\n"
)
# Votes and names as in the corpus; the clips are shorter and lie nearer to the begin.
SEP28K = HEADER + (
    "HeStutters, 0, 0, 320, 1920, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 0, 0\n"
    "HeStutters, 0, 1, 1977, 3577, 0, 0, 2, 3, 0, 1, 0, 0, 0, 1, 0, 0\n"
    "HeStutters, 1, 0, 160, 1500, 1, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0\n"
    "WomenWhoStutter, 0, 0, 0, 1600, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0\n"
)
FLUENCYBANK = HEADER + (
    "FluencyBank, 010, 0, 88, 1688, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0\n"
    "FluencyBank, 010, 1, 1720, 3320, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0\n"
)
SEP28K_EPISODES = (
    "He_Stutters_Podcast_–_Make_Room_For_The_Stuttering, episode-208-with-kelsey-h, "
    "https://stutterrockstar.files.wordpress.com/2011/05/male-episode-1-with-alan1.mp3, HeStutters, 0\n"
    "Women_Who_Stutter, one, two, https://example.org/a.m4a, WomenWhoStutter, 0\n"
)
FLUENCYBANK_EPISODES = (
    "FluencyBank, 010, https://media.talkbank.org/fluency/Voices-AWS/interview/46ma.mp4, FluencyBank, 010\n"
)
EPISODES = ("HeStutters/0", "HeStutters/1", "WomenWhoStutter/0", "FluencyBank/010")


def samples_of(episode: str) -> np.ndarray:
    """Return the sound of an episode [shape=(4000,), int16]."""
    return noise(4000, seed=sum(map(ord, episode)))


def clips() -> dict[str, np.ndarray]:
    """Return the sound of each clip by its name."""
    found = {}
    for line in (SEP28K + FLUENCYBANK).splitlines():
        if not line.startswith("Show"):
            show, episode, clip, start, stop = line.split(", ")[:5]
            found[f"{show}_{episode}_{clip}"] = samples_of(f"{show}/{episode}")[int(start) : int(stop)]
    return found


def write(folder: Path, *, form: str = "clips") -> Path:
    """Write the repository's tables into `folder`, and sound in one of its forms.

    form : {"clips", "flat", "episodes"}
        ``clips/<show>/<episode>/<clip>.wav``; ``clips/stuttering-clips/clips/<clip>.wav``;
        ``wavs/<show>/<episode>.wav``.
    """
    folder.mkdir(parents=True)
    for corpus, labels, episodes in (("SEP-28k", SEP28K, SEP28K_EPISODES),
                                     ("fluencybank", FLUENCYBANK, FLUENCYBANK_EPISODES)):  # fmt: skip
        (folder / f"{corpus}_labels.csv").write_text(labels, encoding="utf-8")
        (folder / f"{corpus}_episodes.csv").write_text(episodes, encoding="utf-8")
    if form == "episodes":
        sound = {f"wavs/{episode}.wav": samples_of(episode) for episode in EPISODES}
    elif form == "flat":
        sound = {f"clips/stuttering-clips/clips/{name}.wav": samples for name, samples in clips().items()}
    else:
        sound = {f"clips/{'/'.join(name.split('_')[:2])}/{name}.wav": samples for name, samples in clips().items()}
    for name, samples in sound.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(riff(samples))
    return folder
