"""A miniature of Flickr8k Audio Captions, with each of the sources that texts and splits can come from."""

from __future__ import annotations

import json
from pathlib import Path

from tests.corpora.sound import noise, riff

CHILD, DOG, BOAT = "1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg", "1002674143_1b742ab4b8.jpg"
# recording -> (photograph, index, speaker, samples); the name of the last says nothing of its photograph
RECORDINGS = {
    "1000268201_693b08cb0e_0.wav": (CHILD, 0, "35", 16000),
    "1000268201_693b08cb0e_1.wav": (CHILD, 1, "183", 1600),
    "1001773457_577c3a7d70_0.wav": (DOG, 0, "1", 1601),
    "renamed_3.wav": (BOAT, 2, "7", 1602),
}
CAPTIONS = {
    (CHILD, 0): "A child in a pink dress is climbing up a set of stairs in an entry way .",
    (CHILD, 1): 'A girl going into a "wooden building .',  # one quotation mark: no quoting in this file
    (DOG, 0): "A black dog and a spotted dog are fighting",
    (BOAT, 2): "A man in a boat .",
}
SPLITS = {"train": [CHILD], "dev": [DOG], "test": [BOAT]}

ALIGNED = {
    "audiopath": "/home/somebody/flickr_audio/wavs/1000268201_693b08cb0e_0.wav",
    "transcript": "A child",
    "words": [
        {"word": "A", "case": "success", "alignedWord": "a", "start": 0.1, "end": 0.16,
         "phones": [{"phone": "ah_S", "duration": 0.06}]},
        {"word": "child", "case": "success", "alignedWord": "child", "start": 0.16, "end": 0.5,
         "phones": [{"phone": "ch_B", "duration": 0.1}, {"phone": "ay_I", "duration": 0.14},
                    {"phone": "l_I", "duration": 0.05}, {"phone": "d_E", "duration": 0.05}]},
    ],
}  # fmt: skip
NOT_ALIGNED = {
    "audiopath": "1001773457_577c3a7d70_0.wav",
    "transcript": "A zyx",
    "words": [
        {"word": "A", "case": "success", "alignedWord": "<unk>", "start": 0.0, "end": 0.05,
         "phones": [{"phone": "oov_S", "duration": 0.05}]},
        {"word": "zyx", "case": "not-found-in-audio"},
    ],
}  # fmt: skip


def write(folder: Path, *, texts: str = "flickr", alignment: bool = False, kaggle: bool = False) -> Path:
    """Write the corpus below `folder` and return it.

    texts : {"flickr", "karpathy", "none"}
        Where texts and splits come from.
    alignment : bool
        Write ``fa.json``.
    kaggle : bool
        Nest the recordings once more, as a copy on Kaggle does.
    """
    top = folder / "flickr_audio"
    wavs = (top / "flickr_audio" if kaggle else top) / "wavs"
    wavs.mkdir(parents=True)
    for name, (_, _, _, samples) in RECORDINGS.items():
        (wavs / name).write_bytes(riff(noise(samples, seed=samples)))
    listed = [f"{name} {image} #{index}\n" for name, (image, index, _, _) in RECORDINGS.items()]
    (top / "wav2capt.txt").write_text("".join(listed))
    (top / "wav2spk.txt").write_text("".join(f"{name} {row[2]}\n" for name, row in RECORDINGS.items()))
    if texts == "flickr":
        token = [f"{image}#{index}\t{text}\n" for (image, index), text in CAPTIONS.items()]
        token += [f"2258277193_586949ec62.jpg.1#{index}\tjunk .\n" for index in range(5)]
        (folder / "Flickr8k_text").mkdir()
        (folder / "Flickr8k_text/Flickr8k.token.txt").write_text("".join(token), encoding="utf-8")
        for split, images in SPLITS.items():
            (folder / f"Flickr8k_text/Flickr_8k.{split}Images.txt").write_text("".join(f"{name}\n" for name in images))
    elif texts == "karpathy":
        (folder / "dataset.json").write_text(json.dumps({"images": karpathy(), "dataset": "flickr8k"}))
    if alignment:
        lines = [json.dumps(one) for one in (ALIGNED, NOT_ALIGNED)]
        (folder / "fa.json").write_text("\n".join(lines) + "\n")
    return folder


def karpathy() -> list[dict]:
    """Return the ``images`` of ``dataset.json``; captions that nobody reads are null, as in later copies."""
    images = []
    for number, (split, (image,)) in enumerate(SPLITS.items()):
        sentences = [
            {"raw": CAPTIONS[image, index], "tokens": [], "sentid": index, "imgid": number, "raw_jp": "子供"}
            if (image, index) in CAPTIONS
            else None
            for index in range(5)
        ]
        images.append(
            {"filename": image, "imgid": number, "split": {"dev": "val"}.get(split, split), "sentences": sentences}
        )
    return images
