"""A miniature of speechocean762: the first sentences of the corpus, with its own lines."""

from __future__ import annotations

import json
from pathlib import Path

from tests.corpora.sound import noise, riff

# split -> utterance -> (text, speaker)
UTTERANCES = {
    "train": {
        "000010011": ("WE CALL IT BEAR", "0001"),
        "000010035": ("ZERO THREE FIVE ONE", "0001"),
        "000060015": ("LISA", "0006"),
    },
    "test": {"000030012": ("MARK IS GOING TO SEE ELEPHANT", "0003")},
}
SPEAKERS = {"0001": ("m", "6"), "0006": ("f", "6"), "0003": ("m", "6")}
SCORES = {
    "000010011": {
        "text": "WE CALL IT BEAR", "accuracy": 8, "completeness": 10.0, "fluency": 9, "prosodic": 9, "total": 8,
        "words": [
            {"accuracy": 10, "stress": 10, "total": 10, "text": "WE", "phones": "W IY0", "phones-accuracy": [2.0, 2.0]},
            {"accuracy": 10, "stress": 10, "total": 10, "text": "CALL", "phones": "K AO0 L",
             "phones-accuracy": [2.0, 1.8, 1.8]},
            {"accuracy": 10, "stress": 10, "total": 10, "text": "IT", "phones": "IH0 T", "phones-accuracy": [2.0, 2.0]},
            {"accuracy": 6, "stress": 10, "total": 6, "text": "BEAR", "phones": "B EH0 R",
             "phones-accuracy": [2.0, 1.0, 1.0]},
        ],
    },
    "000060015": {
        "text": "LISA", "accuracy": 5, "completeness": 10.0, "fluency": 7, "prosodic": 7, "total": 6,
        "words": [
            {"text": "LISA", "accuracy": 5, "phones": ["L", "IY1", "S", "AH0"], "phones-accuracy": [0.4, 2, 2, 1.2],
             "mispronunciations": [{"canonical-phone": "L", "index": 0, "pronounced-phone": "D"}],
             "stress": 10, "total": 6},
        ],
    },
    "000030012": {
        "text": "MARK IS GOING TO SEE ELEPHANT", "accuracy": 9, "completeness": 10.0, "fluency": 9, "prosodic": 9,
        "total": 9,
        "words": [
            {"accuracy": 10, "phones": ["M", "AA0", "R", "K"], "phones-accuracy": [2.0, 2.0, 1.8, 2.0], "stress": 10,
             "text": "MARK", "total": 10, "mispronunciations": []},
        ],
    },
}  # fmt: skip
DETAIL = {
    "000010011": {
        "text": "WE CALL IT BEAR",
        "accuracy": [7.0, 9.0, 8.0, 8.0, 9.0], "completeness": [1.0, 1.0, 1.0, 1.0, 1.0],
        "fluency": [10.0, 9.0, 8.0, 8.0, 10.0], "prosodic": [10.0, 9.0, 7.0, 8.0, 9.0],
        "total": [7.6, 9.0, 7.9, 8.0, 9.1],
        "words": [
            {"accuracy": [3.0, 7.0, 10.0, 2.0, 6.0], "stress": [10.0, 10.0, 10.0, 10.0, 10.0],
             "phones": ["B (EH0) (R)", "B {EH0} {R}", "B EH0 R", "B (EH0) (R)", "B EH0 [L] R"],
             "total": [4.4, 7.6, 10.0, 3.6, 6.8], "text": "BEAR", "ref-phones": "B EH0 R"},
        ],
    },
}  # fmt: skip


def write(folder: Path, *, resource: str = "resource") -> Path:
    """Write ``speechocean762`` below `folder` and return it; `resource` is where the JSON files lie."""
    top = folder / "speechocean762"
    (top / resource).mkdir(parents=True)
    (top / resource / "scores.json").write_text(json.dumps(SCORES, indent=1))
    (top / resource / "scores-detail.json").write_text(json.dumps(DETAIL, indent=1))
    for split, utterances in UTTERANCES.items():
        (top / split).mkdir()
        paths = {name: f"WAVE/SPEAKER{speaker}/{name}.WAV" for name, (_, speaker) in utterances.items()}
        _table(top / split / "wav.scp", paths, "\t")
        _table(top / split / "text", {name: text for name, (text, _) in utterances.items()}, "\t")
        _table(top / split / "utt2spk", {name: speaker for name, (_, speaker) in utterances.items()}, " ")
        here = {speaker: SPEAKERS[speaker] for _, speaker in utterances.values()}
        _table(top / split / "spk2gender", {speaker: gender for speaker, (gender, _) in here.items()}, "\t")
        _table(top / split / "spk2age", {speaker: age for speaker, (_, age) in here.items()}, "\t")
        for number, path in enumerate(paths.values()):
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_bytes(riff(noise(16000 + number)))
    return top


def _table(path: Path, rows: dict[str, str], separator: str) -> None:
    path.write_text("".join(f"{key}{separator}{value}\n" for key, value in rows.items()), encoding="utf-8")
