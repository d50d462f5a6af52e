"""``python -m probes apply``: a trained probe on another table, its answers as a tier of segments or as a column."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, Features, List, Value

from builders.schema import SEGMENTS
from features.card import FeatureCard, cards
from features.clock import FrameClock
from features.columns import matrices
from features.pooling import segment_means
from probes.errors import ProbeError
from probes.examples import pooled_segments
from probes.frames import BATCH_ROWS, FrameTable
from probes.outcome import answers
from probes.questions import Questions
from probes.registry import probe_names
from probes.segments import NANOSECONDS, tier_segments

EXAMPLE = (
    "example: python -m probes apply results/timit/probes/whisper_tiny_en.block2.fold0 tables/digits --out tables/d2"
)
DIFFERS = ("encoder", "init", "revision", "version", "layer", "width", "axis", "clock", "pool")


def load(path: str | Path) -> Any:
    """Read a saved probe of any kind.

    Raises
    ------
    ProbeError
        If there is none, or it does not say which features it is for.
    """
    path = Path(path)
    path = path.with_suffix("") if path.suffix in (".json", ".safetensors") else path
    sidecar = path.with_name(path.name + ".json")
    if not sidecar.exists():
        raise ProbeError(f"no probe at {path}: expected {sidecar.name}, which `python -m probes --save-probes` writes")
    about = json.loads(sidecar.read_text(encoding="utf-8"))
    module = import_module(f"probes.{about['probe']}") if about.get("probe") in probe_names() else None
    if not hasattr(module, "load"):
        raise ProbeError(
            f"{sidecar} is of {about.get('probe')!r}, which cannot be applied: expected one of {_loadable()}"
        )
    trained = module.load(path)
    if not {"card", "examples"} <= set(trained.details):
        raise ProbeError(f"{sidecar} does not say which features the probe is for: train it again with --save-probes")
    return trained


def _loadable() -> list[str]:
    return [name for name in probe_names() if hasattr(import_module(f"probes.{name}"), "load")]


def matching(dataset: Dataset, details: Mapping[str, Any]) -> dict[str, FeatureCard]:
    """Return the columns of a table that a probe was trained on.

    Raises
    ------
    ProbeError
        If the table lacks one, or has features of that name that differ: from another encoder, layer, or clock.
    """
    known, found = cards(dataset), {}
    for column in details["columns"]:
        if column not in known:
            raise ProbeError(f"the table has no features {column!r}, which the probe is for: it has {list(known)}")
        wanted = FeatureCard.from_json(json.dumps(details["cards"][column]))
        for name in DIFFERS:
            have, want = getattr(known[column], name), getattr(wanted, name)
            if have != want:
                raise ProbeError(f"{column}: the table's features differ, {name} {have} where the probe is for {want}")
        found[column] = known[column]
    return found


def apply(trained: Any, dataset: Dataset, *, name: str) -> Dataset:
    """Return a table with what a probe answers.

    Of frames it is a tier of segments, one per run of equal answers; of segments a tier with the same bounds; of
    utterances a column. A global diagnostic gives two columns: ``<name>``, the classes that occur, and
    ``<name>.probabilities``, a struct with the probability of each. Feature columns are not in it.

    Parameters
    ----------
    trained : probe
        From `load`.
    dataset : Dataset
        Manifest and feature columns.
    name : str
        Of the tier or column; what has this name already is replaced.

    Raises
    ------
    ProbeError
        If the features are not those that the probe is for.
    """
    columns = matching(dataset, trained.details)
    kind = trained.details["examples"]["kind"]
    manifest = dataset.remove_columns([one for one in dataset.column_names if _is_feature(one, cards(dataset))])
    if isinstance(trained, Questions):
        return _with_answers(manifest, name, trained, dataset, columns)
    if kind == "utterances":
        if name in manifest.column_names:
            manifest = manifest.remove_columns(name)
        labels = [label for batch in _utterances(trained, dataset, columns) for label in batch]
        return manifest.add_column(name, pa.array(labels, pa.string()), feature=Value("string"))
    batches = _frames if kind == "frames" else _segments
    tiers = (tier for batch in batches(trained, dataset, columns) for tier in batch)
    return _with_tier(manifest, name, tiers)


def runs(labels: Sequence[str], clock: FrameClock, duration: float | None) -> list[dict[str, Any]]:
    """Return one segment per run of equal labels; boundaries lie half way between frames.

    So a frame's centre lies in a segment of its label. The first run starts with the utterance, the last one ends
    with it, or half a hop behind its last frame where that is earlier.

    Parameters
    ----------
    labels : sequence of str
        One a frame.
    clock : FrameClock
    duration : float or None
        Seconds.
    """
    if not len(labels):
        return []
    codes = np.unique(np.asarray(labels, dtype=str), return_inverse=True)[1]
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    half = clock.hop / 2 / 16_000
    starts = np.maximum(clock.times(len(labels))[first] - half, 0)
    starts[0] = 0.0
    end = clock.times(len(labels))[-1] + half
    ends = np.append(starts[1:], end if duration is None else min(end, duration))
    return [{"start": s, "end": e, "label": labels[f]} for s, e, f in zip(starts, ends, first, strict=True)]


def _frames(trained: Any, dataset: Dataset, columns: Mapping[str, FeatureCard]) -> Iterator[list[list[dict]]]:
    clock = next(iter(columns.values())).clock
    durations = _column(dataset, "duration")
    for batch, values, lengths in _batches(dataset, columns):
        table = _unlabelled(trained, values, lengths)
        labels = np.asarray(trained.classes)[answers(trained, table, np.arange(len(values)))]
        ends = np.cumsum(lengths)
        rows = zip(ends - lengths, ends, durations[batch], strict=True)
        yield [runs(labels[a:b].tolist(), clock, duration) for a, b, duration in rows]


def _segments(trained: Any, dataset: Dataset, columns: Mapping[str, FeatureCard]) -> Iterator[list[list[dict]]]:
    asked = trained.details["examples"]
    manifest = dataset.select_columns(["segments"]).with_format("arrow")
    for batch, values, lengths in _batches(dataset, columns):
        card = next(iter(columns.values()))
        segments = tier_segments(manifest[batch]["segments"], asked["target"], every=card.axis == "segment")
        if card.axis == "frame":
            values = pooled_segments(values, lengths, segments, card, asked["kind"])
        keep = np.flatnonzero(~np.isnan(values.reshape(len(values), -1)).any(axis=1))
        table = _unlabelled(trained, values[keep], np.ones(len(keep), dtype=np.int64))
        labels = np.asarray(trained.classes)[answers(trained, table, np.arange(len(keep)))]
        found: list[list[dict]] = [[] for _ in lengths]
        for which, label in zip(keep, labels.tolist(), strict=True):
            times = {"start": segments.starts[which] / NANOSECONDS, "end": segments.ends[which] / NANOSECONDS}
            found[segments.rows[which]].append({**times, "label": label})
        yield found


def _utterances(trained: Any, dataset: Dataset, columns: Mapping[str, FeatureCard]) -> Iterator[list[str | None]]:
    for _, values, lengths in _batches(dataset, columns):
        ends = np.cumsum(lengths)
        means = segment_means(values.reshape(len(values), -1), ends - lengths, ends)
        keep = np.flatnonzero(lengths > 0)
        table = _unlabelled(trained, means[keep].reshape(-1, *values.shape[1:]), np.ones(len(keep), dtype=np.int64))
        labels: list[str | None] = [None] * len(lengths)
        for row, code in zip(keep, answers(trained, table, np.arange(len(keep))), strict=True):
            labels[row] = trained.classes[code]
        yield labels


def _with_answers(
    manifest: Dataset, name: str, trained: Questions, dataset: Dataset, columns: Mapping[str, FeatureCard]
) -> Dataset:
    """Add what a global diagnostic answers, null for utterances without frames."""
    parts = [
        trained.occur(np.split(values, np.cumsum(lengths)[:-1])) for _, values, lengths in _batches(dataset, columns)
    ]
    found = np.concatenate([np.zeros((0, len(trained.classes)), dtype=np.float32), *parts])
    there = ~np.isnan(found).any(axis=1)
    named = np.asarray(trained.classes)
    labels = [named[row >= 0.5].tolist() if known else None for row, known in zip(found, there, strict=True)]
    fields = [pa.array(column, pa.float32()) for column in found.T]
    chances = pa.StructArray.from_arrays(fields, names=list(trained.classes), mask=pa.array(~there))
    made = {
        name: (pa.array(labels, pa.list_(pa.string())), List(Value("string"))),
        f"{name}.probabilities": (chances, {one: Value("float32") for one in trained.classes}),
    }
    manifest = manifest.remove_columns([one for one in made if one in manifest.column_names])
    for column, (values, feature) in made.items():
        manifest = manifest.add_column(column, values, feature=feature)
    return manifest


def _batches(dataset: Dataset, columns: Mapping[str, FeatureCard]) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield rows, their values (frames, width), of several columns (frames, layers, width), and frames per row."""
    for start in range(0, len(dataset), BATCH_ROWS):
        batch = slice(start, min(start + BATCH_ROWS, len(dataset)))
        parts = [matrices(dataset, column, batch) for column in columns]
        values = parts[0][0] if len(parts) == 1 else np.stack([part[0] for part in parts], axis=1)
        yield batch, values, parts[0][1]


def _unlabelled(trained: Any, values: np.ndarray, lengths: np.ndarray) -> FrameTable:
    """Return a table of examples without labels, frames around them included."""
    ends = np.cumsum(lengths)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    none = np.zeros(len(values), dtype=np.int64)
    spans = np.stack([ends - lengths, ends], axis=1)
    return FrameTable(values, none, rows, none, trained.classes, (), None, np.arange(len(values)), spans)


def _with_tier(manifest: Dataset, name: str, tiers: Iterator[list[dict[str, Any]]]) -> Dataset:
    kept = manifest.select_columns(["segments"])
    cells = [
        [one for one in row["segments"] or [] if one["tier"] != name]
        + [{"tier": name, "speaker": None, "score": None, **one} for one in tier]
        for row, tier in zip(kept, tiers, strict=True)
    ]
    schema = Features({"segments": SEGMENTS}).arrow_schema
    column = pa.Table.from_pylist([{"segments": cell} for cell in cells], schema=schema)["segments"]
    order = manifest.column_names
    return manifest.remove_columns("segments").add_column("segments", column, feature=SEGMENTS).select_columns(order)


def _column(dataset: Dataset, name: str) -> list[Any]:
    if name not in dataset.column_names:
        return [None] * len(dataset)
    return dataset.select_columns([name]).with_format("arrow")[:][name].to_pylist()


def _is_feature(column: str, known: Mapping[str, FeatureCard]) -> bool:
    return column in known or column.removesuffix(".scale") in known


def run(options: argparse.Namespace) -> None:
    """Run ``python -m probes apply``."""
    from features.store import open_table

    trained = load(options.probe)
    name = options.name or options.probe.name.removesuffix(".json").removesuffix(".safetensors")
    table = open_table(options.table, options.features)
    if options.out.resolve() == options.table.resolve():
        raise ProbeError(f"--out {options.out} is the table itself: expected another folder")
    done = DatasetDict({split: apply(trained, part, name=name) for split, part in table.items()})
    done.save_to_disk(options.out)
    rows = sum(len(part) for part in done.values())
    what = "column" if trained.details["examples"]["kind"] == "utterances" else "tier"
    also = f" and {name + '.probabilities'!r}" if isinstance(trained, Questions) else ""
    print(f"{rows} utterances with the {what} {name!r}{also}: {options.out}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of ``python -m probes apply``."""
    top = argparse.ArgumentParser(
        prog="python -m probes apply", description="Write what a trained probe answers on a table.", epilog=EXAMPLE
    )
    top.add_argument("probe", type=Path, help="saved by --save-probes: OUT/probes/<column>.fold<k>")
    top.add_argument("table", type=Path, help="table with the features that the probe was trained on")
    top.add_argument("--out", type=Path, required=True, help="folder of the new table")
    top.add_argument("--name", help="of the tier or column (default: the file name of the probe)")
    top.add_argument("--features", nargs="+", type=Path, help="feature tables (default: all in TABLE/features)")
    return top
