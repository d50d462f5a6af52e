"""A miniature AISHELL-1, packed as published or unpacked."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np

from tests.corpora.sound import noise, riff

# id -> (part, words, samples); the first line is that of the corpus, the last has full-width letters.
UTTERANCES = {
    "BAC009S0002W0122": ("train", "而 对 楼市 成交 抑制 作用 最 大 的 限 购", 1600),
    "BAC009S0002W0123": ("train", "也 成为 地方 政府 的 眼中 钉", 1601),
    "BAC009S0003W0121": ("train", "甚至 出现 交易 几乎 停滞 的 情况", 1602),
    "BAC009S0724W0121": ("dev", "广州市 房地产 中介 协会 分析", 1603),
    "BAC009S0764W0121": ("test", "ａ 股 和 ｔ 恤 ｉｐｏ", 1604),
}
WITHOUT_TRANSCRIPT = {"BAC009S0002W0499": ("train", 1605)}
# With the S before some of the numbers and without.
SPEAKER_INFO = "0002 F\n0003 M\nS0724 F\n0764 M\n"
LAYOUTS = ("unpacked", "inner", "published")


def samples_of(name: str) -> np.ndarray:
    """Return an utterance's audio [shape=(samples,), int16]."""
    length = UTTERANCES[name][2] if name in UTTERANCES else WITHOUT_TRANSCRIPT[name][1]
    return noise(length, seed=sum(map(ord, name)))


def write(folder: Path, layout: str = "unpacked") -> Path:
    """Write the miniature to `folder`, which is returned.

    layout : {"unpacked", "inner", "published"}
        ``data_aishell/wav/train/S0002/...``; ``data_aishell/wav/S0002.tar.gz``; ``data_aishell.tgz`` that holds these.
    """
    top = folder / "data_aishell"
    for name, part in {name: row[0] for name, row in (UTTERANCES | WITHOUT_TRANSCRIPT).items()}.items():
        path = top / "wav" / part / name[6:11] / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(riff(samples_of(name)))
    lines = "".join(f"{name} {words}\n" for name, (_, words, _) in UTTERANCES.items())
    (top / "transcript").mkdir()
    (top / "transcript/aishell_transcript_v0.8.txt").write_text(lines, encoding="utf-8")
    (folder / "resource_aishell").mkdir()
    (folder / "resource_aishell/speaker.info").write_text(SPEAKER_INFO, encoding="utf-8")
    if layout != "unpacked":
        _pack_speakers(top / "wav")
    if layout == "published":
        for name in ("data_aishell", "resource_aishell"):
            with tarfile.open(folder / f"{name}.tgz", "w:gz") as tar:
                tar.add(folder / name, name)
            shutil.rmtree(folder / name)
    return folder


def _pack_speakers(wav: Path) -> None:
    for speaker in sorted(wav.glob("*/*")):
        with tarfile.open(wav / f"{speaker.name}.tar.gz", "w:gz") as tar:
            tar.add(speaker, f"{speaker.parent.name}/{speaker.name}")
    for part in ("train", "dev", "test"):
        shutil.rmtree(wav / part)
