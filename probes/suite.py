"""``python -m probes suite``: every probe on every layer of a table, as one table of results.

Each part is one call of `probes.probe` and has a folder of its own, ``OUT/parts/<name>``; a part that is finished and
was asked the same of the same rows, labels and features is not run again. What cannot be measured here (no `fastabx`,
no such column) is one line of the table.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from builders.cache import writing
from probes.errors import ProbeError
from probes.registry import probe_names
from probes.results import SCHEMA, Results
from probes.suite_state import State
from probes.suite_tables import markdown

EXAMPLE = "example: python -m probes suite tables/timit --network-frames 60 --epochs 10 --out results/timit"
TABLES = ("results", "comparisons", "confusions")
OTHER = "measured on another table or with other settings: run them again"


@dataclass(frozen=True)
class Part:
    """One part of the suite.

    name : str
        Of its folder, and in the column `part` of the results.
    asked : mapping
        Arguments of `probes.probe`.
    """

    name: str
    asked: Mapping[str, Any]


def parts(tier: str = "phones", *, network_frames: int | None = None, epochs: int | None = None) -> list[Part]:
    """Return the parts of the suite in their order: those listed here, then every further probe that there is.

    Parameters
    ----------
    tier : str
        That labels the frames.
    network_frames : int > 0, optional
        At most so many frames per utterance for the parts that train networks, which take longest.
    epochs : int > 0, optional
        Of these, at most; by default as many as each probe takes by itself.
    """
    told = {"batch": 128} | ({} if epochs is None else {"epochs": epochs})
    network: dict[str, Any] = {"target": tier, "max_frames": network_frames, "option": told}
    pooled = {"examples": "utterances"}
    published = {"target": tier, "protocol": "published"}
    sets = ("48", "61", "broad") if tier == "phones" else ()
    listed = [
        Part("linear", {"target": tier, "control": True}),
        *(Part(f"linear-{name}", {"target": tier, "classes": name}) for name in sets),
        Part("segments", {"target": tier, "examples": "segments"}),
        Part("centres", {"target": tier, "examples": "centres"}),
        Part("gender", {"target": "gender", **pooled}),
        Part("speaker", {"target": "speaker_id", **pooled}),
        Part("occurs", {"target": tier, "probe": "global_diagnostic"}),
        Part("occurs-attention", {"target": tier, "probe": "global_diagnostic", "option": {"pool": "linear"}}),
        Part("rsa", {"target": tier, "probe": "rsa", "option": {"pool": ("mean", "linear")}}),
        Part("similarity", {"target": tier, "probe": "similarity"}),
        Part("abx", {"target": tier, "probe": "abx"}),
        Part("linear-published", {**published, "silence": "drop"}),
        Part("occurs-published", {**published, "probe": "global_diagnostic"}),
        Part("occurs-attention-published", {**published, "probe": "global_diagnostic", "option": {"pool": "linear"}}),
        Part("rsa-published", {**published, "probe": "rsa", "option": {"pool": ("mean", "linear")}}),
        Part("mixing", {**network, "probe": "mixing"}),
        Part("mlp", {**network, "probe": "mlp"}),
        Part("context", {**network, "probe": "context", "option": {"context": 5, "hidden": (128,), **told}}),
    ]
    here = {"linear", *(part.asked.get("probe") for part in listed)}
    return listed + [Part(name, {"target": tier, "probe": name}) for name in probe_names() if name not in here]


def suite(
    dataset: Any,
    out: str | Path,
    *,
    chosen: Sequence[Part],
    shared: Mapping[str, Any] | None = None,
    say: Any = print,
) -> tuple[Results, dict[str, str]]:
    """Run the parts that are not finished; write and return the results of all.

    Parameters
    ----------
    dataset : Dataset or DatasetDict
    out : path
        ``parts/<name>/``, and of all together ``results``, ``comparisons``, ``confusions``, ``table.md``.
    chosen : sequence of Part
    shared : mapping, optional
        Arguments of `probes.probe` for all parts.
    say : callable
        Is told one line per part.

    Returns
    -------
    results, left_out
        With the column ``part``, parts of earlier calls included where table and `shared` were the same; the parts that
        are not in it, each with its reason.

    Raises
    ------
    ProbeError
        If no part could be run.
    """
    out, left_out, state = Path(out), {}, State.of(dataset, shared or {})
    for part in chosen:
        try:
            say(f"{part.name}: {_run_part(dataset, part, out, {**(shared or {}), **part.asked}, state)}")
        except (ProbeError, ImportError) as error:
            left_out[part.name] = str(error).splitlines()[0]
            say(f"{part.name}: left out, {left_out[part.name]}")
    done, other = _finished(out, chosen, state)
    if other:
        say(f"left out of the results: {', '.join(other)}, {OTHER}")
    left_out = dict.fromkeys(other, OTHER) | left_out
    if not done:
        raise ProbeError(f"no part could be run; {'; '.join(f'{name}: {why}' for name, why in left_out.items())}")
    results = merged(out, done)
    results.save(out)
    with writing(out / "table.md") as temporary:
        temporary.write_text(markdown(results.to_pandas(), left_out), encoding="utf-8")
    return results, left_out


def _run_part(dataset: Any, part: Part, out: Path, asked: Mapping[str, Any], state: State) -> str:
    """Run a part unless it is finished; return what to say of it."""
    from probes.run import probe

    folder, key = out / "parts" / part.name, state.key(asked)
    mark = folder / "asked.json"
    if mark.exists() and json.loads(mark.read_text(encoding="utf-8"))["key"] == key:
        return "finished before"
    mark.unlink(missing_ok=True)
    for stale in folder.glob("*.*"):
        stale.unlink()
    begun = time.monotonic()
    found = probe(dataset, **asked, progress=sys.stderr.isatty())
    found.save(folder)
    with writing(mark) as temporary:  # last, so that a part without it is not finished
        told = {"key": key, "asked": asked, **state.told()}
        temporary.write_text(json.dumps(told, default=list, indent=1), encoding="utf-8")
    return f"{len(found.table)} results in {time.monotonic() - begun:.0f} s"


def _finished(out: Path, chosen: Sequence[Part], state: State) -> tuple[list[str], list[str]]:
    """Return the parts that have results, those of earlier calls included, in the order of the suite.

    Apart from them those whose results are of another table, or with other settings.
    """
    order = list(dict.fromkeys([part.name for part in [*parts(), *chosen]]))
    fits = {
        mark.parent.name: state.fits(json.loads(mark.read_text(encoding="utf-8")))
        for mark in out.glob("parts/*/asked.json")
    }
    ranked = sorted(fits, key=lambda name: (order.index(name) if name in order else len(order), name))
    return [name for name in ranked if fits[name]], [name for name in ranked if not fits[name]]


def merged(out: Path, names: Collection[str]) -> Results:
    """Return the results of some parts as one, each row with its part."""
    found: dict[str, pa.Table | None] = {}
    for kind in TABLES:
        files = {name: out / "parts" / name / f"{kind}.parquet" for name in names}
        tables = []
        for name, file in files.items():
            if file.exists():
                table = pyarrow.parquet.read_table(file).replace_schema_metadata(None)
                table = table.drop_columns([one for one in table.column_names if one == "part"])
                tables.append(table.append_column("part", pa.array([name] * len(table), pa.string())))
        found[kind] = pa.concat_tables(tables, promote_options="default") if tables else None
    return Results(found["results"].select(SCHEMA.names), found["comparisons"], found["confusions"])


def run(options: argparse.Namespace) -> None:
    """Run ``python -m probes suite``."""
    from features.store import open_table

    known = parts(options.tier, network_frames=options.network_frames, epochs=options.epochs)
    names = [part.name for part in known]
    if unknown := sorted({*(options.only or ()), *options.without} - set(names)):
        raise ProbeError(f"unknown parts {unknown}: expected some of {names}")
    chosen = [one for one in known if one.name in (options.only or names) and one.name not in options.without]
    shared = {"encoders": options.encoders, "layers": options.layers, "folds": options.folds, "seed": options.seed,
              "phone_set": options.phone_set}  # fmt: skip
    table = open_table(options.table, options.features, audio=False)
    suite(table, options.out, chosen=chosen, shared=shared)
    print(f"tables: {options.out / 'table.md'} {options.out / 'results.csv'}")
    print(f"next: python -m probes report {options.out}   (the page with figures)")


def parser() -> argparse.ArgumentParser:
    """Return the parser of ``python -m probes suite``."""
    top = argparse.ArgumentParser(
        prog="python -m probes suite",
        description="Run every probe on every layer of a table; the same command goes on where it was stopped.",
        epilog=f"{EXAMPLE}   Parts: {', '.join(part.name for part in parts())}",
    )
    top.add_argument("table", type=Path, help="table with features")
    top.add_argument("--out", type=Path, required=True, help="folder for results, table.md, and parts/")
    top.add_argument("--only", nargs="+", metavar="PART", help="only these parts")
    top.add_argument("--without", nargs="+", metavar="PART", default=[], help="all parts but these")
    top.add_argument("--tier", default="phones", help="that labels the frames (default: phones)")
    top.add_argument("--network-frames", type=int, metavar="N", help="frames per utterance for networks, at most")
    top.add_argument("--epochs", type=int, metavar="N", help="of networks, at most")
    top.add_argument("--features", nargs="+", type=Path, help="feature tables (default: all in TABLE/features)")
    top.add_argument("--encoders", nargs="+", metavar="NAME", help="only these encoders")
    top.add_argument("--layers", nargs="+", metavar="NAME", help="only these layers")
    top.add_argument("--phone-set", help="phone set of the tier (default: the one of each row's corpus)")
    top.add_argument("--folds", type=int, metavar="K", help="cross-validate over K groups of speakers")
    top.add_argument("--seed", type=int, default=0, help="default: 0")
    return top
