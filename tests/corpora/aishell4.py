"""A miniature AISHELL-4: sessions of eight channels, a TextGrid and an RTTM each."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.corpora.librispeech import Interval, long_textgrid
from tests.corpora.sound import flac, noise

END = 4.0  # seconds
# (part, session) -> speaker -> intervals that cover the session
SESSIONS: dict[tuple[str, str], dict[str, tuple[Interval, ...]]] = {
    ("train_M", "20200616_M_R001S01C01"): {
        "001-M": ((0.0, 0.5, ""), (0.5, 1.25, "大家好，<sil>"), (1.25, 2.0, ""), (2.0, 2.75, "我们ａ开始ok吧。"),
                  (2.75, END, "")),
        "002-F": ((0.0, 1.0, ""), (1.0, 1.5, "<%>嗯"), (1.5, END, "")),
    },
    ("train_L", "20200707_L_R001S04C01"): {"001-F": ((0.0, 3.0, "你好？"), (3.0, END, ""))},
    ("train_S", "20200805_S_R001S01C01"): {"001-F": ((0.0, 1.0, ""), (1.0, END, "<sil>"))},
    ("test", "L_R003S01C02"): {"004-M": ((0.0, 1.0, ""), (1.0, 2.0, "对`对&"), (2.0, END, ""))},
}  # fmt: skip
BROKEN = "20200622_M_R002S07C01"  # its TextGrid says that tier and file end before the last interval does


def samples_of(session: str) -> np.ndarray:
    """Return a session's audio [shape=(samples, 8), int16]."""
    seed = sum(map(ord, session))
    return np.stack([noise(round(END * 16_000), seed + channel) for channel in range(8)], axis=1)


def textgrid_of(tiers: dict[str, tuple[Interval, ...]]) -> str:
    """Return the TextGrid of a session."""
    return long_textgrid(tiers, END)


def write(folder: Path, *, broken: bool = False) -> Path:
    """Write the miniature to `folder`, which is returned; with `broken` a session whose TextGrid is not sound."""
    for (part, session), tiers in SESSIONS.items():
        save(folder, part, session, textgrid_of(tiers))
        lines = "".join(
            f"SPEAKER {session} 1 {start:.3f} {end - start:.3f} <NA> <NA> {name} <NA> <NA>\n"
            for name, intervals in tiers.items()
            for start, end, text in intervals
            if text
        )
        (folder / part / "TextGrid" / f"{session}.rttm").write_text(lines)
    if broken:
        save(folder, "train_M", BROKEN, long_textgrid({"001-M": ((0.0, 1.0, ""), (1.0, 3.5, "晚了"))}, 2.5))
    return folder


def save(folder: Path, part: str, session: str, textgrid: str) -> None:
    """Write the audio and the TextGrid of a session."""
    for kind, name, data in (
        ("wav", f"{session}.flac", flac(samples_of(session))),
        ("TextGrid", f"{session}.TextGrid", textgrid.encode()),
    ):
        path = folder / part / kind / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
