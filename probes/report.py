"""The report of results: one HTML page that holds everything it shows, and the figures as files.

``python -m probes report RESULTS`` reads what ``python -m probes TABLE --out RESULTS`` wrote.
"""

from __future__ import annotations

import argparse
import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template

import pandas as pd
import pyarrow.csv
import pyarrow.parquet

from builders.cache import writing
from probes.errors import ProbeError
from probes.figures import style
from probes.methods import CITATION, SOURCES, paragraph, settings
from probes.report_figures import Drawn, drawn_of
from probes.results import ACOUSTIC, MAJORITY
from probes.software import made_with, versions

GROUP = ["part", "probe", "target", "examples", "inventory", "protocol"]
COLUMNS = ["part", "probe", "target", "encoder", "init", "layer", "metric", "value", "ci_low", "ci_high", "spread",
           "n_train", "n_test", "test_speakers", "decay", "clock", "other", "other_encoder", "other_init",
           "other_layer"]  # fmt: skip
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2 Characters
EXAMPLE = "example: python -m probes report results/timit --out timit.html"


@dataclass(frozen=True)
class Run:
    """What one folder of results holds; `confusions` is None where classes were not counted."""

    name: str
    results: pd.DataFrame
    confusions: pd.DataFrame | None
    software: dict[str, str] | None


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    top = argparse.ArgumentParser(
        prog="python -m probes report", description="Write results as one HTML page and as figures.", epilog=EXAMPLE
    )
    top.add_argument("results", nargs="+", type=Path, help="folders that `python -m probes TABLE --out` wrote")
    top.add_argument("--out", type=Path, help="the page (default: report.html in the first folder)")
    top.add_argument("--title", help="default: the names of the folders")
    top.add_argument("--corpus", nargs="+", default=[], help="corpora of this project to cite")
    return top


def run(options: argparse.Namespace) -> None:
    """Write the page and say where it is."""
    page = options.out or options.results[0] / "report.html"
    written = report(options.results, page, title=options.title, corpora=options.corpus)
    print(f"page: {written[0]}\nfigures: {len(written) - 1} files in {page.parent / figure_folder(page)}")


def report(
    results: Sequence[str | Path], page: str | Path, *, title: str | None = None, corpora: Sequence[str] = ()
) -> list[Path]:
    """Write the page, and its figures as PNG and SVG in ``<page>.figures``.

    Parameters
    ----------
    results : sequence of path
        Folders of results, or their ``results.parquet`` or ``results.csv``.
    page : path
        ``.html``.
    title : str, optional
    corpora : sequence of str
        Corpora of this project whose citations the page should have.

    Returns
    -------
    list of Path
        The page first.

    Raises
    ------
    ProbeError
        If there are no results.
    ImportError
        If matplotlib is missing.
    """
    page, runs = Path(page), [open_run(Path(path)) for path in results]
    cited = [_corpus(name) for name in corpora]
    title = title or f"Probes: {', '.join(dict.fromkeys(run.name for run in runs))}"
    page.parent.mkdir(parents=True, exist_ok=True)
    with style():
        parts = [
            (_named(run, name, runs), frame, drawn_of(frame, _confusions(run, frame)))
            for run in runs
            for name, frame in _groups(run)
        ]
        files = [path for name, _, drawn in parts for one in drawn for path in one.save(_folder(page), _slug(name))]
        text = _page(title, runs, parts, cited)
    with writing(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return [page, *files]


def open_run(path: Path) -> Run:
    """Read a folder of results, or a table of results alone.

    Raises
    ------
    ProbeError
        If there is none, or it is empty.
    """
    table = path if path.suffix in (".parquet", ".csv") else path / "results.parquet"
    if not table.exists():
        raise ProbeError(f"no results at {path}: expected results.parquet, run `python -m probes TABLE --out {path}`")
    read = pyarrow.parquet.read_table if table.suffix == ".parquet" else pyarrow.csv.read_csv
    results = _printable(read(table).to_pandas())
    missing = [name for name in ("encoder", "init", "layer", "probe", "metric", "value") if name not in results]
    if missing or results.empty:
        raise ProbeError(f"{table} holds no results: {f'it lacks {missing}' if missing else 'no rows'}")
    beside = table.with_name("confusions.parquet")
    confusions = _printable(pyarrow.parquet.read_table(beside).to_pandas()) if beside.exists() else None
    return Run(table.parent.resolve().name, results, confusions, made_with(table))


def _printable(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts may stand in XML: what may not, e.g. NUL in a label, is written as its number."""
    texts = [name for name in frame if pd.api.types.is_string_dtype(frame[name]) or frame[name].dtype == object]
    changed = {name: frame[name].map(_spelt, na_action="ignore") for name in texts}
    return frame.assign(**changed)


def _spelt(value: object) -> object:
    return _NOT_XML.sub(lambda found: f"\\x{ord(found[0]):02x}", value) if isinstance(value, str) else value


def figure_folder(page: Path) -> str:
    """Return the name of the folder of a page's figures."""
    return f"{page.stem}.figures"


def _folder(page: Path) -> Path:
    return page.parent / figure_folder(page)


def _groups(run: Run) -> list[tuple[str, pd.DataFrame]]:
    keys = [name for name in GROUP if name in run.results]
    named = []
    for values, frame in run.results.groupby(keys, sort=False, dropna=False):
        told = [str(value) for value in values if pd.notna(value) and value not in ("", "standard")]
        named.append((" · ".join(dict.fromkeys(told)), frame))
    return named


def _confusions(run: Run, frame: pd.DataFrame) -> pd.DataFrame | None:
    """Return the confusions that belong to some results: of a suite, those of their part."""
    if run.confusions is None or "part" not in run.confusions:
        return run.confusions
    return run.confusions[run.confusions.part == frame.part.iloc[0]]


def _named(run: Run, name: str, runs: Sequence[Run]) -> str:
    return name if len(runs) == 1 else f"{run.name} · {name}"


def _page(
    title: str, runs: Sequence[Run], parts: Sequence[tuple[str, pd.DataFrame, list[Drawn]]], cited: list[str]
) -> str:
    everything = pd.concat([run.results for run in runs], ignore_index=True)
    sections, links, number = [], [], 0
    for place, (name, frame, drawn) in enumerate(parts):
        figures = []
        for one in drawn:
            number += 1
            figures.append(one.html(f"f{number}"))
        links.append(f'<a href="#part{place}">{escape(name)}</a>')
        sections.append(f'<h2 id="part{place}">{escape(name)}</h2>\n{_findings(frame)}\n{_arranged(drawn, figures)}')
    links += [f'<a href="#{name}">{name.capitalize()}</a>' for name in ("results", "methods", "citation")]
    layers = everything[everything.encoder != MAJORITY].groupby(["encoder", "init", "layer"]).ngroups
    encoders = everything[everything.encoder != MAJORITY].encoder.nunique()
    csv = base64.b64encode(everything.to_csv(index=False).encode()).decode()
    template = Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title),
        summary=f"{layers} layers of {encoders} encoders, {len(everything)} results. "
        "Bars and brackets are 95 % intervals over test speakers.",
        contents=" ".join(links),
        sections="\n".join(sections),
        table=_table(everything),
        csv=f"data:text/csv;base64,{csv}",
        methods=_methods(runs, parts),
        citation=_citation(cited),
    )


def _arranged(drawn: Sequence[Drawn], figures: Sequence[str]) -> str:
    first = [text for one, text in zip(drawn, figures, strict=True) if not one.further]
    more = [text for one, text in zip(drawn, figures, strict=True) if one.further]
    shown = f'<div class="figures">{"".join(first)}</div>'
    if more:
        inside = f'<summary>{len(more)} further figures</summary><div class="figures">{"".join(more)}</div>'
        shown += f"<details>{inside}</details>"
    return shown


def _findings(frame: pd.DataFrame) -> str:
    """Say for each encoder which layer is best, and what random weights and the baselines give."""
    metric = next((name for name in ("accuracy", "pearson_r") if (frame.metric == name).any()), frame.metric.iloc[0])
    own = frame[(frame.metric == metric) & (frame.encoder != MAJORITY) & frame.value.notna()]
    if "other_layer" in own and own.other_layer.notna().any():
        return ""
    baselines = own[own.init == ACOUSTIC]
    lines = []
    for encoder, part in own[own.init == "trained"].groupby("encoder", sort=False):
        best = part.loc[part.value.idxmax()]
        line = f"<b>{escape(encoder)}</b>: best at {escape(best.layer)}, {metric} {_value(best)}"
        random = own[(own.encoder == encoder) & own.init.str.startswith("random") & (own.layer == best.layer)]
        line += f"; the same layer with random weights {random.value.mean():.3f}" if len(random) else ""
        lines.append(line)
    if len(baselines):
        best = baselines.loc[baselines.value.idxmax()]
        lines.append(f"best acoustic baseline: {escape(best.encoder)}, {metric} {_value(best)}")
    if not lines:
        return ""
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f"<ul>{items}</ul><p>The best layer is named after the test, so its figure is a little too good.</p>"


def _value(row: pd.Series) -> str:
    return f"{row.value:.3f}" + (f" [{row.ci_low:.3f} {row.ci_high:.3f}]" if pd.notna(row.ci_low) else "")


def _table(frame: pd.DataFrame) -> str:
    columns = [name for name in COLUMNS if name in frame and frame[name].notna().any()]
    numeric = {name: pd.api.types.is_numeric_dtype(frame[name]) for name in columns}
    head = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in columns)
    rows = "".join(
        f"<tr>{''.join(_cell(value, numeric[name]) for name, value in zip(columns, row, strict=True))}</tr>"
        for row in frame[columns].itertuples(index=False)
    )
    return f'<table class="sortable" id="table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _cell(value: object, number: bool) -> str:
    if pd.isna(value):
        return '<td class="number"></td>' if number else "<td></td>"
    if not number:
        return f"<td>{escape(str(value))}</td>"
    shown = f"{value:,.0f}" if float(value) == int(value) and abs(value) >= 1 else f"{value:.4g}"
    return f'<td class="number" data-value="{value!r}">{shown}</td>'


def _methods(runs: Sequence[Run], parts: Sequence[tuple[str, pd.DataFrame, list[Drawn]]]) -> str:
    said = []
    for name, frame, _ in parts:
        rows = "".join(f'<tr><td>{escape(k)}</td><td class="wrap">{escape(v)}</td></tr>' for k, v in settings(frame))
        said.append(f"<h3>{escape(name)}</h3><p>{escape(paragraph(frame))}</p>")
        said.append(
            f'<details><summary>every setting</summary><div class="scroll"><table>{rows}</table></div></details>'
        )
    for run in runs:
        made = run.software or versions()
        note = "" if run.software else " (of the machine that wrote this page: the results don't name theirs)"
        listed = ", ".join(f"{name} {number}" for name, number in made.items())
        said.append(f"<p>Software of {escape(run.name)}{note}: {escape(listed)}.</p>")
    return "\n".join(said)


def _citation(cited: Sequence[str]) -> str:
    try:
        own = CITATION % version("phonelayers")
    except PackageNotFoundError:  # run from a checkout that is not installed
        own = CITATION % "unreleased"
    items = "".join(f"<li>{escape(text)}</li>" for text in [*cited, *SOURCES])
    return f"<pre>{escape(own)}</pre><p>Data and methods:</p><ul>{items}</ul>"


def _corpus(name: str) -> str:
    from builders.register import builder_class

    facts = builder_class(name).FACTS
    return f"{facts.title}: {facts.citation} Licence: {facts.licence}."


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
