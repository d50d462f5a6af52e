"""`python -m builders check`: faults of known recordings are found, named and drawn."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, load_from_disk

from builders.__main__ import main
from builders.audio import encode
from builders.check import QUALITY, check
from builders.check_report import WORST
from builders.errors import CorpusError
from builders.schema import arrow_schema, manifest_features
from tests.corpora import timit
from tests.corpora.sound import RATE, noise, tone


def pcm(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32_767), -32_768, 32_767).astype(np.int16)


def table(recordings: dict[str, bytes], seconds: float = 1.0) -> Dataset:
    """Return a manifest table of FLAC files."""
    features = manifest_features()
    rows = [
        {"id": name, "audio": {"bytes": data, "path": f"{name}.flac"}, "duration": seconds, "segments": []}
        for name, data in recordings.items()
    ]
    return Dataset(pa.Table.from_pylist(rows, schema=arrow_schema(features))).cast(features)


@pytest.fixture
def faulty() -> Dataset:
    clean = noise(RATE)
    half = clean.copy()
    half[RATE // 2 :] = 0
    found = {f"clean{number:02}": encode(noise(RATE, number)) for number in range(25)}
    found |= {
        "clipped": encode(pcm(np.clip(tone(100, 1.0, amplitude=2.0), -1, 1))),
        "half": encode(half),
        "offset": encode((clean + 3_277).astype(np.int16)),
        "narrow": encode(pcm(tone(1_000, 1.0))),
        "cut": encode(clean)[:-500],
        "short": encode(clean[: RATE - 800]),
    }
    return table(found)


def test_the_column(faulty):
    checked = check(faulty)
    assert checked.column_names == [*faulty.column_names, "quality"]
    found = dict(zip(checked["id"], checked["quality"], strict=True))
    assert found["clipped"]["clipped"] == pytest.approx(2 / 3, abs=0.02)
    assert found["half"]["silent"] == 0.5
    assert found["offset"]["dc_offset"] == pytest.approx(0.1, abs=0.01)
    assert found["narrow"]["bandwidth"] == pytest.approx(1_000, abs=150)
    assert (found["cut"]["header_duration"], found["cut"]["decoded_duration"], found["cut"]["peak"]) == (1.0, 0.0, None)
    assert found["short"]["decoded_duration"] == 0.95
    assert list(found["clean00"]) == list(QUALITY)
    assert set(found["clean00"].values()) >= {0.0, 1.0, 8_000.0}


def test_rows_without_audio_and_tables_without_the_column(faulty):
    rows = faulty.select([0, 0]).to_list()
    rows[0]["audio"] = None
    both = check(Dataset(pa.Table.from_pylist(rows, schema=faulty.data.schema)).cast(faulty.features))["quality"]
    assert (both[0]["peak"], both[0]["decoded_duration"]) == (None, None)
    assert both[1]["peak"] > 0
    with pytest.raises(CorpusError, match="the table has no audio column"):
        check(faulty.remove_columns("audio"))


def test_the_command_names_the_worst(faulty, tmp_path, capsys):
    DatasetDict({"train": faulty, "test": faulty.select(range(3))}).save_to_disk(str(tmp_path / "t"))
    before = sorted((tmp_path / "t").rglob("*"))
    assert main(["check", str(tmp_path / "t"), "--out", str(tmp_path / "q"), "--num-proc", "2"]) == 0
    assert sorted((tmp_path / "t").rglob("*")) == before  # nothing is written beside the table
    told = json.loads((tmp_path / "q" / "summary.json").read_text())
    faults = {row["id"]: row["fault"] for row in told["train"]["worst"]}
    assert len(faults) == WORST
    assert list(faults)[:6] == ["cut", "short", "clipped", "offset", "narrow", "half"]
    assert [faults[name] for name in list(faults)[:5]] == ["missing", "missing", "clipped", "dc_offset", "bandwidth"]
    assert told["train"]["beyond"] == {
        "peak": 0, "clipped": 1, "silent": 0, "dc_offset": 1, "bandwidth": 1, "missing": 2,
    }  # fmt: skip
    assert (told["train"]["rows"], told["test"]["rows"]) == (31, 3)
    assert "clipped" in capsys.readouterr().out
    assert (tmp_path / "q" / "quality.png").read_bytes()[:4] == b"\x89PNG"
    made = load_from_disk(str(tmp_path / "q"))["train"]
    assert (made.column_names, made["id"]) == (["id", "quality"], faulty["id"])
    assert main(["check", str(tmp_path / "t"), "--out", str(tmp_path / "q")]) == 2
    assert "q exists already" in capsys.readouterr().err


def test_a_prepared_folder_and_no_table(tmp_path, capsys):
    folder = timit.write(tmp_path / "c")
    assert main(["prepare", "timit", "--data-dir", str(folder), "--out", str(tmp_path)]) == 0
    assert main(["check", str(tmp_path / "timit")]) == 0
    assert "FCJF0_SA1" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main(["check", str(tmp_path / "empty")]) == 2
    assert "empty holds no table: write one with" in capsys.readouterr().err


def test_without_matplotlib_there_is_one_line(faulty, tmp_path, monkeypatch, capsys):
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    faulty.save_to_disk(str(tmp_path / "t"))
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert main(["check", str(tmp_path / "t"), "--out", str(tmp_path / "q")]) == 0
    assert "no figure: matplotlib is not installed; pip install 'phonelayers[report]'" in capsys.readouterr().err
    assert not (tmp_path / "q" / "quality.png").exists()


def test_nothing_of_this_machine_is_written(faulty, tmp_path):
    faulty.save_to_disk(str(tmp_path / "t"))
    assert main(["check", str(tmp_path / "t"), "--out", str(tmp_path / "q")]) == 0
    for path in (path for path in Path(tmp_path / "q").rglob("*") if path.is_file()):
        assert str(tmp_path).encode() not in path.read_bytes(), path
