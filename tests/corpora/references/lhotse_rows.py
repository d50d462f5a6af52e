"""What an lhotse recipe made of a miniature corpus, as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def store(name: str, manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Write recordings and supervisions of each part, sorted, without paths of this machine.

    The script that calls takes ``--out FOLDER``; without it the stored file is written again.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=HERE)
    out = parser.parse_args().out
    parts = {part: _rows(found) for part, found in sorted(manifests.items()) if "recordings" in found}
    (out / f"{name}.json").write_text(json.dumps(parts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(name: str) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Read what `store` wrote."""
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))


def _rows(found: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    recordings = [
        {"id": item.id, "duration": item.duration, "rate": item.sampling_rate} for item in found["recordings"]
    ]
    return {
        "recordings": sorted(recordings, key=lambda row: row["id"]),
        "supervisions": sorted(map(_supervision, found["supervisions"]), key=lambda row: row["id"]),
    }


def _supervision(item: Any) -> dict[str, Any]:
    row = {
        name: getattr(item, name) for name in ("id", "recording_id", "start", "duration", "text", "speaker", "gender")
    }
    words = (item.alignment or {}).get("word", ())
    return {
        **{name: value for name, value in row.items() if value is not None},
        **({"custom": item.custom} if item.custom else {}),
        **({"words": [[word.start, word.duration, word.symbol] for word in words]} if words else {}),
    }
